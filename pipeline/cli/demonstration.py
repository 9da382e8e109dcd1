"""The demonstration: sample traffic through the whole pipeline on real servers, and what arrived."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from aiohttp import ClientSession
from elasticsearch import AsyncElasticsearch
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.json import JSON
from rich.progress import Progress
from rich.table import Table

from pipeline.bulk.client import make_client
from pipeline.cli.demonstrated_traces import QUICK, show_traces
from pipeline.errors import LogpipeError
from pipeline.events.indices import DAY_MS, Indices, log_index_patterns
from pipeline.install import run_setup
from pipeline.log_metrics.rules import chosen_rules
from pipeline.sample import sample_events
from pipeline.sample.produce import produce
from pipeline.sandbox.ports import free_port
from pipeline.settings import Settings, load_settings

if TYPE_CHECKING:
    from pipeline.sandbox import Servers

__all__ = ["run_demo"]

_DAYS = 3
_TIMEOUT_SECONDS = 300.0


def run_demo(servers: "Servers", count: int, out: Console, bar: Progress, *, keep: bool) -> None:
    """Send `count` events through a worker and show what arrived.

    Raises LogpipeError when the indices do not hold each event exactly once.
    """
    settings = load_settings(
        overrides={
            "kafka": {"bootstrap_servers": [servers.kafka_bootstrap]},
            "elasticsearch": {"hosts": [servers.elasticsearch_url]},
            "http": {"port": free_port()},
            "traces": {"enabled": True},
        }
    )
    # Without the C library that best_compression needs, the server's default codec does.
    codec = None if servers.elasticsearch.has_zstd else {"index.codec": "default"}
    asyncio.run(run_setup(settings, without_ilm=True, index_settings=codec, report=lambda _: None))
    processes = [_start(settings, "index"), _start(settings, "traces", LOGPIPE_HTTP__PORT="0")]
    try:
        asyncio.run(_demonstrate(settings, count, out, bar))
        if keep:
            out.print("Ctrl-C stops everything.")
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait(timeout=settings.shutdown.timeout_seconds + 5)


def _start(settings: Settings, command: str, **variables: str) -> "subprocess.Popen[bytes]":
    """Start a command as a user would, with the demonstration's servers in its environment."""
    environment = {
        **os.environ,
        "LOGPIPE_KAFKA__BOOTSTRAP_SERVERS": ",".join(settings.kafka.bootstrap_servers),
        "LOGPIPE_ELASTICSEARCH__HOSTS": ",".join(settings.elasticsearch.hosts),
        "LOGPIPE_HTTP__PORT": str(settings.http.port),
        **QUICK,
        **variables,
    }
    return subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "pipeline", "--log-level", "WARNING", command], env=environment
    )


async def _demonstrate(settings: Settings, count: int, out: Console, bar: Progress) -> None:
    end_ms = time.time_ns() // 1_000_000
    events = sample_events(count, end_ms=end_ms, span_seconds=_DAYS * 86_400)
    produced = bar.add_task("produced", total=count)
    indexed = bar.add_task("indexed", total=count)
    async with make_client(settings.elasticsearch) as client:
        watching = asyncio.create_task(
            _watch(client, settings, count, lambda n: bar.update(indexed, completed=n))
        )
        days = await produce(settings.kafka, events, report=lambda sent: bar.update(produced, completed=sent))
        found = await watching
        bar.stop()
        indices = Indices(settings.index, settings.events)
        expected = {indices.name(day * DAY_MS): number for day, number in days.items()}
        await _show(client, settings, expected, found, out)
    if found != expected:
        raise LogpipeError(f"the indices hold {found}, but {expected} was sent")


async def _watch(
    client: AsyncElasticsearch, settings: Settings, count: int, report: Callable[[int], None]
) -> dict[str, int]:
    """Count the documents until all are there; then give their number by index."""
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    pattern = log_index_patterns(settings.index.prefix)
    while True:
        await client.indices.refresh(index=pattern)
        rows = (await client.indices.stats(index=pattern, metric="docs"))["indices"]
        found = {index: int(row["primaries"]["docs"]["count"]) for index, row in rows.items()}
        report(sum(found.values()))
        if sum(found.values()) >= count:
            return found
        if time.monotonic() > deadline:
            raise LogpipeError(
                f"after {_TIMEOUT_SECONDS:.0f} s only {sum(found.values())} of {count} have arrived"
            )
        await asyncio.sleep(0.5)


async def _show(
    client: AsyncElasticsearch,
    settings: Settings,
    expected: Mapping[str, int],
    found: Mapping[str, int],
    out: Console,
) -> None:
    pattern = log_index_patterns(settings.index.prefix)
    answer = await client.search(
        index=pattern,
        size=1,
        query={"term": {"tags": "error"}},
        sort=[{"@timestamp": "desc"}],
        track_total_hits=True,
        aggs={
            "all": {
                "global": {},
                "aggs": {
                    "components": {
                        "terms": {"field": "component", "size": 5, "order": {"time": "desc"}},
                        "aggs": {"time": {"avg": {"field": "context.processing_time_ms"}}},
                    }
                },
            }
        },
    )
    table = Table("index", "sent", "indexed", "", title="Documents per daily index", title_justify="left")
    for index in sorted({*expected, *found}):
        sent, there = expected.get(index, 0), found.get(index, 0)
        table.add_row(
            index, f"{sent:,}", f"{there:,}", "[green]exactly once" if sent == there else "[red]differs"
        )
    out.print(table)
    out.print(f"Tagged as errors: {answer['hits']['total']['value']:,}\n")
    slowest = Table("component", "mean", "events", title="Slowest components", title_justify="left")
    for bucket in answer["aggregations"]["all"]["components"]["buckets"]:
        mean = bucket["time"]["value"]
        slowest.add_row(bucket["key"], "" if mean is None else f"{mean:,.0f} ms", f"{bucket['doc_count']:,}")
    out.print(slowest)
    for hit in answer["hits"]["hits"]:
        out.print(f"The newest error, {hit['_index']}/{hit['_id']}:")
        out.print(JSON.from_data(hit["_source"]))
    metrics = f"http://{settings.http.host}:{settings.http.port}/metrics"
    exposed = await _exposed(metrics)
    out.print(_derived_metrics(exposed, settings))
    out.print(f"\nThe worker's metrics, these and its own: {metrics}")
    out.print(_own_documents_metric(exposed), highlight=False, soft_wrap=True)
    await show_traces(client, settings, out)
    out.print(
        "Where to go next: `logpipe sandbox` keeps such servers running for traffic of your own, "
        "`logpipe run --help` is the service, docs/settings.md lists every setting."
    )


async def _exposed(url: str) -> str:
    async with ClientSession() as session, session.get(url) as response:
        return await response.text()


def _derived_metrics(exposed: str, settings: Settings) -> Table:
    """Show what has been counted from the logs: the sum of a counter, a gauge's values, a histogram's mean.

    Raises LogpipeError when a metric of the rules is not there.
    """
    table = Table("metric", "series", "all of them", title="Metrics made from the logs", title_justify="left")
    families = {family.name: family for family in text_string_to_metric_families(exposed)}
    for rule in {rule.name: rule for rule in chosen_rules(settings.metrics)}.values():
        family = families.get(rule.name.removesuffix("_total"))
        if family is None:
            raise LogpipeError(f"/metrics has no {rule.name}")
        sums = {
            suffix: [sample.value for sample in family.samples if sample.name == f"{rule.name}{suffix}"]
            for suffix in ("", "_sum", "_count")
        }
        series = len(sums["_count"] if rule.type == "histogram" else sums[""])
        table.add_row(rule.name, str(series), _summary(rule.type, sums))
    return table


def _summary(kind: str, sums: Mapping[str, list[float]]) -> str:
    match kind:
        case "counter":
            return f"{sum(sums['']):,.0f}"
        case "gauge":
            return ", ".join(f"{value:,.0f}" for value in sums[""]) or "no reading of the last five minutes"
    count = sum(sums["_count"])
    return f"{count:,.0f}, mean {sum(sums['_sum']) / count:,.3f} s" if count else "none"


def _own_documents_metric(exposed: str) -> str:
    return "\n".join(
        f"  {line}" for line in exposed.splitlines() if line.startswith("logpipe_documents_total")
    )
