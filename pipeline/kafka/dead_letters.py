"""The dead-letter topic: records that Elasticsearch will not take, byte for byte, and why."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import NamedTuple, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from pipeline.encode.fast_path import Record
from pipeline.events.document import Coordinates
from pipeline.kafka.client import (
    admin_client,
    connection_options,
    kafka_errors,
    partitions_of_topics,
    start_client,
)
from pipeline.kafka.fetched_records import as_parsed
from pipeline.settings import Settings
from pipeline.version import version

__all__ = [
    "DeadLetter",
    "DeadLetterProducer",
    "Headers",
    "SourceRecord",
    "dead_letter_topic",
    "read_dead_letters",
]

_PREFIX = "logpipe."
_FIRST = f"{_PREFIX}topic"
# A dead letter is the record and its headers; the topic takes 16 MiB.
_MAX_REQUEST_BYTES = 16 << 20
_LONGEST_REASON = 2000

Headers = Sequence[tuple[str, bytes | None]]


class SourceRecord(Record, Protocol):
    """What a dead letter takes over from the Kafka record."""

    @property
    def key(self) -> bytes | None:
        """What partitioned it."""

    @property
    def headers(self) -> Headers:
        """What its producer said about it."""


class DeadLetter(NamedTuple):
    """A record, and why it was given up."""

    record: Coordinates
    key: bytes | None
    value: bytes | None
    headers: Headers
    """The record's own."""
    error_type: str
    reason: str
    field: str
    """The field that the reason names, or empty."""
    status: int
    attempts: int
    element: int | None = None
    """Number of the event in a record that is an array; None where that is not known."""


def dead_letter_topic(settings: Settings) -> str:
    """Name the topic."""
    return f"{settings.index.prefix}.dead-letters"


class DeadLetterProducer:
    """Write dead letters; connects with the first one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = dead_letter_topic(settings)
        self._producer: AIOKafkaProducer | None = None

    async def write(self, letters: Iterable[DeadLetter]) -> None:
        """Write letters; when this returns every one is acknowledged by all in-sync replicas.

        Raises KafkaError when one could not be written; writing all of them again is harmless.
        """
        producer = await self._started()
        for sent in [
            await producer.send(self._topic, letter.value, key=letter.key or b"", headers=_headers(letter))
            for letter in letters
        ]:
            await sent

    async def close(self) -> None:
        """Disconnect."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **connection_options(self._settings.kafka, "dead-letters"),
                acks="all",
                enable_idempotence=True,
                max_request_size=_MAX_REQUEST_BYTES,
                compression_type="lz4",
            )
            try:
                await start_client(producer, self._settings.kafka)
            except KafkaError:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer


async def read_dead_letters(settings: Settings) -> AsyncGenerator[DeadLetter, None]:
    """Read the topic from its beginning to what is its end now.

    Raises ServerUnavailable when no broker answers, TopicMissing when there is no such topic, and ServerRefused
    when it must not be read.
    """
    with kafka_errors(settings.kafka):
        async with admin_client(settings.kafka, "dead-letters") as admin:
            partitions = await partitions_of_topics(admin, [dead_letter_topic(settings)])
        async with aclosing(_read(settings, partitions)) as letters:
            async for letter in letters:
                yield letter


async def _read(settings: Settings, partitions: Sequence[TopicPartition]) -> AsyncGenerator[DeadLetter, None]:
    async with _consumer(settings) as consumer:
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        for partition in partitions:
            consumer.pause(*[other for other in partitions if other != partition])
            consumer.resume(partition)
            while await consumer.position(partition) < ends[partition]:
                for records in (await consumer.getmany(partition, timeout_ms=500)).values():
                    for record in records:
                        yield _parse(record.key, record.value, record.headers)


def _headers(letter: DeadLetter) -> list[tuple[str, bytes | None]]:
    record = letter.record
    ours = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp_ms,
        "error_type": letter.error_type,
        "reason": letter.reason[:_LONGEST_REASON],
        "field": letter.field,
        "status": letter.status,
        "attempts": letter.attempts,
        "has_key": int(letter.key is not None),
        "version": version(),
    }
    if letter.element is not None:
        ours["element"] = letter.element
    return [*letter.headers, *((_PREFIX + name, str(value).encode()) for name, value in ours.items())]


def _parse(key: bytes | None, value: bytes | None, headers: Headers) -> DeadLetter:
    # The record's own come first; they too may be called like ours.
    begin = max((number for number, (name, _) in enumerate(headers) if name == _FIRST), default=len(headers))
    ours = {
        name.removeprefix(_PREFIX): (content or b"").decode("utf-8", "replace")
        for name, content in headers[begin:]
    }
    return DeadLetter(
        record=Coordinates(
            ours.get("topic", ""),
            _number(ours, "partition"),
            _number(ours, "offset"),
            _number(ours, "timestamp"),
        ),
        key=key if ours.get("has_key", "1") == "1" else None,
        value=value,
        headers=headers[:begin],
        error_type=ours.get("error_type", ""),
        reason=ours.get("reason", ""),
        field=ours.get("field", ""),
        status=_number(ours, "status"),
        attempts=_number(ours, "attempts"),
        element=_number(ours, "element") if "element" in ours else None,
    )


def _number(headers: dict[str, str], name: str) -> int:
    try:
        return int(headers.get(name, ""))
    except ValueError:
        return -1


@asynccontextmanager
async def _consumer(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        **connection_options(settings.kafka, "dead-letters"),
        value_deserializer=as_parsed,
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    try:
        await start_client(consumer, settings.kafka)
        yield consumer
    finally:
        await consumer.stop()
