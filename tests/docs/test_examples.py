"""Every command line and every example of the pages is parsed, and run where that needs no server."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.events.formats import load_formats
from pipeline.log_metrics.rules import load_rules
from pipeline.settings import Settings, load_settings
from pipeline.trace_stories.flows import load_flows
from tests.docs.shell import KNOWN, PAGES, ROOT, blocks, check_logpipe, commands, quoted_calls, variables

SHELL = {"sh", "bash"}
LANGUAGES = {*SHELL, "toml", "yaml", "json", "python", "console", "text"}
EXAMPLES = [
    pytest.param(page, language, text, id=f"{page.relative_to(ROOT)}:{number}")
    for page in PAGES
    for number, (language, text) in enumerate(blocks(page), 1)
]


def of(*languages: str) -> pytest.MarkDecorator:
    chosen = [
        pytest.param(page, text, id=str(example.id))
        for example in EXAMPLES
        for page, language, text in [example.values]
        if language in languages
    ]
    return pytest.mark.parametrize(("page", "text"), chosen)


def called(words: list[str]) -> str:
    return Path(words[0]).name if "/bin/" in words[0] else words[0]


def needs_no_server(block: str) -> bool:
    """Tell whether a block can be run as it stands: only these commands, and one of ours among them."""
    ours = False
    for words in commands(block):
        match [called(words), *words[1:]]:
            case ["logpipe", "transform" | "init" | "--version" | "--help", *_]:
                ours = True
            case ["logpipe", "setup", "--print-roles", *_]:
                ours = True
            case ["echo" | "printf", *_]:
                pass
            case _:
                return False
    return ours


@pytest.mark.parametrize(("page", "language", "text"), EXAMPLES)
def test_blocks_are_of_a_language_that_is_checked(page: Path, language: str, text: str) -> None:
    assert language in LANGUAGES, f"{page.name}: {text}"


@of(*SHELL)
def test_commands_are_known_and_have_the_options_that_are_given(page: Path, text: str) -> None:
    found = list(commands(text))
    assert found or variables(text)
    for words in found:
        name = called(words)
        assert name in KNOWN, f"{page.name}: {name} is not in tests/docs/shell.py"
        KNOWN[name](words[1:])


@of(*SHELL)
def test_variables_are_those_of_settings(page: Path, text: str) -> None:
    known = {
        f"LOGPIPE_{group}__{setting}".upper()
        for group, field in Settings.model_fields.items()
        for setting in getattr(field.annotation, "model_fields", {})
    }
    others = {"LOGPIPE_CONFIG", "LOGPIPE_SECRETS_DIR"}
    assert variables(text) <= known | others, page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_the_text_names_exist(page: Path) -> None:
    for words in quoted_calls(page):
        check_logpipe(words, whole=False)


RUN = [
    example for example in EXAMPLES if example.values[1] in SHELL and needs_no_server(str(example.values[2]))
]


@pytest.mark.parametrize(("page", "language", "text"), RUN)
def test_commands_that_need_no_server_run(tmp_path: Path, page: Path, language: str, text: str) -> None:
    del page, language
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ran = subprocess.run(
        ["/bin/sh", "-e"], input=text, cwd=tmp_path, env={**os.environ, "PATH": path},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout


def test_some_commands_are_run() -> None:
    assert len(RUN) >= 2


@of("toml")
def test_settings_and_rules_can_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: Path, text: str
) -> None:
    file = tmp_path / "example.toml"
    file.write_text(text)
    if "[[rules]]" in text:
        assert load_rules(file)
        return
    if "take.message" in text:
        assert load_formats(file)
        return
    if "[[flows]]" in text:
        assert load_flows(text, page.name)
        return
    # What a page says comes from a secret is given as one, and so is the password that a user has to have.
    if "sasl_username" in text:
        monkeypatch.setenv("LOGPIPE_KAFKA__SASL_PASSWORD", "secret")
    for setting in re.findall(r"^# (\w+): see \"Secrets\"", text, re.MULTILINE):
        group = re.match(r"\[(\w+)\]", text)
        assert group
        monkeypatch.setenv(f"LOGPIPE_{group[1]}__{setting}".upper(), "secret")
    assert load_settings(file)


@of("yaml", "json")  # JSON is YAML
def test_data_can_be_read(page: Path, text: str) -> None:
    del page
    assert list(yaml.safe_load_all(text))


@of("python")
def test_python_can_be_compiled(page: Path, text: str) -> None:
    assert compile(text, page.name, "exec")


@of("console")
def test_requests_have_a_method_a_path_and_json(page: Path, text: str) -> None:
    del page
    line, _, body = text.partition("\n")
    assert re.fullmatch(r"(GET|PUT|POST|DELETE) /?[\w@./-]+", line)
    assert json.loads(body)


@pytest.mark.parametrize(
    "line",
    ["logpipe chek", "logpipe audit --untill now", "logpipe", "make soup", "pip install left-pad", "fdisk /dev/sda",
     "python -m pipelin", "docker compose --profile nothing up", "kubectl apply -f deploy/kubernetes/nothing.yaml"],
)  # fmt: skip
def test_a_command_that_is_wrong_is_noticed(line: str) -> None:
    (words,) = commands(line)
    with pytest.raises(Exception, match=r"."):
        KNOWN[called(words)](words[1:])


def test_comments_assignments_pipes_and_quotes_are_understood() -> None:
    block = (
        "A=1 echo 'a # b' | cat # what's this\nlogpipe \\\n  run  # `run`\ncurl -d '{\n}' x && make demo\n"
    )
    found = [words[0] for words in commands(block)]
    assert found == ["echo", "cat", "logpipe", "curl", "make"]
