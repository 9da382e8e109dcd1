"""A window of what Kafka holds → Elasticsearch, once more or for the first time, beside the group.

The same transform, writer and dead letters as in a worker. Every document gets the id and the index that it would have
had, so that what is there already stays as it is, and a backfill that was interrupted is simply begun again.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.audit.records import RangeReader, partitions_of, ranges_of, reader
from pipeline.audit.result import Range
from pipeline.bulk.client import make_bulk_client, make_client, server_errors
from pipeline.bulk.outcomes import Outcome
from pipeline.bulk.running_writer import RunningWriter
from pipeline.bulk.writer import BulkWriter
from pipeline.encode.fast_path import BatchEncoder, Record
from pipeline.encode.run_filters import filtering_of
from pipeline.errors import ServerRefused
from pipeline.events.document import DocumentBuilder
from pipeline.kafka.client import admin_client, kafka_errors, partitions_of_topics
from pipeline.kafka.dead_letters import DeadLetterProducer, dead_letter_topic
from pipeline.kafka.fetched_records import CorruptBatch
from pipeline.kafka.ledger import Ledger, Partition
from pipeline.settings import Settings
from pipeline.telemetry.metrics import Telemetry

__all__ = ["Backfilled", "Progress", "backfill", "into"]


class Progress(NamedTuple):
    """How far it is."""

    done: int
    """Offsets that have been looked at."""
    total: int
    waits_for: str
    """Why nothing moves; empty while it does."""


@dataclass(slots=True)
class Backfilled:
    """What became of the window."""

    records: int = 0
    documents: int = 0
    indexed: int = 0
    already_there: int = 0
    dead_lettered: int = 0
    corrupt: int = 0
    """Offsets in damaged batches, which cannot be read."""


def into(settings: Settings, prefix: str | None) -> Settings:
    """Give the settings of a backfill into indices of another prefix; the prefix is checked as in the settings."""
    if prefix is None:
        return settings
    index = type(settings.index).model_validate({**settings.index.model_dump(), "prefix": prefix})
    return settings.model_copy(update={"index": index})


async def backfill(
    settings: Settings,
    *,
    since_ms: int,
    until_ms: int,
    topics: Sequence[str] = (),
    report: Callable[[Progress], None] = lambda _: None,
) -> Backfilled:
    """Index the records whose Kafka timestamp is at or after `since_ms` and before `until_ms`, in ms since 1970.

    Joins no group and commits nothing. An index or a cluster that takes nothing is waited for, as in a worker.

    Raises ServerUnavailable and ServerRefused when a server does not answer, or says no, at the start, and where
    templates or the topic of dead letters are missing; TopicMissing for a topic that does not exist.
    """
    await _check(settings)
    done = Backfilled()
    with kafka_errors(settings.kafka):
        async with reader(settings, "backfill") as reading:
            async with admin_client(settings.kafka, "backfill") as admin:
                partitions = await partitions_of(settings, admin, topics)
            ranges = await ranges_of(reading.consumer, partitions, {}, since_ms, committed_only=False)
            async with _filling(settings, done, ranges, report) as filling:
                topic_ids = await reading.topic_ids({one.topic for one in ranges})
                for one in ranges:
                    await filling.fill(one, reading, since_ms, until_ms, topic_ids.get(one.topic))
                await filling.finish()
    return done


async def _check(settings: Settings) -> None:
    """Refuse to write where nothing has been set up: the indices would get any mapping."""
    prefix = settings.index.prefix
    async with make_client(settings.elasticsearch) as client:
        with server_errors(settings.elasticsearch, "tell its templates"):
            if not await client.indices.exists_index_template(name=prefix):
                raise ServerRefused(
                    f"there is no index template {prefix}; `logpipe setup` with index.prefix = {prefix} installs it "
                    "and creates the topic of dead letters"
                )
    with kafka_errors(settings.kafka):
        async with admin_client(settings.kafka, "backfill") as admin:
            await partitions_of_topics(admin, [dead_letter_topic(settings)])


class _Filling:
    """One backfill: what is read goes to the writer, and never more than it takes."""

    def __init__(
        self,
        settings: Settings,
        writer: BulkWriter,
        ledger: Ledger,
        telemetry: Telemetry,
        done: Backfilled,
        total: int,
        report: Callable[[Progress], None],
    ) -> None:
        self._writer = writer
        self._running = RunningWriter(writer)
        self._ledger = ledger
        self._telemetry = telemetry
        builder = DocumentBuilder(settings.events, settings.index, settings.inputs)
        self._encoder = BatchEncoder(builder, filtering=filtering_of(settings, builder))
        self._done = done
        self._offsets = 0
        self._total = total
        self._report = report

    async def fill(
        self, wanted: Range, reading: RangeReader, since_ms: int, until_ms: int, topic_id: str | None
    ) -> None:
        """Index what of a range is in the window."""

        def corrupt(batch: CorruptBatch) -> None:
            self._done.corrupt += min(batch.behind, wanted.end) - batch.offset

        position = wanted.start
        async for records in reading.records_of(wanted, corrupt):
            inside = [record for record in records if since_ms <= record.timestamp < until_ms]
            if inside:
                self._add(Partition(wanted.topic, wanted.partition), inside, topic_id)
            self._offsets += records[-1].offset + 1 - position
            position = records[-1].offset + 1
            await self._wait(lambda: self._writer.full or self._writer.forbidden is not None)
        self._offsets += wanted.end - position
        self._tell()

    def _add(self, partition: Partition, records: Sequence[Record], topic_id: str | None) -> None:
        now_ms = time.time_ns() // 1_000_000
        payloads = self._encoder.encode(*partition, records, now_ms, topic_id)
        span = self._ledger.deliver(partition, records[-1].offset + 1, len(records))
        span.topic_key = self._encoder.builder.ids.topic_key(topic_id, records[-1].timestamp)
        self._writer.add(span, records, payloads)  # type: ignore[arg-type]  # Kafka's records are source records
        self._done.records += len(records)
        self._done.documents += sum(
            [payload.documents + sum([one.documents for one in payload.alone]) for payload in payloads]
        )

    async def finish(self) -> None:
        """Return when every document has its outcome."""
        self._writer.flush()
        await self._wait(lambda: self._ledger.in_flight() > 0)

    async def _wait(self, while_: Callable[[], bool]) -> None:
        self._tell()
        await asyncio.sleep(0)
        while while_():
            await self._running.wait_for_change()
            self._tell()

    def _tell(self) -> None:
        outcomes = self._telemetry.outcomes()
        self._done.indexed = outcomes[Outcome.INDEXED.value]
        self._done.already_there = outcomes[Outcome.ALREADY_THERE.value]
        self._done.dead_lettered = outcomes["dead_lettered"]
        self._report(Progress(self._offsets, self._total, self._writer.not_ready or ""))

    async def stop(self) -> None:
        """End the writer; what is in flight has no outcome."""
        await self._running.stop()


@asynccontextmanager
async def _filling(
    settings: Settings, done: Backfilled, ranges: Sequence[Range], report: Callable[[Progress], None]
) -> AsyncIterator[_Filling]:
    ledger, telemetry, letters = Ledger(), Telemetry(), DeadLetterProducer(settings)
    total = sum(one.end - one.start for one in ranges)
    async with make_bulk_client(settings.elasticsearch) as client:
        writer = BulkWriter(
            client,
            settings.elasticsearch,
            ledger.settle_part,
            letters,
            telemetry,
            max_salvaged_fields=settings.salvage.max_fields,
            index_wait=settings.index_wait,
            max_dead_ratio=settings.dead_letters.max_ratio,
        )
        filling = _Filling(settings, writer, ledger, telemetry, done, total, report)
        try:
            yield filling
        finally:
            await filling.stop()
            await letters.close()
