"""Records as they come, and the documents that they become, read as a member of no group."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from pipeline.audit.records import partitions_of, reader
from pipeline.encode.run_filters import make_of
from pipeline.events.document import Coordinates, Document, DocumentBuilder
from pipeline.kafka.client import admin_client, kafka_errors
from pipeline.kafka.dead_letters import SourceRecord
from pipeline.settings import Settings

__all__ = ["Condition", "Tapped", "as_event", "tap"]

_POLL_MS = 250
# Of producers' batches.
_POLL_BATCHES = 100

Condition = Callable[[dict[str, Any]], bool]


class Tapped(NamedTuple):
    """A record, and one of the documents that it becomes."""

    place: Coordinates
    record: SourceRecord
    document: Document

    def as_json(self) -> dict[str, Any]:
        """Give what `logpipe transform` prints, and the record that it is of."""
        return {
            "index": self.document.index_name,
            "id": self.document.id,
            "format": self.document.format,
            "record": {
                **self.place.as_json(),
                "key": None if self.record.key is None else self.record.key.decode("utf-8", "replace"),
                "headers": _headers(self.record),
            },
            "document": orjson.Fragment(self.document.source),
        }


def as_event(tapped: Tapped) -> dict[str, Any]:
    """Give a document as conditions see it, with the record's place under the names of Logstash's Kafka input."""
    event: dict[str, Any] = orjson.loads(tapped.document.source)
    place, record = tapped.place, tapped.record
    event["@metadata"] = {
        "kafka": {
            "topic": place.topic,
            "partition": place.partition,
            "offset": place.offset,
            "timestamp": place.timestamp_ms,
            "key": None if record.key is None else record.key.decode("utf-8", "replace"),
            "headers": _headers(record),
        }
    }
    return event


def _headers(record: SourceRecord) -> dict[str, str]:
    return {name: (content or b"").decode("utf-8", "replace") for name, content in record.headers}


async def tap(
    settings: Settings,
    *,
    topics: Sequence[str] = (),
    after_ms: int | None = None,
    before_ms: int | None = None,
    now_ms: int,
    condition: Condition | None = None,
    seen: Callable[[int], None] = lambda _documents: None,
) -> AsyncGenerator[Tapped, None]:
    """Yield the documents of records for which the condition holds, in the order in which Kafka gives them.

    topics -- those that are read; the configured ones when empty
    after_ms, before_ms -- records whose Kafka timestamp is at or after the one and before the other, in milliseconds
        since 1970; without `after_ms` those that come from now on, or with `before_ms` all that Kafka holds
    now_ms -- when it is now: a window that is over then ends with what Kafka holds, others are waited for
    seen -- called with the number of documents that were looked at

    Raises ServerUnavailable when no broker answers, TopicMissing and ServerRefused when one says no.
    """
    builder = DocumentBuilder(settings.events, settings.index, settings.inputs)
    make = make_of(settings, builder)
    loop = asyncio.get_running_loop()
    deadline = None if before_ms is None else loop.time() + (before_ms - now_ms) / 1000
    with kafka_errors(settings.kafka):
        async with reader(settings, "tap") as reading:
            async with admin_client(settings.kafka, "tap") as admin:
                partitions = await partitions_of(settings, admin, topics)
            consumer = reading.consumer
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            topic_ids = await reading.topic_ids({each.topic for each in partitions})
            await _seek(consumer, partitions, after_ms, ends, from_start=before_ms is not None)
            while not await _over(consumer, ends, deadline, loop.time()):
                delivered = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_POLL_BATCHES)
                for (topic, partition), batches in delivered.items():
                    for record in chain.from_iterable(batches):
                        if _outside(record.timestamp, after_ms, before_ms):
                            continue
                        key = builder.ids.topic_key(topic_ids.get(topic), record.timestamp)
                        place = Coordinates(topic, partition, record.offset, record.timestamp, key)
                        made = make(record.value, place, now_ms, record.key, record.headers)
                        seen(len(made))
                        for document in made:
                            tapped = Tapped(place, record, document)
                            if condition is None or condition(as_event(tapped)):
                                yield tapped
                # What is damaged cannot be shown; `audit` counts it.
                for damaged, batch in reading.take_corrupt().items():
                    consumer.seek(damaged, batch.behind)


async def _seek(
    consumer: AIOKafkaConsumer,
    partitions: Sequence[TopicPartition],
    after_ms: int | None,
    ends: Mapping[TopicPartition, int],
    *,
    from_start: bool,
) -> None:
    if after_ms is not None:
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, max(after_ms, 0)))
        for partition in partitions:
            first = found.get(partition)
            consumer.seek(partition, ends[partition] if first is None else first.offset)
    elif from_start:
        await consumer.seek_to_beginning(*partitions)
    else:
        for partition in partitions:
            consumer.seek(partition, ends[partition])


async def _over(
    consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int], deadline: float | None, now: float
) -> bool:
    if deadline is None or now < deadline:
        return False
    return all([await consumer.position(partition) >= end for partition, end in ends.items()])


def _outside(stamp_ms: int, after_ms: int | None, before_ms: int | None) -> bool:
    return (after_ms is not None and stamp_ms < after_ms) or (before_ms is not None and stamp_ms >= before_ms)
