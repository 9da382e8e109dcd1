"""The dead-letter topic: records that Elasticsearch will not take, byte for byte, and why.

The key of a letter is the id of the document that it stands for: a letter that is written twice, because a worker was
killed between its letters and its commit, is read once. The record's own key is a header.
"""

import hashlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager, closing
from typing import Any, NamedTuple, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from pipeline.encode.fast_path import Record
from pipeline.events.document import Coordinates, document_id
from pipeline.kafka import cluster_client  # noqa: F401 - the producer finds Kafka at another address by it
from pipeline.kafka.client import (
    admin_client,
    connection_options,
    kafka_errors,
    partitions_of_topics,
    start_client,
)
from pipeline.kafka.fetched_records import as_parsed
from pipeline.kafka.key_partition import key_partition
from pipeline.kafka.letter_marks import Mark, MarkFile, mark_of
from pipeline.kafka.seen_ids import SeenIds
from pipeline.settings import Settings
from pipeline.version import version

__all__ = [
    "DeadLetter",
    "DeadLetterProducer",
    "Headers",
    "SourceRecord",
    "dead_letter_topic",
    "read_dead_letters",
    "read_marks",
]

log = logging.getLogger(__name__)

_PREFIX = "logpipe."
_FIRST = f"{_PREFIX}topic"
_KEY = f"{_PREFIX}key"
# A dead letter is the record and its headers; the topic takes 16 MiB.
_MAX_REQUEST_BYTES = 16 << 20
_LONGEST_REASON = 2000
_TELL_SECONDS = 60.0
# What is left of a letter that the broker finds too large: first this, then nothing of the record.
_CUT_BYTES = (64 << 10, 0)
_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)

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
    whole_bytes: int | None = None
    """Length of the record's value where only its beginning is here: the letter was too large for the broker."""
    sha256: str = ""
    """Of the whole value, in hexadecimal, where only its beginning is here."""

    @property
    def id(self) -> str:
        """The id of the document that this stands for."""
        identifier = document_id(self.record)
        return identifier if self.element is None else f"{identifier}.{self.element}"

    def cut(self, most_bytes: int) -> "DeadLetter":
        """Keep the beginning of what makes it large; the record itself is still in its topic."""
        value = self.value or b""
        if self.whole_bytes is not None:  # it has been cut before
            return self._replace(value=value[:most_bytes], key=None, headers=())
        small = sum([len(name) + len(content or b"") for name, content in self.headers]) <= most_bytes
        return self._replace(
            value=value[:most_bytes],
            key=self.key if len(self.key or b"") <= most_bytes else None,
            headers=self.headers if small else (),
            whole_bytes=len(value),
            sha256=hashlib.sha256(value).hexdigest(),
        )


def dead_letter_topic(settings: Settings) -> str:
    """Name the topic."""
    return f"{settings.index.prefix}.dead-letters"


class DeadLetterProducer:
    """Write dead letters; connects with the first one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = dead_letter_topic(settings)
        self._producer: AIOKafkaProducer | None = None
        self._cut_told_at = float("-inf")

    async def write(self, letters: Iterable[DeadLetter]) -> None:
        """Write letters; when this returns every one is acknowledged by all in-sync replicas.

        One that is too large for the broker is cut. Raises KafkaError when one could not be written; writing all of
        them again is harmless.
        """
        left = list(letters)
        for most_bytes in (*_CUT_BYTES, None):
            failed = await self._try(left)
            if not failed:
                return
            # The sequence numbers of what failed are used up: the broker would take nothing more of this producer.
            await self.close()
            large = [letter for letter, error in failed if isinstance(error, _TOO_LARGE)]
            if not large or most_bytes is None:
                raise failed[0][1]
            self._tell_cut(large, most_bytes)
            left = [
                letter.cut(most_bytes) if isinstance(error, _TOO_LARGE) else letter
                for letter, error in failed
            ]

    def _tell_cut(self, large: Sequence[DeadLetter], most_bytes: int) -> None:
        """Say that letters are cut, once a minute: a topic that takes none makes it so at every attempt."""
        now = time.monotonic()
        if now - self._cut_told_at >= _TELL_SECONDS:
            self._cut_told_at = now
            log.warning(
                "%d dead letters are too large for the topic %s (max.message.bytes): cut to %d bytes, such as %s; "
                "their records are still in Kafka, where `logpipe dlq replay` finds them",
                *(len(large), self._topic, most_bytes, large[0].id),
            )

    async def _try(self, letters: Iterable[DeadLetter]) -> list[tuple[DeadLetter, KafkaError]]:
        """Write each once; gives those that failed, and why. Raises KafkaError when there is no connection."""
        producer = await self._started()
        sent: list[tuple[DeadLetter, Any]] = []
        failed: list[tuple[DeadLetter, KafkaError]] = []
        for letter in letters:
            identifier = letter.id
            key = identifier.encode()
            # Each time anew: the topic may be made again in between.
            partitions = len(await producer.partitions_for(self._topic))
            try:
                sending = await producer.send(
                    self._topic,
                    letter.value,
                    key=key,
                    partition=key_partition(key, partitions),
                    headers=_headers(letter, identifier),
                )
            except _TOO_LARGE as error:  # for this client already
                failed.append((letter, error))
            else:
                sent.append((letter, sending))
        for letter, sending in sent:
            try:
                await sending
            except KafkaError as error:
                failed.append((letter, error))
        return failed

    async def close(self) -> None:
        """Disconnect."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await producer.stop()

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
    """Read the topic from its beginning to what is its end now; each letter once, however often it was written.

    Raises ServerUnavailable when no broker answers, TopicMissing when there is no such topic, and ServerRefused
    when it must not be read.
    """
    with kafka_errors(settings.kafka), closing(SeenIds()) as seen:
        async with admin_client(settings.kafka, "dead-letters") as admin:
            partitions = await partitions_of_topics(admin, [dead_letter_topic(settings)])
        async with aclosing(_read(settings, partitions)) as letters:
            async for letter in letters:
                if isinstance(letter, DeadLetter) and (_may_repeat(letter) or seen.first_time(letter.id)):
                    yield letter


async def read_marks(settings: Settings, marks: MarkFile) -> None:
    """Read the topic for the marks on its letters; raises as `read_dead_letters` does."""
    with kafka_errors(settings.kafka):
        async with admin_client(settings.kafka, "dead-letters") as admin:
            partitions = await partitions_of_topics(admin, [dead_letter_topic(settings)])
        async with aclosing(_read(settings, partitions)) as found:
            async for each in found:
                if isinstance(each, DeadLetter):
                    marks.reopen(each.id)
                else:
                    marks.put(*each)


def _may_repeat(letter: DeadLetter) -> bool:
    """Tell whether several letters of one id stand for several documents: those of an array, by old versions."""
    return not letter.record.topic or (
        letter.element is None and (letter.value or b"").lstrip().startswith(b"[")
    )


async def _read(
    settings: Settings, partitions: Sequence[TopicPartition]
) -> AsyncGenerator[DeadLetter | tuple[str, Mark], None]:
    """Read letters, and marks with the ids of the letters that they are on."""
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
                        mark = mark_of(record.value, record.headers)
                        if mark is not None:
                            yield (record.key or b"").decode("utf-8", "replace"), mark
                        else:
                            yield _parse(record.key, record.value, record.headers)


def _headers(letter: DeadLetter, identifier: str) -> list[tuple[str, bytes | None]]:
    record = letter.record
    headers = [
        *letter.headers,
        (_FIRST, record.topic.encode()),
        (f"{_PREFIX}partition", b"%d" % record.partition),
        (f"{_PREFIX}offset", b"%d" % record.offset),
        (f"{_PREFIX}timestamp", b"%d" % record.timestamp_ms),
        (f"{_PREFIX}error_type", letter.error_type.encode()),
        (f"{_PREFIX}reason", letter.reason[:_LONGEST_REASON].encode()),
        (f"{_PREFIX}field", letter.field.encode()),
        (f"{_PREFIX}status", b"%d" % letter.status),
        (f"{_PREFIX}attempts", b"%d" % letter.attempts),
        (f"{_PREFIX}id", identifier.encode()),
        (f"{_PREFIX}version", version().encode()),
    ]
    if record.topic_key:
        headers.append((f"{_PREFIX}topic_key", record.topic_key.encode()))
    if letter.element is not None:
        headers.append((f"{_PREFIX}element", b"%d" % letter.element))
    if letter.whole_bytes is not None:
        headers.append((f"{_PREFIX}whole_bytes", b"%d" % letter.whole_bytes))
        headers.append((f"{_PREFIX}sha256", letter.sha256.encode()))
    if letter.key is not None:
        headers.append((_KEY, letter.key))
    return headers


def _parse(key: bytes | None, value: bytes | None, headers: Headers) -> DeadLetter:
    # The record's own come first; they too may be called like ours.
    begin = max((number for number, (name, _) in enumerate(headers) if name == _FIRST), default=len(headers))
    ours = {
        name.removeprefix(_PREFIX): (content or b"").decode("utf-8", "replace")
        for name, content in headers[begin:]
    }
    if "id" in ours:
        key = next((content for name, content in headers[begin:] if name == _KEY), None)
    elif ours.get("has_key", "1") != "1":  # of an earlier version, whose letters have the record's key
        key = None
    return DeadLetter(
        record=Coordinates(
            ours.get("topic", ""),
            _number(ours, "partition"),
            _number(ours, "offset"),
            _number(ours, "timestamp"),
            ours.get("topic_key", ""),
        ),
        key=key,
        value=value,
        headers=headers[:begin],
        error_type=ours.get("error_type", ""),
        reason=ours.get("reason", ""),
        field=ours.get("field", ""),
        status=_number(ours, "status"),
        attempts=_number(ours, "attempts"),
        element=_number(ours, "element") if "element" in ours else None,
        whole_bytes=_number(ours, "whole_bytes") if "whole_bytes" in ours else None,
        sha256=ours.get("sha256", ""),
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
