"""Dead letters that are chosen → Elasticsearch, under the ids and in the indices that their records would have had."""

import asyncio
import time
from collections import Counter
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from pipeline.bulk.client import make_client, server_errors
from pipeline.bulk.outcomes import Outcome
from pipeline.bulk.requests import bulk_serializers
from pipeline.bulk.writer import BulkWriter
from pipeline.encode.fast_path import payload_of
from pipeline.encode.lines import Lines
from pipeline.encode.run_filters import filtering_of
from pipeline.encode.trace_rows import trace_row
from pipeline.events.decode import decode
from pipeline.events.document import Coordinates, Document, DocumentBuilder
from pipeline.events.indices import Indices
from pipeline.kafka.dead_letters import DeadLetter, Headers
from pipeline.kafka.ledger import Ledger, Partition
from pipeline.kafka.source_records import SourceRecords, source_records
from pipeline.kafka.trace_events import TraceEventProducer, trace_event_partitions, trace_events_topic
from pipeline.settings import Events, Settings
from pipeline.telemetry.metrics import Telemetry
from pipeline.trace_stories.emission import Bucket, TraceEvents
from pipeline.trace_stories.lines import lines_of

if TYPE_CHECKING:
    from pipeline.encode.filtering import Filtering

__all__ = ["Rejection", "Replayed", "Selection", "replay", "select", "services_of"]

# What is built, sent and settled together: bounds the memory.
_CHUNK_RECORDS = 500
_CHUNK_BYTES = 8 << 20
_LISTED_REJECTIONS = 1_000
# How long an index may take no documents: somebody waits for the replay, and the letters stay.
_LONGEST_WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters are meant; what is not given is not looked at."""

    reason: str | None = None
    """Part of the error type or of the reason, in any case."""
    service: str | None = None
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    since_ms: int | None = None
    """Earliest timestamp of the record, in milliseconds since 1970."""
    until_ms: int | None = None
    """First timestamp that is too late."""
    limit: int | None = None

    def matches(self, letter: DeadLetter, events: Events) -> bool:
        """Tell whether a letter is meant, but for the limit."""
        topic, partition, offset, timestamp_ms = letter.record
        return (
            self.topic in {None, topic}
            and self.partition in {None, partition}
            and self.offset in {None, offset}
            and (self.since_ms is None or timestamp_ms >= self.since_ms)
            and (self.until_ms is None or timestamp_ms < self.until_ms)
            and (
                self.reason is None
                or self.reason.casefold() in f"{letter.error_type}\n{letter.reason}".casefold()
            )
            and (self.service is None or self.service in services_of(letter.value, events))
        )


class Rejection(NamedTuple):
    """A document that Elasticsearch refuses still."""

    record: Coordinates
    error_type: str
    reason: str


@dataclass(slots=True)
class Replayed:
    """What became of the letters."""

    letters: int = 0
    documents: int = 0
    indexed: int = 0
    already_there: int = 0
    rejected: int = 0
    rejections: list[Rejection] = field(default_factory=list)
    """The first thousand."""
    rejected_now: list[DeadLetter] = field(default_factory=list)
    """Those of the chunk that is being written, without their bytes."""
    gone: int = 0
    """Letters that hold only the beginning of their record, which Kafka does not hold any more."""
    unusable: int = 0
    """Records in the topic that do not say where they come from: not written by this pipeline."""
    summaries: int = 0
    """Letters of summaries: their trace events are written again, for a correlator to tell them."""


async def select(
    letters: AsyncIterable[DeadLetter], selection: Selection, events: Events
) -> AsyncIterator[DeadLetter]:
    """Give the letters that are meant, up to the limit."""
    left = selection.limit
    async for letter in letters:
        if left == 0:
            return
        if selection.matches(letter, events):
            yield letter
            if left is not None:
                left -= 1


async def replay(
    settings: Settings,
    letters: AsyncIterable[DeadLetter],
    *,
    dry_run: bool = False,
    report: Callable[[int], None] = lambda _: None,
    settled: Callable[[Sequence[str]], Awaitable[None]] | None = None,
) -> Replayed:
    """Index letters again; what is there already stays as it is, and no new letters are written.

    With `dry_run` the documents are built and counted. `report` is called with the letters done so far, `settled`
    with the ids of letters all of whose documents are in Elasticsearch, or whose traces are told again.

    Raises ServerUnavailable and ServerRefused when Elasticsearch does not answer, or says no, at the start;
    after that it is tried for as long as it takes, as in the pipeline.
    """
    replayed = Replayed()
    builder = DocumentBuilder(settings.events, settings.index, settings.inputs)
    make = _maker(builder, filtering_of(settings, builder))
    async with (
        _writer(settings, replayed, dry_run=dry_run) as writer,
        source_records(settings) as records,
        _trace_events(settings, builder, dry_run=dry_run) as traces,
    ):
        others = _told_again(letters, settings, replayed, None if dry_run else settled, dry_run=dry_run)
        async for chunk in _chunks(others, records, replayed):
            built = _build(make, chunk)
            replayed.letters += sum(map(len, chunk.values()))
            replayed.documents += sum(len(each.documents) for some in built.values() for each in some)
            if writer is not None:
                await writer.write(built)
            if traces is not None:
                await traces.write(built)
            if settled is not None and not dry_run:
                await settled(_settled(chunk, replayed.rejected_now))
            replayed.rejected_now.clear()
            report(replayed.letters)
    return replayed


def _settled(chunk: "_Chunk", rejected: Collection[DeadLetter]) -> list[str]:
    """Name the letters of a chunk of which no document was refused again."""
    ids = {letter.id for letter in rejected}
    records = {letter.record for letter in rejected}
    return [
        letter.id
        for record, letters in chunk.items()
        for letter in letters
        if letter.id not in ids and not (letter.element is None and record in records)
    ]


class _Source(NamedTuple):
    """A record as the writer wants it."""

    offset: int
    timestamp: int
    value: bytes | None
    key: bytes | None
    headers: Headers


class _Collected:
    """The writer's dead letters: counted, not written, for they are in the topic already."""

    def __init__(self, replayed: Replayed) -> None:
        self._replayed = replayed

    async def write(self, letters: Iterable[DeadLetter]) -> None:
        """Remember why."""
        for letter in letters:
            self._replayed.rejected += 1
            self._replayed.rejected_now.append(letter._replace(value=None, key=None, headers=()))
            if len(self._replayed.rejections) < _LISTED_REJECTIONS:
                self._replayed.rejections.append(Rejection(letter.record, letter.error_type, letter.reason))


class _Rebuilt(NamedTuple):
    """A record, and the documents of it that are dead."""

    record: _Source
    documents: list[Document]
    numbers: Sequence[int]
    """Which of its events they are."""


class _Writer:
    """A bulk writer that is given one chunk at a time."""

    def __init__(self, writer: BulkWriter, ledger: Ledger, telemetry: Telemetry, replayed: Replayed) -> None:
        self._writer = writer
        self._running = asyncio.create_task(writer.run(), name="bulk")
        self._ledger = ledger
        self._telemetry = telemetry
        self._replayed = replayed

    async def write(self, built: Mapping[Partition, Sequence[_Rebuilt]]) -> None:
        """Return when every document has its outcome."""
        for partition, rebuilt in built.items():
            span = self._ledger.deliver(partition, rebuilt[-1].record.offset + 1, len(rebuilt))
            lines = [Lines(each.documents, each.record.offset) for each in rebuilt]
            self._writer.add(span, [each.record for each in rebuilt], [payload_of(lines)])
        self._writer.flush()
        while self._ledger.in_flight():
            if self._running.done():
                self._running.result()
            await self._writer.wait_for_change(timeout=0.5)
        # The next chunk may go back to smaller offsets.
        self._ledger.drop(built)
        outcomes = _outcomes(self._telemetry)
        self._replayed.indexed = outcomes[Outcome.INDEXED.value]
        self._replayed.already_there = outcomes[Outcome.ALREADY_THERE.value]

    async def stop(self) -> None:
        """End the writer; what is in flight has no outcome."""
        self._running.cancel()
        with suppress(asyncio.CancelledError, ExceptionGroup):
            await self._running


@asynccontextmanager
async def _writer(settings: Settings, replayed: Replayed, *, dry_run: bool) -> AsyncIterator[_Writer | None]:
    if dry_run:
        yield None
        return
    async with make_client(settings.elasticsearch) as client:
        with server_errors(settings.elasticsearch, "tell how it is"):
            await client.cluster.health()
    ledger, telemetry = Ledger(), Telemetry()
    async with make_client(settings.elasticsearch, serializers=bulk_serializers()) as client:
        bulk = BulkWriter(
            client,
            settings.elasticsearch,
            ledger.settle_part,
            _Collected(replayed),
            telemetry,
            max_salvaged_fields=settings.salvage.max_fields,
            index_wait=settings.index_wait.model_copy(update={"max_seconds": _LONGEST_WAIT_SECONDS}),
            # They have been refused before: that all are again is no flood.
            max_dead_ratio=1,
        )
        writer = _Writer(bulk, ledger, telemetry, replayed)
        try:
            yield writer
        finally:
            await writer.stop()


class _TraceEvents:
    """The trace events of what is replayed: of letters that were written while traces were off there were none."""

    def __init__(self, events: TraceEvents, indices: Indices, producer: TraceEventProducer) -> None:
        self._events = events
        self._indices = indices
        self._producer = producer

    async def write(self, built: Mapping[Partition, Sequence[_Rebuilt]]) -> None:
        """Return when every trace event is acknowledged; one that was written before counts once all the same."""
        for (topic, partition), rebuilt in built.items():
            for record, documents, numbers in rebuilt:
                place = Coordinates(topic, partition, record.offset, record.timestamp)
                rows = (
                    trace_row(one, place, number, self._indices)
                    for one, number in zip(documents, numbers, strict=True)
                )
                self._events.add(row for row in rows if row is not None)
        await self._producer.write(self._events.take())


@asynccontextmanager
async def _trace_events(
    settings: Settings, builder: DocumentBuilder, *, dry_run: bool
) -> AsyncIterator[_TraceEvents | None]:
    if dry_run or not settings.traces.enabled:
        yield None
        return
    producer = TraceEventProducer(settings)
    try:
        events = TraceEvents(await trace_event_partitions(settings))
        yield _TraceEvents(events, builder.indices, producer)
    finally:
        await producer.close()


async def _told_again(
    letters: AsyncIterable[DeadLetter],
    settings: Settings,
    replayed: Replayed,
    settled: Callable[[Sequence[str]], Awaitable[None]] | None,
    *,
    dry_run: bool,
) -> AsyncIterator[DeadLetter]:
    """Write the trace events of refused summaries to their topic again; gives all other letters.

    Events that are in a summary already change nothing in it.
    """
    topic = trace_events_topic(settings)
    producer = TraceEventProducer(settings)
    told: list[DeadLetter] = []

    async def tell() -> None:
        await producer.write([_bucket(letter) for letter in told])
        if settled is not None:
            await settled([letter.id for letter in told])
        told.clear()

    try:
        async for letter in letters:
            if letter.record.topic != topic:
                yield letter
                continue
            replayed.letters += 1
            replayed.summaries += 1
            if not dry_run:
                told.append(letter)
            if len(told) >= _CHUNK_RECORDS:
                await tell()
        if told:
            await tell()
    finally:
        await producer.close()


def _bucket(letter: DeadLetter) -> Bucket:
    value = letter.value or b""
    return Bucket(letter.record.partition, sum([line.events for line in lines_of(value)[0]]), value)


def _outcomes(telemetry: Telemetry) -> Counter[str]:
    counts: Counter[str] = Counter()
    for metric in telemetry.documents.collect():
        for sample in metric.samples:
            if sample.name.endswith("_total"):
                counts[sample.labels["outcome"]] += int(sample.value)
    return counts


_Chunk = dict[Coordinates, list[DeadLetter]]
_Make = Callable[[DeadLetter, int], list[Document]]


async def _chunks(
    letters: AsyncIterable[DeadLetter], records: SourceRecords, replayed: Replayed
) -> AsyncIterator[_Chunk]:
    """Collect letters by record; an offset is in a chunk once only, for the writer knows records by it."""
    chunk: _Chunk = {}
    offsets: set[tuple[str, int, int]] = set()
    size = 0
    async for written in letters:
        record = written.record
        if not record.topic or record.partition < 0 or record.offset < 0:
            replayed.unusable += 1
            continue
        letter = await records.whole(written)
        if letter is None:
            replayed.gone += 1
            continue
        other_topic = record not in chunk and record[:3] in offsets
        if other_topic or len(chunk) >= _CHUNK_RECORDS or size >= _CHUNK_BYTES:
            yield chunk
            chunk, offsets, size = {}, set(), 0
        chunk.setdefault(record, []).append(letter)
        offsets.add(record[:3])
        size += len(letter.value or b"")
    if chunk:
        yield chunk


def _maker(builder: DocumentBuilder, filtering: "Filtering | None") -> _Make:
    """Give what makes the documents of a letter's record: the filters, where there are any."""

    def make(letter: DeadLetter, now_ms: int) -> list[Document]:
        if filtering is None:
            return builder.documents(letter.value, letter.record, now_ms, letter.headers)
        return filtering.documents(letter.value, letter.record, now_ms, letter.key, letter.headers)

    return make


def _build(make: _Make, chunk: _Chunk) -> dict[Partition, list[_Rebuilt]]:
    """Make the documents anew, by partition in the order of the offsets."""
    built: dict[Partition, list[_Rebuilt]] = {}
    now_ms = time.time_ns() // 1_000_000
    for record in sorted(chunk):
        letters = chunk[record]
        first = letters[0]
        documents = make(first, now_ms)
        elements = {letter.element for letter in letters}
        numbers = [number for number in range(len(documents)) if None in elements or number in elements]
        documents = [documents[number] for number in numbers]
        source = _Source(record.offset, record.timestamp_ms, first.value, first.key, first.headers)
        if documents:
            built.setdefault(Partition(record.topic, record.partition), []).append(
                _Rebuilt(source, documents, numbers)
            )
    return built


def services_of(value: bytes | None, events: Events) -> set[str]:
    """Give the services that a record names: of each event, and of the envelope around it."""
    services: set[str] = set()
    for event in decode(value, service=events.service, max_array_events=events.max_array_events):
        for fields in (event.fields, event.fields.get("fields")):
            if isinstance(fields, dict):
                service = fields.get("service")
                name = service.get("name") if isinstance(service, dict) else service
                services.update(one for one in (name, fields.get("service.name")) if isinstance(one, str))
    return services
