"""Events of a batch → trace events: rows of what a story needs, grouped by trace, in buckets by their trace id.

A record of the topic `<prefix>.trace-events` is lines of JSON, one for each trace:

    ["trace id","topic/partition",3,[mark,stamp,FIELDS …],[…],"topic/other partition",[…]]

After the id come where the next rows are kept, the number of rows, and the rows; a text among them says that those
behind it are kept elsewhere. A row's `mark` is its event's place in that partition, so that a row that comes twice is
known; `stamp` is its time, RFC 3339 in UTC; behind the values of `FIELDS` the row of an error has its fingerprint.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any, NamedTuple
from zlib import crc32

import orjson

from pipeline.trace_stories.lines import HEAD, MOST_EVENTS, rows_with_sources

__all__ = [
    "FIELDS",
    "FORMAT_VERSION",
    "MOST_EVENTS",
    "Bucket",
    "TraceEvents",
    "TraceRow",
    "is_useful",
    "mark_of",
    "source_of",
]

FORMAT_VERSION = b"2"
"""Of the lines, in the header `version` of a record."""
_MOST_BYTES = 64_000
# Rows of more than so many bytes on average hold texts that are not worth it.
_LONG_ROW_BYTES = 600
_LONGEST_TEXT = 200
_LONGEST_ID = 128
# What a producer without a trace writes in the place of one.
_NO_IDS = frozenset({"", "-", "null", "none", "nil", "undefined", "unknown", "n/a", "(null)", "nan"})
# Of one record, an array of events: `events.max_array_events` is at most this.
_ELEMENT_BITS = 20
_TEXTS = frozenset({str, type(None)})
_LARGEST_INTEGER = 1 << 63

FIELDS = ("service", "component", "level", "message", "user_id", "integration_id")
"""Of an event, in the order in which they stand in a row."""
_getters = [itemgetter(name) for name in FIELDS]


class Bucket(NamedTuple):
    """Lines for one partition of the topic, as the value of a record."""

    partition: int
    events: int
    value: bytes


class TraceRow(NamedTuple):
    """The trace event of one event."""

    trace_id: Any
    source: str
    row: Sequence[Any]


def is_useful(trace_id: object) -> bool:
    """Tell whether an id names a trace: placeholders, zeros alone and very long texts do not."""
    if type(trace_id) is not str or len(trace_id) > _LONGEST_ID:
        return False
    text = trace_id.strip()
    return text.lower() not in _NO_IDS and bool(text.strip("0-"))


def source_of(topic: str, partition: int) -> str:
    """Name the partition of the logs that an event is kept in."""
    return f"{topic}/{partition}"


def mark_of(offset: int, element: int = 0) -> int:
    """Give an event's place in its partition: its record's offset, and its number where that is an array."""
    return offset << _ELEMENT_BITS | element


class TraceEvents:
    """Collect rows by trace until they are taken."""

    def __init__(self, partitions: int) -> None:
        self._buckets: list[list[list[Any]]] = [[] for _ in range(partitions)]
        self._groups: dict[str, list[Any]] = {}
        self._source = ""
        self._appends: dict[str | None, Callable[[Sequence[Any]], None]] = {None: _ignore}
        """Of the traces with rows of `_source`."""
        self.events = 0
        """Rows that wait, those of useless ids included."""

    def gather(
        self,
        source: str,
        offsets: Iterable[int],
        stamps: Iterable[str],
        trace_ids: Iterable[Any],
        events: Sequence[dict[str, Any]],
        errors: Iterable[tuple[int, str]],
        others: Sequence[tuple[int, TraceRow]] = (),
    ) -> None:
        """Take the events of a chunk: a column for each thing, all of one length.

        `errors` are positions and fingerprints; `others` are rows that were made one by one, each in the place of the
        event at its position.
        """
        marks = [offset << _ELEMENT_BITS for offset in offsets]
        rows: list[tuple[Any, ...]]
        try:
            rows = list(zip(marks, stamps, *[map(get, events) for get in _getters], strict=False))
        except KeyError:
            columns = [map(dict.get, events, repeat(name)) for name in FIELDS]
            rows = list(zip(marks, stamps, *columns, strict=False))
        for position, fingerprint in errors:
            rows[position] = (*rows[position], fingerprint)
        self.events += len(rows)
        if source != self._source:
            self._go_on_with(source)
        ids = list(trace_ids)
        if not _TEXTS.issuperset(map(type, ids)):
            ids = [_id_of(trace_id) for trace_id in ids]
        if others:
            self._gather_mixed(ids, rows, others)
            return
        get = self._appends.get
        for trace_id, row in zip(ids, rows, strict=True):
            append = get(trace_id)
            if append is None:
                append = self._begin(trace_id)
            append(row)

    def add(self, rows: Iterable[TraceRow]) -> None:
        """Take rows that were made one by one."""
        for trace_id, source, row in rows:
            self.events += 1
            if source != self._source:
                self._go_on_with(source)
            self._append(_id_of(trace_id), row)

    def take(self) -> Iterator[Bucket]:
        """Give what has been collected as records, and begin anew."""
        for partition, groups in enumerate(self._buckets):
            lines: list[bytes] = []
            events = size = 0
            for group in groups:
                for line, rows in _lines_of(group):
                    if lines and (events + rows > MOST_EVENTS or size + len(line) > _MOST_BYTES):
                        yield Bucket(partition, events, b"\n".join(lines))
                        lines.clear()
                        events = size = 0
                    lines.append(line)
                    events += rows
                    size += len(line) + 1
            if lines:
                yield Bucket(partition, events, b"\n".join(lines))
            groups.clear()
        self._groups.clear()
        self._go_on_with("")
        self.events = 0

    def _gather_mixed(
        self,
        ids: Sequence[str | None],
        rows: Sequence[Sequence[Any]],
        others: Iterable[tuple[int, TraceRow]],
    ) -> None:
        """Take rows and those that stand in the place of some of them, in the order of their positions."""
        instead: dict[int, list[TraceRow]] = {}
        for position, other in others:
            instead.setdefault(position, []).append(other)
        for position, (trace_id, row) in enumerate(zip(ids, rows, strict=True)):
            if position not in instead:
                self._append(trace_id, row)
            for other in instead.get(position, ()):
                self._append(_id_of(other.trace_id), other.row)

    def _append(self, trace_id: str | None, row: Sequence[Any]) -> None:
        append = self._appends.get(trace_id)
        (self._begin(trace_id) if append is None else append)(row)

    def _go_on_with(self, source: str) -> None:
        self._source = source
        self._appends = {None: _ignore}

    def _begin(self, trace_id: Any) -> Callable[[Sequence[Any]], None]:
        """Find where the rows of a trace go that has none of this source yet."""
        group = self._groups.get(trace_id)
        if group is not None:
            group.append(self._source)
            group[2] -= 1
        elif is_useful(trace_id):
            # What is in it that is no row; the number of rows once it is taken.
            group = self._groups[trace_id] = [trace_id, self._source, -HEAD]
            self._buckets[crc32(trace_id.encode("utf-8", "replace")) % len(self._buckets)].append(group)
        append = self._appends[trace_id] = _ignore if group is None else group.append
        return append


def _lines_of(group: list[Any]) -> list[tuple[bytes, int]]:
    """Write a trace's rows as a line, as several where they are too many, each with how many it has."""
    rows = group[2] = group[2] + len(group)
    try:
        line = orjson.dumps(group)
    except TypeError:
        # An integer beyond 64 bits, or what else no JSON is.
        line = orjson.dumps(_shortened(group))
    if len(line) > _MOST_BYTES and len(line) > _LONG_ROW_BYTES * rows:
        group = _shortened(group)
        line = orjson.dumps(group)
    if rows == 1 or (rows <= MOST_EVENTS and len(line) <= _MOST_BYTES):
        return [(line, rows)]
    placed = list(rows_with_sources(group))
    middle = len(placed) // 2
    return [
        one
        for some in (placed[:middle], placed[middle:])
        for one in _lines_of(
            [
                group[0],
                some[0][0],
                -HEAD - len(some) + 1,
                *[part for placed_row in some for part in placed_row][1:],
            ]
        )
    ]


def _shortened(group: Sequence[Any]) -> list[Any]:
    return [
        *group[:HEAD],
        *[each if type(each) is str else [each[0], each[1], *map(_short, each[2:])] for each in group[HEAD:]],
    ]


def _short(value: Any) -> Any:
    """Cut a text; of what is neither text nor number nothing is kept."""
    if type(value) is str:
        return value[:_LONGEST_TEXT]
    if type(value) is int and not -_LARGEST_INTEGER <= value < _LARGEST_INTEGER:
        return str(value)[:_LONGEST_TEXT]
    return value if type(value) in {int, float, bool} else None


def _id_of(trace_id: Any) -> str | None:
    """Give an id as the text that Elasticsearch finds it by."""
    if type(trace_id) is int:
        return str(trace_id)
    return trace_id if type(trace_id) is str else None


def _ignore(_: Sequence[Any]) -> None:
    """Take a row whose id names no trace."""
