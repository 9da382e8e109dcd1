"""Events → one story: adding events is commutative, associative and idempotent.

A story holds its events by where they are kept (`source` and `mark`), so that one that comes twice is the same event,
in whichever order and in however many parts they come. Up to `max_events` that is all. Beyond, memory is bounded:
the events that are kept stay, and of the others of each source only the highest mark, their number and their errors
are kept. One that comes again has a mark that is no higher, for a source's events come in their order, and what is
read again is read in the same order; so the counts stay exact.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from pipeline.events.timestamps import parse_timestamp
from pipeline.trace_stories.emission import FIELDS
from pipeline.trace_stories.lines import rows_with_sources

__all__ = ["FIRST_FIELD", "Beyond", "Story", "time_ms", "times_ms"]

_MOST_SOURCES = 1000
FIRST_FIELD = 2
"""Where the values of `FIELDS` begin in a row, behind mark and stamp."""
_LEVEL = FIRST_FIELD + FIELDS.index("level")


class Beyond(NamedTuple):
    """What is kept of the events of a source for which there was no room."""

    mark: int
    """The highest."""
    events: int
    errors: int


@dataclass(slots=True)
class Story:
    """What is known of a trace; `rows` are as on the wire, see `emission.py`, by source and mark."""

    rows: dict[tuple[str, int], Sequence[Any]] = field(default_factory=dict)
    beyond: dict[str, Beyond] = field(default_factory=dict)
    first_ms: int | None = None
    """Of the events for which there was no room."""
    last_ms: int | None = None

    def add(self, lines: Iterable[Sequence[Any]], max_events: int) -> int:
        """Add the rows of lines that were read; gives how many of them were new."""
        mine = self.rows
        added = 0
        for line in lines:
            for source, row in rows_with_sources(line):
                key = (source, row[0])
                if key in mine:
                    continue
                if len(mine) < max_events and not self.beyond:
                    mine[key] = row
                    added += 1
                else:
                    added += self._count(source, row)
        return added

    def _count(self, source: str, row: Sequence[Any]) -> int:
        """Count an event for which there is no room, unless it has been counted."""
        mark = row[0]
        known = self.beyond.get(source)
        if known is None:
            if len(self.beyond) >= _MOST_SOURCES:
                return 0
            known = Beyond(max((key[1] for key in self.rows if key[0] == source), default=-1), 0, 0)
        if mark <= known.mark:
            return 0
        self.beyond[source] = Beyond(mark, known.events + 1, known.errors + (row[_LEVEL] == "ERROR"))
        time = time_ms(row[1])
        self.first_ms = time if self.first_ms is None else min(self.first_ms, time)
        self.last_ms = time if self.last_ms is None else max(self.last_ms, time)
        return 1

    @property
    def cut(self) -> bool:
        """Whether there are events that are only counted."""
        return bool(self.beyond)

    @property
    def event_count(self) -> int:
        """How many events there are."""
        return len(self.rows) + sum([each.events for each in self.beyond.values()])

    @property
    def errors_beyond(self) -> int:
        """How many of those are errors that are only counted."""
        return sum([each.errors for each in self.beyond.values()])

    def in_order(self) -> tuple[list[int], list[Sequence[Any]]]:
        """Give times in milliseconds since 1970, and rows, of the events that are kept, in the order of their times.

        At the same time they are in the order of where they are kept.
        """
        times = times_ms([row[1] for row in self.rows.values()])
        # No two have the same source and mark, so that rows are never compared.
        ordered = sorted(zip(times, self.rows, self.rows.values(), strict=True))
        return [each[0] for each in ordered], [each[2] for each in ordered]

    def dump(self, trace_id: str) -> dict[str, Any]:
        """Give what `load` reads: JSON, the same for the same story."""
        by_source: dict[str, list[Sequence[Any]]] = {}
        for source, mark in sorted(self.rows):
            by_source.setdefault(source, []).append(self.rows[source, mark])
        state: dict[str, Any] = {
            "lines": [[trace_id, source, len(rows), *rows] for source, rows in by_source.items()]
        }
        if self.beyond:
            state["beyond"] = {source: list(self.beyond[source]) for source in sorted(self.beyond)}
            state["times_ms"] = [self.first_ms, self.last_ms]
        return state

    @classmethod
    def load(cls, state: dict[str, Any]) -> Self:
        """Read a story back.

        Raises KeyError, IndexError, TypeError and ValueError for anything else than `dump` gives.
        """
        first_ms, last_ms = state.get("times_ms", (None, None))
        story = cls()
        lines = state["lines"]
        story.add(lines, max(1, sum([len(line) for line in lines])))
        story.beyond = {source: Beyond(*each) for source, each in state.get("beyond", {}).items()}
        story.first_ms, story.last_ms = first_ms, last_ms
        return story


def time_ms(stamp: Any) -> int:
    """Read a row's stamp as milliseconds since 1970."""
    parsed = parse_timestamp(stamp)
    return 0 if parsed is None else parsed.epoch_ms


_MILLIS = {f".{millis:03d}Z": millis for millis in range(1000)}
_SECONDS = {f"{second:02d}": 1000 * second for second in range(60)}
_HEAD = len("2024-01-15T10:30:")
_TAIL = len("2024-01-15T10:30:00")
_MOST_MINUTES = 10_000
# To look a stamp up in parts is half of reading it.
_minutes: dict[str, int] = {}


def times_ms(stamps: Sequence[Any]) -> list[int]:
    """Read the stamps of rows as milliseconds since 1970."""
    for _ in range(2):
        try:
            return [
                _minutes[stamp[:_HEAD]] + _SECONDS[stamp[_HEAD:_TAIL]] + _MILLIS[stamp[_TAIL:]]
                for stamp in stamps
            ]
        except (KeyError, TypeError):
            if len(_minutes) >= _MOST_MINUTES:
                _minutes.clear()
            for stamp in stamps:
                if type(stamp) is str and stamp[:_HEAD] not in _minutes:
                    minute = parse_timestamp(f"{stamp[:_HEAD]}00.000Z")
                    if minute is not None:
                        _minutes[stamp[:_HEAD]] = minute.epoch_ms
    return [time_ms(stamp) for stamp in stamps]
