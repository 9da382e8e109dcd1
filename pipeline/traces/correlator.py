"""The correlator: a Faust application that reads trace events, inside this process' own event loop.

Of Faust it takes the group's membership, the agent and its stream. Not its tables: the input itself is the changelog,
for nothing is acknowledged before it is in a summary. Records are acknowledged in the order of their offsets
(`open_traces.py`), since Faust commits over gaps. docs/traces.md names what was measured.
"""

import asyncio
import logging
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, ExitStack
from itertools import islice
from typing import Any

import faust
from faust.types import EventT

from pipeline.errors import LogpipeError, ServerUnavailable, out_of_groups
from pipeline.kafka.trace_events import trace_event_partitions, trace_events_topic
from pipeline.settings import Settings
from pipeline.stopping import done_unless
from pipeline.telemetry.families import dump_families
from pipeline.telemetry.health import Health
from pipeline.telemetry.troubles import KAFKA, OngoingTroubles, Trouble, write
from pipeline.trace_stories.flows import NO_FLOW, chosen_flows
from pipeline.trace_stories.lines import lines_of
from pipeline.trace_stories.shapes import Shapes
from pipeline.traces.faust_app import make_app
from pipeline.traces.open_traces import OpenTraces
from pipeline.traces.summaries import Summaries
from pipeline.traces.telemetry import TraceTelemetry
from pipeline.traces.trace_state import Due

__all__ = ["Correlator"]

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5
_MOST_AT_ONCE = 2000
_STANDSTILL_SECONDS = 60.0
_WATCH_SECONDS = 10.0
# Measured: a second. A client of Faust's that asks a broker which is just starting may give up without a word.
_START_SECONDS = 60.0
# The broker waits for the others of a group for a minute (Faust's `broker_rebalance_timeout`).
_REBALANCE_SECONDS = 120.0
_STOP_SECONDS = 5.0


class Correlator:
    """Read trace events and write summaries until told to stop."""

    def __init__(self, settings: Settings, telemetry: TraceTelemetry, health: Health) -> None:
        """Raise SettingsError for flows that cannot be."""
        self._settings = settings
        self._telemetry = telemetry
        self._health = health
        flows = chosen_flows(settings.traces)
        telemetry.expect(flows, NO_FLOW)
        shapes = Shapes(flows)
        self._open = OpenTraces(settings.traces, shapes)
        self._summaries = Summaries(settings, shapes, telemetry)
        self._writing = asyncio.Lock()
        self._waiting = False
        self._stopping = asyncio.Event()
        self._failure: BaseException | None = None
        self._last_offsets: dict[int, int] = {}
        self._last_record = time.monotonic()
        self._reading = False
        self._rebalancing_since: float | None = None
        self._kafka_problem: str | None = None
        self._ongoing = OngoingTroubles()

    def stop(self) -> None:
        """Ask for the end: what is open is read again next time."""
        self._stopping.set()

    def counted(self) -> bytes:
        """Give all metrics, for a supervisor."""
        return dump_families(self._telemetry.registry)

    async def run(self) -> None:
        """Work until `stop`.

        Raises TopicMissing when there are no trace events to read, ServerUnavailable and ServerRefused when Kafka
        cannot be reached at the start, LogpipeError when Faust has crashed or stands still.
        """
        if not await done_unless(self._stopping, trace_event_partitions(self._settings)):
            return
        async with AsyncExitStack() as closing:
            closing.push_async_callback(self._summaries.close)
            # Faust makes a folder for its tables also where there are none.
            folder = closing.enter_context(tempfile.TemporaryDirectory(prefix="logpipe-traces-"))
            app = make_app(self._settings, folder)
            self._connect(app)
            with out_of_groups():
                async with asyncio.TaskGroup() as tasks:
                    others = [
                        tasks.create_task(self._summaries.run(), name="summaries"),
                        tasks.create_task(self._look_regularly(), name="due"),
                        tasks.create_task(self._watch(app), name="watch"),
                    ]
                    try:
                        await self._read(app)
                    finally:
                        for task in others:
                            task.cancel()
        if self._failure is not None:
            raise self._failure

    async def _read(self, app: faust.App) -> None:
        """Let Faust run until it is to stop, or has crashed."""
        try:
            self._rebalancing_since = time.monotonic()
            if await self._started(app):
                self._reading = self._health.kafka = True
                crashed = await done_unless(self._stopping, app.wait_until_stopped())
                if crashed and not self._stopping.is_set():
                    raise LogpipeError(f"Faust has ended by itself: {app.crash_reason!r}")
        finally:
            self._reading = self._health.kafka = False
            # An agent that waits for room must not be waited for.
            self._waiting = False
            with ExitStack() as ending:
                ending.callback(self._open.forget)
                try:
                    async with asyncio.timeout(_STOP_SECONDS):
                        await app.stop()
                except TimeoutError:
                    log.warning("Faust has not stopped within %.0f s, ending without it", _STOP_SECONDS)

    async def _started(self, app: faust.App) -> bool:
        """Start Faust; False when told to stop meanwhile."""
        try:
            async with asyncio.timeout(_START_SECONDS):
                return await done_unless(self._stopping, app.start())
        except TimeoutError:
            raise ServerUnavailable(f"Faust could not start within {_START_SECONDS:.0f} s") from None
        except OSError as error:
            raise ServerUnavailable(f"Faust could not start: {error}") from error

    def _connect(self, app: faust.App) -> None:
        topic = app.topic(
            trace_events_topic(self._settings),
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
        )

        async def correlate(stream: Any) -> None:
            try:
                async for event in stream.noack().events():
                    await self._take(event)
            except Exception as error:  # noqa: BLE001 - Faust would drop the record and go on; this ends the process
                self._failure = error
                self.stop()

        async def revoked(*_: Any, **__: Any) -> None:
            # After a rebalance Faust reads every partition again from what is committed, those it keeps too.
            self._open.forget()
            self._last_offsets.clear()
            self._rebalancing_since = time.monotonic()

        async def assigned(_: Any, /, *given: Any, **__: Any) -> None:
            (partitions,) = given
            names = sorted(f"{tp.topic}/{tp.partition}" for tp in partitions)
            log.info("assigned %s", ", ".join(names) or "nothing")
            self._last_record = time.monotonic()
            self._rebalancing_since = None
            self._health.assigned = True

        app.agent(topic)(correlate)
        app.on_partitions_revoked.connect(revoked, weak=False)
        app.on_partitions_assigned.connect(assigned, weak=False)

    async def _take(self, event: EventT[Any]) -> None:
        """Take the events of a record, and make room when there is no more."""
        message = event.message
        partition = message.partition
        lines, bad = lines_of(event.value)
        if bad:
            log.warning(
                "the record %d of partition %d has %d lines that are no trace events",
                *(message.offset, partition, bad),
            )
            self._telemetry.bad.inc(bad)
        now = self._last_record = time.monotonic()
        self._last_offsets[partition] = message.offset
        self._open.take(partition, message.offset, lines, event.ack, message.timestamp, now)
        # The events are kept as bytes of their traces.
        message.value = event.value = None
        self._telemetry.events.inc(sum([line.events for line in lines]))
        while self._open.full and not self._stopping.is_set():
            self._waiting = True
            try:
                async with self._writing:
                    await self._write(self._open.relief(_MOST_AT_ONCE))
            finally:
                self._waiting = False

    async def _look_regularly(self) -> None:
        """Write what is due."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            async with self._writing:
                due = self._open.due(time.monotonic(), waiting=self._waiting)
                while await self._write(islice(due, _MOST_AT_ONCE)):
                    pass

    async def _write(self, due: Iterable[Due]) -> bool:
        """Write traces; tells whether there were any."""
        written = await self._summaries.write(due)
        for one, index in written:
            self._open.written(one, index)
        self._telemetry.forced.inc(sum([one.forced for one, _ in written]))
        return bool(written)

    async def _watch(self, app: faust.App) -> None:
        """Show how it goes, and end this process when Faust reads no more although there is something to read."""
        looked = time.monotonic()
        while True:
            self._show()
            await asyncio.sleep(_LOOK_SECONDS)
            self._health.beat()
            self._tell(time.monotonic())
            if time.monotonic() - looked < _WATCH_SECONDS or not self._reading:
                continue
            looked = time.monotonic()
            behind = await self._behind(app)
            self._look_at_rebalance(kafka_answers=behind is not None)
            if behind is None:
                continue
            quiet = time.monotonic() - self._last_record
            if behind and quiet > _STANDSTILL_SECONDS and not self._waiting:
                raise LogpipeError(f"{behind} records wait, and Faust has read none for {quiet:.0f} s")

    def _look_at_rebalance(self, *, kafka_answers: bool) -> None:
        """End this process when a rebalance lasts longer than any does; without Kafka it lasts until it is back."""
        since, now = self._rebalancing_since, time.monotonic()
        if since is None:
            return
        if not kafka_answers:
            self._rebalancing_since = now
        elif now - since > _REBALANCE_SECONDS:
            raise LogpipeError(
                f"Kafka answers, but the group has given no partitions for {now - since:.0f} s"
            )

    async def _behind(self, app: faust.App) -> int | None:
        """Count the records that have not been read; None while Kafka does not answer."""
        try:
            async with asyncio.timeout(_WATCH_SECONDS):
                assigned = app.consumer.assignment()
                if not assigned:
                    # There is nothing to ask Faust for; whether Kafka answers is to be known all the same.
                    await trace_event_partitions(self._settings)
                ends = await app.consumer.highwaters(*assigned) if assigned else {}
                read = {
                    tp: self._last_offsets[tp.partition] + 1
                    if tp.partition in self._last_offsets
                    else await app.consumer.position(tp) or 0
                    for tp in ends
                }
        except Exception as error:  # noqa: BLE001 - shown as not ready; Faust passes on whatever the client raises
            self._kafka_problem = f"{type(error).__name__}: {error}"
            self._health.kafka = False
            return None
        self._health.kafka = True
        self._kafka_problem = None
        return sum([max(end - read[tp], 0) for tp, end in ends.items()])

    def _tell(self, now: float) -> None:
        """Write to the log what is due."""
        write(log, self._ongoing.due(now, time.time(), self._troubles()))
        write(log, self._summaries.dead_letter_lines.due(now))

    def _troubles(self) -> Iterator[Trouble]:
        if self._kafka_problem is not None:
            yield Trouble(
                key=KAFKA,
                what=f"Kafka at {', '.join(self._settings.kafka.bootstrap_servers)} does not answer",
                over="Kafka answers again",
                why=self._kafka_problem,
                means="No trace events are read; what is open stays open, and is read again after a restart",
                next_try=f"It is asked every {_WATCH_SECONDS:.0f} s",
                level=logging.ERROR,
            )
        yield from self._summaries.troubles()

    def _show(self) -> None:
        self._health.elasticsearch = self._summaries.reachable
        telemetry, health = self._telemetry, self._health
        for name, answers in health.dependencies().items():
            telemetry.dependency_up.labels(name).set(answers)
        telemetry.ready.set(all(health.checks().values()))
        telemetry.bad.inc(self._open.bad)
        self._open.bad = 0
        telemetry.open.set(len(self._open))
        telemetry.open_bytes.set(self._open.bytes)
        telemetry.oldest.set(self._open.oldest_seconds)
