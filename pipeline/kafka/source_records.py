"""Single records read from the topics that they came from: what a cut dead letter refers to."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from pipeline.kafka.client import connection_options, kafka_errors
from pipeline.kafka.dead_letters import DeadLetter, SourceRecord
from pipeline.kafka.fetched_records import as_parsed
from pipeline.settings import Settings

__all__ = ["SourceRecords", "source_records"]

_READ_SECONDS = 20.0
_POLL_MS = 500


class SourceRecords:
    """Read records by their coordinates; connects with the first one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._consumer: AIOKafkaConsumer | None = None

    async def whole(self, letter: DeadLetter) -> DeadLetter | None:
        """Give a letter with all of its record; None when Kafka does not hold that any more.

        Raises ServerUnavailable when no broker answers, and ServerRefused when the topic must not be read.
        """
        if letter.whole_bytes is None:
            return letter
        with kafka_errors(self._settings.kafka):
            record = await self._read(TopicPartition(letter.record.topic, letter.record.partition), letter)
        value = None if record is None else record.value
        if record is None or value is None or hashlib.sha256(value).hexdigest() != letter.sha256:
            return None
        return letter._replace(
            key=record.key, value=value, headers=record.headers, whole_bytes=None, sha256=""
        )

    async def close(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def _read(self, partition: TopicPartition, letter: DeadLetter) -> SourceRecord | None:
        consumer = await self._started()
        offset = letter.record.offset
        consumer.assign([partition])
        try:
            async with asyncio.timeout(_READ_SECONDS):
                starts = await consumer.beginning_offsets([partition])
                ends = await consumer.end_offsets([partition])
                if not starts[partition] <= offset < ends[partition]:
                    return None
                consumer.seek(partition, offset)
                while await consumer.position(partition) <= offset:
                    delivered = await consumer.getmany(partition, timeout_ms=_POLL_MS, max_records=1)
                    for record in delivered.get(partition, ()):
                        found: SourceRecord = record
                        return found if found.offset == offset else None
        except (TimeoutError, KafkaError):
            return None
        return None

    async def _started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            self._consumer = AIOKafkaConsumer(
                **connection_options(self._settings.kafka, "source-records"),
                value_deserializer=as_parsed,
                enable_auto_commit=False,
                isolation_level=self._settings.kafka.isolation_level,
            )
            await self._consumer.start()
        return self._consumer


@asynccontextmanager
async def source_records(settings: Settings) -> AsyncIterator[SourceRecords]:
    """Read single records while the context lasts."""
    records = SourceRecords(settings)
    try:
        yield records
    finally:
        await records.close()
