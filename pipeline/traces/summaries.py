"""Stories → their summaries in Elasticsearch: created, or added to what is there.

A summary is written by `create`, its id is the trace's. Where there is one already, by an earlier process or since
the trace was thought to be over, the events are added to the story in it and it is written only if nobody has changed
it meanwhile (`if_seq_no`); else the same is done again. The bulk writer of the pipeline sends them.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson
from elastic_transport import TransportError
from elasticsearch import ApiError, AsyncElasticsearch, UnsupportedProductError

from pipeline.bulk.backoff import backoff_seconds
from pipeline.bulk.client import make_bulk_client, make_client
from pipeline.bulk.dead_letter_lines import DeadLetterLines
from pipeline.bulk.writer import BulkWriter
from pipeline.encode.fast_path import Payload
from pipeline.events.timestamps import from_epoch_ms
from pipeline.kafka.ledger import Ledger, Partition, Span
from pipeline.kafka.trace_events import trace_events_topic
from pipeline.settings import Settings
from pipeline.telemetry.metrics import Telemetry
from pipeline.telemetry.troubles import ELASTICSEARCH, Trouble
from pipeline.trace_stories.fold import Story, time_ms
from pipeline.trace_stories.lines import key_of, read_lines
from pipeline.trace_stories.shapes import Shapes
from pipeline.trace_stories.summary import STATE_FIELD, tell, tell_lines, write_summary
from pipeline.traces.dead_letters import DeadSummaries, Records
from pipeline.traces.pending_writes import Stored, Writing, action_of
from pipeline.traces.telemetry import TraceTelemetry
from pipeline.traces.trace_state import Due

__all__ = ["Summaries", "indices_near", "traces_index"]

log = logging.getLogger(__name__)

_MOST_PER_MGET = 500
# As far from midnight a trace's first event may be missing still, so that its summary is of the day before.
_MIDNIGHT_MS = 3_600_000
_DAY = slice(0, len("2024-01-15"))
_HOUR = slice(len("2024-01-15T"), len("2024-01-15T10"))
# What is one part of a request, and so is looked at as a whole when all of it was created.
_PART_BYTES = 256 << 10


def traces_index(prefix: str, epoch_ms: int) -> str:
    """Name the index of the traces that began on the day of this instant."""
    day = from_epoch_ms(epoch_ms).text[: len("2024-01-15")]
    return f"{prefix}.traces-{day.replace('-', '.')}"


def indices_near(prefix: str, first_ms: int, last_ms: int) -> list[str]:
    """Name the indices that the summary of a trace with such events may be in, the likeliest first."""
    times = (first_ms, first_ms - _MIDNIGHT_MS, last_ms + _MIDNIGHT_MS)
    return list(dict.fromkeys(traces_index(prefix, time) for time in times))


class Summaries:
    """Write summaries; `run` must be running, and one `write` at a time."""

    def __init__(self, settings: Settings, shapes: Shapes, telemetry: TraceTelemetry) -> None:
        self._settings = settings
        self._shapes = shapes
        self._telemetry = telemetry
        self._prefix = settings.index.prefix
        self._partition = Partition(trace_events_topic(settings), 0)
        self._reader = make_client(settings.elasticsearch)
        self._client: AsyncElasticsearch = make_bulk_client(settings.elasticsearch)
        # Of the requests; what becomes of summaries is counted by the correlator itself.
        self._ledger = Ledger()
        self._delivered = 0
        self._writing: dict[bytes, Writing] = {}
        """By the key of its trace."""
        self._settled = asyncio.Event()
        self._dead = DeadSummaries(settings, self._writing, telemetry)
        self._writer = BulkWriter(
            self._client,
            settings.elasticsearch,
            self._settle,
            self._dead,
            Telemetry(),
            # Its fields are ours: without one of them it is no summary.
            max_salvaged_fields=0,
            index_wait=settings.index_wait,
            max_dead_ratio=settings.dead_letters.max_ratio,
            on_conflict=self._conflict,
        )
        self._answers = True
        self._problem: str | None = None

    @property
    def reachable(self) -> bool:
        """Whether Elasticsearch answered last, and lets summaries be written."""
        return self._answers and self._writer.reachable and self._writer.forbidden is None

    @property
    def dead_letter_lines(self) -> DeadLetterLines:
        """What the log says of summaries that were refused."""
        return self._writer.dead_letter_lines

    def troubles(self) -> Iterator[Trouble]:
        """Say what is wrong with Elasticsearch; to be asked once a second."""
        yield from self._writer.troubles()
        if self._problem is not None:
            yield Trouble(
                key="summaries",
                what="summaries cannot be read back from Elasticsearch at "
                f"{', '.join(self._settings.elasticsearch.hosts)}",
                over="summaries can be read back again",
                why=self._problem,
                means="What continues an earlier part of a trace waits, and its offsets are not committed",
                next_try="They are tried again until they can",
                part_of=ELASTICSEARCH,
            )

    async def run(self) -> None:
        """Send what is written, until cancelled."""
        await self._writer.run()

    async def close(self) -> None:
        """Disconnect."""
        await self._dead.close()
        await self._reader.close()
        await self._client.close()

    async def write(self, dues: Iterable[Due]) -> list[tuple[Due, str]]:
        """Write traces, tried for as long as it takes; gives each with its index when Elasticsearch has them."""
        seen: set[bytes] = set()
        later: list[Due] = []
        every: list[Writing] = []
        asked: list[Writing] = []
        changed: list[Writing] = []
        # One after the other: what is read of a trace is still in the processor's cache when its summary is written.
        for due in dues:
            if due.trace.key in seen:
                # Two partitions hold the same trace when their number has changed.
                later.append(due)
                continue
            seen.add(due.trace.key)
            one = Writing(due)
            every.append(one)
            if due.trace.shown is not None:
                asked.append(one)
            elif self._prepare(one, None):
                # Near midnight nobody knows in which day's index an earlier part of it is.
                (changed if len(one.places) == 1 else asked).append(one)
        while asked or changed:
            if asked:
                stored = await self._read(asked)
                changed += [one for one in asked if self._prepare(one, stored.get(one.due.trace.id))]
            if changed:
                await self._send(changed)
                self._count(changed)
            asked = [one for one in changed if one.conflict]
            changed = []
        written = [(one.due, one.index or "") for one in every]
        return [*written, *await self.write(later)] if later else written

    def _places(self, start: str, end: str) -> list[str]:
        """Name the indices in which the summary of a trace from then to then may be, the likeliest first."""
        if start[_DAY] == end[_DAY] and start[_HOUR] != "00" and end[_HOUR] != "23":
            return [f"{self._prefix}.traces-{start[_DAY].replace('-', '.')}"]
        return indices_near(self._prefix, time_ms(start), time_ms(end))

    def _prepare(self, one: Writing, stored: Stored | None) -> bool:
        """Make the summary as it is to be; False when it is so already."""
        due = one.due
        one.conflict = False
        one.stored = stored
        one.closed_before, one.late = False, 0
        telling = due.telling
        if telling is None and stored is None:
            telling = tell_lines(due.lines, self._shapes, self._settings.traces.max_events)
        # Nothing came twice, and nothing is wrong with it.
        as_it_came = telling is not None and stored is None and len(telling.rows) == due.events
        story = None if telling is None else telling.story
        if telling is None or stored is not None or (story is None and not as_it_came):
            story = Story() if stored is None else self._load(one, stored)
            added = story.add(read_lines(due.lines)[0], self._settings.traces.max_events)
            if not story.rows or (
                stored is not None and not added and (one.closed_before or not due.closing)
            ):
                self._telemetry.writes.labels("unchanged").inc()
                return False
            if one.closed_before:
                one.late += added
                self._telemetry.late.inc(added)
            telling = tell(due.trace.id, story, self._shapes)
        one.summary = write_summary(telling, closed=one.closed_before or due.closing, late=one.late)
        if story is None or (as_it_came and not story.cut):
            one.summary[STATE_FIELD] = orjson.Fragment(b'{"lines":[%b]}' % b",".join(due.lines))
        else:
            one.summary[STATE_FIELD] = story.dump(telling.trace_id)
        if not one.places:
            one.places = (
                self._places(one.summary["start"], one.summary["end"]) if one.index is None else [one.index]
            )
        if one.index is None or stored is None:
            one.index = one.places[0]
        return True

    @staticmethod
    def _load(one: Writing, stored: Stored) -> Story:
        """Read a story back; one that cannot be read is told anew."""
        one.index = stored.index_name
        try:
            story = Story.load(stored.source[STATE_FIELD])
            one.closed_before = stored.source["state"] == "closed"
            one.late = int(stored.source["late_events"])
        except (KeyError, IndexError, TypeError, ValueError):
            log.exception("the summary of trace %s cannot be read and is written anew", one.due.trace.id)
            return Story()
        return story

    async def _send(self, changed: Sequence[Writing]) -> None:
        """Hand summaries to the bulk writer, and wait until each has its outcome."""
        self._writing.update([(one.due.trace.key, one) for one in changed])
        payloads: list[Payload] = []
        lines: list[bytes] = []
        size = 0
        for one in changed:
            line = b"%b\n%b\n" % (action_of(one), orjson.dumps(one.summary))
            lines.append(line)
            size += len(line)
            if size >= _PART_BYTES:
                payloads.append(Payload(len(lines), b"".join(lines)))
                lines, size = [], 0
        if lines:
            payloads.append(Payload(len(lines), b"".join(lines)))
        self._delivered += 1
        span = self._ledger.deliver(self._partition, self._delivered, len(changed))
        self._settled.clear()
        self._writer.add(span, Records(changed), payloads)
        self._writer.flush()
        while not span.settled:
            self._settled.clear()
            await self._settled.wait()
        self._writing.clear()

    def _settle(self, span: Span) -> None:
        self._ledger.settle_part(span)
        self._settled.set()

    def _conflict(self, ids: Iterable[str]) -> None:
        for trace_id in ids:
            self._writing[key_of(trace_id)].conflict = True

    def _count(self, written: Iterable[Writing]) -> None:
        results: Counter[str] = Counter()
        closed = []
        for one in written:
            if one.conflict:
                continue
            if one.refused:
                results["refused"] += 1
                continue
            results["created" if one.stored is None else "updated"] += 1
            if one.due.closing and not one.closed_before:
                closed.append(one.summary)
        for result, number in results.items():
            self._telemetry.writes.labels(result).inc(number)
        self._telemetry.closed(closed)

    async def _read(self, asked: Sequence[Writing]) -> dict[str, Stored]:
        """Read summaries back, tried for as long as it takes."""
        wanted = [
            {"_index": index, "_id": one.due.trace.id}
            for one in asked
            for index in ([one.index] if one.index is not None and not one.places else one.places)
        ]
        found: dict[str, Stored] = {}
        for start in range(0, len(wanted), _MOST_PER_MGET):
            retries = 0
            while (docs := await self._mget(wanted[start : start + _MOST_PER_MGET])) is None:
                await asyncio.sleep(backoff_seconds(self._settings.elasticsearch, retries))
                retries += 1
            for doc in docs:
                if doc.get("found"):
                    stored = Stored(doc["_index"], doc["_seq_no"], doc["_primary_term"], doc["_source"])
                    found.setdefault(doc["_id"], stored)
        return found

    async def _mget(self, docs: Sequence[dict[str, str]]) -> list[dict[str, Any]] | None:
        """Ask for documents; None when Elasticsearch does not answer for all of them now."""
        try:
            answer: list[dict[str, Any]] = (await self._reader.mget(docs=docs))["docs"]
        except (ApiError, TransportError, UnsupportedProductError) as error:
            self._answers = False
            self._problem = str(error)
            return None
        for doc in answer:
            # An index that there is not has no summary; anything else passes.
            error_type = doc.get("error", {}).get("type", "index_not_found_exception")
            if error_type != "index_not_found_exception":
                self._problem = f"trace {doc['_id']}: {doc['error']}"
                return None
        self._answers = True
        self._problem = None
        return answer
