"""Everything fails at once: half of the events are errors with stack traces, and each message has ids of its own."""

import time

import pytest

from benchmarks.weather_traffic import weather_events
from pipeline.sample.produce import produce
from tests.faults.scenario import Scenario

EVENTS_A_TURN = 5000


@pytest.mark.timeout(0)
async def test_an_error_storm(scenario: Scenario, request: pytest.FixtureRequest) -> None:
    seconds = request.config.getoption("--fault-seconds") / 4
    with scenario.worker() as process:
        deadline = time.monotonic() + seconds
        while not scenario.sent or time.monotonic() < deadline:
            await produce(
                scenario.pipeline.settings.kafka, weather_events("error_storm_with_ids", EVENTS_A_TURN)
            )
            scenario.sent += EVENTS_A_TURN
            scenario.memory.append(scenario.rss_mb())
        await scenario.finish(process)
