"""Reading traces again: one by its id in any spelling, and lists of them."""

import re
from typing import Any, NamedTuple

from elasticsearch import AsyncElasticsearch

from pipeline.bulk.client import make_client, server_errors
from pipeline.events.indices import log_index_patterns
from pipeline.events.trace_ids import normalise_trace_id
from pipeline.settings import Settings
from pipeline.trace_stories.emission import FIELDS, mark_of, source_of
from pipeline.trace_stories.flows import chosen_flows
from pipeline.trace_stories.fold import Story
from pipeline.trace_stories.shapes import Shapes
from pipeline.trace_stories.summary import STATE_FIELD, summarise

__all__ = ["FoundTrace", "find_trace", "line_of", "list_traces", "spellings"]

_MOST_EVENTS = 10_000
# W3C Trace Context: version, trace-id, parent-id, flags.
_TRACEPARENT = re.compile(r"[0-9a-fA-F]{2}-([0-9a-fA-F]{32})-[0-9a-fA-F]{16}-[0-9a-fA-F]{2}")
_UUID_LENGTHS = (8, 4, 4, 4, 12)
_ID_DIGITS = 32


class FoundTrace(NamedTuple):
    """A trace as Elasticsearch has it."""

    trace_id: str
    summary: dict[str, Any]
    """The correlator's; made of the events now when there is none."""
    written: bool
    """Whether it is the correlator's."""
    events: list[dict[str, Any]]
    """The documents, in the order of their times; the first 10,000."""


def spellings(text: str) -> list[str]:
    """Give the forms in which an id may have been logged: as it is, with and without dashes, in a traceparent."""
    trimmed = text.strip()
    if (match := _TRACEPARENT.fullmatch(trimmed)) is not None:
        trimmed = match[1]
    plain = trimmed.replace("-", "")
    found = [normalise_trace_id(trimmed), trimmed, trimmed.lower()]
    if len(plain) == _ID_DIGITS and re.fullmatch(r"[0-9a-fA-F]+", plain):
        parts = re.fullmatch("".join(f"(.{{{length}}})" for length in _UUID_LENGTHS), plain.lower())
        dashed = "-".join(parts.groups()) if parts else trimmed
        found += [plain.lower(), dashed, plain.upper(), dashed.upper()]
    return list(dict.fromkeys(found))


async def find_trace(settings: Settings, text: str) -> FoundTrace | None:
    """Find a trace by its id; None when there is nothing of it.

    Raises ServerUnavailable, ServerRefused, and SettingsError for flows that cannot be.
    """
    query = {"terms": {"trace_id": spellings(text)}}
    shapes = Shapes(chosen_flows(settings.traces))
    prefix = settings.index.prefix
    logs = ",".join(log_index_patterns(prefix))
    with server_errors(settings.elasticsearch, "search"):
        async with make_client(settings.elasticsearch) as client:
            summaries = await _search(client, f"{prefix}.traces-*", query=query, size=1)
            order = [{"@timestamp": "asc"}, {"kafka.partition": "asc"}, {"kafka.offset": "asc"}]
            events = await _search(client, logs, query=query, size=_MOST_EVENTS, sort=order)
    if not summaries and not events:
        return None
    if summaries:
        summary = summaries[0]
    else:
        story = Story()
        # What number an event has in its record its fields do not tell; none of these is another's double.
        story.add([line_of(event, number) for number, event in enumerate(events)], settings.traces.max_events)
        summary = summarise(events[0]["trace_id"], story, shapes, closed=False)
    summary.pop(STATE_FIELD, None)
    return FoundTrace(summary["trace_id"], summary, bool(summaries), events)


async def list_traces(
    settings: Settings,
    *,
    flow: str | None = None,
    outcome: str | None = None,
    slow: bool = False,
    since_ms: int | None = None,
    limit: int = 20,
) -> list[dict[str, Any]]:
    """Give summaries, the slowest first; `since_ms` is the earliest start, in milliseconds since 1970.

    Raises ServerUnavailable and ServerRefused.
    """
    filters: list[dict[str, Any]] = []
    if flow is not None:
        filters.append({"term": {"flow": flow}})
    if outcome is not None:
        filters.append({"term": {"outcome": outcome}})
    if slow:
        filters.append({"term": {"slow": True}})
    if since_ms is not None:
        filters.append({"range": {"@timestamp": {"gte": since_ms, "format": "epoch_millis"}}})
    with server_errors(settings.elasticsearch, "search"):
        async with make_client(settings.elasticsearch) as client:
            return await _search(
                client,
                f"{settings.index.prefix}.traces-*",
                query={"bool": {"filter": filters}},
                size=limit,
                sort=[{"duration_ms": "desc"}, {"@timestamp": "desc"}],
            )


def line_of(document: dict[str, Any], element: int = 0) -> list[Any]:
    """Make the trace event of a document, a line of its own; `element` is its number where its record is an array."""
    kafka = document["kafka"]
    fingerprint = document.get("error.fingerprint")
    row = [
        mark_of(kafka["offset"], element),
        document["@timestamp"],
        *[document.get(name) for name in FIELDS],
        *([] if fingerprint is None else [fingerprint]),
    ]
    return [document["trace_id"], source_of(kafka["topic"], kafka["partition"]), 1, row]


async def _search(client: AsyncElasticsearch, index: str, **request: Any) -> list[dict[str, Any]]:
    answer = await client.search(
        index=index, allow_no_indices=True, ignore_unavailable=True, source_excludes=[STATE_FIELD], **request
    )
    return [hit["_source"] for hit in answer["hits"]["hits"]]
