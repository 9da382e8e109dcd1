"""What dead letters say of traces: the trace events of replayed documents, and those of refused summaries again."""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from pipeline.encode.trace_rows import trace_row
from pipeline.events.document import Coordinates, DocumentBuilder
from pipeline.events.indices import Indices
from pipeline.kafka.dead_letters import DeadLetter
from pipeline.kafka.ledger import Partition
from pipeline.kafka.trace_events import TraceEventProducer, trace_event_partitions, trace_events_topic
from pipeline.replay.rebuilding import CHUNK_RECORDS, Rebuilt
from pipeline.replay.result import Replayed
from pipeline.settings import Settings
from pipeline.trace_stories.emission import Bucket, TraceEvents
from pipeline.trace_stories.lines import lines_of

__all__ = ["replayed_trace_events", "told_again"]


class _TraceEvents:
    """The trace events of what is replayed: of letters that were written while traces were off there were none."""

    def __init__(self, events: TraceEvents, indices: Indices, producer: TraceEventProducer) -> None:
        self._events = events
        self._indices = indices
        self._producer = producer

    async def write(self, built: Mapping[Partition, Sequence[Rebuilt]]) -> None:
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
async def replayed_trace_events(
    settings: Settings, builder: DocumentBuilder, *, dry_run: bool
) -> AsyncIterator[_TraceEvents | None]:
    """Give what writes the trace events; None in a dry run, and where traces are off."""
    if dry_run or not settings.traces.enabled:
        yield None
        return
    producer = TraceEventProducer(settings)
    try:
        events = TraceEvents(await trace_event_partitions(settings))
        yield _TraceEvents(events, builder.indices, producer)
    finally:
        await producer.close()


async def told_again(
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
            if len(told) >= CHUNK_RECORDS:
                await tell()
        if told:
            await tell()
    finally:
        await producer.close()


def _bucket(letter: DeadLetter) -> Bucket:
    value = letter.value or b""
    return Bucket(letter.record.partition, sum([line.events for line in lines_of(value)[0]]), value)
