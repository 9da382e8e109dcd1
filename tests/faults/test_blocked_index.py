"""One index takes no documents: the others keep their pace, and its own are there once it is freed, each once.

In `make soak` it stays blocked for ten minutes, and the report has the throughput of the others beside that before.
"""

import asyncio
import time

import orjson
import pytest
from aiohttp import ClientConnectionError

from tests.faults.scenario import Scenario
from tests.own_pipeline import documents, stop

EVENTS_A_TURN = 2000
LATE_A_TURN = 2
# What half of QUICK's max_in_flight_bytes holds (`index_wait.max_share`): more would be given up.
MOST_WAITING = 1000
ROOM_MB = 25.0  # what may wait, and what the allocator makes of it


async def send_turn(scenario: Scenario, turn: int, late_day: str, late_events: int = LATE_A_TURN) -> int:
    """Send usual traffic, and a few events of a day that is long over; gives how many are of usual days."""
    late = [
        orjson.dumps(
            {"timestamp": f"{late_day}T10:00:00Z", "level": "info", "message": f"late {turn} {number}"}
        )
        for number in range(late_events)
    ]
    await scenario.send(EVENTS_A_TURN, seed=turn)
    await scenario.pipeline.send(late)
    scenario.sent += len(late)
    return EVENTS_A_TURN


async def others_indexed(scenario: Scenario, number: int) -> None:
    """Wait until so many documents are indexed, those that wait left aside."""
    async with asyncio.timeout(90):
        while await indexed(scenario) < number:
            await asyncio.sleep(0.05)


async def indexed(scenario: Scenario) -> float:
    try:
        metrics = await scenario.pipeline.metrics()
    except ClientConnectionError:  # the worker has just been started
        return 0
    # Where a busy machine has let a request time out, what it had indexed is there already.
    return documents(metrics, "indexed") + documents(metrics, "already_there")


@pytest.mark.timeout(0)
async def test_one_index_is_blocked_and_others_go_on(
    scenario: Scenario, request: pytest.FixtureRequest
) -> None:
    seconds = request.config.getoption("--fault-blocked-seconds")
    client = scenario.pipeline.client
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 8 * 86_400))
    blocked = f"{scenario.pipeline.name}-{day.replace('-', '.')}"
    await client.indices.create(index=blocked)
    with scenario.worker() as process:
        # The start of the worker, and of the indices, is no part of what is compared.
        others, turn = await send_turn(scenario, 0, day), 1
        await others_indexed(scenario, others + LATE_A_TURN)
        clean, clean_events = 0.0, 0
        while clean < seconds / 4:
            began = time.monotonic()
            others += await send_turn(scenario, turn, day)
            turn += 1
            await others_indexed(scenario, others + turn * LATE_A_TURN)
            clean, clean_events = clean + time.monotonic() - began, clean_events + EVENTS_A_TURN
        taken = turn * LATE_A_TURN
        await client.indices.put_settings(index=blocked, settings={"index.blocks.write": True})
        scenario.faults = 1
        under_block, events, waiting = 0.0, 0, 0
        while under_block < seconds or turn < 4:
            began = time.monotonic()
            late = LATE_A_TURN if waiting < MOST_WAITING else 0
            others += await send_turn(scenario, turn, day, late)
            turn += 1
            waiting += late
            await others_indexed(scenario, others + taken)
            under_block, events = under_block + time.monotonic() - began, events + EVENTS_A_TURN
            scenario.memory.append(scenario.rss_mb())
        metrics = await scenario.pipeline.metrics()
        async with asyncio.timeout(30):
            while metrics.get(f'logpipe_index_waiting_documents{{index="{blocked}"}}') != waiting:
                await asyncio.sleep(0.5)
                metrics = await scenario.pipeline.metrics()
        assert metrics["logpipe_ready"] == 1
        assert await scenario.pipeline.committed() != await scenario.pipeline.ends()
        assert max(scenario.memory) < scenario.memory[0] + ROOM_MB
        scenario.throughput_ratio = round((events / under_block) / (clean_events / clean), 2)
        await client.indices.put_settings(index=blocked, settings={"index.blocks.write": None})
        await scenario.finish(process)
    await client.indices.refresh(index=blocked)
    assert (await client.count(index=blocked))["count"] == taken + waiting


async def test_what_has_waited_too_long_becomes_a_dead_letter_and_the_offset_moves(
    scenario: Scenario,
) -> None:
    client = scenario.pipeline.client
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 8 * 86_400))
    blocked = f"{scenario.pipeline.name}-{day.replace('-', '.')}"
    await client.indices.create(index=blocked, settings={"index.blocks.write": True})
    await send_turn(scenario, 0, day)
    scenario.faults = 1
    with scenario.worker(LOGPIPE_INDEX_WAIT__MAX_SECONDS="2") as process:
        await scenario.finish(process, dead=LATE_A_TURN)


async def test_a_worker_that_is_killed_while_documents_wait_reads_them_again(scenario: Scenario) -> None:
    client = scenario.pipeline.client
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 8 * 86_400))
    blocked = f"{scenario.pipeline.name}-{day.replace('-', '.')}"
    await client.indices.create(index=blocked, settings={"index.blocks.write": True})
    await send_turn(scenario, 0, day)
    scenario.faults = 2
    with scenario.worker() as process:
        await others_indexed(scenario, EVENTS_A_TURN)
        process.kill()
        process.wait()
    with scenario.worker() as process:
        await client.indices.put_settings(index=blocked, settings={"index.blocks.write": None})
        await scenario.finish(process)


async def test_a_worker_that_ends_does_not_wait_for_a_blocked_index(scenario: Scenario) -> None:
    client = scenario.pipeline.client
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 8 * 86_400))
    blocked = f"{scenario.pipeline.name}-{day.replace('-', '.')}"
    await client.indices.create(index=blocked, settings={"index.blocks.write": True})
    await send_turn(scenario, 0, day)
    scenario.faults = 1
    with scenario.worker(LOGPIPE_SHUTDOWN__TIMEOUT_SECONDS="3600") as process:
        await others_indexed(scenario, EVENTS_A_TURN)
        stop(process)
    await client.indices.put_settings(index=blocked, settings={"index.blocks.write": None})
    with scenario.worker() as process:
        await scenario.finish(process)
