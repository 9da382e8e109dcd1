"""What is left to do of each owned partition: behind what is committed, behind what is read, and for how long."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import NamedTuple

from prometheus_client import Gauge

from pipeline.events.indices import is_plausible
from pipeline.kafka.ledger import Ledger, Partition
from pipeline.kafka.log_offsets import Ends
from pipeline.telemetry.metrics import LagGauges

__all__ = ["Lag"]

# A leader that changes does not answer for some seconds. After more than that nobody knows how much is left, and an
# old number would look like one of now.
_KNOWN_SECONDS = 30.0


class _Unread(NamedTuple):
    """What is known of the first record that has not been read."""

    position: int
    since_ms: int | None
    """Its timestamp, as nearly as it is known; None where all has been read."""


class Lag:
    """Show the lag of the owned partitions on the metrics.

    The timestamp of a record that has not been read is not known before it is fetched. While there is more to read it
    is taken for that of the record before it; where all had been read it is the time at which more was seen first.
    """

    def __init__(self, gauges: LagGauges, ledger: Ledger) -> None:
        self._gauges = gauges
        self._ledger = ledger
        self._read_ms: dict[Partition, int] = {}
        self._unread: dict[Partition, _Unread] = {}
        self._known_at: dict[Partition, float] = {}

    def read(self, partition: Partition, timestamp_ms: int) -> None:
        """Note the timestamp of the record that was read last, in milliseconds since 1970."""
        self._read_ms[partition] = timestamp_ms

    def show(
        self, ends: Mapping[Partition, Ends], positions: Mapping[Partition, int], now_ms: int, now: float
    ) -> None:
        """Take what Kafka has said of where partitions end, and where they are read next.

        `now_ms` is the time of day, in milliseconds since 1970, `now` that of a clock which nobody sets, in seconds.
        """
        gauges = self._gauges
        for partition, end in ends.items():
            committed = self._ledger.committed_position(partition)
            if committed is None:
                continue
            self._known_at[partition] = now
            gauges.records.labels(*partition).set(max(end.high_watermark - committed, 0))
            gauges.readable.labels(*partition).set(max(end.readable - committed, 0))
            position = positions.get(partition)
            if position is not None:
                left = max(end.readable - position, 0)
                gauges.unread.labels(*partition).set(left)
                self._note_unread(partition, position, left, now_ms)
        for partition, known_at in list(self._known_at.items()):
            if now - known_at > _KNOWN_SECONDS:
                self._hide(partition)
        for partition, unread in self._unread.items():
            if unread.since_ms is not None or partition in self._known_at:
                waited = _age_seconds(unread.since_ms, now_ms)
                in_flight = _age_seconds(self._ledger.oldest_ms(partition), now_ms)
                gauges.unread_seconds.labels(*partition).set(waited)
                gauges.seconds.labels(*partition).set(max(in_flight, waited))
            else:
                self._remove(partition, gauges.unread_seconds, gauges.seconds)

    def forget(self, partitions: Collection[Partition]) -> None:
        """Take partitions away that are no longer owned."""
        for partition in partitions:
            self._hide(partition)
            self._read_ms.pop(partition, None)
            self._unread.pop(partition, None)
            self._remove(partition, self._gauges.unread_seconds, self._gauges.seconds)

    def _note_unread(self, partition: Partition, position: int, left: int, now_ms: int) -> None:
        before = self._unread.get(partition)
        since_ms: int | None
        if not left:
            since_ms = None
        elif before is not None and before.position == position:
            since_ms = now_ms if before.since_ms is None else before.since_ms
        else:
            since_ms = self._read_ms.get(partition, now_ms)
            if not is_plausible(since_ms, now_ms):
                since_ms = now_ms
        self._unread[partition] = _Unread(position, since_ms)

    def _hide(self, partition: Partition) -> None:
        """Show no number of records; how long the oldest has waited may be known all the same."""
        self._known_at.pop(partition, None)
        self._remove(partition, self._gauges.records, self._gauges.readable, self._gauges.unread)

    @staticmethod
    def _remove(partition: Partition, *gauges: Gauge) -> None:
        for gauge in gauges:
            with suppress(KeyError):
                gauge.remove(partition.topic, str(partition.number))


def _age_seconds(timestamp_ms: int | None, now_ms: int) -> float:
    """Give the age of a record; 0 where there is none, or its timestamp cannot be true."""
    if timestamp_ms is None or not is_plausible(timestamp_ms, now_ms):
        return 0.0
    return max(now_ms - timestamp_ms, 0) / 1000
