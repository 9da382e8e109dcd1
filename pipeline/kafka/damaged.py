"""Partitions with a damaged batch: each stops there or skips it, as `kafka.corrupt_batches` says; the others go on."""

import logging
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from pipeline.kafka.fetched_records import CorruptBatch
from pipeline.kafka.ledger import Partition
from pipeline.telemetry.metrics import Telemetry
from pipeline.telemetry.troubles import Trouble

__all__ = ["DamagedPartitions"]

log = logging.getLogger(__name__)

# The batch may be whole on another replica, or once the disk has been mended.
_AGAIN_SECONDS = 30.0
# Of more than these one line says how many they are.
_MOST_TOLD = 5


class _Stop(NamedTuple):
    """Where a partition has stopped, until when it waits, and whether it waits now or is being tried."""

    offset: int
    reason: str
    since: float
    until: float
    waits: bool


class DamagedPartitions:
    """Which partitions stand still, and since which offset."""

    def __init__(self, policy: Literal["stop", "skip"], telemetry: Telemetry) -> None:
        self._policy = policy
        self._telemetry = telemetry
        self._stops: dict[Partition, _Stop] = {}

    def __bool__(self) -> bool:
        return bool(self._stops)

    def __contains__(self, partition: Partition) -> bool:
        """Tell whether a partition waits."""
        stop = self._stops.get(partition)
        return stop is not None and stop.waits

    def meet(self, partition: Partition, batch: CorruptBatch, now: float) -> bool:
        """Count and tell; True when the batch is to be skipped, False when the partition waits from now on."""
        topic, number = partition
        if self._policy == "skip":
            log.error(
                "%s/%d has a damaged batch at offset %d (%s): skipped up to offset %d (kafka.corrupt_batches = skip)",
                *(topic, number, batch.offset, batch.reason, batch.behind - 1),
            )
            self._telemetry.corrupt_batches.labels(*partition, "skipped").inc()
            self._telemetry.corrupt_records.labels(*partition).inc(batch.behind - batch.offset)
            return True
        before = self._stops.get(partition)
        again = before is not None and before.offset == batch.offset
        since = before.since if before is not None and again else now
        self._stops[partition] = _Stop(batch.offset, batch.reason, since, now + _AGAIN_SECONDS, waits=True)
        if not again:
            self._telemetry.corrupt_batches.labels(*partition, "stopped").inc()
            self._telemetry.stopped.labels(*partition).set(1)
        return False

    def try_due(self, now: float) -> bool:
        """Let those wait no more whose time has come; True when there are any."""
        due = [partition for partition, stop in self._stops.items() if stop.waits and now >= stop.until]
        for partition in due:
            self._stops[partition] = self._stops[partition]._replace(waits=False)
        return bool(due)

    def goes_on(self, partitions: Iterable[Partition]) -> None:
        """Note partitions that have been read after all."""
        for partition in partitions:
            if self._stops.pop(partition, None) is not None:
                self._telemetry.stopped.labels(*partition).set(0)

    def troubles(self, now: float) -> Iterator[Trouble]:
        """Say which partitions stand still; the time is that of `meet`."""
        stops = sorted(self._stops.items(), key=lambda each: each[1].since)
        for (topic, number), stop in stops[:_MOST_TOLD]:
            yield Trouble(
                key=f"partition {topic}/{number}",
                what=f"{topic}/{number} stands still before a damaged batch at offset {stop.offset}",
                over=f"{topic}/{number} is read again",
                why=stop.reason,
                means="The other partitions go on",
                next_try=f"It is tried every {_AGAIN_SECONDS:.0f} s, and skipped with kafka.corrupt_batches = skip",
                seconds=now - stop.since,
                grace_seconds=0,
                level=logging.ERROR,
            )
        if others := stops[_MOST_TOLD:]:
            yield Trouble(
                key="other partitions",
                what=f"{len(others)} more partitions stand still before damaged batches",
                over=f"no more than {_MOST_TOLD} partitions stand still",
                grace_seconds=0,
                level=logging.ERROR,
            )

    def forget(self) -> None:
        """Forget all: whoever owns the partitions next finds out."""
        for partition in self._stops:
            self._telemetry.stopped.labels(*partition).set(0)
        self._stops.clear()
