"""Kafka's side: which offsets there are to compare, and the records at them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import chain
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from pipeline.audit.result import PartitionAudit, Range, Unread
from pipeline.encode.fast_path import Record
from pipeline.errors import ServerUnavailable
from pipeline.kafka.client import connection_options, group_offsets, partitions_of_topics, start_client
from pipeline.kafka.commit_note import CommitNote
from pipeline.kafka.consumer import cluster_client
from pipeline.kafka.fetched_records import CorruptBatch, InBatches
from pipeline.kafka.topics import chosen_topics
from pipeline.settings import Settings

__all__ = [
    "Commit",
    "RangeReader",
    "commits_of_group",
    "current_commits",
    "narrowed",
    "partitions_of",
    "ranges_of",
    "reader",
    "unread_before",
]

# Of producers' batches.
_POLL_BATCHES = 100
_POLL_MS = 500
_STALLED_SECONDS = 60.0


class Commit(NamedTuple):
    """What the group has committed of a partition."""

    offset: int
    note: CommitNote
    of_earlier_topic: bool = False
    """Whether it is for a topic of this name that is no more."""


_NO_COMMIT = Commit(0, CommitNote())


class RangeReader:
    """A consumer, and what it has met that cannot be read."""

    def __init__(self, consumer: AIOKafkaConsumer, batches: InBatches) -> None:
        self.consumer = consumer
        self._batches = batches

    def take_corrupt(self) -> dict[TopicPartition, CorruptBatch]:
        """Give the damaged batches that partitions stand before, and forget them: the caller goes on behind them."""
        found = dict(self._batches.corrupt)
        self._batches.corrupt.clear()
        return found

    async def topic_ids(self, topics: Collection[str]) -> Mapping[str, str]:
        """Give Kafka's ids of topics; nothing of those for which the broker gives none."""
        client = cluster_client(self.consumer)
        await client.set_topics(set(topics))
        if not client.topic_ids.keys() >= set(topics):
            await client.force_metadata_update()
        return {topic: client.topic_ids[topic] for topic in topics if topic in client.topic_ids}

    async def records_of(
        self, wanted: Range, on_corrupt: Callable[[CorruptBatch], None]
    ) -> AsyncIterator[Sequence[Record]]:
        """Read what is visible of a range: no markers, nothing that was aborted or compacted away.

        Damaged batches are told to `on_corrupt` and passed over. Raises ServerUnavailable when Kafka gives nothing
        for a minute.
        """
        consumer = self.consumer
        partition = TopicPartition(wanted.topic, wanted.partition)
        consumer.assign([partition])
        consumer.seek(partition, wanted.start)
        loop = asyncio.get_running_loop()
        position, moved = wanted.start, loop.time()
        while position < wanted.end:
            delivered = await consumer.getmany(partition, timeout_ms=_POLL_MS, max_records=_POLL_BATCHES)
            for batches in delivered.values():
                if inside := [
                    record for record in chain.from_iterable(batches) if record.offset < wanted.end
                ]:
                    yield inside
            if corrupt := self._batches.corrupt.pop(partition, None):
                on_corrupt(corrupt)
                consumer.seek(partition, corrupt.behind)
            before, position = position, await consumer.position(partition)
            if position != before:
                moved = loop.time()
            elif loop.time() - moved > _STALLED_SECONDS:
                raise ServerUnavailable(f"Kafka gives nothing of {wanted} after offset {position}")


@asynccontextmanager
async def reader(settings: Settings, purpose: str = "audit") -> AsyncIterator[RangeReader]:
    """Connect for reading what the pipeline reads, as a member of no group."""
    kafka = settings.kafka
    batches = InBatches()
    consumer = AIOKafkaConsumer(
        **connection_options(kafka, purpose),
        value_deserializer=batches,
        enable_auto_commit=False,
        # Where retention is faster than the audit.
        auto_offset_reset="earliest",
        isolation_level=kafka.isolation_level,
        fetch_max_bytes=kafka.fetch_max_bytes,
        max_partition_fetch_bytes=kafka.max_partition_fetch_bytes,
    )
    try:
        await start_client(consumer, kafka)
        yield RangeReader(consumer, batches)
    finally:
        await consumer.stop()


async def partitions_of(
    settings: Settings, admin: AIOKafkaAdminClient, topics: Sequence[str]
) -> list[TopicPartition]:
    """List the partitions of these topics, or of those the settings name.

    Raises TopicMissing when one does not exist.
    """
    names = list(topics or settings.kafka.topics)
    if not topics and settings.kafka.topic_pattern is not None:
        names = chosen_topics(settings.kafka, await admin.list_topics())
    return await partitions_of_topics(admin, names)


async def commits_of_group(settings: Settings, admin: AIOKafkaAdminClient) -> dict[TopicPartition, Commit]:
    """Give what the group has committed."""
    offsets = await group_offsets(admin, settings.kafka.group_id)
    return {
        partition: Commit(committed.offset, CommitNote.read(committed.metadata))
        for partition, committed in offsets.items()
    }


async def current_commits(
    consumer: AIOKafkaConsumer, commits: Mapping[TopicPartition, Commit]
) -> dict[TopicPartition, Commit]:
    """Tell the commits apart that are for topics which have been made anew since: nothing of those is done."""
    client = cluster_client(consumer)
    await client.set_topics({partition.topic for partition in commits})
    current = {}
    for partition, commit in commits.items():
        topic_id, noted = client.topic_ids.get(partition.topic), commit.note.topic_id
        if topic_id is not None and noted is not None and noted != topic_id:
            commit = Commit(0, CommitNote(), of_earlier_topic=True)  # noqa: PLW2901 - the same, seen again
        current[partition] = commit
    return current


def unread_before(audited: PartitionAudit, commit: Commit | None) -> None:
    """Note what retention has removed unread: what the worker has met, and what it will."""
    if commit is None:
        return
    audited.commit_of_earlier_topic = commit.of_earlier_topic
    if commit.of_earlier_topic:
        return
    topic, partition, start, _ = audited.range
    expired = commit.note.expired
    if commit.offset < start:
        expired = expired.plus(commit.offset, start)
    audited.expired = expired.offsets
    audited.unread += [Unread("expired", topic, partition, *one) for one in expired.ranges]


async def ranges_of(
    consumer: AIOKafkaConsumer,
    partitions: Sequence[TopicPartition],
    commits: Mapping[TopicPartition, Commit],
    since_ms: int | None,
    *,
    committed_only: bool,
) -> list[Range]:
    """Find what Kafka holds now and the group was to read, up to its commits where only those are wanted."""
    starts = await consumer.beginning_offsets(partitions)
    ends = await consumer.end_offsets(partitions)
    if since_ms is not None and partitions:
        # The first record that is young enough; older ones may follow it, but none before it is wanted.
        for partition, found in (
            await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
        ).items():
            starts[partition] = ends[partition] if found is None else max(starts[partition], found.offset)
    for partition in partitions:
        commit = commits.get(partition, _NO_COMMIT)
        # `kafka.start_at = latest` and retention have left out what was before.
        starts[partition] = max(starts[partition], min(commit.note.start or 0, commit.offset))
        if committed_only:
            ends[partition] = min(ends[partition], commit.offset)
    return [
        Range(
            partition.topic, partition.partition, starts[partition], max(starts[partition], ends[partition])
        )
        for partition in partitions
    ]


def narrowed(wanted: Range, from_offset: int | None, to_offset: int | None) -> Range:
    """Cut a range to these offsets."""
    start = wanted.start if from_offset is None else max(wanted.start, from_offset)
    end = wanted.end if to_offset is None else min(wanted.end, to_offset)
    return wanted._replace(start=start, end=max(start, end))
