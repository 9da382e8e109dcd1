"""What the demonstration shows of the traces."""

import asyncio
import time
from typing import Any

from elasticsearch import AsyncElasticsearch
from rich.console import Console
from rich.table import Table

from pipeline.cli.waterfall import duration, print_trace
from pipeline.events.indices import log_index_patterns
from pipeline.settings import Settings
from pipeline.traces.lookup import find_trace, list_traces

__all__ = ["QUICK", "show_traces"]

QUICK = {
    "LOGPIPE_TRACES__ENABLED": "true",
    "LOGPIPE_TRACES__IDLE_SECONDS": "3",
    "LOGPIPE_TRACES__SHOW_OPEN_SECONDS": "3",
}
"""The settings by which traces are shown soon: nobody watches a demonstration for a quarter of an hour."""
_TIMEOUT_SECONDS = 90.0
_SHOWN_EVENTS = 25


async def show_traces(client: AsyncElasticsearch, settings: Settings, out: Console) -> None:
    """Wait until every event of a trace is in a summary, and show them: by flow, and the slowest request."""
    whole = await _told(client, settings)
    pattern = f"{settings.index.prefix}.traces-*"
    answer = await client.search(
        index=pattern,
        size=0,
        aggs={
            "flows": {
                "terms": {"field": "flow", "size": 20},
                "aggs": {
                    "outcomes": {"terms": {"field": "outcome"}},
                    "p95": {"percentiles": {"field": "duration_ms", "percents": [95]}},
                    "expected": {"max": {"field": "expected_ms"}},
                },
            }
        },
    )
    table = Table(title="Traces, told from the logs", title_justify="left", box=None, pad_edge=False)
    # With the usual two spaces it would be cut at 80 columns.
    table.padding = (0, 1, 0, 0)
    table.add_column("flow", no_wrap=True)
    for name in ("traces", "ok", "slow", "incomplete", "error", "P95", "expected"):
        table.add_column(name, justify="right", no_wrap=True)
    for flow in answer["aggregations"]["flows"]["buckets"]:
        table.add_row(*_row(flow))
    out.print(table)
    if not whole:
        out.print("Not all events were in a summary yet.")
    slowest = await list_traces(settings, flow="api_request", limit=1)
    found = await find_trace(settings, slowest[0]["trace_id"]) if slowest else None
    if found is not None:
        out.print("\nThe slowest API request:")
        print_trace(found, out, _SHOWN_EVENTS)
    listed = await list_traces(settings, outcome="error", limit=1)
    if listed:
        hosts = ",".join(settings.elasticsearch.hosts)
        out.print("\nAnother one, while the servers run (--keep), by:")
        command = f"LOGPIPE_ELASTICSEARCH__HOSTS={hosts} logpipe trace {listed[0]['trace_id']}"
        out.print(f"  {command}\n", soft_wrap=True, highlight=False)


async def _told(client: AsyncElasticsearch, settings: Settings) -> bool:
    """Wait until the summaries count as many events as there are; False when that takes too long."""
    prefix = settings.index.prefix
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    with_trace = {"exists": {"field": "trace_id"}}
    events = (await client.count(index=log_index_patterns(prefix), query=with_trace))["count"]
    while time.monotonic() < deadline:
        await client.indices.refresh(index=f"{prefix}.traces-*", allow_no_indices=True)
        answer = await client.search(
            index=f"{prefix}.traces-*", size=0, aggs={"events": {"sum": {"field": "event_count"}}}
        )
        if answer.get("aggregations", {}).get("events", {}).get("value") == events:
            return True
        await asyncio.sleep(0.5)
    return False


def _row(flow: dict[str, Any]) -> list[str]:
    outcomes = {one["key"]: one["doc_count"] for one in flow["outcomes"]["buckets"]}
    p95, expected = flow["p95"]["values"]["95.0"], flow["expected"]["value"]
    style = "red" if expected and p95 > expected else "green"
    return [
        flow["key"],
        f"{flow['doc_count']:,}",
        *[f"{outcomes.get(name, 0):,}" for name in ("ok", "slow", "incomplete", "error")],
        f"[{style}]{duration(p95)}",
        duration(expected) if expected else "",
    ]
