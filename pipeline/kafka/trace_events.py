"""The topic of trace events: its name, and the producer that fills it."""

import asyncio
from collections.abc import Iterable

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

from pipeline.errors import TopicMissing
from pipeline.kafka.client import admin_client, connection_options, kafka_errors, partitions_of_topics
from pipeline.settings import Settings
from pipeline.trace_stories.emission import FORMAT_VERSION, Bucket

__all__ = ["TraceEventProducer", "trace_event_partitions", "trace_events_topic", "traces_group"]

_RETRY_SECONDS = 1.0
_MAX_REQUEST_BYTES = 4 << 20
_HEADERS = [("version", FORMAT_VERSION)]


def trace_events_topic(settings: Settings) -> str:
    """Name the topic."""
    return f"{settings.index.prefix}.trace-events"


def traces_group(settings: Settings) -> str:
    """Name the consumer group of the correlators, which is also the name of their Faust application."""
    return f"{settings.kafka.group_id}-traces"


async def trace_event_partitions(settings: Settings) -> int:
    """Ask how many partitions the topic has.

    Raises TopicMissing when there is no such topic, ServerUnavailable and ServerRefused.
    """
    topic = trace_events_topic(settings)
    with kafka_errors(settings.kafka):
        try:
            async with admin_client(settings.kafka, "trace-events") as admin:
                return len(await partitions_of_topics(admin, [topic]))
        except TopicMissing as error:
            raise TopicMissing(f"{error}, or set traces.enabled = false") from None


class TraceEventProducer:
    """Write trace events, each partition's in their order."""

    def __init__(self, settings: Settings) -> None:
        self._topic = trace_events_topic(settings)
        self._options = connection_options(settings.kafka, "trace-events")
        self._producer: AIOKafkaProducer | None = None
        self.problem: str | None = None
        """Why nothing can be written now; it is tried every second."""

    async def write(self, buckets: Iterable[Bucket]) -> None:
        """Return when every record is acknowledged by all in-sync replicas; tried for as long as it takes.

        A record may be in the topic twice then: its events are known by where they are kept.
        """
        waiting = list(buckets)
        while waiting:
            try:
                producer = await self._started()
                sent = [
                    await producer.send(
                        self._topic, bucket.value, partition=bucket.partition, headers=_HEADERS
                    )
                    for bucket in waiting
                ]
            except (KafkaError, OSError) as error:
                self.problem = f"{type(error).__name__}: {error}"
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            answers = await asyncio.gather(*sent, return_exceptions=True)
            failed = [answer for answer in answers if isinstance(answer, BaseException)]
            for answer in failed:
                if not isinstance(answer, KafkaError):
                    raise answer
            self.problem = f"{type(failed[0]).__name__}: {failed[0]}" if failed else None
            if failed:
                await asyncio.sleep(_RETRY_SECONDS)
            waiting = [
                bucket
                for bucket, answer in zip(waiting, answers, strict=True)
                if isinstance(answer, BaseException)
            ]

    async def close(self) -> None:
        """Disconnect."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **self._options,
                acks="all",
                enable_idempotence=True,
                max_request_size=_MAX_REQUEST_BYTES,
                compression_type="lz4",
            )
            try:
                await producer.start()
            except KafkaConnectionError:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer
