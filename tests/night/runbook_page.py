"""What a runbook says one sees: its section "What you see", read as it is written for people.

A row of its table is a case; columns are readiness, the log, and `logpipe top`. Texts are in backticks, and `…` in
them stands for anything.
"""

import re
from typing import NamedTuple

from tests.monitoring.alerting import runbook

__all__ = ["Seen", "cases"]

_SECTION = re.compile(r"^## What you see\n(.*?)^## ", re.MULTILINE | re.DOTALL)
_HEAD = ["", "`/health/ready`", "log", "`logpipe top`"]


class Seen(NamedTuple):
    """What one sees in one case."""

    case: str
    status: int
    readiness: list[str]
    """Regular expressions: what the body has."""
    log: list[str]
    """Regular expressions: lines that come. None means that nothing is written that is worse than INFO."""
    top: list[str]
    """Regular expressions: what the screen has."""


def cases(alert: str) -> dict[str, Seen]:
    """Give the cases of an alert's page, by their first column."""
    section = _SECTION.search(runbook(alert).read_text())
    assert section is not None, f"{runbook(alert)} has no section What you see"
    head, _, *rows = [_cells(line) for line in section[1].splitlines() if line.startswith("|")]
    assert head == _HEAD, head
    return {row[0]: _seen(*row) for row in rows}


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _seen(case: str, readiness: str, log: str, top: str) -> Seen:
    status = re.match(r"(\d{3})\b", readiness)
    assert status is not None, f"{case}: {readiness}"
    return Seen(case, int(status[1]), _texts(readiness), _texts(log), _texts(top))


def _texts(cell: str) -> list[str]:
    return [".*".join(map(re.escape, text.split("…"))) for text in re.findall(r"`([^`]+)`", cell)]
