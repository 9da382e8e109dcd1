"""Which index an event belongs to."""

from typing import NamedTuple

from pipeline.events.timestamps import from_epoch_ms
from pipeline.settings import Events, Index

__all__ = ["DAY_MS", "IndexChoice", "Indices", "log_index_patterns"]

DAY_MS = 86_400_000
_MOST_CACHED_DAYS = 1000


def log_index_patterns(prefix: str) -> tuple[str, ...]:
    """Give the patterns that match the indices of logs with this prefix, and none of a longer prefix.

    `<prefix>-*` would match those of `<prefix>-staging` too. A date begins with a digit; `undated` and `overflow` are
    for events whose day has no index of its own.
    """
    return tuple(f"{prefix}-{beginning}*" for beginning in (*"0123456789", "overflow", "undated"))


class IndexChoice(NamedTuple):
    """An index, and whether it is the one of the event's own time."""

    name: str
    in_range: bool


class Indices:
    """Choose `<prefix>-YYYY.MM.dd` by the event's day in UTC.

    An event outside the allowed window around its record's timestamp goes into the index of the record's
    day, so that no input can create indices at will. The window is measured against the record's timestamp
    and never against the clock: a replay chooses the same index.
    """

    def __init__(self, index: Index, events: Events) -> None:
        self.prefix = index.prefix
        self.rolled_by_ilm = index.roll == "ilm"
        self.oldest_ms = -events.retention_days * DAY_MS
        self.newest_ms = events.max_future_seconds * 1000
        self._names: dict[int, str] = {}

    def choose(self, event_ms: int, record_ms: int) -> IndexChoice:
        """Choose by the event's and the record's time, both in milliseconds since 1970 in UTC."""
        in_range = self.oldest_ms <= event_ms - record_ms <= self.newest_ms
        return IndexChoice(self.name(event_ms if in_range else record_ms), in_range)

    def name(self, epoch_ms: int) -> str:
        """Name the index of the day that holds this instant; the write alias when ILM rolls the indices."""
        if self.rolled_by_ilm:
            return self.prefix
        day = epoch_ms // DAY_MS
        name = self._names.get(day)
        if name is None:
            if len(self._names) >= _MOST_CACHED_DAYS:
                self._names.clear()
            # A producer may write any 64-bit number as its record's timestamp; this knows the years there are.
            date = from_epoch_ms(epoch_ms).text[: len("2024-01-15")]
            name = self._names[day] = f"{self.prefix}-{date.replace('-', '.')}"
        return name
