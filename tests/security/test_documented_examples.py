"""The examples of docs/security.md are settings, files and roles that work."""

import json
import re
from pathlib import Path

import pytest

from pipeline.install.roles import elasticsearch_roles
from pipeline.settings import load_settings

PAGE = (Path(__file__).parents[2] / "docs/security.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", blocks("toml"))
def test_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "example.toml").write_text(text)
    for setting in re.findall(r"^# (\w+): see \"Secrets\"", text, re.MULTILINE):
        group = re.match(r"\[(\w+)\]", text)
        assert group
        monkeypatch.setenv(f"LOGPIPE_{group[1]}__{setting}".upper(), "secret")
    assert load_settings(tmp_path / "example.toml")


def test_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    named = re.findall(r"^(LOGPIPE_\w+__\w+)='…'$", "".join(blocks("sh")), re.MULTILINE)
    for name in named:
        monkeypatch.setenv(name, "secret")
    others = {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "sasl_username": "u"}
    settings = load_settings(overrides={"kafka": others})
    assert len(named) == 2
    assert settings.kafka.sasl_password
    assert settings.elasticsearch.api_key


def test_api_key_carries_the_role_of_the_worker() -> None:
    (request,) = blocks("console")
    body = json.loads(request.partition("\n")[2])
    assert body["role_descriptors"]["worker"] == elasticsearch_roles(load_settings())[0].descriptor
