"""One worker: wires source → encode → bulk → ledger → commit, and ends it in order."""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import AsyncExitStack

from pipeline.bulk.batch_traces import CLOSE_SECONDS
from pipeline.bulk.client import make_bulk_client
from pipeline.bulk.new_errors import NewErrors
from pipeline.bulk.writer import BulkWriter
from pipeline.encode.fast_path import BatchEncoder
from pipeline.errors import out_of_groups
from pipeline.events.document import DocumentBuilder
from pipeline.kafka.dead_letters import DeadLetterProducer
from pipeline.kafka.ledger import Partition, Span
from pipeline.kafka.source import Batch
from pipeline.log_metrics.errors import LogErrors
from pipeline.log_metrics.gather import LogMetrics
from pipeline.log_metrics.rules import chosen_rules
from pipeline.settings import WORKER_PIPE_VARIABLE, Settings
from pipeline.stopping import done_unless
from pipeline.telemetry.families import dump_families
from pipeline.telemetry.health import Health
from pipeline.telemetry.metrics import Telemetry
from pipeline.telemetry.troubles import KAFKA, Trouble
from pipeline.worker.clock import Clock
from pipeline.worker.disks import Disks
from pipeline.worker.filters import Filters, filters_of
from pipeline.worker.offsets import Offsets
from pipeline.worker.open_traces import open_traces
from pipeline.worker.own_log import WorkerLog
from pipeline.worker.pulse import Pulse
from pipeline.worker.trace_emission import TraceEmission
from pipeline.worker.watch import Watch

__all__ = ["LEAVE_SECONDS", "Indexer"]

log = logging.getLogger(__name__)

_QUIET_SECONDS = 0.1
_COMMIT_SECONDS = 1.0
# A wait longer than this pauses the partitions: until then what has been fetched is kept, since pausing
# throws it away; after that memory and the broker's patience count for more.
_PAUSE_AFTER_SECONDS = 5.0
# aiokafka asks a broker that is away for ever, for the last commit and for leave to go: each gets so long.
_LAST_WORD_SECONDS = 4.0
LEAVE_SECONDS = 3 * _LAST_WORD_SECONDS + CLOSE_SECONDS
"""How long the end may take once what is in flight has been waited for."""


class Indexer:
    """Read, transform, index and commit until told to stop."""

    def __init__(self, settings: Settings, telemetry: Telemetry, health: Health) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._health = health
        self._traces = open_traces(settings)
        self._offsets = Offsets(settings, telemetry, health, self._settled)
        self._ledger, self._source = self._offsets.ledger, self._offsets.source
        self._metrics, self._errors = _derived(settings, telemetry)
        builder = DocumentBuilder(settings.events, settings.index, settings.inputs)
        self._filters = filters_of(settings, builder, telemetry)
        self._encoder = BatchEncoder(
            builder,
            self._metrics,
            self._errors,
            self._filters.filtering if self._filters is not None else None,
        )
        self._client = make_bulk_client(settings.elasticsearch)
        self._clock = Clock(self._client, telemetry.clock_difference)
        self._disks = Disks(self._client, telemetry.disk_used)
        self._dead_letters = DeadLetterProducer(settings)
        self._writer = BulkWriter(
            self._client,
            settings.elasticsearch,
            self._ledger.settle_part,
            self._dead_letters,
            telemetry,
            self._traces,
            max_salvaged_fields=settings.salvage.max_fields,
            index_wait=settings.index_wait,
            max_dead_ratio=settings.dead_letters.max_ratio,
        )
        self._pulse = Pulse(self._client, self._writer, len(settings.elasticsearch.hosts))
        self._emission = TraceEmission(settings, self._ledger, telemetry)
        self._watch = Watch(self._offsets, self._writer, telemetry, health)
        self._new_errors: NewErrors | None = None
        if self._errors is not None and settings.metrics.new_errors:
            self._new_errors = NewErrors(self._client, settings.index.prefix, self._errors, telemetry)
        self._log = WorkerLog(
            telemetry,
            self._ledger,
            self._writer.dead_letter_lines,
            self._troubles,
            one_of_many=WORKER_PIPE_VARIABLE in os.environ,
        )
        self._stopping = asyncio.Event()
        self._held = False

    def stop(self) -> None:
        """Ask for an orderly end: what has been read is indexed and committed first."""
        self._stopping.set()

    def counted(self) -> bytes:
        """Give all metrics, for a supervisor."""
        return dump_families(self._telemetry.registry)

    async def run(self) -> None:
        """Work until `stop`, then drain.

        Raises ServerUnavailable when Kafka cannot be reached at the start, and what `Source.poll` does.
        """
        async with AsyncExitStack() as closing:
            closing.push_async_callback(self._traces.close)
            closing.push_async_callback(self._client.close)
            closing.push_async_callback(_within, _LAST_WORD_SECONDS, self._dead_letters.close)
            closing.push_async_callback(_within, _LAST_WORD_SECONDS, self._emission.close)
            closing.push_async_callback(_within, _LAST_WORD_SECONDS, self._source.stop)
            try:
                with out_of_groups():
                    async with asyncio.TaskGroup() as tasks:
                        watching = tasks.create_task(self._watch.run(), name="watch")
                        telling = tasks.create_task(self._log.run(), name="log")
                        if self._settings.traces.enabled:
                            await self._emission.start(self._encoder)
                        if await done_unless(self._stopping, self._source.start()):
                            await self._work()
                        watching.cancel()
                        telling.cancel()
            finally:
                self._health.kafka = False

    async def _work(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(self._writer.run(), name="bulk")
                committing = tasks.create_task(self._commit_regularly(), name="commit")
                measuring = tasks.create_task(self._offsets.measure_lag(), name="lag")
                emitting = tasks.create_task(self._emission.run(), name="trace events")
                await self._clock.ask()
                asking = tasks.create_task(self._clock.run(), name="clock")
                disks = tasks.create_task(self._disks.run(), name="disks")
                pulse = tasks.create_task(self._pulse.run(), name="pulse")
                others = [sending, committing, measuring, emitting, asking, disks, pulse]
                if self._new_errors is not None:
                    others.append(tasks.create_task(self._new_errors.run(), name="new errors"))
                await self._read()
                await self._drain()
                for task in others:
                    task.cancel()
        finally:
            # Also after a failure: what has been settled in order need not be read again.
            if not await self._offsets.commit_within(_LAST_WORD_SECONDS):
                log.warning(
                    "the last commit was not taken: what it was about is read again, and is there already"
                )
            self._log.end()

    def _troubles(self) -> Iterator[Trouble]:
        for trouble in self._source.troubles():
            in_flight = f"{self._ledger.in_flight():,} records are in flight"
            yield trouble._replace(waits=in_flight) if trouble.key == KAFKA else trouble
        yield from self._writer.troubles()
        yield from self._emission.troubles()
        if self._new_errors is not None:
            yield from self._new_errors.troubles()

    async def _read(self) -> None:
        while not self._stopping.is_set():
            await self._wait_for_room()
            self._hold_stalled()
            batches = await self._source.poll(_QUIET_SECONDS)
            for batch in batches:
                if self._filters is None:
                    self._take(batch)
                else:
                    await self._take_in_slices(batch, self._filters)
                # Requests that are full go out before there are more: half the memory, and it is still warm.
                await asyncio.sleep(0)
            if not batches:
                # Kafka has nothing more to give now: what there is need not wait for company.
                self._writer.flush()
                self._offsets.nothing_more()
                self._emission.flush()
            self._health.beat()

    async def _take_in_slices(self, batch: Batch, filters: Filters) -> None:
        """Take a batch, with looks at the sockets between as many records as filters are done with in no time."""
        partition, records, topic_id = batch
        start = 0
        while start < len(records):
            some = records[start : start + filters.records]
            begun = time.monotonic()
            span = self._take(Batch(partition, some, topic_id))
            filters.took(time.monotonic() - begun)
            start += len(some)
            if start == len(records):
                return
            await asyncio.sleep(0)
            self._health.beat()
            await self._wait_for_room()
            if not span.owned:
                # Another worker reads them.
                return

    def _take(self, batch: Batch) -> Span:
        partition, records, topic_id = batch
        started_ns = time.time_ns()
        payloads = self._encoder.encode(*partition, records, self._clock.now_ms(), topic_id)
        next_offset = records[-1].offset + 1
        span = self._ledger.deliver(partition, next_offset, len(records), records[0].timestamp)
        span.topic_key = self._encoder.builder.ids.topic_key(topic_id, records[-1].timestamp)
        self._offsets.lag.read(partition, records[-1].timestamp)
        self._traces.delivered(span, records, payloads, started_ns)
        self._writer.add(span, records, payloads)
        self._emission.delivered(span)
        telemetry = self._telemetry
        telemetry.consumed.labels(*partition).inc(sum([payload.outcomes for payload in payloads]))
        if self._filters is not None:
            self._filters.count(partition, [payload.filtered for payload in payloads if payload.filtered])
        telemetry.count_formats(
            partition.topic,
            sum([payload.written for payload in payloads]),
            [payload.formats for payload in payloads if payload.formats],
        )
        telemetry.records.labels(partition.topic).inc(len(records))
        telemetry.record_bytes.labels(partition.topic).inc(
            sum([payload.record_bytes for payload in payloads])
        )
        if implausible := sum([payload.implausible for payload in payloads]):
            telemetry.implausible.labels(partition.topic).inc(implausible)
        if undated := sum([payload.undated for payload in payloads]):
            telemetry.dayless.labels("undated").inc(undated)
        if overflow := sum([payload.overflow for payload in payloads]):
            telemetry.dayless.labels("overflow").inc(overflow)
        return span

    async def _wait_for_room(self) -> None:
        """Hold reading back while too much is in flight; the group keeps hearing from this worker."""
        writer = self._writer
        emission = self._emission
        if not writer.full and writer.forbidden is None and not emission.full:
            return
        loop = asyncio.get_running_loop()
        started = loop.time()
        paused = False
        while (writer.full or writer.forbidden or emission.full) and not self._stopping.is_set():
            await (emission if emission.full else writer).wait_for_change(timeout=1.0)
            self._health.beat()
            if not paused and loop.time() - started > _PAUSE_AFTER_SECONDS:
                paused = True
            if paused:
                # Partitions may have been assigned since, so that pausing is repeated.
                self._source.hold_all()
                await self._source.poll(0)
        if paused:
            self._source.hold(self._writer.stalled)
        self._telemetry.paused_seconds.inc(loop.time() - started)

    def _hold_stalled(self) -> None:
        """Pause partitions whose dead letters cannot be written, so that nothing of them is skipped."""
        if self._writer.stalled or self._held:
            self._source.hold(self._writer.stalled)
            self._held = bool(self._writer.stalled)

    async def _drain(self) -> None:
        """Settle what is in flight, within the shutdown timeout; the rest is read again next time."""
        log.info("stopping: %d records in flight", self._ledger.in_flight())
        await self._settled(None, self._settings.shutdown.timeout_seconds)

    async def _settled(self, partitions: Collection[Partition] | None, timeout: float) -> bool:
        """Wait until nothing of these partitions is in flight; False when the time did not suffice."""
        self._writer.flush()
        self._emission.flush()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        # What waits for an index that takes none would be waited for in vain: it is read again.
        while self._ledger.moving(partitions) or (
            self._writer.soon_over and self._ledger.in_flight(partitions)
        ):
            if loop.time() >= deadline:
                return False
            await self._writer.wait_for_change(timeout=min(0.5, timeout))
        return True

    async def _commit_regularly(self) -> None:
        while True:
            await asyncio.sleep(_COMMIT_SECONDS)
            if self._metrics is not None:
                self._metrics.flush()
            await self._offsets.commit()


def _derived(settings: Settings, telemetry: Telemetry) -> tuple[LogMetrics | None, LogErrors | None]:
    """Give what derives metrics from the events, where that is wanted.

    Raises SettingsError for rules that cannot be, and for a disabled metric that there is not.
    """
    wanted = settings.metrics
    if not wanted.from_logs:
        return None, None
    metrics = LogMetrics(chosen_rules(wanted), telemetry.registry)
    return metrics, LogErrors(wanted.top_errors, telemetry.registry) if settings.events.fingerprints else None


async def _within(seconds: float, action: Callable[[], Awaitable[None]]) -> None:
    """Try something for so long: without it the worker ends as well, others only learn of it later."""
    try:
        async with asyncio.timeout(seconds):
            await action()
    except TimeoutError:
        log.warning("Kafka has not answered within %.0f s, ending without it", seconds)
