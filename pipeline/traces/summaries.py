"""Stories → their summaries in Elasticsearch: created, or added to what is there.

A summary is written by `create`, its id is the trace's. Where there is one already, by an earlier process or since
the trace was thought to be over, the events are added to the story in it and it is written only if nobody has changed
it meanwhile (`if_seq_no`); else the same is done again. The bulk writer of the pipeline sends them.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import orjson
from elastic_transport import TransportError
from elasticsearch import ApiError, AsyncElasticsearch, UnsupportedProductError

from pipeline.bulk.backoff import backoff_seconds
from pipeline.bulk.client import make_client
from pipeline.bulk.requests import bulk_serializers
from pipeline.bulk.writer import BulkWriter
from pipeline.encode.fast_path import Payload
from pipeline.events.timestamps import from_epoch_ms
from pipeline.kafka.dead_letters import DeadLetter, Headers
from pipeline.kafka.ledger import Ledger, Partition, Span
from pipeline.kafka.trace_events import trace_events_topic
from pipeline.settings import Settings
from pipeline.telemetry.metrics import Telemetry
from pipeline.trace_stories.flows import Roles
from pipeline.trace_stories.fold import Story, time_ms
from pipeline.trace_stories.summary import STATE_FIELD, summarise
from pipeline.traces.open_traces import Due
from pipeline.traces.telemetry import TraceTelemetry

__all__ = ["Summaries", "indices_near", "traces_index"]

log = logging.getLogger(__name__)

_MOST_PER_MGET = 500
# As far from midnight a trace's first event may be missing still, so that its summary is of the day before.
_MIDNIGHT_MS = 3_600_000
_STAMP = 2


def traces_index(prefix: str, epoch_ms: int) -> str:
    """Name the index of the traces that began on the day of this instant."""
    day = from_epoch_ms(epoch_ms).text[: len("2024-01-15")]
    return f"{prefix}.traces-{day.replace('-', '.')}"


def indices_near(prefix: str, first_ms: int, last_ms: int) -> list[str]:
    """Name the indices that the summary of a trace with such events may be in, the likeliest first."""
    times = (first_ms, first_ms - _MIDNIGHT_MS, last_ms + _MIDNIGHT_MS)
    return list(dict.fromkeys(traces_index(prefix, time) for time in times))


class _Record(NamedTuple):
    """A summary as a record, for the writer's dead letters."""

    offset: int
    timestamp: int
    value: bytes
    key: bytes
    headers: Headers = ()


class _Stored(NamedTuple):
    """A summary as it is in Elasticsearch."""

    index_name: str
    seq_no: int
    primary_term: int
    source: dict[str, Any]


class _Writing:
    """A trace on its way."""

    __slots__ = ("closed_before", "conflict", "due", "index", "late", "places", "refused", "rows", "summary")

    def __init__(self, due: Due) -> None:
        self.due = due
        self.rows: Sequence[Sequence[Any]] = due.trace.rows(due.bytes) if due.events else ()
        self.index = due.trace.index
        self.places: list[str] = []
        self.summary: dict[str, Any] | None = None
        self.conflict = self.refused = self.closed_before = False
        self.late = 0


def _ends(stamps: Sequence[str]) -> Sequence[str]:
    return (min(stamps), max(stamps)) if stamps else ()


class _Refusals:
    """The writer's dead letters: summaries are counted, not written, for their events are in the daily indices."""

    def __init__(self, writing: dict[int, _Writing]) -> None:
        self._writing = writing

    async def write(self, letters: Iterable[DeadLetter]) -> None:
        """Note which are refused."""
        for letter in letters:
            one = self._writing[letter.record.offset]
            one.refused = True
            log.error("the summary of trace %s is refused: %s", one.due.trace.id, letter.reason)


class Summaries:
    """Write summaries; `run` must be running, and one `write` at a time."""

    def __init__(self, settings: Settings, roles: Roles, telemetry: TraceTelemetry) -> None:
        self._settings = settings
        self._roles = roles
        self._telemetry = telemetry
        self._prefix = settings.index.prefix
        self._topic = trace_events_topic(settings)
        self._reader = make_client(settings.elasticsearch)
        self._client: AsyncElasticsearch = make_client(settings.elasticsearch, serializers=bulk_serializers())
        # Of the requests; what becomes of summaries is counted by the correlator itself.
        self._ledger = Ledger()
        self._delivered = 0
        self._writing: dict[Span, _Writing] = {}
        self._by_number: dict[int, _Writing] = {}
        self._changed = asyncio.Event()
        self._writer = BulkWriter(
            self._client,
            settings.elasticsearch,
            self._settled,
            _Refusals(self._by_number),
            Telemetry(),
            on_conflict=self._conflict,
        )
        self._answers = True

    @property
    def reachable(self) -> bool:
        """Whether Elasticsearch answered last, and lets summaries be written."""
        return self._answers and self._writer.reachable and self._writer.forbidden is None

    async def run(self) -> None:
        """Send what is written, until cancelled."""
        await self._writer.run()

    async def close(self) -> None:
        """Disconnect."""
        await self._reader.close()
        await self._client.close()

    async def write(self, dues: Iterable[Due]) -> list[tuple[Due, str]]:
        """Write traces, tried for as long as it takes; gives each with its index when Elasticsearch has them."""
        every = [_Writing(due) for due in dues]
        left = every
        while left:
            asked = [one for one in left if one.conflict or len(self._places(one)) > 1 or one.due.trace.shown]
            stored = await self._read(asked) if asked else {}
            changed = [one for one in left if self._prepare(one, stored.get(one.due.trace.id))]
            await self._send(changed)
            for one in changed:
                self._count(one)
            left = [one for one in changed if one.conflict]
        return [(one.due, one.index or self._places(one)[0]) for one in every]

    def _places(self, one: _Writing) -> list[str]:
        """Name the indices in which the summary may be."""
        if one.index is not None:
            return [one.index]
        if one.places:
            return one.places
        # As text they are in the order of time but for fractions of a second, which do not matter here.
        times = [time_ms(stamp) for stamp in _ends([row[_STAMP] for row in one.rows])]
        if not times:
            times = [round(one.due.trace.seen * 1000)]
        one.places = indices_near(self._prefix, min(times), max(times))
        return one.places

    def _prepare(self, one: _Writing, stored: _Stored | None) -> bool:
        """Make the summary as it is to be; False when it is so already."""
        one.conflict = False
        story, one.closed_before, one.late = Story(), False, 0
        if stored is not None:
            one.index = stored.index_name
            try:
                story = Story.load(stored.source[STATE_FIELD])
                one.closed_before = stored.source["state"] == "closed"
                one.late = int(stored.source["late_events"])
            except (KeyError, TypeError, ValueError):
                log.exception("the summary of trace %s cannot be read and is written anew", one.due.trace.id)
        added = story.add(one.rows, self._settings.traces.max_events)
        if not story.rows or (
            stored is not None and not added and (one.closed_before or not one.due.closing)
        ):
            self._telemetry.writes.labels("unchanged").inc()
            return False
        if one.closed_before:
            one.late += added
            self._telemetry.late.inc(added)
        one.summary = summarise(
            one.due.trace.id, story, self._roles, closed=one.closed_before or one.due.closing, late=one.late
        )
        self._add(one, stored)
        return True

    def _add(self, one: _Writing, stored: _Stored | None) -> None:
        """Hand a summary to the bulk writer."""
        trace = one.due.trace
        action: dict[str, Any]
        if stored is None:
            one.index = self._places(one)[0]
            action = {"create": {"_index": one.index, "_id": trace.id}}
        else:
            target = {"_index": stored.index_name, "_id": trace.id}
            versions = {"if_seq_no": stored.seq_no, "if_primary_term": stored.primary_term}
            action = {"index": {**target, **versions}}
        source = orjson.dumps(one.summary)
        self._delivered += 1
        record = _Record(self._delivered, -1, source, trace.id.encode("utf-8", "replace"))
        span = self._ledger.deliver(Partition(self._topic, trace.partition), self._delivered, 1)
        self._writing[span] = self._by_number[self._delivered] = one
        self._writer.add(span, [record], [Payload(1, b"%b\n%b\n" % (orjson.dumps(action), source))])

    async def _send(self, changed: Sequence[_Writing]) -> None:
        self._writer.flush()
        while self._writing:
            self._changed.clear()
            await self._changed.wait()
        self._by_number.clear()
        self._ledger.drop({Partition(self._topic, one.due.trace.partition) for one in changed})

    def _settled(self, span: Span) -> None:
        self._ledger.settle_part(span)
        if span.settled:
            del self._writing[span]
            self._changed.set()

    def _conflict(self, span: Span) -> None:
        self._writing[span].conflict = True

    def _count(self, one: _Writing) -> None:
        if one.conflict:
            return
        if one.refused:
            self._telemetry.writes.labels("refused").inc()
            return
        self._telemetry.writes.labels(
            "updated" if one.due.trace.shown or one.closed_before else "created"
        ).inc()
        if one.summary is not None and one.due.closing and not one.closed_before:
            self._telemetry.closed(one.summary)

    async def _read(self, asked: Sequence[_Writing]) -> dict[str, _Stored]:
        """Read summaries back, tried for as long as it takes."""
        wanted = [{"_index": index, "_id": one.due.trace.id} for one in asked for index in self._places(one)]
        found: dict[str, _Stored] = {}
        for start in range(0, len(wanted), _MOST_PER_MGET):
            retries = 0
            while (docs := await self._mget(wanted[start : start + _MOST_PER_MGET])) is None:
                await asyncio.sleep(backoff_seconds(self._settings.elasticsearch, retries))
                retries += 1
            for doc in docs:
                if doc.get("found"):
                    stored = _Stored(doc["_index"], doc["_seq_no"], doc["_primary_term"], doc["_source"])
                    found.setdefault(doc["_id"], stored)
        return found

    async def _mget(self, docs: Sequence[dict[str, str]]) -> list[dict[str, Any]] | None:
        """Ask for documents; None when Elasticsearch does not answer for all of them now."""
        try:
            answer: list[dict[str, Any]] = (await self._reader.mget(docs=docs))["docs"]
        except (ApiError, TransportError, UnsupportedProductError) as error:
            self._answers = False
            log.warning("summaries cannot be read back yet: %s", error)
            return None
        for doc in answer:
            # An index that there is not has no summary; anything else passes.
            error_type = doc.get("error", {}).get("type", "index_not_found_exception")
            if error_type != "index_not_found_exception":
                log.warning("the summary of trace %s cannot be read back yet: %s", doc["_id"], doc["error"])
                return None
        self._answers = True
        return answer
