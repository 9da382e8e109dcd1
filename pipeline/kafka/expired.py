"""What retention has removed before it was read, as the log tells it: few lines, whatever number of gaps there are."""

import time
from collections.abc import Callable, Iterator

from pipeline.kafka.ledger import Partition
from pipeline.telemetry.troubles import Trouble

__all__ = ["ExpiredRecords"]

# While records expire again within this time it is still the same: a topic's retention looks every five minutes
# (log.retention.check.interval.ms), and deletes by segments.
_LASTS_SECONDS = 330.0


class ExpiredRecords:
    """How many records of each topic have expired unread, since when that goes on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._topics: dict[str, _Topic] = {}

    def note(self, partition: Partition, first: int, behind: int) -> None:
        """Note that the records from the offset `first` to before `behind` are gone."""
        now = self._clock()
        topic = self._topics.setdefault(partition.topic, _Topic(now))
        topic.records += behind - first
        topic.partitions.add(partition.number)
        topic.last = f"{partition.topic}/{partition.number}, offsets {first} to {behind - 1}"
        topic.noted_at = now

    def troubles(self) -> Iterator[Trouble]:
        """Say of which topics records have expired lately."""
        now = self._clock()
        for name, topic in list(self._topics.items()):
            if now - topic.noted_at > _LASTS_SECONDS:
                del self._topics[name]
                continue
            of = f"{len(topic.partitions)} partitions, the last " if len(topic.partitions) > 1 else ""
            yield Trouble(
                key=f"expired {name}",
                what=f"{topic.records:,} records of {name} expired before they were read",
                over=f"no more records of {name} expire before they are read",
                why=f"of {of}{topic.last}",
                means="The topic's retention is shorter than what the pipeline is behind: they are lost",
                seconds=now - topic.since,
                grace_seconds=0,
                lost_before=topic.records,
            )


class _Topic:
    def __init__(self, now: float) -> None:
        self.since = now
        self.noted_at = now
        self.records = 0
        self.partitions: set[int] = set()
        self.last = ""
