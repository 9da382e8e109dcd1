"""The commands of the pages: found in their blocks, and what is checked of each.

A command that KNOWN does not name fails the tests: enter it there, with a check of it.
"""

import functools
import importlib.util
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer
import yaml

from docs.source.site import pages
from pipeline.cli.app import app

__all__ = ["KNOWN", "PAGES", "ROOT", "blocks", "check_logpipe", "commands", "quoted_calls", "variables"]

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    {ROOT / page for page in pages()}
    | set(ROOT.glob("monitoring/*/README.md"))
    | set((ROOT / "deploy").rglob("*.md"))
)
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_SEPARATORS = {"|", ";", "&", "&&", "||", "\n", "(", ")"}


def blocks(page: Path) -> list[tuple[str, str]]:
    """Give the fenced blocks of a page: language and text."""
    return [(found["language"].strip(), found["text"]) for found in _FENCE.finditer(page.read_text("utf-8"))]


def commands(block: str) -> Iterator[list[str]]:
    """Give the words of each command of a shell block, without `sudo` and assignments before it."""
    lexer = shlex.shlex(
        _without_comments(block.replace("\\\n", " ")), posix=True, punctuation_chars=";|&\n()"
    )
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    for token in [*lexer, "\n"]:
        if set(token) <= {*"".join(_SEPARATORS)}:
            while words and (words[0] == "sudo" or re.match(r"[A-Z_]+=", words[0])):
                words.pop(0)
            if words:
                yield words
            words = []
        else:
            words.append(token)


def variables(block: str) -> set[str]:
    """Give the names of the pipeline's variables that a block sets."""
    return set(re.findall(r"\b(LOGPIPE_\w+)=", _without_comments(block)))


def _without_comments(text: str) -> str:
    kept: list[str] = []
    quote, comment, before = "", False, "\n"
    for letter in text:
        if comment:
            comment = letter != "\n"
        elif quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "#" and before.isspace():
            comment = True
        if not comment:
            kept.append(letter)
        before = letter
    return "".join(kept)


def quoted_calls(page: Path) -> list[list[str]]:
    """Give the words after `logpipe` of each call that stands in the text of a page."""
    text = _FENCE.sub("", page.read_text("utf-8"))
    return [shlex.split(call) for call in re.findall(r"`logpipe ([^`\n]+)`", text) if "COMMAND" not in call]


# What is checked of a command -----------------------------------------------------------------------------------


@functools.cache
def _program() -> Any:
    """The commands as the parser knows them, whose options do nothing but be read."""
    program: Any = typer.main.get_command(app)
    waiting = [program]
    while waiting:
        command = waiting.pop()
        waiting += getattr(command, "commands", {}).values()
        for parameter in command.params:
            parameter.callback = None  # `--install-completion` would change the shell of who runs the tests
    return program


def check_logpipe(words: list[str], *, whole: bool = True) -> None:
    """Let the program's own parser judge the words; `whole` is a command line that one could type."""
    command = _program()
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        name, *words = words
        assert name in command.commands, f"logpipe has no command {name}"
        command = command.commands[name]
    if hasattr(command, "commands") and not words:
        assert not whole, "a command is missing"
        return
    try:
        command.make_context(command.name, words)
    except typer.Exit:
        return  # --help, --version
    except Exception as error:
        named = re.search(r"Missing (?:parameter|option|argument)|requires an argument", str(error))
        if whole or not named:
            raise


def _make(words: list[str]) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {word for word in words if "=" not in word}
    assert named <= targets, f"no target of the Makefile: {words}"


def _pip(words: list[str]) -> None:
    verb, *wanted = words
    assert verb == "install", verb
    project = (ROOT / "pyproject.toml").read_text()
    for each in wanted:
        found = re.fullmatch(r"(?:kafka-log-pipeline|\.)(?:\[([a-z,]+)\])?", each)
        assert found, each
        for extra in (found[1] or "").split(","):
            assert not extra or re.search(rf"^{extra} = \[", project, re.MULTILINE), f"no extra {extra}"


def _python(words: list[str]) -> None:
    assert words[0] == "-m", words
    assert importlib.util.find_spec(words[1]), f"no module {words[1]}"
    if words[1] == "pytest":
        missing = [each for each in words[2:] if not each.startswith("-") and not (ROOT / each).exists()]
        assert not missing, f"no tests {missing}"


def _docker(words: list[str]) -> None:
    if words[0] == "compose":
        profiles = {
            profile
            for service in yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].values()
            for profile in service.get("profiles", [])
        }
        named = [words[at + 1] for at, word in enumerate(words) if word == "--profile"]
        assert set(named) <= profiles, f"no profile of the compose file: {named}"
        assert {"up", "down", "logs", "ps", "exec"} & set(words), f"not looked at: {words}"
    else:
        assert words[0] in {"build", "push", "run", "buildx"}, f"not looked at: {words}"


def _file_arguments(words: list[str]) -> None:
    """Check what looks like a path into this repository."""
    roots = (
        "monitoring/",
        "deploy/helm",
        "deploy/kubernetes",
        "deploy/systemd",
        "docs/",
        "mappings/",
        "ilm/",
    )
    named = [word.split("@")[-1].split("=")[-1] for word in words]
    missing = [each for each in named if each.startswith(roots) and not (ROOT / each).exists()]
    assert not missing, f"no file {missing}"


def _nothing(_: list[str]) -> None:
    """Check nothing: the shell's own, or a tool of a server that the tests do not run."""


KNOWN: dict[str, Callable[[list[str]], None]] = {
    "logpipe": check_logpipe,
    "make": _make,
    "pip": _pip,
    "python": _python,
    "python3": _python,
    "docker": _docker,
    # Tools of a cluster: their files are ours, their servers are not here.
    **dict.fromkeys(["kubectl", "helm", "curl", "k6", "systemctl", "install", "kustomize"], _file_arguments),
    # promtool's queries in the runbooks are parsed by tests/monitoring/test_runbooks.py.
    **dict.fromkeys(["promtool", "amtool", "journalctl", "jq", "openssl", "gh"], _nothing),
    **dict.fromkeys(
        [
            "kafka-console-consumer.sh",
            "kafka-consumer-groups.sh",
            "kafka-topics.sh",
            "kafka-broker-api-versions.sh",
            "kafka-metadata-quorum.sh",
            "kafka-configs.sh",
            "kafka-acls.sh",
            "kafka-transactions.sh",
        ],
        _nothing,
    ),
    **dict.fromkeys(
        [
            "echo",
            "printf",
            "cat",
            "cd",
            "cp",
            "date",
            "export",
            "grep",
            "sort",
            "head",
            "tail",
            "uniq",
            "git",
        ],
        _nothing,
    ),
}
