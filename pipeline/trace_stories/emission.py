"""Events of a batch → trace events: rows of what a story needs, in buckets by their trace id.

A record of the topic `<prefix>.trace-events` is an array of rows, and a row is source, mark, stamp, the values of
`FIELDS`, and the fingerprint of an error. `source` and `mark` say where the event is kept, topic and partition and
the place in it, so that a row that comes twice is known; `stamp` is its time, RFC 3339 in UTC.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any, NamedTuple
from zlib import crc32

import orjson

__all__ = [
    "FIELDS",
    "FORMAT_VERSION",
    "MOST_EVENTS",
    "Bucket",
    "TraceEvents",
    "is_useful",
    "mark_of",
    "source_of",
]

FORMAT_VERSION = b"1"
"""Of the rows, in the header `version` of a record."""
MOST_EVENTS = 500
"""Rows of one record."""
_MOST_BYTES = 64_000
_FULL_BYTES = 56_000
# Rows of more than so many bytes on average hold texts that are not worth it.
_LONG_ROW_BYTES = 600
_LONGEST_TEXT = 200
_LONGEST_ID = 128
# What a producer without a trace writes in the place of one.
_NO_IDS = frozenset({"", "-", "null", "none", "nil", "undefined", "unknown", "n/a", "(null)", "nan"})
# Of one record, an array of events: `events.max_array_events` is at most this.
_ELEMENT_BITS = 20
_MOST_REMEMBERED = 50_000

FIELDS = ("trace_id", "service", "component", "level", "message", "user_id", "integration_id")
"""Of an event, in the order in which they stand in a row."""
_fields_of = itemgetter(*FIELDS)
_mark_of_row = itemgetter(1)


class Bucket(NamedTuple):
    """Rows for one partition of the topic, as the value of a record."""

    partition: int
    events: int
    value: bytes


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
    """Collect rows by bucket until they are taken."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._buckets: list[list[Sequence[Any]]] = [[] for _ in range(partitions)]
        self._appends: dict[Any, Callable[[Sequence[Any]], None]] = {None: _ignore}
        self._rows_per_record = MOST_EVENTS
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
        others: Sequence[tuple[int, Sequence[Any]]] = (),
    ) -> None:
        """Take the events of a chunk: a column for each thing, all of one length.

        `errors` are positions and fingerprints; `others` are rows that were made one by one, each in the place of the
        event at its position.
        """
        marks = [offset << _ELEMENT_BITS for offset in offsets]
        rows: list[Sequence[Any]]
        try:
            rows = list(zip(repeat(source), marks, stamps, map(_fields_of, events), strict=False))
        except KeyError:
            columns = [list(map(dict.get, events, repeat(name))) for name in FIELDS]
            rows = list(zip(repeat(source), marks, stamps, zip(*columns, strict=True), strict=False))
        for position, fingerprint in errors:
            rows[position] = (*rows[position], fingerprint)
        self.events += len(rows)
        if others:
            replaced = {position for position, _ in others}
            rows = [row for position, row in enumerate(rows) if position not in replaced]
            # A partition's rows go out in the order of their offsets.
            rows = sorted([*rows, *[row for _, row in others]], key=_mark_of_row)
            trace_ids = [row[3][0] for row in rows]
        appends = self._appends
        for trace_id, row in zip(trace_ids, rows, strict=True):
            try:
                appends[trace_id](row)
            except (KeyError, TypeError):
                self._append_first(trace_id, row)

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Take rows that were made one by one."""
        for row in rows:
            self.events += 1
            self._append_first(row[3][0], row)

    def take(self) -> Iterator[Bucket]:
        """Give what has been collected as records, and begin anew."""
        for partition, rows in enumerate(self._buckets):
            start = 0
            while start < len(rows):
                some = rows[start : start + self._rows_per_record]
                start += len(some)
                yield from self._records(partition, some)
            rows.clear()
        self.events = 0

    def _append_first(self, trace_id: Any, row: Sequence[Any]) -> None:
        """Find the bucket of a trace id that has not been seen of late."""
        if type(trace_id) is int:
            source, mark, stamp, fields, *rest = row
            trace_id = str(trace_id)
            row = (source, mark, stamp, (trace_id, *fields[1:]), *rest)
        if type(trace_id) is not str:
            return
        if len(self._appends) >= _MOST_REMEMBERED:
            self._appends.clear()
            self._appends[None] = _ignore
        if is_useful(trace_id):
            number = crc32(trace_id.encode("utf-8", "replace")) % self._partitions
            append = self._appends[trace_id] = self._buckets[number].append
            append(row)
        elif len(trace_id) <= _LONGEST_ID:
            self._appends[trace_id] = _ignore

    def _records(self, partition: int, rows: Sequence[Sequence[Any]]) -> Iterator[Bucket]:
        """Write rows as one record, as several where they are too many bytes."""
        value = orjson.dumps(rows)
        if len(value) <= _MOST_BYTES:
            # So that the next is nearly as large as it may be, and is not written twice.
            self._rows_per_record = min(MOST_EVENTS, _FULL_BYTES * len(rows) // len(value) + 1)
            yield Bucket(partition, len(rows), value)
            return
        if len(value) > _LONG_ROW_BYTES * len(rows):
            rows = [_shortened(row) for row in rows]
        if len(rows) == 1:
            yield Bucket(partition, 1, orjson.dumps(rows))
            return
        size = max(1, min(len(rows) // 2, _FULL_BYTES * len(rows) // len(value)))
        self._rows_per_record = size
        for start in range(0, len(rows), size):
            yield from self._records(partition, rows[start : start + size])


def _shortened(row: Sequence[Any]) -> Sequence[Any]:
    source, mark, stamp, fields, *rest = row
    return (source, mark, stamp, [fields[0], *map(_short, fields[1:])], *rest)


def _short(value: Any) -> Any:
    """Cut a text; of what is neither text nor number nothing is kept."""
    if type(value) is str:
        return value[:_LONGEST_TEXT]
    return value if type(value) in {int, float, bool} else None


def _ignore(_: Sequence[Any]) -> None:
    """Take a row whose id names no trace."""
