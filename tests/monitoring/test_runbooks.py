"""The runbooks: one for each alert, and their commands, links and names are real."""

import re
import shlex
import subprocess
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import typer

from pipeline.cli.app import app
from tests.monitoring.alerting import ALERTS, RULES, RUNBOOKS, Rule, runbook
from tests.monitoring.exposed import registries
from tests.monitoring.tools import find
from tests.night import test_night as night
from tests.night.runbook_page import cases

INDEX = RUNBOOKS / "README.md"
PAGES = sorted(RUNBOOKS.glob("*.md"))
# What ends a command in a shell.
_ENDS = {"|", ";", "&&", "||"}

SECTIONS = ["Look first", "Likely causes", "Mend", "It is over when"]
# Of the pages whose alerts the night plays (tests/night): it holds against what is said there.
PLAYED = "What you see"
RESPONSES = {
    "critical": "at once",
    "high": "within 15 minutes",
    "medium": "within an hour",
    "low": "on the next business day",
    "none": "at once when it stops",
}


def blocks(page: Path) -> list[str]:
    """Return the fenced bash blocks."""
    return re.findall(r"^```bash\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def calls_of_logpipe(page: Path) -> list[list[str]]:
    """Return the words after `logpipe` of each call, in the bash blocks and in backticks."""
    text = page.read_text()
    quoted = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
    lines = [line for block in blocks(page) for line in block.replace("\\\n", " ").splitlines()]
    found = []
    for line in [*lines, *quoted]:
        if not re.search(r"(?<![\w./-])logpipe(?![\w.-])", line):
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
        for number, word in enumerate(words):
            if word == "logpipe" and words[number - 1 : number] != ["--group"]:
                found.append(list(takewhile(lambda each: each not in _ENDS, words[number + 1 :])))
    return [words for words in found if words]


def logpipe(words: list[str]) -> None:
    """Let the CLI's own parser judge the words, without running anything."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands") and (words or not command.invoke_without_command):
        name, *words = words
        assert name in command.commands, f"No such command: {name}"
        command = command.commands[name]
    command.make_context(command.name, words)


def family(metric: str) -> str:
    return re.sub(r"_(total|bucket|sum|count|info)$", "", metric)


def registered() -> set[str]:
    return {family(metric.name) for registry in registries() for metric in registry.collect()}


def own_metrics(text: str) -> set[str]:
    return {family(name) for name in re.findall(r"(?<![:\w])logpipe_[a-z_]+", text)}


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    assert {page.name for page in PAGES if page != INDEX} == {runbook(alert.name).name for alert in ALERTS}


@pytest.mark.parametrize(
    ("alert", "file"),
    [
        ("ServiceDown", "service-down"),
        ("HighCPUUsage", "high-cpu-usage"),
        ("ExternalAPIRateLimit", "external-api-rate-limit"),
        ("LogPipelineDown", "log-pipeline-down"),
    ],
)
def test_names_of_pages(alert: str, file: str) -> None:
    assert runbook(alert).stem == file


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_a_page_says_how_bad_and_answers_the_same_questions(alert: Rule) -> None:
    text = runbook(alert.name).read_text()
    severity, priority = alert.labels["severity"], alert.labels["priority"]
    assert text.startswith(f"# {alert.name}\n")
    assert f"**Severity:** {severity} ({priority}). **Response:** {RESPONSES[severity]}" in text
    sections = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert [section for section in sections if section != PLAYED] == SECTIONS
    assert PLAYED not in sections[1:]
    assert blocks(runbook(alert.name)), "nothing to type"


def test_each_case_of_what_one_sees_is_played() -> None:
    played = Path(night.__file__).read_text()
    pages = [alert.name for alert in ALERTS if f"## {PLAYED}\n" in runbook(alert.name).read_text()]
    assert len(pages) > 4
    for name in pages:
        for case in cases(name):
            assert re.search(rf'"{name}",\s+"{re.escape(case)}"', played), f"{name}: {case}"


def test_the_index_has_every_alert_with_its_priority() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\(([a-z-]+)\.md\) \| (P\d|none) \|", INDEX.read_text(), re.MULTILINE)
    assert sorted(rows) == sorted((a.name, runbook(a.name).stem, a.labels["priority"]) for a in ALERTS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_bash_can_be_read(page: Path) -> None:
    for block in blocks(page):
        checked = subprocess.run(
            ["/bin/bash", "-n"], input=block, capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stderr + block


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_of_logpipe_exist(page: Path) -> None:
    for words in calls_of_logpipe(page):
        logpipe(words)


def test_commands_of_logpipe_are_found() -> None:
    found = {tuple(words[:2]) for page in PAGES for words in calls_of_logpipe(page)}
    assert {("dlq", "list"), ("dlq", "show"), ("dlq", "replay"), ("setup", "--dry-run"), ("check",)} <= found


@pytest.mark.parametrize("words", [["chek"], ["dlq", "lost"], ["audit", "--untill", "now"], ["dlq", "show"]])
def test_a_command_that_does_not_exist_would_be_noticed(words: list[str]) -> None:
    with pytest.raises(Exception, match=r"No such|Missing"):
        logpipe(words)


def test_queries_can_be_parsed(tmp_path: Path) -> None:
    """What the pages ask Prometheus, as rules: promtool parses each without a server."""
    queries = [query for page in PAGES for query in promql(page)]
    assert len(queries) > len(ALERTS)
    rules = "".join(f"      - {{record: q{n}, expr: {query!r}}}\n" for n, query in enumerate(queries))
    file = tmp_path / "queries.yml"
    file.write_text(f"groups:\n  - name: queries\n    rules:\n{rules}")
    checked = subprocess.run(
        [find("promtool"), "check", "rules", file], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def promql(page: Path) -> list[str]:
    """Return the queries given to promtool, which are in single quotes and last on their line."""
    return re.findall(
        r"^promtool query (?:instant|range) .*?'([^'\n]+)'$", "\n".join(blocks(page)), re.MULTILINE
    )


def test_no_query_is_overlooked() -> None:
    asked = sum(
        len(re.findall(r"^\s*promtool query", block, re.MULTILINE))
        for page in PAGES
        for block in blocks(page)
    )
    assert sum(len(promql(page)) for page in PAGES) == asked


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_recorded_series_that_are_named_are_recorded(page: Path) -> None:
    named = set(re.findall(r"(?<![\w.])[a-z_]+:[a-z0-9_]+:[a-z0-9_]+\b", page.read_text()))
    assert named <= {rule.name for rule in RULES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_metrics_of_the_pipeline_that_are_named_exist(page: Path) -> None:
    assert own_metrics(page.read_text()) <= registered()


def test_metrics_of_the_pipeline_that_the_rules_look_at_exist() -> None:
    assert own_metrics(" ".join(rule.expression for rule in RULES)) <= registered()
