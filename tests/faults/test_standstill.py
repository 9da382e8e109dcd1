"""Elasticsearch takes everything and answers nothing: `make soak` has it do so for a quarter of an hour."""

import asyncio
import re
import time

import pytest

from tests.faults.proxy import FaultyProxy, stand_still
from tests.faults.scenario import QUICK, Scenario

EVENTS = 20_000
TURNS = 10
# What the allocator and the collector come and go by.
FLAT_MB = 5.0


def generations(scenario: Scenario) -> list[str]:
    """Give the generations of the group so far, as the broker has logged them."""
    log = scenario.pipeline.servers.kafka.log.read_text(errors="replace")
    return re.findall(rf"Stabilized group {re.escape(scenario.pipeline.name)} generation (\d+)", log)


async def held_back(scenario: Scenario) -> None:
    """Wait until the worker has read all it may, and has dropped what was fetched beyond."""
    bound = float(QUICK["LOGPIPE_ELASTICSEARCH__MAX_IN_FLIGHT_BYTES"])
    async with asyncio.timeout(60):
        while (await scenario.pipeline.metrics())["logpipe_in_flight_bytes"] < bound:
            await asyncio.sleep(0.2)
    await asyncio.sleep(7)  # it pauses its partitions after five


@pytest.mark.timeout(0)
async def test_sink_that_stands_still(
    scenario: Scenario, proxy: FaultyProxy, request: pytest.FixtureRequest
) -> None:
    seconds = request.config.getoption("--fault-still-seconds")
    await scenario.send(EVENTS)
    with scenario.worker(LOGPIPE_ELASTICSEARCH__HOSTS=proxy.url) as process:
        await scenario.committed()
        before, committed = generations(scenario), await scenario.pipeline.committed()
        assert len(before) == 1
        proxy.fault = stand_still
        await scenario.send(2 * EVENTS, seed=1)
        await held_back(scenario)
        memory: list[float] = []
        for turn in range(TURNS):
            await scenario.send(EVENTS // TURNS, seed=2 + turn)
            deadline = time.monotonic() + seconds / TURNS
            while time.monotonic() < deadline:
                memory.append(scenario.rss_mb())
                await asyncio.sleep(0.5)
        half = len(memory) // 2
        assert max(memory[half:]) < max(memory[:half]) + FLAT_MB
        assert process.poll() is None
        assert await scenario.pipeline.committed() == committed
        metrics = await scenario.pipeline.metrics()
        assert metrics["logpipe_rebalances_total"] == 0
        assert metrics["logpipe_assigned_partitions"] == len(committed)
        proxy.fault = None
        scenario.faults = proxy.faults
        scenario.memory = memory
        await scenario.finish(process)
        assert generations(scenario) == before
    assert scenario.faults > 0
