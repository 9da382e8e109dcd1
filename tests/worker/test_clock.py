"""The time by which indices are chosen, when the machine's own clock is wrong."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from elasticsearch import AsyncElasticsearch
from prometheus_client import CollectorRegistry, Gauge

from pipeline.bulk.requests import bulk_serializers
from pipeline.sandbox import Servers
from pipeline.worker.clock import Clock

DAY = 86_400.0
NOWHERE = "http://127.0.0.1:9"
AWAY = 1_000_000_000.0


class Machine:
    """A machine's two clocks."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.monotonic_seconds = 5000.0

    def time(self) -> float:
        return self.now()

    def monotonic(self) -> float:
        return self.monotonic_seconds


@asynccontextmanager
async def clock_of(url: str, machine: Machine) -> AsyncIterator[tuple[Clock, Gauge]]:
    gauge = Gauge("difference", "Ahead", registry=CollectorRegistry())
    async with AsyncElasticsearch([url], serializers=bulk_serializers(), max_retries=0) as client:
        yield Clock(client, gauge, machine.time, machine.monotonic), gauge


def value(gauge: Gauge) -> float:
    (family,) = gauge.collect()
    return family.samples[0].value


async def test_without_elasticsearch_the_machine_tells_the_time() -> None:
    machine = Machine(lambda: AWAY)
    async with clock_of(NOWHERE, machine) as (clock, _):
        await clock.ask()
        assert clock.now_ms() == AWAY * 1000


async def test_a_wrong_clock_is_noticed_and_not_used(
    servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine(lambda: AWAY)
    async with clock_of(servers.elasticsearch_url, machine) as (clock, gauge):
        await clock.ask()
        assert clock.now_ms() - AWAY * 1000 > 20 * 365 * DAY * 1000
        assert value(gauge) < -20 * 365 * DAY
        assert "behind that of Elasticsearch" in caplog.text
        before = clock.now_ms()
        machine.now = lambda: 2 * AWAY
        machine.monotonic_seconds += 60
        assert clock.now_ms() - before == 60_000


@pytest.mark.parametrize(
    "answer", ["nan", "inf", "-1", "0", "1e300", "253402300800", "", None, [], {}, "946684799", "soon"]
)
async def test_an_answer_that_is_no_time_of_today_is_not_used(answer: Any) -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.json_response([{"epoch": answer}], headers={"x-elastic-product": "Elasticsearch"})

    application = web.Application()
    application.router.add_get("/_cat/health", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        machine = Machine(lambda: AWAY)
        async with clock_of(f"http://127.0.0.1:{runner.addresses[0][1]}", machine) as (clock, gauge):
            await clock.ask()
            assert clock.now_ms() == AWAY * 1000
            assert value(gauge) == 0
    finally:
        await runner.cleanup()


async def test_a_right_clock_is_not_complained_of(servers: Servers, caplog: pytest.LogCaptureFixture) -> None:
    async with clock_of(servers.elasticsearch_url, Machine(time.time)) as (clock, gauge):
        await clock.ask()
        assert abs(clock.now_ms() / 1000 - time.time()) < 30
        assert abs(value(gauge)) < 30
        assert not caplog.records
