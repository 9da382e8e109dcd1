"""`logpipe probe` on real servers; faults that they cannot be made to show come from small servers."""

import json
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from pipeline.errors import ProbeFailed, ServerRefused
from pipeline.probe import SERVICE, probe
from pipeline.settings import Settings
from tests.logpipe import logpipe, running
from tests.monitoring.product import product
from tests.own_pipeline import Pipeline, stop

NOWHERE = "127.0.0.1:9"


def probed(settings: Mapping[str, str], *arguments: str) -> tuple[int, str]:
    """Run the check; gives its exit code and what it printed, which is all that a monitoring system sees."""
    result = logpipe("probe", *arguments, settings=settings)
    assert b"Traceback" not in result.stderr, result.stderr.decode()
    return result.returncode, result.stdout.decode().strip()


async def test_the_event_is_found_and_reported_in_nagios_words(pipeline: Pipeline) -> None:
    with running("index", settings=pipeline.environment()) as process:
        code, text = probed(pipeline.environment())
        assert (code, text[:4]) == (0, "OK: "), text
        assert re.search(r"\| latency=\d+\.\d{3}s;;60;0$", text)
        (document,) = await pipeline.documents()
        assert document["service"] == SERVICE
        assert document["trace_id"] in text
        assert document["level"] == "INFO"

        url = f"http://127.0.0.1:{pipeline.port}/"
        code, text = probed(pipeline.environment(), "--json", "--url", url, "--timeout", "30")
        stop(process)
    result = json.loads(text)
    assert (code, result["status"], result["exit_code"]) == (0, "OK", 0), text
    assert result["trace_id"] != document["trace_id"]
    assert result["latency_seconds"] > 0
    await pipeline.client.indices.refresh(index=result["index"])
    found = await pipeline.client.search(index=result["index"], query={"ids": {"values": [result["id"]]}})
    assert [hit["_source"]["trace_id"] for hit in found["hits"]["hits"]] == [result["trace_id"]]


async def test_indices_rolled_by_ilm_are_searched(pipeline: Pipeline) -> None:
    aliases = {pipeline.name: {"is_write_index": True}}
    await pipeline.client.indices.create(index=f"{pipeline.name}-2026.01.30-000001", aliases=aliases)
    settings = pipeline.environment(LOGPIPE_INDEX__ROLL="ilm")
    with running("index", settings=settings) as process:
        code, text = probed(settings)
        stop(process)
    assert (code, text[:3]) == (0, "OK:"), text
    assert len(await pipeline.documents()) == 1


async def test_an_event_that_does_not_arrive_is_critical(pipeline: Pipeline) -> None:
    code, text = probed(pipeline.environment(), "--timeout", "2")
    assert code == 2
    assert text.startswith("CRITICAL: the event is in Kafka, but not found in Elasticsearch as ")
    assert sum((await pipeline.ends()).values()) == 1


async def test_a_topic_that_does_not_exist_is_critical(pipeline: Pipeline) -> None:
    settings = pipeline.environment(LOGPIPE_KAFKA__TOPICS=f"{pipeline.name}.none")
    code, text = probed(settings, "--timeout", "2")
    assert code == 2
    assert text.startswith("CRITICAL: ")
    assert f"{pipeline.name}.none" in text
    assert "logpipe setup" in text


def test_a_kafka_that_is_away_is_critical() -> None:
    code, text = probed({"LOGPIPE_KAFKA__BOOTSTRAP_SERVERS": NOWHERE})
    assert (code, text[:9]) == (2, "CRITICAL:")
    assert f"{NOWHERE} (kafka.bootstrap_servers)" in text


def test_a_kafka_that_says_nothing_is_critical_in_bounded_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = f"127.0.0.1:{silent.getsockname()[1]}"
        code, text = probed({"LOGPIPE_KAFKA__BOOTSTRAP_SERVERS": server}, "--timeout", "2")
    assert code == 2
    assert text.startswith(f"CRITICAL: Kafka at {server}")


async def test_an_elasticsearch_that_is_away_is_critical(pipeline: Pipeline) -> None:
    settings = pipeline.environment(LOGPIPE_ELASTICSEARCH__HOSTS=f"http://{NOWHERE}")
    code, text = probed(settings, "--timeout", "2")
    assert (code, text[:9]) == (2, "CRITICAL:")
    assert f"no answer from http://{NOWHERE}" in text


def test_a_pipeline_that_is_not_ready_is_critical_and_tells_why() -> None:
    not_ready = 503, b'{"status":"not ready","checks":{"kafka":false}}'
    with product({"/health/ready": not_ready}) as (url, _):
        code, text = probed({}, "--url", url)
    assert code == 2
    assert text.startswith(f"CRITICAL: {url}/health/ready answers HTTP 503: ")
    assert '"kafka":false' in text


def test_a_pipeline_that_does_not_answer_is_critical() -> None:
    code, text = probed({}, "--url", f"http://{NOWHERE}")
    assert code == 2
    assert text.startswith(f"CRITICAL: no answer from http://{NOWHERE}/health/ready")


@pytest.mark.parametrize(
    ("settings", "arguments", "named"),
    [
        ({"LOGPIPE_HTTP__PORT": "70000"}, (), "http.port"),
        ({"LOGPIPE_KAFKA__TOPICS": "", "LOGPIPE_KAFKA__TOPIC_PATTERN": "a.*"}, (), "kafka.topics is empty"),
        ({"LOGPIPE_ELASTICSEARCH__CA_CERTS": "/no/such/file"}, (), "elasticsearch.ca_certs"),
        ({}, ("--timeout", "0"), "--timeout = 0"),
        ({}, ("--url", "pipeline"), "--url = 'pipeline'"),
        ({}, ("--config", "no-such-file.toml"), "no-such-file.toml"),
    ],
)
def test_a_check_that_cannot_run_is_unknown(
    settings: dict[str, str], arguments: tuple[str, ...], named: str
) -> None:
    code, text = probed(settings, *arguments)
    assert (code, text[:9]) == (3, "UNKNOWN: ")
    assert named in text


def test_json_tells_of_failures_too() -> None:
    code, text = probed({"LOGPIPE_KAFKA__BOOTSTRAP_SERVERS": NOWHERE}, "--json")
    result = json.loads(text)
    assert (code, result["status"], result["exit_code"]) == (2, "CRITICAL", 2)
    assert NOWHERE in result["message"]


@asynccontextmanager
async def elasticsearch(status: int, body: dict[str, object]) -> AsyncIterator[str]:
    async def every(_: web.Request) -> web.Response:
        return web.json_response(body, status=status, headers={"x-elastic-product": "Elasticsearch"})

    application = web.Application()
    application.router.add_get("/{path:.*}", every)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def with_elasticsearch(pipeline: Pipeline, url: str) -> Settings:
    hosts = pipeline.settings.elasticsearch.model_copy(update={"hosts": (url,)})
    return pipeline.settings.model_copy(update={"elasticsearch": hosts})


async def test_another_document_under_the_id_is_a_failure(pipeline: Pipeline) -> None:
    source = {"service": SERVICE, "trace_id": "0" * 32}
    async with elasticsearch(200, {"found": True, "_source": source}) as url:
        with pytest.raises(ProbeFailed, match=r"not what was sent: .*trace_id is '0{32}' instead of"):
            await probe(with_elasticsearch(pipeline, url), timeout_seconds=20)


async def test_no_right_to_read_is_no_failure_of_the_pipeline(pipeline: Pipeline) -> None:
    async with elasticsearch(401, {"error": {"reason": "missing authentication"}}) as url:
        with pytest.raises(ServerRefused, match="missing authentication"):
            await probe(with_elasticsearch(pipeline, url), timeout_seconds=20)


async def test_a_passing_error_is_waited_out_and_told_when_it_does_not_pass(pipeline: Pipeline) -> None:
    async with elasticsearch(503, {"error": {"reason": "no master"}}) as url:
        with pytest.raises(ProbeFailed, match="HTTP 503: no master"):
            await probe(with_elasticsearch(pipeline, url), timeout_seconds=1)
