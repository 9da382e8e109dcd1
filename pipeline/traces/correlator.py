"""The correlator: a Faust application that reads trace events, inside this process' own event loop.

Of Faust it takes the group's membership, the agent and its stream. Not its tables: the input itself is the changelog,
for nothing is acknowledged before it is in a summary. Records are acknowledged in the order of their offsets
(`open_traces.py`), since Faust commits over gaps. docs/traces.md names what was measured.
"""

import asyncio
import logging
import ssl
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, ExitStack
from itertools import islice
from typing import Any

import faust
from faust.types import EventT
from faust.types.auth import CredentialsT

from pipeline.errors import LogpipeError, ServerUnavailable
from pipeline.kafka.client import connection_options
from pipeline.kafka.trace_events import trace_event_partitions, trace_events_topic, traces_group
from pipeline.settings import Settings
from pipeline.telemetry.families import dump_families
from pipeline.telemetry.health import Health
from pipeline.telemetry.troubles import KAFKA, OngoingTroubles, Trouble, write
from pipeline.trace_stories.flows import NO_FLOW, chosen_flows
from pipeline.trace_stories.lines import lines_of
from pipeline.trace_stories.shapes import Shapes
from pipeline.traces.open_traces import OpenTraces
from pipeline.traces.summaries import Summaries
from pipeline.traces.telemetry import TraceTelemetry
from pipeline.traces.trace_state import Due

__all__ = ["Correlator"]

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5
_MOST_AT_ONCE = 2000
# A worker that does not poll for `broker_max_poll_interval` leaves the group for ever, without a word, and not to poll
# is what a worker does that waits for Elasticsearch, or that has no partition.
_NEVER_SECONDS = 1_000_000.0
_MOST_SESSION_SECONDS = 10.0
# Records of 64 kB each, of a partition.
_BUFFERED_RECORDS = 64
_STANDSTILL_SECONDS = 60.0
_WATCH_SECONDS = 10.0
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
        await trace_event_partitions(self._settings)
        async with AsyncExitStack() as closing:
            closing.push_async_callback(self._summaries.close)
            # Faust makes a folder for its tables also where there are none.
            folder = closing.enter_context(tempfile.TemporaryDirectory(prefix="logpipe-traces-"))
            app = _application(self._settings, folder)
            self._connect(app)
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
            await app.start()
        except OSError as error:
            raise ServerUnavailable(f"Faust could not start: {error}") from error
        self._health.kafka = True
        crashed = asyncio.create_task(app.wait_until_stopped())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({crashed, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if crashed.done() and not self._stopping.is_set():
                raise LogpipeError(f"Faust has ended by itself: {app.crash_reason!r}")
        finally:
            self._health.kafka = False
            crashed.cancel()
            stopping.cancel()
            await asyncio.gather(crashed, stopping, return_exceptions=True)
            # An agent that waits for room must not be waited for.
            self._waiting = False
            with ExitStack() as ending:
                ending.callback(self._open.forget)
                try:
                    async with asyncio.timeout(_STOP_SECONDS):
                        await app.stop()
                except TimeoutError:
                    log.warning("Faust has not stopped within %.0f s, ending without it", _STOP_SECONDS)

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

        async def assigned(_: Any, /, *given: Any, **__: Any) -> None:
            (partitions,) = given
            names = sorted(f"{tp.topic}/{tp.partition}" for tp in partitions)
            log.info("assigned %s", ", ".join(names) or "nothing")
            self._last_record = time.monotonic()
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
            if time.monotonic() - looked < _WATCH_SECONDS or not self._health.assigned:
                continue
            looked = time.monotonic()
            behind = await self._behind(app)
            if behind is None:
                continue
            quiet = time.monotonic() - self._last_record
            if behind and quiet > _STANDSTILL_SECONDS and not self._waiting:
                raise LogpipeError(f"{behind} records wait, and Faust has read none for {quiet:.0f} s")

    async def _behind(self, app: faust.App) -> int | None:
        """Count the records that have not been read; None while Kafka does not answer."""
        assigned = app.consumer.assignment()
        try:
            async with asyncio.timeout(_WATCH_SECONDS):
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


def _application(settings: Settings, folder: str) -> faust.App:
    kafka = settings.kafka
    session = min(kafka.session_timeout_seconds, _MOST_SESSION_SECONDS)
    options: dict[str, Any] = {}
    credentials = _credentials(settings)
    if credentials is not None:
        options["broker_credentials"] = credentials
    if kafka.group_instance_id is not None:
        options["consumer_group_instance_id"] = kafka.group_instance_id
    return faust.App(
        traces_group(settings),
        broker=[f"kafka://{server}" for server in kafka.bootstrap_servers],
        broker_client_id=f"{kafka.client_id}-traces",
        broker_session_timeout=session,
        broker_heartbeat_interval=session / 6,
        broker_max_poll_interval=_NEVER_SECONDS,
        broker_commit_interval=1.0,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
        stream_buffer_maxsize=_BUFFERED_RECORDS,
        topic_disable_leader=True,
        topic_allow_declare=False,
        table_standby_replicas=0,
        web_enabled=False,
        worker_redirect_stdouts=False,
        autodiscover=False,
        datadir=folder,
        **options,
    )


def _credentials(settings: Settings) -> CredentialsT | None:
    """Give Faust what the pipeline's own clients connect with."""
    options = connection_options(settings.kafka)
    context: ssl.SSLContext | None = options["ssl_context"]
    if settings.kafka.uses_sasl:
        return faust.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            ssl_context=context,
            mechanism=options["sasl_mechanism"],
        )
    return faust.SSLCredentials(context) if context is not None else None
