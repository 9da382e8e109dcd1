"""Some records on their way through the hot path, and the partition they are from."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, Protocol

from pipeline.events.indices import AHEAD_MS
from pipeline.events.repair import GUIDE_TEXTS

__all__ = [
    "ABSENT",
    "GUIDE_NAMES",
    "STAND_IN",
    "HourTemplate",
    "PartitionCache",
    "Record",
    "RecordChunk",
    "UncommonError",
    "headers_of",
]

# The fields that the steps look at, and what stands in their columns when an event does not have one.
ABSENT: dict[str, Any] = {
    "level": None,
    "component": None,
    "service": None,
    "context": {},
    "trace_id": None,
    "span_id": None,
    "message": None,
}
GUIDE_NAMES = frozenset({*ABSENT, *GUIDE_TEXTS})
"""All names at the root of the guide's own events."""
# Takes the place of an event that goes to document.py, so that the columns stay as long as the chunk.
STAND_IN: dict[str, Any] = {**ABSENT, "level": "INFO"}


# The other value that `message.timestamp.type` may have is CreateTime, the producer's.
_LOG_APPEND_TIME = 1


class UncommonError(Exception):
    """The event is not what the hot path takes it for: document.py reads it."""


class Record(Protocol):
    """What the encoder reads of a Kafka record; aiokafka's records have it."""

    @property
    def offset(self) -> int:
        """Position in the partition."""

    @property
    def timestamp(self) -> int:
        """Milliseconds since 1970."""

    @property
    def value(self) -> bytes | None:
        """The payload; None for a tombstone."""


class HourTemplate(NamedTuple):
    """What events of one hour and partition have in common."""

    template: bytes
    """Their two lines, with places for the offset, Kafka's time where ids have it, the stamp, the offset and the
    event's JSON."""
    earliest_ms: int
    """Bounds of Kafka's time for which no moment of the hour is out of the window, see `Indices`; empty when
    the hour's day may not be written to now."""
    latest_ms: int


class PartitionCache:
    """What is known of one partition."""

    def __init__(self, topic: str, number: int, topic_key: str = "") -> None:
        self.topic = topic
        self.number = number
        self.topic_key = topic_key
        """What stands for the topic in ids; empty where they have the record's timestamp. See `ids.py`."""
        self.hours: dict[str, HourTemplate] = {}
        """By the first characters of a stamp; they hold for `newest_day` and `offset_width`."""
        self.hours_by_width: dict[int, dict[str, HourTemplate]] = {}
        self.newest_day = 0
        """See `Indices`."""
        self.offset_width = 0
        """For how many digits of an offset they are; 0 for any number."""
        self.last_stamp = ""
        """The last stamp there was, of an hour that is known; empty before the first."""


def headers_of(record: Record) -> Sequence[tuple[str, bytes | None]]:
    """Give a record's headers."""
    # Not part of the protocol either: what has none need not say so.
    return getattr(record, "headers", None) or ()


def _latest_of_brokers(records: Sequence[Record], now_ms: int) -> int:
    """Give the latest time at which a broker has appended a record, if it is the brokers that say when."""
    # Not part of the protocol: of the usual batch nobody asks.
    appended = [one.timestamp for one in records if getattr(one, "timestamp_type", None) == _LOG_APPEND_TIME]
    return max([now_ms, *appended])


class RecordChunk:
    """Some records of a partition on their way: a column for each thing that the steps look at."""

    def __init__(self, cache: PartitionCache, records: Sequence[Record], now_ms: int) -> None:
        self.cache = cache
        self.offsets = [record.offset for record in records]
        self.times = [record.timestamp for record in records]
        self.first_ms, self.last_ms = min(self.times), max(self.times)
        self.now_ms = now_ms if self.last_ms <= now_ms + AHEAD_MS else _latest_of_brokers(records, now_ms)
        """The time of reading: the worker's, or the broker's where that is later and known."""
        self.events: list[dict[str, Any]] = []
        self.stamps: list[Any] = []
        self.envelopes: dict[int, dict[str, Any]] = {}
        """By position: what stood around the event and goes into the document as well."""
        self.uncommon: set[int] = set()
        """Positions of what goes to document.py."""
        self.odd: Sequence[int] = ()
        """Positions of events that have other names at the root than the guide's."""
        self.records = records
        self.indices: dict[int, str] = {}
        """By position: the index that an output has chosen, where outputs do."""
        self.formats: dict[int, str] = {}
        """By position: what is not of the guide's format."""
        self.owners: Sequence[int] | None = None
        """By position: which record an event is of, where records have been split into several."""
        self.numbers: Sequence[int | None] = ()
        """By position: the number of an event within its record; None for the only one."""
        self.logged: dict[int, Any] = {}
        """By position: the level as it was logged, where it is already a normal one."""
        self.implausible = 0
        """How many of Kafka's timestamps cannot be true."""

        self.normalised_ids = False
        """Whether ids may be other ones in the events than in their columns."""

    def split(self, events: Sequence[Sequence[dict[str, Any]]]) -> None:
        """Put several events in the place of a record; `events` are those of each."""
        self.owners = [record for record, some in enumerate(events) for _ in some]
        self.numbers = [number if len(some) > 1 else None for some in events for number in range(len(some))]
        self.uncommon = {at for at, record in enumerate(self.owners) if record in self.uncommon}
        self.events = [event for some in events for event in some]
        self.offsets = [self.offsets[record] for record in self.owners]
        self.times = [self.times[record] for record in self.owners]

    def leave_whole_records(self) -> None:
        """Leave all events of a record to document.py of which one is left to it."""
        if self.owners is not None and self.uncommon:
            left = {self.owners[position] for position in self.uncommon}
            self.uncommon = {position for position, record in enumerate(self.owners) if record in left}

    def drop(self, positions: Collection[int]) -> list[int]:
        """Take out records that filters have dropped, before anything but decoding has been done with them.

        Gives the former positions of those that are left.
        """
        dropped = frozenset(positions)
        kept = [position for position in range(len(self.events)) if position not in dropped]
        self.records = [self.records[position] for position in kept]
        self.offsets = [self.offsets[position] for position in kept]
        self.times = [self.times[position] for position in kept]
        self.events = [self.events[position] for position in kept]
        if self.uncommon:
            self.uncommon = {at for at, position in enumerate(kept) if position in self.uncommon}
        return kept

    def leave(self, position: int) -> None:
        """Leave the record at this position to document.py before its time is taken."""
        self.uncommon.add(position)
        self.events[position] = STAND_IN

    def give_up(self, position: int) -> None:
        """Leave the record at this position to document.py."""
        self.uncommon.add(position)
        self.envelopes.pop(position, None)
        self.events[position] = STAND_IN
        self.stamps[position] = self.cache.last_stamp
