"""The summaries that the events in Elasticsearch should come to, and those that are there."""

import asyncio
import time
from typing import Any

from elasticsearch import AsyncElasticsearch
from elasticsearch.helpers import async_scan

from pipeline.settings import Traces
from pipeline.trace_stories.emission import is_useful
from pipeline.trace_stories.flows import chosen_flows
from pipeline.trace_stories.fold import Story
from pipeline.trace_stories.shapes import Shapes
from pipeline.trace_stories.summary import STATE_FIELD, summarise
from pipeline.traces.lookup import line_of

__all__ = ["events_of", "expected_summaries", "stored_summaries", "until_closed", "until_told"]

SHAPES = Shapes(chosen_flows(Traces()))
# What depends on when the correlator looked.
_PASSING = ("late_events", "state", STATE_FIELD)
Summaries = dict[str, dict[str, Any]]


async def expected_summaries(client: AsyncElasticsearch, prefix: str, max_events: int = 500) -> Summaries:
    """Fold all events that are indexed, at once."""
    await client.indices.refresh(index=f"{prefix}-*")
    stories: dict[str, Story] = {}
    async for hit in async_scan(client, index=f"{prefix}-*", size=5000):
        fields = hit["_source"]
        if is_useful(fields.get("trace_id")):
            stories.setdefault(fields["trace_id"], Story()).add([line_of(fields)], max_events)
    return {name: _lasting(summarise(name, story, SHAPES, closed=True)) for name, story in stories.items()}


async def stored_summaries(client: AsyncElasticsearch, prefix: str) -> Summaries:
    """Read the summaries; there is one of each trace."""
    await client.indices.refresh(index=f"{prefix}.traces-*")
    found: Summaries = {}
    async for hit in async_scan(client, index=f"{prefix}.traces-*", size=5000):
        summary = hit["_source"]
        assert hit["_id"] == summary["trace_id"]
        assert hit["_id"] not in found, "two summaries of a trace"
        found[hit["_id"]] = _lasting(summary)
    return found


async def until_told(
    client: AsyncElasticsearch, prefix: str, events: int, within_seconds: float = 150
) -> None:
    """Wait until the summaries tell of so many events; some of their traces may be open still."""
    index = f"{prefix}.traces-*"
    deadline = time.monotonic() + within_seconds
    while True:
        await client.indices.refresh(index=index)
        answer = await client.search(index=index, size=0, aggs={"events": {"sum": {"field": "event_count"}}})
        told = answer.get("aggregations", {}).get("events", {}).get("value", 0)
        if told >= events:
            return
        assert time.monotonic() < deadline, f"the summaries tell of {told:.0f} of {events} events"
        await asyncio.sleep(0.5)


async def until_closed(
    client: AsyncElasticsearch, index: str, trace_id: str, within_seconds: float = 60
) -> None:
    """Wait until the summary of a trace says that it is over."""
    deadline = time.monotonic() + within_seconds
    while (await client.get(index=index, id=trace_id))["_source"]["state"] == "open":
        assert time.monotonic() < deadline, f"{trace_id} is open still"
        await asyncio.sleep(0.2)


def events_of(summaries: Summaries) -> int:
    """Count the events of all traces."""
    return sum(summary["event_count"] for summary in summaries.values())


def _lasting(summary: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in summary.items() if name not in _PASSING}
