"""Elasticsearch, or what stands before it, answers badly: nothing is lost, nothing is indexed twice."""

import asyncio
import time
from typing import Any

import orjson
import pytest

from tests.faults import proxy as faults
from tests.faults.proxy import Fault, FaultyProxy
from tests.faults.scenario import Scenario

EVENTS = 15_000
EVENTS_A_TURN = 2000
ENOUGH = 2  # faults


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("fault", "every"),
    [
        (faults.refuse_a_third_of_the_items, 1),
        (faults.unavailable, 2),
        (faults.reset_after_applying, 3),
        (faults.answer_too_late, 6),
        (faults.drip, 2),
        (faults.truncate, 3),
        (faults.html, 3),
        (faults.one_item_too_few, 3),
        (faults.too_large, 1),
        (faults.items_in_another_order, 1),
        (faults.slow_link, 1),
        (faults.block_one_of_a_hundred, 1),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_answer(
    scenario: Scenario, proxy: FaultyProxy, request: pytest.FixtureRequest, fault: Fault, every: int
) -> None:
    seconds = request.config.getoption("--fault-answer-seconds")
    proxy.fault, proxy.every = fault, every
    with scenario.worker(LOGPIPE_ELASTICSEARCH__HOSTS=proxy.url) as process:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline or proxy.faults <= ENOUGH:
            await scenario.send(EVENTS_A_TURN, seed=scenario.sent)
            await asyncio.sleep(0.5)
        # Of a single document a third is all of it.
        if fault in {faults.refuse_a_third_of_the_items, faults.items_in_another_order}:
            proxy.fault = None
        # Those that are blocked wait, and the others of their index do not.
        if fault is faults.block_one_of_a_hundred:
            await scenario.pipeline.indexed(scenario.sent * 9 // 10)
            proxy.fault = None
        # Something gets through, however slow it is; all of it would take as long as the link is slow.
        if fault is faults.slow_link:
            assert sum((await scenario.pipeline.indexed(EVENTS_A_TURN)).values()) >= EVENTS_A_TURN
            proxy.fault = None
        await scenario.committed()
        scenario.faults = proxy.faults
        await scenario.finish(process)


_MAY_PASS = (408, 429)
NO_SHARD_LEFT = "this cluster currently has [1000]/[1000] maximum normal shards open;"


@pytest.mark.parametrize(
    ("status", "error_type", "reason"),
    [
        (401, "security_exception", "missing authentication credentials"),
        (403, "security_exception", "action [indices:data/write/bulk[s]] is unauthorized"),
        (404, "index_not_found_exception", "no such index"),
        (404, "odd_exception", "of no row of the table"),
        (408, "timeout_exception", "too slow"),
        (400, "validation_exception", NO_SHARD_LEFT),
    ],
)
async def test_every_item_refused_through_no_fault_of_the_document(
    scenario: Scenario,
    proxy: FaultyProxy,
    request: pytest.FixtureRequest,
    status: int,
    error_type: str,
    reason: str,
) -> None:
    seconds = request.config.getoption("--fault-answer-seconds")
    proxy.fault = faults.refuse_every_item(status, error_type, reason)
    with scenario.worker(LOGPIPE_ELASTICSEARCH__HOSTS=proxy.url) as process:
        await scenario.send(EVENTS)
        async with asyncio.timeout(60):
            while proxy.faults <= ENOUGH:
                await asyncio.sleep(0.1)
        await asyncio.sleep(seconds)
        if status not in _MAY_PASS and error_type != "odd_exception":
            assert (await scenario.pipeline.metrics())["logpipe_ready"] == 0
        assert sum((await scenario.pipeline.committed()).values()) == 0
        proxy.fault = None
        scenario.faults = proxy.faults
        await scenario.finish(process)


async def custom_mapping(scenario: Scenario, properties: dict[str, Any]) -> None:
    """Add an operator's own mapping: the index template takes it in as `<prefix>@custom`."""
    await scenario.pipeline.client.cluster.put_component_template(
        name=f"{scenario.pipeline.name}@custom",
        template={"mappings": {"subobjects": False, "properties": properties}},
    )


ONE_FIELD = {"LOGPIPE_SALVAGE__MAX_FIELDS": "1"}
STRICT_NUMBER = {"type": "long", "ignore_malformed": False}


async def test_mapping_conflict_in_every_hundredth_document(scenario: Scenario) -> None:
    await custom_mapping(scenario, {"context.n": STRICT_NUMBER})
    values = [
        orjson.dumps({"message": "m", "context": {"n": "text" if number % 100 == 0 else number}})
        for number in range(5000)
    ]
    await scenario.pipeline.send(values)
    scenario.sent, scenario.faults = 5000, 50
    with scenario.worker() as process:
        await scenario.finish(process)
    answer = await scenario.pipeline.client.search(
        index=f"{scenario.pipeline.name}-*", query={"term": {"tags": "_mappingconflict"}}, size=100
    )
    assert answer["hits"]["total"]["value"] == 50
    assert {hit["_source"]["unmapped"]["context.n"] for hit in answer["hits"]["hits"]} == {"text"}


async def test_poison_in_every_tenth_record(scenario: Scenario) -> None:
    # Two wrong fields, of which one may be moved aside.
    await custom_mapping(scenario, {"context.n": STRICT_NUMBER, "context.m": STRICT_NUMBER})
    values = [
        orjson.dumps({"context": {"n": "x", "m": "y"}}) if number % 10 == 0 else b'{"message":"m"}'
        for number in range(2000)
    ]
    await scenario.pipeline.send(values)
    scenario.sent, scenario.faults = 2000, 200
    with scenario.worker(**ONE_FIELD) as process:
        lines = await scenario.finish(process, dead=200)
    letters = [line for line in lines if "document_parsing_exception" in line]
    assert 1 <= len(letters) <= 4, letters  # one reason for each of two fields, and the rest at the end


async def test_oversized_documents(scenario: Scenario) -> None:
    values = [
        b'{"message":"%s"}' % (b"word " * 400_000 if number % 10 == 0 else b"m") for number in range(50)
    ]
    await scenario.pipeline.send(values, max_request_size=8 << 20)
    scenario.sent, scenario.faults = 50, 5
    with scenario.worker() as process:
        await scenario.finish(process)


async def test_index_read_only_and_freed_later(scenario: Scenario) -> None:
    await scenario.send(EVENTS)
    with scenario.worker() as process:
        await scenario.pipeline.indexed(1000)
        client, pattern = scenario.pipeline.client, f"{scenario.pipeline.name}-*"
        await client.indices.put_settings(index=pattern, settings={"index.blocks.write": True})
        scenario.faults = 1
        await scenario.send(EVENTS, seed=1)
        await asyncio.sleep(4)
        assert process.poll() is None
        assert await scenario.pipeline.committed() != await scenario.pipeline.ends()
        await client.indices.put_settings(index=pattern, settings={"index.blocks.write": False})
        await scenario.finish(process)


async def test_dead_letter_topic_unwritable(scenario: Scenario) -> None:
    await custom_mapping(scenario, {"context.n": STRICT_NUMBER, "context.m": STRICT_NUMBER})
    topic = f"{scenario.pipeline.name}.dead-letters"
    await scenario.pipeline.alter_topic(topic, {"max.message.bytes": "1"})
    await scenario.pipeline.send([b'{"context":{"n":"x","m":"y"}}', *[b'{"message":"m"}'] * 100])
    scenario.sent, scenario.faults = 101, 1
    with scenario.worker(**ONE_FIELD) as process:
        await scenario.pipeline.indexed(100)
        await asyncio.sleep(4)
        assert sum((await scenario.pipeline.committed()).values()) == 0
        assert process.poll() is None
        await scenario.pipeline.alter_topic(topic, {"max.message.bytes": str(16 << 20)})
        lines = "\n".join(await scenario.finish(process, dead=1))
    for told in ("dead letters cannot be written, since", "dead letters can be written again, after"):
        assert lines.count(told) == 1, lines
    # Of the letter itself once as well.
    assert lines.count("dead letter: document_parsing_exception for the field context.") == 1, lines


async def test_every_document_refused_and_no_letter_can_be_written(scenario: Scenario) -> None:
    """What waits to be buried counts as in flight: it is not all of the topic that is read into memory."""
    await custom_mapping(scenario, {"context.n": STRICT_NUMBER, "context.m": STRICT_NUMBER})
    topic = f"{scenario.pipeline.name}.dead-letters"
    await scenario.pipeline.alter_topic(topic, {"max.message.bytes": "1"})
    await scenario.pipeline.send([b'{"context":{"n":"x","m":"y"}}'] * 9000)
    scenario.sent, scenario.faults = 9000, 1
    bound = 1_000_000
    settings = {
        "LOGPIPE_ELASTICSEARCH__MAX_IN_FLIGHT_BYTES": str(bound),
        "LOGPIPE_DEAD_LETTERS__MAX_RATIO": "1",  # no flood: all of them are wanted
    }
    with scenario.worker(**settings, **ONE_FIELD) as process:
        async with asyncio.timeout(60):
            while await in_flight(scenario, "bytes") < bound:
                await asyncio.sleep(0.2)
        await asyncio.sleep(3)
        # What is read counts as documents of 250 bytes until it has been refused, and then as letters.
        assert await in_flight(scenario, "records") <= bound / 250 + 1500
        assert process.poll() is None
        await scenario.pipeline.alter_topic(topic, {"max.message.bytes": str(16 << 20)})
        await scenario.finish(process, dead=9000)


async def in_flight(scenario: Scenario, what: str) -> float:
    try:
        return (await scenario.pipeline.metrics())[f"logpipe_in_flight_{what}"]
    except OSError:
        return 0
