"""The commands that show traces, on what a worker and a correlator have written."""

import asyncio
import json

from tests.logpipe import logpipe, running
from tests.own_pipeline import Pipeline, stop
from tests.traces.conftest import QUICK
from tests.traces.told import events_of, expected_summaries, until_closed, until_told


async def test_traces_are_listed_told_and_proved(traced: Pipeline) -> None:
    settings = traced.environment(**QUICK)
    with (
        running("index", settings=settings) as worker,
        running("traces", settings={**settings, "LOGPIPE_HTTP__PORT": "0"}) as correlator,
    ):
        days = await traced.send_samples(2000)
        await traced.indexed(sum(days.values()))
        expected = await expected_summaries(traced.client, traced.name)
        await until_told(traced.client, traced.name, events_of(expected))
        # That of an integration may be open still.
        start, closed_id = min(
            (one["start"], trace_id) for trace_id, one in expected.items() if one["flow"] == "api_request"
        )
        closed_index = f"{traced.name}.traces-{start[:10].replace('-', '.')}"
        await until_closed(traced.client, closed_index, closed_id)
        stop(correlator)
        stop(worker)
    slowest = max(expected.values(), key=lambda one: (one["duration_ms"], one["start"]))

    async def run(*arguments: str) -> str:
        result = await asyncio.to_thread(logpipe, *arguments, settings=settings)
        assert result.returncode == 0, result.stderr.decode() + result.stdout.decode()
        return result.stdout.decode()

    listed = [
        json.loads(line) for line in (await run("traces", "list", "--json", "--limit", "5")).splitlines()
    ]
    assert listed[0]["duration_ms"] == slowest["duration_ms"]
    slow = (
        await run("traces", "list", "--flow", "api_request", "--since", "7d", "--slow", "--json")
    ).splitlines()
    assert {one["trace_id"] for one in map(json.loads, slow)} == {
        trace_id for trace_id, one in expected.items() if one["flow"] == "api_request" and one["slow"]
    }
    assert listed[0]["trace_id"] in await run("traces", "list", "--since", "7d")
    trace_id = listed[0]["trace_id"]
    told = json.loads(await run("trace", trace_id.upper(), "--json"))
    assert told["written"]
    assert len(told["events"]) == told["summary"]["event_count"] == expected[trace_id]["event_count"]
    text = await run("trace", trace_id)
    assert "largest gap" in text
    assert f"{expected[trace_id]['event_count']} events" in text
    proof = json.loads(await run("audit", "--traces", "--json"))
    assert proof["clean"]
    assert proof["equal"] + proof["pending"] == len(expected)
    assert (await asyncio.to_thread(logpipe, "trace", "no-such", settings=settings)).returncode == 1

    # A summary that counts too little is found.
    await traced.client.update(index=closed_index, id=closed_id, doc={"event_count": 0})
    await traced.client.indices.refresh(index=f"{traced.name}.traces-*")
    changed = await asyncio.to_thread(logpipe, "audit", "--traces", settings=settings)
    assert changed.returncode == 1
    assert closed_id in changed.stdout.decode()
