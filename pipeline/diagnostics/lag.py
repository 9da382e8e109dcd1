"""How far the group is behind: by offsets, by time, and when it will have caught up."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from pipeline.audit.records import Commit, commits_of_group, current_commits, partitions_of, reader
from pipeline.events.indices import is_plausible
from pipeline.kafka.client import admin_client, kafka_errors
from pipeline.kafka.consumer import cluster_client
from pipeline.kafka.log_offsets import Place, log_offsets
from pipeline.settings import Settings

__all__ = ["Lag", "PartitionLag", "Sample", "measure_lag", "partition_lags"]

# One batch of each partition is enough: only its first record is looked at.
_FETCH_BYTES = 1 << 16
_OLDEST_SECONDS = 5.0
_POLL_MS = 200


class Sample(NamedTuple):
    """What Kafka says at one moment."""

    at: float
    """Seconds of a clock that only goes forward."""
    committed: Mapping[TopicPartition, int]
    starts: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]


class PartitionLag(NamedTuple):
    """The lag of one partition; None is for what is not known."""

    topic: str
    partition: int
    committed: int | None
    end: int
    """The high watermark: the offset of the next record."""
    lag: int
    """Offsets from the committed one, or from the first where none is committed, to the end."""
    seconds: float | None
    """Age of the first record that is not committed, by Kafka's timestamp; 0 where there is none."""
    committed_per_second: float | None
    produced_per_second: float | None
    eta_seconds: float | None
    """When the lag will be 0, if both rates stay; None when it does not shrink."""


class Lag(NamedTuple):
    """The lag of a group."""

    group_id: str
    partitions: Sequence[PartitionLag]

    @property
    def records(self) -> int:
        """Offsets of all partitions together."""
        return sum(one.lag for one in self.partitions)

    @property
    def seconds(self) -> float | None:
        """Age of the oldest record that is not committed; None where no partition's is known."""
        return max((one.seconds for one in self.partitions if one.seconds is not None), default=None)

    @property
    def committed_per_second(self) -> float | None:
        """Rate of all partitions together."""
        return _total(one.committed_per_second for one in self.partitions)

    @property
    def produced_per_second(self) -> float | None:
        """Rate of all partitions together."""
        return _total(one.produced_per_second for one in self.partitions)

    @property
    def eta_seconds(self) -> float | None:
        """When all of it will be 0, if the rates stay; None when that is not known, or never."""
        return _eta(self.records, self.committed_per_second, self.produced_per_second)

    @property
    def nothing_committed(self) -> bool:
        """Whether the group has not committed a single one of these partitions."""
        return all(one.committed is None for one in self.partitions)


def partition_lags(
    first: Sample | None, second: Sample, oldest_ms: Mapping[TopicPartition, int], now_ms: int
) -> list[PartitionLag]:
    """Work out the lag of each partition that the second sample has the end of.

    first -- an earlier sample, from which the rates come; None when they are not wanted
    oldest_ms -- Kafka's timestamp of the first record that is not committed
    """
    found = []
    for partition in sorted(second.ends):
        end, committed = second.ends[partition], second.committed.get(partition)
        position = second.starts.get(partition, 0) if committed is None else committed
        lag = max(end - position, 0)
        read, made = _rates(first, second, partition)
        found.append(
            PartitionLag(
                partition.topic,
                partition.partition,
                committed,
                end,
                lag,
                _age(oldest_ms.get(partition), now_ms) if lag else 0.0,
                read,
                made,
                _eta(lag, read, made),
            )
        )
    return found


def _rates(
    first: Sample | None, second: Sample, partition: TopicPartition
) -> tuple[float | None, float | None]:
    if first is None or second.at <= first.at or partition not in first.ends:
        return None, None
    seconds = second.at - first.at
    made = max(second.ends[partition] - first.ends[partition], 0) / seconds
    before, after = first.committed.get(partition), second.committed.get(partition)
    if after is None:
        return 0.0, made
    # A first commit in between: where the group began is not known, but no commit is before the first offset.
    return max(after - (second.starts.get(partition, 0) if before is None else before), 0) / seconds, made


def _eta(lag: int, read: float | None, made: float | None) -> float | None:
    if not lag:
        return 0.0
    if read is None or made is None or read <= made:
        return None
    return lag / (read - made)


def _age(stamp_ms: int | None, now_ms: int) -> float | None:
    if stamp_ms is None or not is_plausible(stamp_ms, now_ms):
        return None
    return max(now_ms - stamp_ms, 0) / 1000


def _total(rates: Iterable[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known else None


async def measure_lag(
    settings: Settings, now_ms: int, *, topics: Sequence[str] = (), rate_seconds: float = 3.0
) -> Lag:
    """Ask Kafka for the lag of the configured group, as a member of no group.

    topics -- those that are looked at; the configured ones when empty
    rate_seconds -- how long rates are measured; 0 leaves them out

    Raises ServerUnavailable when no broker answers, TopicMissing and ServerRefused when one says no.
    """
    small = settings.kafka.model_copy(
        update={"fetch_max_bytes": _FETCH_BYTES, "max_partition_fetch_bytes": _FETCH_BYTES}
    )
    with kafka_errors(settings.kafka):
        async with (
            admin_client(settings.kafka, "lag") as admin,
            reader(settings.model_copy(update={"kafka": small}), "lag") as reading,
        ):
            partitions = await partitions_of(settings, admin, topics)
            await cluster_client(reading.consumer).set_topics({one.topic for one in partitions})
            first = None
            if rate_seconds:
                first = await _sample(settings, admin, reading.consumer, partitions)
                await asyncio.sleep(rate_seconds)
            second = await _sample(settings, admin, reading.consumer, partitions)
            behind = {
                each: max(second.committed.get(each, 0), second.starts.get(each, 0))
                for each, end in second.ends.items()
                if second.committed.get(each, second.starts.get(each, 0)) < end
            }
            oldest = await _first_timestamps(reading.consumer, behind)
    return Lag(settings.kafka.group_id, partition_lags(first, second, oldest, now_ms))


async def _sample(
    settings: Settings,
    admin: AIOKafkaAdminClient,
    consumer: AIOKafkaConsumer,
    partitions: Sequence[TopicPartition],
) -> Sample:
    client = cluster_client(consumer)
    commits = await commits_of_group(settings, admin)
    commits = {each: commit for each, commit in commits.items() if each in set(partitions)}
    current: Mapping[TopicPartition, Commit] = await current_commits(consumer, commits)
    await client.set_topics({one.topic for one in partitions})
    starts = await log_offsets(client, partitions, Place.BEGINNING)
    ends = await log_offsets(client, partitions, Place.END)
    return Sample(
        asyncio.get_running_loop().time(),
        {each: commit.offset for each, commit in current.items() if not commit.of_earlier_topic},
        starts,
        ends,
    )


async def _first_timestamps(
    consumer: AIOKafkaConsumer, positions: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """Give the timestamp of the first record from each position on; what does not come in time is left out."""
    found: dict[TopicPartition, int] = {}
    if not positions:
        return found
    consumer.assign(list(positions))
    for partition, position in positions.items():
        consumer.seek(partition, position)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _OLDEST_SECONDS
    while len(found) < len(positions) and loop.time() < deadline:
        for partition, batches in (await consumer.getmany(timeout_ms=_POLL_MS)).items():
            for record in chain.from_iterable(batches):
                found.setdefault(partition, record.timestamp)
                break
            if partition in found:
                consumer.pause(partition)
    return found
