"""A summary that Elasticsearch refuses becomes a dead letter, and a replay tells its trace again."""

import asyncio
import time

import orjson

from pipeline.install.topics import TopicSpec, create_topics
from pipeline.kafka.dead_letters import dead_letter_topic, read_dead_letters
from pipeline.kafka.trace_events import trace_events_topic
from pipeline.trace_stories.lines import lines_of
from tests.logpipe import logpipe, running
from tests.own_pipeline import Pipeline, stop
from tests.traces.conftest import QUICK
from tests.traces.test_correlator import event
from tests.traces.told import expected_summaries, stored_summaries, until_told

# With what the answer to a quote in JSON would be wrong, and what looks like the id of a document.
IDS = ('a"b', "t-000000000001-5")


async def test_a_refused_summary_is_a_dead_letter_and_its_replay_a_summary(traced: Pipeline) -> None:
    await create_topics(traced.settings.kafka, [TopicSpec(dead_letter_topic(traced.settings), 1, 1, {})])
    settings = traced.environment(**QUICK)
    now = time.time_ns() // 1_000_000
    index = f"{traced.name}.traces-{time.strftime('%Y.%m.%d', time.gmtime())}"
    # Somebody has made today's index with a mapping of his own.
    await traced.client.indices.create(
        index=index, mappings={"properties": {"services": {"type": "integer"}}}
    )
    with (
        running("index", settings=settings) as worker,
        running("traces", settings={**settings, "LOGPIPE_HTTP__PORT": "0"}) as correlator,
    ):
        await traced.send([event(trace_id, now + number) for trace_id in IDS for number in range(3)])
        async with asyncio.timeout(60):
            while len(letters := [one async for one in read_dead_letters(traced.settings)]) < len(IDS):
                await asyncio.sleep(0.5)
        await traced.client.indices.delete(index=index)
        replayed = await asyncio.to_thread(logpipe, "dlq", "replay", settings=settings)
        await until_told(traced.client, traced.name, 3 * len(IDS))
        expected = await expected_summaries(traced.client, traced.name)
        found = await stored_summaries(traced.client, traced.name)
        stop(correlator)
        stop(worker)
    assert {letter.record.topic for letter in letters} == {trace_events_topic(traced.settings)}
    assert sorted((letter.key or b"").decode() for letter in letters) == sorted(IDS)
    held = [line for letter in letters for line in lines_of(letter.value)[0]]
    assert sorted(orjson.loads(line.line)[0] for line in held) == sorted(IDS)
    assert sum(line.events for line in held) == 3 * len(IDS)
    assert replayed.returncode == 0, replayed.stderr.decode() + replayed.stdout.decode()
    assert "2  summaries of traces" in replayed.stdout.decode()
    assert found == expected
    assert set(found) == set(IDS)
