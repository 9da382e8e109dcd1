"""Producers with clocks and units that are wrong, and workers that are killed meanwhile: no index too many."""

import asyncio
import random
import time

import pytest
from aiokafka import AIOKafkaProducer

from pipeline.events.indices import DAY_MS
from pipeline.sample import sample_events
from tests.faults.scenario import Scenario
from tests.own_pipeline import PARTITIONS

EVENTS = 20_000
# A third of the records.
WRONG_A_THIRD = 3


@pytest.mark.timeout(300)
async def test_timestamps_of_any_year_under_kills(scenario: Scenario, rounds: int) -> None:
    """Seconds, microseconds, 1970, next month and years ago: no index comes of it that no event is of."""
    chance = random.Random(rounds)
    # Kafka's own limit is an hour ahead; there are clusters without it.
    await scenario.pipeline.alter_topic(
        scenario.pipeline.name, {"message.timestamp.after.max.ms": str(300_000 * 365 * DAY_MS)}
    )
    for number in range(rounds):
        await send_with_wrong_stamps(scenario, seed=number, chance=chance)
        await scenario.kill_a_worker(chance)
    with scenario.worker() as process:
        await scenario.finish(process)
    # Sample events lie within two days.
    days = [index for index in await scenario.pipeline.counts() if index[-1].isdigit()]
    assert len(days) <= 4
    assert {index.rsplit("-", 1)[1][:4] for index in days} <= {
        time.strftime("%Y", time.gmtime(time.time() + shift)) for shift in (-3 * 86_400, 86_400)
    }


async def send_with_wrong_stamps(scenario: Scenario, *, seed: int, chance: random.Random) -> None:
    now_ms = time.time_ns() // 1_000_000
    wrong = (1, now_ms // 1000, now_ms * 1000, now_ms + 30 * DAY_MS, DAY_MS * 366 * 20)
    producer = AIOKafkaProducer(bootstrap_servers=scenario.pipeline.servers.kafka_bootstrap, acks="all")
    await producer.start()
    try:
        waiting = []
        for number, event in enumerate(
            sample_events(EVENTS, seed=seed, end_ms=now_ms, span_seconds=2 * 86_400)
        ):
            stamp = chance.choice(wrong) if number % WRONG_A_THIRD == 0 else event.timestamp_ms
            waiting.append(
                await producer.send(
                    scenario.pipeline.name,
                    event.value,
                    partition=number % PARTITIONS,
                    timestamp_ms=stamp,
                )
            )
        await asyncio.gather(*waiting)
    finally:
        await producer.stop()
    scenario.sent += EVENTS
