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

__all__ = ["Beyond", "Story", "time_ms"]

_MOST_SOURCES = 1000
_LEVEL = FIELDS.index("level")


class Beyond(NamedTuple):
    """What is kept of the events of a source for which there was no room."""

    mark: int
    """The highest."""
    events: int
    errors: int


@dataclass(slots=True)
class Story:
    """What is known of a trace; `rows` are as on the wire, see `emission.py`."""

    rows: dict[tuple[str, int], Sequence[Any]] = field(default_factory=dict)
    beyond: dict[str, Beyond] = field(default_factory=dict)
    first_ms: int | None = None
    """Of the events for which there was no room."""
    last_ms: int | None = None

    def add(self, rows: Iterable[Sequence[Any]], max_events: int) -> int:
        """Add rows; gives how many of them were new."""
        mine = self.rows
        added = 0
        for row in rows:
            key = (row[0], row[1])
            if key in mine:
                continue
            if len(mine) < max_events and not self.beyond:
                mine[key] = row
                added += 1
            else:
                added += self._count(row)
        return added

    def _count(self, row: Sequence[Any]) -> int:
        """Count an event for which there is no room, unless it has been counted."""
        source, mark = str(row[0]), int(row[1])
        known = self.beyond.get(source)
        if known is None:
            if len(self.beyond) >= _MOST_SOURCES:
                return 0
            known = Beyond(max((key[1] for key in self.rows if key[0] == source), default=-1), 0, 0)
        if mark <= known.mark:
            return 0
        self.beyond[source] = Beyond(mark, known.events + 1, known.errors + (row[3][_LEVEL] == "ERROR"))
        time = time_ms(row[2])
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
    def error_count(self) -> int:
        """How many of them are errors."""
        kept = [row[3][_LEVEL] for row in self.rows.values()].count("ERROR")
        return kept + sum([each.errors for each in self.beyond.values()])

    def in_order(self) -> list[tuple[int, str, int, Sequence[Any]]]:
        """Give time in milliseconds, source, mark and row of each event that is kept, in the order of their times.

        At the same time they are in the order of where they are kept.
        """
        # No two have the same source and mark, so that rows are never compared.
        return sorted([(time_ms(row[2]), row[0], row[1], row) for row in self.rows.values()])

    def dump(self) -> dict[str, Any]:
        """Give what `load` reads: JSON, the same for the same story."""
        state: dict[str, Any] = {"rows": [self.rows[key] for key in sorted(self.rows)]}
        if self.beyond:
            state["beyond"] = {source: list(self.beyond[source]) for source in sorted(self.beyond)}
            state["times_ms"] = [self.first_ms, self.last_ms]
        return state

    @classmethod
    def load(cls, state: dict[str, Any]) -> Self:
        """Read a story back.

        Raises KeyError, TypeError and ValueError for anything else than `dump` gives.
        """
        first_ms, last_ms = state.get("times_ms", (None, None))
        return cls(
            {(row[0], row[1]): row for row in state["rows"]},
            {source: Beyond(*each) for source, each in state.get("beyond", {}).items()},
            first_ms,
            last_ms,
        )


def time_ms(stamp: Any) -> int:
    """Read a row's stamp as milliseconds since 1970."""
    parsed = parse_timestamp(stamp)
    return 0 if parsed is None else parsed.epoch_ms
