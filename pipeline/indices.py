"""Which index an event belongs to."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pipeline.settings import Events, Index

__all__ = ["DAY_MS", "IndexChoice", "Indices"]

DAY_MS = 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Of the years 0001 and 9999: a producer may write any 64-bit number as its record's timestamp.
_FIRST_DAY = (datetime.min.replace(tzinfo=UTC) - _EPOCH).days
_LAST_DAY = (datetime.max.replace(tzinfo=UTC) - _EPOCH).days
_MOST_CACHED_DAYS = 1000


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
        day = min(max(epoch_ms // DAY_MS, _FIRST_DAY), _LAST_DAY)
        name = self._names.get(day)
        if name is None:
            if len(self._names) >= _MOST_CACHED_DAYS:
                self._names.clear()
            date = _EPOCH + timedelta(days=day)
            # strftime's %Y does not pad years below 1000.
            name = self._names[day] = f"{self.prefix}-{date.year:04d}.{date.month:02d}.{date.day:02d}"
        return name
