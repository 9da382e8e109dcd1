"""Tables that are never cut: vertical where the terminal is too narrow, as wide as needed where there is none."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import orjson
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

__all__ = ["Column", "print_json", "print_json_lines", "print_table"]

_AS_WIDE_AS_NEEDED = 10_000


class Column(NamedTuple):
    """A heading, and whether what is below it is a number."""

    name: str
    number: bool = False


def print_table(
    out: Console,
    columns: Sequence[Column],
    rows: Sequence[Sequence[str | Text]],
    *,
    total: Sequence[str] = (),
) -> None:
    """Print rows below their headings, or each row as lines of `heading  value` where the terminal is too narrow."""
    table, needed = _table(out, columns, rows, total, collapse=False)
    if needed > out.width and out.is_terminal:
        table, needed = _table(out, columns, rows, total, collapse=True)
    if needed <= out.width:
        out.print(table)
    elif not out.is_terminal:
        with _as_wide_as(needed, out):
            out.print(table)
    else:
        _print_vertically(out, columns, [*rows, *([total] if total else [])])


def _table(
    out: Console,
    columns: Sequence[Column],
    rows: Sequence[Sequence[str | Text]],
    total: Sequence[str],
    *,
    collapse: bool,
) -> tuple[Table, int]:
    """Make the table, and tell how wide it is; with `collapse` its columns stand closer."""
    table = Table(
        box=None,
        header_style="bold",
        footer_style="bold",
        pad_edge=False,
        collapse_padding=collapse,
        show_footer=bool(total),
    )
    for number, column in enumerate(columns):
        table.add_column(
            column.name,
            total[number] if total else "",
            justify="right" if column.number else "left",
            no_wrap=True,
        )
    for row in rows:
        table.add_row(*(_text(cell) for cell in row))
    return table, Measurement.get(out, out.options.update(width=_AS_WIDE_AS_NEEDED), table).maximum


@contextmanager
def _as_wide_as(width: int, out: Console) -> Iterator[None]:
    before, out.width = out.width, width
    try:
        yield
    finally:
        out.width = before


def _print_vertically(out: Console, columns: Sequence[Column], rows: Sequence[Sequence[str | Text]]) -> None:
    width = max(len(column.name) for column in columns)
    for number, row in enumerate(rows):
        if number:
            out.print()
        for column, cell in zip(columns, row, strict=True):
            text = _text(cell)
            if text.plain:
                out.print(Text.assemble((f"{column.name:<{width}}  ", "bold"), text), soft_wrap=True)


def _text(cell: str | Text) -> Text:
    return cell if isinstance(cell, Text) else Text(cell)


def print_json(value: Any) -> None:
    """Print one value for a program to read, indented."""
    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


def print_json_lines(values: Iterable[Any]) -> None:
    """Print values one a line (NDJSON), each as soon as it is there."""
    for value in values:
        sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE))
        sys.stdout.buffer.flush()
