"""Ten loggers and shippers on one topic at once: the dashboards and the metrics from the logs know their events."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import NamedTuple

import pytest
from elasticsearch import Elasticsearch

from pipeline.install.topics import TopicSpec, create_topics
from pipeline.kafka.trace_events import trace_events_topic
from pipeline.sample import sample_events
from pipeline.sample.formats import rewritten
from pipeline.sample.produce import produce
from pipeline.sandbox import Servers
from tests.logpipe import running
from tests.monitoring.lens_queries import aggregations, cells
from tests.monitoring.test_kibana import INCIDENTS, PANELS, Panel
from tests.own_pipeline import Pipeline, own_pipeline, stop
from tests.traces.conftest import QUICK
from tests.traces.told import events_of, expected_summaries, until_told

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]

SAMPLES = 10_000
NAMES = (
    "pino",
    "zap",
    "zerolog",
    "logstash-encoder",
    "ecs",
    "structlog",
    "serilog",
    "filebeat",
    "fluent-bit",
    "kafka-connect",
    "otlp",
)


class Logs(NamedTuple):
    pattern: str
    metrics: dict[str, float]


@pytest.fixture(scope="module")
def logs(servers: Servers) -> Iterator[Logs]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        one = runner.run(stack.enter_async_context(own_pipeline(servers)))
        try:
            yield Logs(f"{one.name}-*", runner.run(index_all_formats(one)))
        finally:
            runner.run(stack.aclose())


async def index_all_formats(one: Pipeline) -> dict[str, float]:
    now = time.time_ns() // 1_000_000
    for incident in INCIDENTS:
        events = sample_events(SAMPLES, end_ms=now, span_seconds=2 * 86_400, incident=incident)
        mixed = (
            event._replace(value=rewritten(event.value, NAMES[number % len(NAMES)]))
            for number, event in enumerate(events)
        )
        await produce(one.settings.kafka, mixed)
    count = SAMPLES * len(INCIDENTS)
    await create_topics(one.settings.kafka, [TopicSpec(trace_events_topic(one.settings), 4, 1, {})])
    settings = one.environment(**QUICK)
    with (
        running("index", settings=settings) as process,
        running("traces", settings={**settings, "LOGPIPE_HTTP__PORT": "0"}) as correlator,
    ):
        assert sum((await one.indexed(count, within_seconds=180)).values()) == count
        metrics = dict(await one.metrics())
        traces = await expected_summaries(one.client, one.name)
        await until_told(one.client, one.name, events_of(traces))
        stop(correlator)
        stop(process)
    await one.client.indices.refresh(index=f"{one.name}.traces-*")
    return metrics


@pytest.fixture(scope="module")
def client(servers: Servers) -> Iterator[Elasticsearch]:
    with Elasticsearch(servers.elasticsearch_url, request_timeout=60) as connected:
        yield connected


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_every_panel_has_data(panel: Panel, logs: Logs, client: Elasticsearch) -> None:
    answer = client.search(
        index=panel.indices(logs.pattern), size=0, query=panel.query(), aggs=aggregations(panel.layer)
    )
    found = cells(panel.layer, answer["aggregations"])
    assert [label for label, values in found.items() if not values] == []


def test_levels_are_the_four_and_every_format_is_counted(logs: Logs, client: Elasticsearch) -> None:
    answer = client.search(index=logs.pattern, size=0, aggs={"levels": {"terms": {"field": "level"}}})
    levels = {bucket["key"] for bucket in answer["aggregations"]["levels"]["buckets"]}
    assert levels == {"ERROR", "WARN", "INFO", "DEBUG"}
    counted = {
        name.split('format="')[1].split('"')[0]
        for name in logs.metrics
        if name.startswith("logpipe_input_events_total")
    }
    recognised = {
        "pino", "zap", "zerolog", "logstash_encoder", "ecs", "structlog", "serilog_compact",
        "filebeat>guide", "fluent_bit>zap", "kafka_connect>guide", "otlp_json>otlp_record",
    }  # fmt: skip
    assert recognised <= counted
    services = [
        name for name in logs.metrics if name.startswith("log_events_total") and 'level="ERROR"' in name
    ]
    assert len(services) > 1
