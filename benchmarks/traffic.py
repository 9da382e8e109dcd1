"""Sample traffic for the measurements: one whole day of it, in memory or in a topic."""

import asyncio
import time
import zlib
from collections.abc import Iterable

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pipeline.sample import SampleEvent, sample_events

__all__ = ["PARTITIONS", "create_topic", "produce", "sample_day"]

PARTITIONS = 8
_DAY_MS = 86_400_000
# What a busy application's producer fills while it lingers for some milliseconds.
_BATCH_BYTES = 64 << 10
_MOST_WAITING_BATCHES = 64


def sample_day(count: int) -> Iterable[SampleEvent]:
    """Spread events over yesterday (UTC), so that all of them belong to one daily index."""
    end_ms = time.time_ns() // 1_000_000 // _DAY_MS * _DAY_MS - 1
    return sample_events(count, end_ms=end_ms, span_seconds=_DAY_MS / 1000 - 1)


async def produce(
    bootstrap: str, topic: str, events: Iterable[SampleEvent], *, partitions: int = PARTITIONS
) -> None:
    """Make the topic and write the events to it, keyed by trace, lz4.

    Whole batches are handed to the producer: a `send` for each event would take ten times as long.
    """
    await create_topic(bootstrap, topic, partitions)
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap, compression_type="lz4", max_batch_size=_BATCH_BYTES, acks="all"
    ) as producer:
        batches = [producer.create_batch() for _ in range(partitions)]
        written: list[asyncio.Future[object]] = []
        for event in events:
            key = event.trace_id.encode()
            partition = zlib.crc32(key) % partitions
            batch = batches[partition]
            while batch.append(timestamp=event.timestamp_ms, key=key, value=event.value) is None:
                written.append(await producer.send_batch(batch, topic, partition=partition))
                batch = batches[partition] = producer.create_batch()
                if len(written) >= _MOST_WAITING_BATCHES:
                    await asyncio.gather(*written)
                    written.clear()
        for partition, batch in enumerate(batches):
            if batch.record_count():
                written.append(await producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*written)


async def create_topic(bootstrap: str, topic: str, partitions: int) -> None:
    """Create a topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, partitions, 1)])
    finally:
        await admin.close()
