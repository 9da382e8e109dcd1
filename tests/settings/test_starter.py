"""The first settings file: complete, loadable, and the same as having none until it is changed."""

import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest

from pipeline.errors import SettingsError
from pipeline.settings import Settings, load_settings
from pipeline.settings.starter import starter_file

# As they stand in the file; those without a default are "".
COMMENTED = re.compile(r"^# ([a-z_]+ = .*)$", re.MULTILINE)


def written(path: Path, chosen: dict[str, dict[str, Any]]) -> Settings:
    file = path / "logpipe.toml"
    file.write_text(starter_file(chosen), "utf-8")
    return load_settings(file)


def test_without_choices_it_changes_nothing(tmp_path: Path) -> None:
    assert written(tmp_path, {}).model_dump() == load_settings().model_dump()


def test_every_setting_stands_in_it_with_its_default() -> None:
    shown = tomllib.loads(COMMENTED.sub(r"\1", starter_file({})))
    assert list(shown) == list(Settings.model_fields)
    for name, group in load_settings():
        if isinstance(group, dict):  # groups with names of the user's: there is none by default
            assert shown[name] == group == {}
            continue
        there = {
            key: tuple(value) if isinstance(value, list) else value for key, value in shown[name].items()
        }
        assert there == {key: "" if value is None else value for key, value in group.model_dump().items()}


def test_every_setting_is_explained() -> None:
    text = " ".join(line.removeprefix("# ") for line in starter_file({}).splitlines())
    for group in Settings.model_fields.values():
        for field in (get_args(group.annotation) or (group.annotation,))[-1].model_fields.values():
            assert " ".join(str(field.description).split()) in text


def test_what_is_chosen_is_set_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: dict[str, dict[str, Any]] = {
        "kafka": {"topics": ["a.b", "c"], "start_at": "latest"},
        "http": {"port": 0},
    }
    monkeypatch.setenv("LOGPIPE_HTTP__PORT", "none")
    text = starter_file(chosen)
    monkeypatch.delenv("LOGPIPE_HTTP__PORT")
    (tmp_path / "logpipe.toml").write_text(text, "utf-8")
    settings = load_settings(tmp_path / "logpipe.toml")
    assert settings.kafka.topics == ("a.b", "c")
    assert settings.kafka.start_at == "latest"
    assert settings.http.port == 0


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"kafka": {"bootstrap_servers": ["kafka"]}}, "kafka.bootstrap_servers.*'kafka' is not host:port"),
        ({"kafka": {"topcis": ["a"]}}, "kafka.topcis: there is no such setting"),
        ({"kafak": {"topics": ["a"]}}, "kafak: there is no such setting"),
    ],
)
def test_a_wrong_choice_is_refused_by_name(chosen: dict[str, dict[str, Any]], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        starter_file(chosen)
