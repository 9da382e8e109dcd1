"""A dead host or broker in front is passed over by every command; what does not pass is told from what does."""

import asyncio
from typing import Any

import pytest

from pipeline.audit import audit
from pipeline.bulk.client import make_client
from pipeline.errors import ServerRefused
from pipeline.install import run_setup
from pipeline.install.check import Finding, check_servers
from pipeline.install.server_version import Server, server_version
from pipeline.kafka.dead_letters import read_dead_letters
from pipeline.settings import Settings, load_settings
from tests.install.status_server import status_server
from tests.kafka.test_connect import silent_port
from tests.own_pipeline import Pipeline

NOWHERE = "127.0.0.1:9"


def beside_dead_ones(pipeline: Pipeline, broker: str = NOWHERE) -> Settings:
    """Settings whose first host and first broker do not answer."""
    settings = pipeline.settings
    kafka, elasticsearch = settings.kafka, settings.elasticsearch
    return settings.model_copy(
        update={
            "kafka": kafka.model_copy(
                update={
                    "bootstrap_servers": (broker, *kafka.bootstrap_servers),
                    "connect_timeout_seconds": 10.0,
                }
            ),
            "elasticsearch": elasticsearch.model_copy(
                update={"hosts": (f"http://{NOWHERE}", *elasticsearch.hosts)}
            ),
        }
    )


async def test_a_dead_host_in_front_is_passed_over(pipeline: Pipeline) -> None:
    settings = beside_dead_ones(pipeline)
    # The client begins with any of them: not once may it be left at the dead one.
    for _ in range(8):
        async with make_client(settings.elasticsearch) as client:
            assert (await server_version(client)).supported
    assert [finding for finding in await check_servers(settings) if finding.good is False] == []
    await run_setup(settings, dry_run=True, without_ilm=True, report=lambda _: None)
    assert (await audit(settings, to_end=True)).records == 0
    assert [letter async for letter in read_dead_letters(settings)] == []


async def test_a_silent_broker_in_front_is_passed_over_in_time(pipeline: Pipeline) -> None:
    """aiokafka would ask it once more, and wait for 40 s."""
    async with silent_port() as port:
        settings = beside_dead_ones(pipeline, f"127.0.0.1:{port}")
        async with asyncio.timeout(38):
            assert [letter async for letter in read_dead_letters(settings)] == []


@pytest.mark.parametrize(
    ("product", "version", "supported"),
    [
        ("Elasticsearch", "9.1.0", True),
        ("Elasticsearch", "10.0.0", None),
        ("Elasticsearch", "8.19.0", False),
        ("Elasticsearch", "7.17.3", False),
        ("OpenSearch", "2.19.0", False),
        ("Elasticsearch Serverless", "8.11.0", None),
        ("something else than Elasticsearch", "", False),
    ],
)
def test_what_is_supported(product: str, version: str, supported: bool | None) -> None:
    server = Server(product, version)
    assert server.supported is supported
    assert str(server) in server.detail
    assert ("Elasticsearch 9" in server.detail) is (supported is not True or version.startswith("9"))


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"version": {"number": "8.19.0"}}, "Elasticsearch 8.19.0"),
        ({"version": {"number": "2.19.0", "distribution": "opensearch"}}, "OpenSearch 2.19.0"),
        ({"version": {"number": "8.11.0", "build_flavor": "serverless"}}, "Elasticsearch Serverless 8.11.0"),
        ({"hello": "world"}, "something else than Elasticsearch"),
        (["hello"], "something else than Elasticsearch"),
    ],
)
async def test_check_and_setup_name_what_they_have_found(body: Any, found: str) -> None:
    async with status_server(200, body) as (url, _):
        settings = load_settings(
            overrides={"kafka": {"bootstrap_servers": NOWHERE}, "elasticsearch": {"hosts": url}}
        )
        async with make_client(settings.elasticsearch) as client:
            assert str(await server_version(client)) == found
        if "Serverless" in found:
            return
        told = {finding.subject: finding for finding in await check_servers(settings)}
        assert found in told["elasticsearch"].detail
        assert (told["elasticsearch"].good, told["elasticsearch"].run) == (False, "refuses")
        with pytest.raises(ServerRefused, match=f"{found} is not supported"):
            await run_setup(settings, with_topics=False, without_ilm=True, report=lambda _: None)


async def test_what_is_away_is_waited_for_and_what_is_refused_is_not() -> None:
    findings: dict[int, Finding] = {}
    for status in (401, 503):
        async with status_server(status, {"error": {"type": "e", "reason": "r"}}) as (url, _):
            settings = load_settings(
                overrides={"kafka": {"bootstrap_servers": NOWHERE}, "elasticsearch": {"hosts": url}}
            )
            kafka, findings[status] = (await check_servers(settings))[:2]
    assert (kafka.good, kafka.run) == (False, "waits")
    assert {status: finding.run for status, finding in findings.items()} == {401: "refuses", 503: "waits"}
