"""How full Elasticsearch's disks are, as the server itself tells it."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from elasticsearch import AsyncElasticsearch
from prometheus_client import CollectorRegistry, Gauge

from pipeline.bulk.requests import bulk_serializers
from pipeline.sandbox import Servers
from pipeline.worker.disks import Disks


@asynccontextmanager
async def disks_of(url: str) -> AsyncIterator[tuple[Disks, Gauge]]:
    gauge = Gauge("used", "Part of the fullest disk", registry=CollectorRegistry())
    async with AsyncElasticsearch([url], serializers=bulk_serializers(), max_retries=0) as client:
        yield Disks(client, gauge), gauge


def value(gauge: Gauge) -> float:
    (family,) = gauge.collect()
    return family.samples[0].value


async def test_the_disk_of_a_real_node_is_as_full_as_its_file_system(servers: Servers) -> None:
    async with disks_of(servers.elasticsearch_url) as (disks, gauge):
        await disks.ask()
        usage = shutil.disk_usage("/")
        assert 0 < value(gauge) <= 1
        assert value(gauge) == pytest.approx(1 - usage.free / usage.total, abs=0.3)


@pytest.mark.parametrize(
    ("answer", "used"),
    [
        ([{"disk.percent": "41"}, {"disk.percent": "93"}, {"disk.percent": None}], 0.93),
        ([{"disk.percent": None}], 0),
        ([{"disk.percent": "full"}], 0),
        ([{"shards": "3"}], 0),
        ({"error": "?"}, 0),
    ],
)
async def test_the_fullest_counts_and_what_is_no_answer_does_not(answer: Any, used: float) -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.json_response(answer, headers={"x-elastic-product": "Elasticsearch"})

    application = web.Application()
    application.router.add_get("/_cat/allocation", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with disks_of(f"http://127.0.0.1:{runner.addresses[0][1]}") as (disks, gauge):
            await disks.ask()
            assert value(gauge) == used
    finally:
        await runner.cleanup()


async def test_without_elasticsearch_what_was_known_stays() -> None:
    async with disks_of("http://127.0.0.1:9") as (disks, gauge):
        gauge.set(0.5)
        await disks.ask()
        assert value(gauge) == 0.5
