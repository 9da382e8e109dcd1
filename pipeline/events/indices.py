"""Which index an event belongs to.

Kafka's timestamp is the reference while it is plausible: from 2000-01-01 up to a day ahead of the clock. An
event within the window around it goes into the index of its own day, any other into that of the record's day.

==================  ==================  ==================  =========================
record's timestamp  event's own time    index of            tags
==================  ==================  ==================  =========================
plausible           none                the record's day
plausible           within the window   the event's day
plausible           outside of it       the record's day    ``_timestampoutofrange``
not plausible       around the clock    the event's day     ``_kafkatimestampimplausible``
not plausible       any other           no day: `undated`   the same, ``_timestampoutofrange``
not plausible       none                no day: `undated`   ``_kafkatimestampimplausible``
==================  ==================  ==================  =========================

Of the days only `index.max_open_days` may be written to at a time, those up to the newest that a plausible
event can have; what belongs to any other goes into `overflow`, with the tag ``_indexoverflow``.

A replay has a later clock, and may give another answer in two cases only. docs/elasticsearch.md says which,
and why neither loses anything: a day can only drop out of the window when the lifecycle has deleted its
index, and a time that was more than a day ahead can come true.
"""

from typing import NamedTuple

from pipeline.events.timestamps import from_epoch_ms
from pipeline.settings import Events, Index

__all__ = [
    "AHEAD_MS",
    "DAY_MS",
    "EARLIEST_MS",
    "IndexChoice",
    "Indices",
    "is_plausible",
    "log_index_patterns",
]

DAY_MS = 86_400_000
EARLIEST_MS = 946_684_800_000
"""2000-01-01T00:00:00Z: no producer's clock of today is right before that; 0, -1 and seconds are not either."""
AHEAD_MS = DAY_MS
"""How far ahead of the worker's clock a producer's may be."""
_MOST_CACHED_DAYS = 1000


def log_index_patterns(prefix: str) -> tuple[str, ...]:
    """Give the patterns that match the indices of logs with this prefix, and none of a longer prefix.

    `<prefix>-*` would match those of `<prefix>-staging` too. A date begins with a digit; `undated` and `overflow` are
    for events whose day has no index of its own.
    """
    return tuple(f"{prefix}-{beginning}*" for beginning in (*"0123456789", "overflow", "undated"))


class IndexChoice(NamedTuple):
    """An index, and why it is not the one of the event's own day."""

    name: str
    in_range: bool = True
    """False when the event's time is too far from what it was held against."""
    overflow: bool = False
    """True when the day's index may not be written to any more, or not yet."""


def is_plausible(record_ms: int, now_ms: int) -> bool:
    """Tell whether Kafka's timestamp of a record can be true."""
    return EARLIEST_MS <= record_ms <= now_ms + AHEAD_MS


class Indices:
    """Choose an index by the event's time, the record's timestamp, and the clock, all in milliseconds since 1970."""

    def __init__(self, index: Index, events: Events) -> None:
        self.prefix = index.prefix
        self.rolled_by_ilm = index.roll == "ilm"
        self.undated = self.prefix if self.rolled_by_ilm else f"{self.prefix}-undated"
        self.overflow = self.prefix if self.rolled_by_ilm else f"{self.prefix}-overflow"
        self._dated = tuple([f"{self.prefix}-{digit}" for digit in "0123456789"])
        self.oldest_ms = -events.retention_days * DAY_MS
        self.newest_ms = events.max_future_seconds * 1000
        # In 24 hours the newest day becomes another one, once.
        self._open_days = index.max_open_days - 1
        self._names: dict[int, str] = {}

    def choose(self, event_ms: int | None, record_ms: int, now_ms: int) -> IndexChoice:
        """Choose by the event's own time, if it has one, Kafka's timestamp, and the time of reading."""
        plausible = is_plausible(record_ms, now_ms)
        if event_ms is None:
            if not plausible:
                return IndexChoice(self.undated)
            event_ms = record_ms
        reference_ms = record_ms if plausible else now_ms
        in_range = self.oldest_ms <= event_ms - reference_ms <= self.newest_ms
        if not in_range and not plausible:
            return IndexChoice(self.undated, in_range)
        day_ms = event_ms if in_range else record_ms
        if not self.is_open(day_ms, now_ms):
            return IndexChoice(self.overflow, in_range, overflow=True)
        return IndexChoice(self.name(day_ms), in_range)

    def holds(self, name: str) -> bool:
        """Tell whether an index is one of those that logs go to by these rules, whoever has chosen it."""
        if self.rolled_by_ilm:
            return name == self.prefix
        return name in {self.undated, self.overflow} or name.startswith(self._dated)

    def newest_day(self, now_ms: int) -> int:
        """Give the last day, in days since 1970, that a plausible event can be of."""
        return (now_ms + AHEAD_MS + self.newest_ms) // DAY_MS

    def is_open(self, day_ms: int, now_ms: int) -> bool:
        """Tell whether the index of a day may be written to now; there is always room behind the write alias."""
        newest = self.newest_day(now_ms)
        return self.rolled_by_ilm or newest - self._open_days < day_ms // DAY_MS <= newest

    def name(self, epoch_ms: int) -> str:
        """Name the index of the day that holds this instant; the write alias when ILM rolls the indices."""
        if self.rolled_by_ilm:
            return self.prefix
        day = epoch_ms // DAY_MS
        name = self._names.get(day)
        if name is None:
            if len(self._names) >= _MOST_CACHED_DAYS:
                self._names.clear()
            date = from_epoch_ms(epoch_ms).text[: len("2024-01-15")]
            name = self._names[day] = f"{self.prefix}-{date.replace('-', '.')}"
        return name
