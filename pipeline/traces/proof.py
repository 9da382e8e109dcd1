"""`logpipe audit --traces`: the summaries against the events, trace by trace."""

import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from elasticsearch import AsyncElasticsearch

from pipeline.bulk.client import make_client, server_errors
from pipeline.settings import Settings
from pipeline.trace_stories.emission import is_useful
from pipeline.trace_stories.flows import chosen_flows

__all__ = ["TraceFinding", "TraceProof", "prove_traces"]

_PAGE = 1000
_LISTED = 100


class TraceFinding(NamedTuple):
    """A trace whose summary is not what its events say."""

    what: str
    trace_id: str
    events: int
    """In the daily indices."""
    counted: int
    """In the summary."""


@dataclass(slots=True)
class TraceProof:
    """What was compared, and what came of it."""

    traces: int = 0
    equal: int = 0
    missing: int = 0
    """Traces without a summary."""
    twice: int = 0
    """Traces with more than one."""
    fewer: int = 0
    """Summaries that count fewer events, or errors, than there are."""
    more: int = 0
    """Summaries that count more: of events that became dead letters, or are deleted by now."""
    pending: int = 0
    """Traces that may be open still: not compared."""
    findings: list[TraceFinding] = field(default_factory=list)
    """The first hundred."""

    @property
    def clean(self) -> bool:
        """Whether something was compared, and no summary is missing, there twice, or counts too little."""
        return bool(self.equal + self.more) and not (self.missing or self.twice or self.fewer)


class _Counted(NamedTuple):
    trace_id: str
    events: int
    errors: int
    last_ms: float


async def prove_traces(
    settings: Settings, *, sample: int | None = None, report: Callable[[int], None] = lambda _: None
) -> TraceProof:
    """Compare all traces, or so many in the order of their ids from a random one on.

    Raises ServerUnavailable and ServerRefused.
    """
    proof = TraceProof()
    traces = settings.traces
    idle = max([traces.idle_seconds, *(flow.idle_seconds or 0 for flow in chosen_flows(traces))])
    settled_ms = (time.time() - idle - traces.show_open_seconds) * 1000
    prefix = settings.index.prefix
    with server_errors(settings.elasticsearch, "count the events of traces"):
        async with make_client(settings.elasticsearch) as client:
            await client.indices.refresh(index=[*_daily(prefix), f"{prefix}.traces-*"])
            after = {"trace": secrets.token_hex(16)} if sample is not None else None
            wrapped = False
            while True:
                size = _PAGE if sample is None else min(_PAGE, sample - proof.traces)
                if size <= 0:
                    return proof
                counted, after = await _events(client, prefix, size, after)
                counted = [one for one in counted if is_useful(one.trace_id)]
                summaries = await _summaries(client, prefix, [one.trace_id for one in counted])
                for one in counted:
                    _compare(proof, one, summaries.get(one.trace_id, ()), settled_ms)
                report(proof.traces)
                if after is None:
                    if sample is None or wrapped:
                        return proof
                    # From the random one to the end, and then from the beginning.
                    wrapped = True


def _daily(prefix: str) -> list[str]:
    """Name the daily indices: an event without a day of its own is in no story."""
    return [f"{prefix}-{digit}*" for digit in "0123456789"]


async def _events(
    client: AsyncElasticsearch, prefix: str, size: int, after: dict[str, Any] | None
) -> tuple[list[_Counted], dict[str, Any] | None]:
    """Count the events of the next traces; gives also where to go on, None at the end."""
    composite: dict[str, Any] = {"size": size, "sources": [{"trace": {"terms": {"field": "trace_id"}}}]}
    if after is not None:
        composite["after"] = after
    answer = await client.search(
        index=_daily(prefix),
        size=0,
        aggs={
            "traces": {
                "composite": composite,
                "aggs": {
                    "errors": {"filter": {"term": {"level": "ERROR"}}},
                    "last": {"max": {"field": "@timestamp"}},
                },
            }
        },
    )
    found = answer["aggregations"]["traces"]
    counted = [
        _Counted(
            bucket["key"]["trace"],
            bucket["doc_count"],
            bucket["errors"]["doc_count"],
            bucket["last"]["value"] or 0,
        )
        for bucket in found["buckets"]
    ]
    return counted, found.get("after_key")


async def _summaries(
    client: AsyncElasticsearch, prefix: str, trace_ids: list[str]
) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    if trace_ids:
        answer = await client.search(
            index=f"{prefix}.traces-*",
            size=2 * _PAGE,
            query={"terms": {"trace_id": trace_ids}},
            source_includes=["trace_id", "event_count", "error_count", "state"],
            allow_no_indices=True,
            ignore_unavailable=True,
        )
        for hit in answer["hits"]["hits"]:
            found.setdefault(hit["_source"]["trace_id"], []).append(hit["_source"])
    return found


def _compare(
    proof: TraceProof, one: _Counted, summaries: Iterable[dict[str, Any]], settled_ms: float
) -> None:
    proof.traces += 1
    stored = list(summaries)
    events = stored[0]["event_count"] if stored else 0
    errors = stored[0]["error_count"] if stored else 0
    if len(stored) > 1:
        what = "twice"
    elif stored and (events, errors) == (one.events, one.errors):
        proof.equal += 1
        return
    elif one.last_ms > settled_ms or (stored and stored[0]["state"] == "open"):
        proof.pending += 1
        return
    elif not stored:
        what = "missing"
    else:
        what = "fewer" if events < one.events or errors < one.errors else "more"
    setattr(proof, what, getattr(proof, what) + 1)
    if len(proof.findings) < _LISTED:
        proof.findings.append(TraceFinding(what, one.trace_id, one.events, events))
