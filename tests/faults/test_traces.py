"""Correlators and workers are killed, come and go, and lose their servers: one summary a trace, of all its events."""

import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

import pytest

from pipeline.install.topics import TopicSpec, create_topics
from pipeline.kafka.client import admin_client
from pipeline.kafka.trace_events import trace_events_topic
from pipeline.sandbox import Servers
from pipeline.sandbox.ports import free_port
from tests.logpipe import running
from tests.own_pipeline import Pipeline, own_pipeline, stop
from tests.traces.conftest import QUICK
from tests.traces.told import events_of, expected_summaries, stored_summaries, until_told

EVENTS = 4000


@asynccontextmanager
async def traced(servers: Servers) -> AsyncIterator[Pipeline]:
    async with own_pipeline(servers) as one:
        topic = trace_events_topic(one.settings)
        await create_topics(one.settings.kafka, [TopicSpec(topic, 4, 1, {})])
        yield one


@contextmanager
def process(one: Pipeline, command: str) -> Iterator["subprocess.Popen[bytes]"]:
    settings = one.environment(**QUICK, LOGPIPE_HTTP__PORT=str(free_port()))
    with running(command, settings=settings) as started:
        yield started


async def finish(one: Pipeline, sent: int, correlator: "subprocess.Popen[bytes]") -> None:
    """See that every trace is told once, by all of its events."""
    await one.indexed(sent, within_seconds=300)
    expected = await expected_summaries(one.client, one.name)
    assert events_of(expected) > 0.9 * sent
    try:
        await until_told(one.client, one.name, events_of(expected), within_seconds=300)
    except AssertionError:
        correlator.terminate()
        told, _ = correlator.communicate(timeout=60)
        sys.stdout.write(told.decode())
        raise
    assert await stored_summaries(one.client, one.name) == expected


@pytest.mark.timeout(1800)
async def test_correlator_and_worker_killed_at_random_moments(servers: Servers, rounds: int) -> None:
    chance = random.Random(rounds)
    sent = 0
    async with traced(servers) as one:
        for number in range(rounds):
            sent += sum((await one.send_samples(EVENTS, seed=number)).values())
            with process(one, "index") as worker, process(one, "traces") as correlator:
                await asyncio.sleep(chance.uniform(3.0, 9.0))
                for victim in chance.sample([worker, correlator], 2):
                    victim.send_signal(signal.SIGKILL)
                    await asyncio.sleep(chance.uniform(0.0, 1.0))
        with process(one, "index") as worker, process(one, "traces") as correlator:
            await finish(one, sent, correlator)
            stop(correlator)
            stop(worker)


@pytest.mark.timeout(1800)
async def test_correlators_join_and_leave_every_two_seconds(servers: Servers, rounds: int) -> None:
    sent = 0
    async with traced(servers) as one:
        with process(one, "index") as worker, process(one, "traces") as steady:
            for number in range(rounds):
                sent += sum((await one.send_samples(EVENTS, seed=number)).values())
                with process(one, "traces") as passing:
                    await asyncio.sleep(4 if number == 0 else 2)
                    passing.send_signal(signal.SIGTERM)
                    passing.wait(timeout=40)
            await finish(one, sent, steady)
            stop(steady)
            stop(worker)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("hangs_before_start", [True, False])
async def test_a_correlator_ends_when_told_to_although_kafka_hangs(
    fragile_servers: Servers, hangs_before_start: bool
) -> None:
    kafka = fragile_servers.kafka
    async with traced(fragile_servers) as one:
        if hangs_before_start:
            kafka.suspend()
        try:
            with process(one, "traces") as correlator:
                # Until it reads, or asks for what does not answer.
                await asyncio.sleep(5)
                kafka.suspend()
                await asyncio.sleep(1)
                correlator.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(correlator.wait, 60) == 0
        finally:
            kafka.resume()
        # A broker that comes back names no brokers for a moment: until it does, there is no client.
        async with admin_client(one.settings.kafka, "test"):
            pass


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("server", ["kafka", "elasticsearch"])
async def test_traces_survive_a_server_that_is_away(
    fragile_servers: Servers, server: str, rounds: int
) -> None:
    target = getattr(fragile_servers, server)
    async with traced(fragile_servers) as one:
        with ExitStack() as stack:
            worker = stack.enter_context(process(one, "index"))
            correlator = stack.enter_context(process(one, "traces"))
            sent = sum((await one.send_samples(EVENTS, seed=1)).values())
            # A process that finds no server when it starts ends, and says so.
            await until_told(one.client, one.name, EVENTS // 2, within_seconds=120)
            sent += sum((await one.send_samples(EVENTS, seed=2)).values())
            await asyncio.sleep(1)
            if server == "kafka":
                await asyncio.to_thread(target.kill)
                await asyncio.sleep(3)
                await asyncio.to_thread(target.restart)
            else:
                target.suspend()
                # Five times the rounds of `make test` are the soak's: a minute.
                await asyncio.sleep(3 * rounds)
                target.resume()
            sent += sum((await one.send_samples(EVENTS, seed=3)).values())
            await finish(one, sent, correlator)
            assert worker.poll() is None
            assert correlator.poll() is None
            stop(correlator)
            stop(worker)
