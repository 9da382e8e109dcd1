"""Tables in a terminal and without one, and numbers as people read them."""

from io import StringIO

import pytest
from rich.console import Console

from pipeline.cli.tables import Column, print_table
from pipeline.telemetry.quantities import as_bytes, as_count, as_duration, as_rate

COLUMNS = (Column("topic"), Column("lag", number=True))
ROWS = [["claude-code-bot.logs", "1,234"], ["b", "5"]]


def printed(width: int, *, terminal: bool) -> list[str]:
    file = StringIO()
    print_table(
        Console(file=file, width=width, force_terminal=terminal, no_color=True, highlight=False),
        COLUMNS,
        ROWS,
        total=("all", "1,239"),
    )
    return [
        line.rstrip() for line in file.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()
    ]


def test_a_table_that_fits_is_a_table() -> None:
    assert [line.split() for line in printed(40, terminal=True)] == [
        ["topic", "lag"],
        ["claude-code-bot.logs", "1,234"],
        ["b", "5"],
        ["all", "1,239"],
    ]


def test_a_table_that_does_not_fit_becomes_vertical() -> None:
    assert printed(20, terminal=True) == [
        "topic  claude-code-bot.logs",
        "lag    1,234",
        "",
        "topic  b",
        "lag    5",
        "",
        "topic  all",
        "lag    1,239",
    ]


def test_without_a_terminal_nothing_is_cut() -> None:
    lines = printed(20, terminal=False)
    assert len(lines) == 4
    assert lines[1].split() == ["claude-code-bot.logs", "1,234"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.042, "42 ms"),
        (4.24, "4.2 s"),
        (42.4, "42 s"),
        (59.7, "1 min"),
        (185, "3 min 5 s"),
        (3599.9, "1 h"),
        (7500, "2 h 5 min"),
        (86_400, "1 d"),
        (100_000, "1 d 4 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert as_duration(seconds) == text


def test_rates_counts_and_bytes() -> None:
    assert [as_rate(rate) for rate in (0, 0.25, 1234.5, 1_234_567)] == ["0/s", "0.2/s", "1,234/s", "1.2M/s"]
    assert [as_count(number) for number in (999, 9_999, 56_700, 3.4e9)] == ["999", "9,999", "56.7k", "3.4G"]
    assert [as_bytes(number) for number in (0, 512, 2 << 20, 3 << 30)] == [
        "0 B",
        "512 B",
        "2.0 MiB",
        "3.0 GiB",
    ]
