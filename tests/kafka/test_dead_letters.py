"""The dead-letter topic: letters that are too large, or written twice, and what is read of them."""

import base64
import hashlib
import random

import pytest
from aiokafka import AIOKafkaProducer

from pipeline.events.document import Coordinates
from pipeline.kafka.dead_letters import DeadLetter, DeadLetterProducer, read_dead_letters
from pipeline.replay import replay
from tests.faults.test_topics import delete_records
from tests.own_pipeline import Pipeline

STAMP = 1_700_000_000_000


def letter(pipeline: Pipeline, offset: int, value: bytes | None, key: bytes | None = b"k") -> DeadLetter:
    record = Coordinates(pipeline.name, 0, offset, STAMP)
    return DeadLetter(record, key, value, [("h", b"own")], "type", "why", "field", 400, 1)


async def write(pipeline: Pipeline, *letters: DeadLetter) -> None:
    producer = DeadLetterProducer(pipeline.settings)
    try:
        await producer.write(letters)
    finally:
        await producer.close()


async def read(pipeline: Pipeline) -> list[DeadLetter]:
    """The letters by record and element: they lie on several partitions, which are read in no certain order."""
    found = [each async for each in read_dead_letters(pipeline.settings)]
    return sorted(found, key=lambda each: (each.record, each.element or 0))


def incompressible(size: int) -> bytes:
    return base64.b64encode(random.Random(size).randbytes(size))[:size]


@pytest.mark.parametrize("key", [None, b"", b"k", b"\xff"])
async def test_a_letter_is_the_record_with_its_key_and_headers(pipeline: Pipeline, key: bytes | None) -> None:
    written = letter(pipeline, 7, b"value", key)
    # Of ids with the topic's id, beside one of the former form: two records that share a place are two.
    other = written._replace(record=written.record._replace(topic_key="mZ4k9QxLT2yA"))
    await write(pipeline, written, other)
    assert await read(pipeline) == [written, other]
    assert other.id == f"{pipeline.name}-0-mZ4k9QxLT2yA-000000000007"


async def test_a_letter_that_is_written_twice_is_read_once(pipeline: Pipeline) -> None:
    first, second = letter(pipeline, 1, b"a"), letter(pipeline, 2, b"b")
    element = letter(pipeline, 3, b"[1,2]")._replace(element=0)
    await write(pipeline, first, second, element)
    await write(pipeline, first, element, element._replace(element=1))
    assert await read(pipeline) == [first, second, element, element._replace(element=1)]


async def test_what_the_broker_finds_too_large_is_cut_and_holds_up_nothing(pipeline: Pipeline) -> None:
    await pipeline.alter_topic(f"{pipeline.name}.dead-letters", {"max.message.bytes": "200000"})
    value = incompressible(500_000)
    producer = DeadLetterProducer(pipeline.settings)
    try:
        await producer.write(
            [letter(pipeline, 1, b"a"), letter(pipeline, 2, value), letter(pipeline, 3, b"c")]
        )
        await producer.write([letter(pipeline, 4, b"d")])
    finally:
        await producer.close()
    one, cut, three, four = await read(pipeline)
    assert [each.value for each in (one, three, four)] == [b"a", b"c", b"d"]
    assert cut.value == value[: 64 << 10]
    assert (cut.whole_bytes, cut.sha256) == (500_000, hashlib.sha256(value).hexdigest())
    assert (cut.key, cut.headers) == (b"k", [("h", b"own")])


async def test_what_is_too_large_for_any_request_is_cut(pipeline: Pipeline) -> None:
    await write(pipeline, letter(pipeline, 1, b"x" * (17 << 20)), letter(pipeline, 2, b"b"))
    cut, other = await read(pipeline)
    assert cut.whole_bytes == 17 << 20
    assert other == letter(pipeline, 2, b"b")


async def test_replay_takes_the_record_of_a_cut_letter_from_its_topic(pipeline: Pipeline) -> None:
    await pipeline.alter_topic(f"{pipeline.name}.dead-letters", {"max.message.bytes": "200000"})
    value = b'{"message":"' + incompressible(500_000) + b'"}'
    producer = AIOKafkaProducer(bootstrap_servers=pipeline.servers.kafka_bootstrap, max_request_size=1 << 20)
    await producer.start()
    try:
        for each in (b"{}", value):
            await producer.send_and_wait(pipeline.name, each, partition=0, timestamp_ms=STAMP)
    finally:
        await producer.stop()
    await write(pipeline, letter(pipeline, 1, value), letter(pipeline, 9, incompressible(500_000)))
    replayed = await replay(pipeline.settings, read_dead_letters(pipeline.settings))
    # The second record was never there.
    assert (replayed.indexed, replayed.gone) == (1, 1)
    (document,) = await pipeline.documents()
    assert document["message"].startswith(value[12:1000].decode())
    await delete_records(pipeline, {0: 2})
    again = await replay(pipeline.settings, read_dead_letters(pipeline.settings))
    assert (again.indexed, again.already_there, again.gone) == (0, 0, 2)
