"""Elasticsearch that goes away while nothing is logged is noticed all the same."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pipeline.bulk.client import make_bulk_client
from pipeline.bulk.writer import BulkWriter
from pipeline.kafka.ledger import Ledger
from pipeline.sandbox import Servers
from pipeline.settings import Elasticsearch
from pipeline.telemetry.metrics import Telemetry
from pipeline.worker.pulse import Pulse
from tests.bulk.delivery import Letters
from tests.install.status_server import status_server

NOWHERE = "http://127.0.0.1:9"


@asynccontextmanager
async def pulse_of(*hosts: str) -> AsyncIterator[tuple[Pulse, BulkWriter]]:
    options = Elasticsearch(hosts=hosts)
    async with make_bulk_client(options) as client:
        writer = BulkWriter(client, options, Ledger().settle_part, Letters(), Telemetry())
        yield Pulse(client, writer, len(hosts)), writer


async def test_a_real_node_answers_and_one_host_of_several_is_enough(servers: Servers) -> None:
    async with pulse_of(NOWHERE, servers.elasticsearch_url) as (pulse, writer):
        await pulse.look()
        assert writer.not_ready is None
        assert not list(writer.troubles())


async def test_without_an_answer_it_is_not_ready_and_says_why() -> None:
    async with pulse_of(NOWHERE) as (pulse, writer):
        assert writer.not_ready is None
        await pulse.look()
        assert writer.not_ready is not None
        assert writer.not_ready.startswith("Elasticsearch does not answer: ConnectionError")
        (trouble,) = writer.troubles()
        assert trouble.what == f"Elasticsearch at {NOWHERE} does not answer"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (200, None),
        (403, None),
        (405, None),
        (429, None),
        (401, "Elasticsearch forbids writing: HTTP 401: no such key"),
        (503, "Elasticsearch does not answer: HTTP 503: no such key"),
    ],
)
async def test_any_answer_will_do_but_that_the_key_is_not_known_or_nobody_is_there(
    status: int, reason: str | None
) -> None:
    body = {"error": {"type": "t", "reason": "no such key"}}
    async with status_server(status, body) as (url, _), pulse_of(url) as (pulse, writer):
        await pulse.look()
        assert writer.not_ready == reason


async def test_it_is_over_with_the_next_answer() -> None:
    async with status_server(200, {}) as (url, _), pulse_of(url) as (pulse, writer):
        async with pulse_of(NOWHERE) as (failing, other):
            await failing.look()
            writer.idle_problem = other.idle_problem
        assert writer.not_ready is not None
        await pulse.look()
        assert writer.not_ready is None
