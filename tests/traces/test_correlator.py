"""The correlator on real servers: one summary for each trace, equal to the fold of all its events."""

import asyncio
import time
from typing import Any

import orjson

from pipeline.events.timestamps import from_epoch_ms
from tests.logpipe import running
from tests.own_pipeline import Pipeline, stop
from tests.traces.conftest import QUICK
from tests.traces.told import events_of, expected_summaries, stored_summaries, until_told


def event(trace_id: str, at_ms: int, **fields: Any) -> bytes:
    stamp = from_epoch_ms(at_ms).text
    common = {"timestamp": stamp, "level": "INFO", "service": "api", "component": "http_server"}
    return orjson.dumps({**common, "trace_id": trace_id, "message": "Request received", **fields})


async def until_closed(one: Pipeline, trace_id: str) -> None:
    query = {"bool": {"filter": [{"term": {"state": "closed"}}, {"term": {"trace_id": trace_id}}]}}
    async with asyncio.timeout(60):
        while not (await one.client.count(index=f"{one.name}.traces-*", query=query))["count"]:
            await asyncio.sleep(0.5)
            await one.client.indices.refresh(index=f"{one.name}.traces-*")


async def test_every_trace_of_sample_traffic_has_one_summary_equal_to_the_fold_of_its_events(
    traced: Pipeline,
) -> None:
    settings = traced.environment(**QUICK)
    other = traced.environment(**QUICK, LOGPIPE_HTTP__PORT="0")
    with running("index", settings=settings) as worker, running("traces", settings=other) as correlator:
        days = await traced.send_samples(8000)
        await traced.indexed(sum(days.values()))
        expected = await expected_summaries(traced.client, traced.name)
        await until_told(traced.client, traced.name, events_of(expected))
        found = await stored_summaries(traced.client, traced.name)
        stop(correlator)
        stop(worker)
    assert found == expected
    assert {summary["flow"] for summary in found.values()} >= {"api_request", "webhook_processing"}


async def test_an_event_after_closing_is_added_and_an_open_trace_is_visible(traced: Pipeline) -> None:
    now = time.time_ns() // 1_000_000
    index = f"{traced.name}.traces-*"
    with (
        running("index", settings=traced.environment(**QUICK)) as worker,
        running("traces", settings=traced.environment(**QUICK, LOGPIPE_HTTP__PORT="0")) as correlator,
    ):
        await traced.send([event("quick", now), event("quick", now + 150, message="Request completed")])
        await until_closed(traced, "quick")
        before = await traced.client.search(index=index)
        await traced.send([event("quick", now + 350, level="ERROR", message="too late")])
        # An integration lasts: it is shown while it is open.
        begin = {"component": "integration_service", "message": "Integration requested"}
        await traced.send([event("long", now, **begin)])
        deadline = time.monotonic() + 40
        found: dict[str, Any] = {}
        while time.monotonic() < deadline and not (len(found) == 2 and found["quick"]["event_count"] == 3):
            await asyncio.sleep(0.5)
            await traced.client.indices.refresh(index=index)
            hits = (await traced.client.search(index=index))["hits"]["hits"]
            found = {hit["_id"]: hit["_source"] for hit in hits}
        stop(correlator)
        stop(worker)
    assert before["hits"]["hits"][0]["_source"]["outcome"] == "ok"
    quick, long = found["quick"], found["long"]
    assert (quick["event_count"], quick["late_events"], quick["error_count"]) == (3, 1, 1)
    assert (quick["state"], quick["duration_ms"], quick["slow"]) == ("closed", 350, True)
    assert (long["state"], long["flow"], long["complete"]) == ("open", "integration_creation", False)


async def test_a_trace_id_that_everything_shares_costs_bounded_memory_and_is_counted(
    traced: Pipeline,
) -> None:
    now = time.time_ns() // 1_000_000
    bounded = {**QUICK, "LOGPIPE_TRACES__MAX_EVENTS": "100"}
    with (
        running("index", settings=traced.environment(**bounded)) as worker,
        running("traces", settings=traced.environment(**bounded, LOGPIPE_HTTP__PORT="0")) as correlator,
    ):
        await traced.send([event("shared", now + number) for number in range(3000)])
        # Ids may be anything: these have to be escaped, or look like those of documents.
        others = [event(name, now) for name in ("alone", 'a"b\\c', "ü", "t-000000000001-5")]
        await traced.send(others)
        await until_told(traced.client, traced.name, 3000 + len(others))
        found = await stored_summaries(traced.client, traced.name)
        stop(correlator)
        stop(worker)
    assert found["shared"]["event_count"] == 3000
    assert found["shared"]["duration_ms"] == 2999
    assert found["shared"]["cut"]
    assert len(found) == 1 + len(others)
    assert found["alone"]["event_count"] == 1
