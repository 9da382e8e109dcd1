"""The lines of trace events: taken apart as bytes where that is enough, and read."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import orjson

__all__ = ["HEAD", "MOST_EVENTS", "Line", "key_of", "lines_of", "read_lines", "rows_with_sources"]

MOST_EVENTS = 500
"""Rows of one record, and so of one line."""
HEAD = 3
"""What is in a line before its rows."""
_FEWEST_FIELDS, _MOST_FIELDS = 8, 9


class Line(NamedTuple):
    """What of a line is known without reading its rows."""

    key: bytes
    """The trace id as JSON, without its quotes."""
    events: int
    line: bytes


def lines_of(value: bytes | None) -> tuple[list[Line], int]:
    """Take a record apart; gives its lines, and how many others it has.

    A JSON text holds no line break and no `","`, for a quote in it is escaped.
    """
    found: list[Line] = []
    bad = 0
    for line in (value or b"").split(b"\n"):
        try:
            head, rest = line.split(b'","', 1)
            events = int(rest.split(b",", 2)[1])
        except (ValueError, IndexError):
            bad += 1
            continue
        if head[:2] == b'["' and 0 < events <= MOST_EVENTS:
            found.append(Line(head[2:], events, line))
        else:
            bad += 1
    return found, bad


def key_of(trace_id: str) -> bytes:
    """Give the key of a trace."""
    return orjson.dumps(trace_id)[1:-1]


def read_lines(lines: Sequence[bytes]) -> tuple[list[list[Any]], int]:
    """Read lines; gives those that are what they should be, and how many rows are not."""
    try:
        read = orjson.loads(b"[%b]" % b",".join(lines))
        if all(map(_is_good, read)):
            return read, 0
    except (ValueError, TypeError, IndexError):
        pass
    good: list[list[Any]] = []
    bad = 0
    for line in lines:
        try:
            one = orjson.loads(line)
            rows = [each for each in one[HEAD:] if type(each) is str or _is_row(each)]
            bad += len(one) - HEAD - len(rows)
            if type(one[0]) is str and type(one[1]) is str:
                good.append([*one[:2], len([row for row in rows if type(row) is list]), *rows])
        except (ValueError, TypeError, IndexError, KeyError):
            bad += 1
    return good, bad


def rows_with_sources(line: Sequence[Any]) -> Iterator[tuple[str, Sequence[Any]]]:
    """Give the rows of a line that was read, each with the partition in which it is kept."""
    source = line[1]
    for each in islice(line, HEAD, None):
        if type(each) is str:
            source = each
        else:
            yield source, each


def _is_good(line: Any) -> bool:
    """Tell whether a line is one, by columns, for nearly all are."""
    rows = line[HEAD:]
    if not rows or type(line[1]) is not str:
        return False
    if {list}.issuperset(map(type, rows)):
        marks, stamps, *_ = columns = list(zip(*rows, strict=False))
        return (
            len(columns) >= _FEWEST_FIELDS
            and {int}.issuperset(map(type, marks))
            and {str}.issuperset(map(type, stamps))
        )
    return all(type(each) is str or _is_row(each) for each in rows)


def _is_row(row: Any) -> bool:
    return (
        type(row) is list
        and _FEWEST_FIELDS <= len(row) <= _MOST_FIELDS
        and type(row[0]) is int
        and type(row[1]) is str
    )
