"""One worker under traffic and changing faults for as long as wanted: `make soak` takes twenty minutes."""

import asyncio
import random
import time

import pytest

from tests.faults import proxy as faults
from tests.faults.proxy import FaultyProxy
from tests.faults.scenario import Scenario

FAULTS = [
    None,
    faults.refuse_a_third_of_the_items,
    faults.unavailable,
    faults.reset_after_applying,
    faults.answer_too_late,
    faults.drip,
    faults.truncate,
    faults.html,
    faults.too_large,
]
EVENTS_A_TURN = 2000


@pytest.mark.timeout(0)
async def test_steady_traffic_under_changing_faults(
    scenario: Scenario, proxy: FaultyProxy, request: pytest.FixtureRequest
) -> None:
    seconds = request.config.getoption("--fault-seconds")
    chance = random.Random(0)
    memory: list[float] = []
    with scenario.worker(LOGPIPE_ELASTICSEARCH__HOSTS=proxy.url) as process:
        deadline = time.monotonic() + seconds
        turn = 0
        # On a busy machine the worker may begin late: at least one fault is to have met it.
        while time.monotonic() < deadline or not proxy.faults:
            turn += 1
            proxy.fault, proxy.every = chance.choice(FAULTS), chance.randint(2, 6)
            await scenario.send(EVENTS_A_TURN, seed=turn)
            await asyncio.sleep(0.5)
            memory.append(scenario.rss_mb())
        proxy.fault = None
        scenario.faults = proxy.faults
        scenario.memory = memory
        await scenario.finish(process)
    assert scenario.faults > 0
