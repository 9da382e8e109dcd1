"""A worker's own `/metrics`: the events go on while a large answer is made, and what adds up still does."""

import asyncio

import pytest
from aiohttp import ClientSession

from pipeline.log_metrics.gather import LogMetrics
from pipeline.log_metrics.rules import load_rules
from pipeline.settings import Http
from pipeline.telemetry.families import CONTENT_TYPE, load_families
from pipeline.telemetry.health import Health
from pipeline.telemetry.metrics import Telemetry
from pipeline.telemetry.server import serve

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def event(service: str) -> dict[str, object]:
    return {
        "@timestamp": "2024-01-15T10:30:00.000Z",
        "level": "INFO",
        "service": service,
        "component": "api",
        "message": "m",
        "context": {"processing_time_ms": 12, "status_code": 200},
    }


@pytest.mark.parametrize("accept", [CONTENT_TYPE, OPENMETRICS, "text/plain"])
async def test_others_have_their_turn_while_all_label_sets_are_written(accept: str) -> None:
    telemetry = Telemetry()
    metrics = LogMetrics(load_rules(), telemetry.registry)
    for number in range(600):
        metrics.count(event(f"service-{number}"))
    turns = 0

    async def work() -> None:
        """Do what a worker does beside: read and settle a document, count one more event of a new kind."""
        nonlocal turns
        while True:
            turns += 1
            telemetry.consumed.labels("logs", 0).inc()
            telemetry.documents.labels("logs", 0, "indexed").inc()
            metrics.count(event(f"new-{turns}"))
            await asyncio.sleep(0)

    async with serve(Http(port=0), telemetry.registry, Health()) as url, ClientSession() as session:
        working = asyncio.create_task(work())
        async with session.get(f"{url}/metrics", headers={"Accept": accept}) as response:
            body = await response.read()
        working.cancel()
    assert response.status == 200
    assert turns > len(load_rules()), "one turn between any two metrics of the logs at the least"
    if accept == CONTENT_TYPE:
        found = {
            sample.name: sample.value
            for family in load_families(body)
            for sample in family.samples
            if sample.labels.get("topic") == "logs" and sample.value
        }
        assert found["logpipe_documents_consumed_total"] == found["logpipe_documents_total"], "of one moment"
    elif accept == OPENMETRICS:
        assert body.endswith(b"# EOF\n")
    else:
        assert b'service="other"' in body, "beyond the cap"
