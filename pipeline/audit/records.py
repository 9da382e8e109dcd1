"""Kafka's side: which offsets there are to compare, and the records at them."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from pipeline.audit.result import Range
from pipeline.encode.fast_path import Record
from pipeline.errors import ServerUnavailable
from pipeline.kafka.client import connection_options, partitions_of_topics, start_client
from pipeline.kafka.fetched_records import as_parsed
from pipeline.settings import Settings

__all__ = [
    "committed_offsets",
    "narrowed",
    "partitions_of",
    "ranges_of",
    "reader",
    "records_of",
]

_POLL_RECORDS = 2_000
_POLL_MS = 500
_STALLED_SECONDS = 60.0


@asynccontextmanager
async def reader(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    """Connect for reading what the pipeline reads, as a member of no group."""
    kafka = settings.kafka
    consumer = AIOKafkaConsumer(
        **connection_options(kafka, "audit"),
        value_deserializer=as_parsed,
        enable_auto_commit=False,
        # Where retention is faster than the audit.
        auto_offset_reset="earliest",
        isolation_level=kafka.isolation_level,
        fetch_max_bytes=kafka.fetch_max_bytes,
        max_partition_fetch_bytes=kafka.max_partition_fetch_bytes,
    )
    try:
        await start_client(consumer, kafka)
        yield consumer
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
        pattern = re.compile(settings.kafka.topic_pattern)
        names = sorted(name for name in await admin.list_topics() if pattern.match(name))
    return await partitions_of_topics(admin, names)


async def committed_offsets(settings: Settings, admin: AIOKafkaAdminClient) -> dict[TopicPartition, int]:
    """Give what the group has committed."""
    offsets = await admin.list_consumer_group_offsets(settings.kafka.group_id)
    return {partition: committed.offset for partition, committed in offsets.items()}


async def ranges_of(
    consumer: AIOKafkaConsumer,
    partitions: Sequence[TopicPartition],
    last: Mapping[TopicPartition, int] | None,
    since_ms: int | None,
) -> list[Range]:
    """Find what Kafka holds now, up to `last` where that is given."""
    starts = await consumer.beginning_offsets(partitions)
    ends = await consumer.end_offsets(partitions)
    if since_ms is not None and partitions:
        # The first record that is young enough; older ones may follow it, but none before it is wanted.
        for partition, found in (
            await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
        ).items():
            starts[partition] = ends[partition] if found is None else max(starts[partition], found.offset)
    if last is not None:
        ends = {partition: min(end, last.get(partition, 0)) for partition, end in ends.items()}
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


async def records_of(consumer: AIOKafkaConsumer, wanted: Range) -> AsyncIterator[Sequence[Record]]:
    """Read what is visible of a range: no markers, nothing that was aborted or compacted away.

    Raises ServerUnavailable when Kafka gives nothing for a minute.
    """
    partition = TopicPartition(wanted.topic, wanted.partition)
    consumer.assign([partition])
    consumer.seek(partition, wanted.start)
    loop = asyncio.get_running_loop()
    position, moved = wanted.start, loop.time()
    while position < wanted.end:
        delivered = await consumer.getmany(partition, timeout_ms=_POLL_MS, max_records=_POLL_RECORDS)
        for records in delivered.values():
            if inside := [record for record in records if record.offset < wanted.end]:
                yield inside
        before, position = position, await consumer.position(partition)
        if position != before:
            moved = loop.time()
        elif loop.time() - moved > _STALLED_SECONDS:
            raise ServerUnavailable(f"Kafka gives nothing of {wanted} after offset {position}")
