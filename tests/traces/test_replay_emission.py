"""A replay of dead letters also writes their trace events: traces may have been off when the letters were written."""

import time
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer

from pipeline.events.document import Coordinates
from pipeline.kafka.dead_letters import DeadLetter, DeadLetterProducer, read_dead_letters
from pipeline.kafka.trace_events import trace_events_topic
from pipeline.replay import replay
from pipeline.settings import Traces
from pipeline.trace_stories.emission import mark_of
from tests.own_pipeline import Pipeline


async def test_a_replay_emits_the_events_that_it_indexes_at_their_own_place(traced: Pipeline) -> None:
    record = Coordinates(traced.name, 2, 5, time.time_ns() // 1_000_000)
    events = [{"message": "a", "trace_id": "one"}, {"message": "b", "trace_id": "two"}, {"message": "c"}]
    letter = DeadLetter(record, None, orjson.dumps(events), [], "t", "r", "", 400, 1, element=1)
    producer = DeadLetterProducer(traced.settings)
    await producer.write([letter])
    await producer.close()
    for enabled in (False, True):
        settings = traced.settings.model_copy(update={"traces": Traces(enabled=enabled)})
        assert (await replay(settings, read_dead_letters(settings))).documents == 1
    (line,) = await lines_of_topic(traced)
    assert line[:3] == ["two", f"{traced.name}/2", 1]
    assert line[3][0] == mark_of(5, 1)


async def lines_of_topic(one: Pipeline) -> list[list[Any]]:
    consumer = AIOKafkaConsumer(
        trace_events_topic(one.settings),
        bootstrap_servers=one.servers.kafka_bootstrap,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        delivered = await consumer.getmany(timeout_ms=5000)
    finally:
        await consumer.stop()
    return [
        orjson.loads(line)
        for records in delivered.values()
        for record in records
        for line in record.value.splitlines()
    ]
