"""Trace events on their way to Kafka: a batch is settled only when its trace events are acknowledged."""

import asyncio
from collections.abc import Iterator

from pipeline.encode.fast_path import BatchEncoder
from pipeline.kafka.ledger import Ledger, Span
from pipeline.kafka.trace_events import TraceEventProducer, trace_event_partitions, trace_events_topic
from pipeline.settings import Settings
from pipeline.telemetry.metrics import Telemetry
from pipeline.telemetry.troubles import KAFKA, Trouble
from pipeline.trace_stories.emission import MOST_EVENTS, Bucket, TraceEvents

__all__ = ["TraceEmission"]

_LONGEST_WAIT_SECONDS = 0.5
# At a time under way; more waits, and so does reading.
_MOST_WINDOWS = 4


class TraceEmission:
    """Collect the trace events of some batches, a window, and write it; `run` must be running."""

    def __init__(self, settings: Settings, ledger: Ledger, telemetry: Telemetry) -> None:
        self._settings = settings
        self._ledger = ledger
        self._telemetry = telemetry
        self._producer = TraceEventProducer(settings)
        self._events: TraceEvents | None = None
        self._most_events = 0
        self._spans: list[Span] = []
        self._timer: asyncio.TimerHandle | None = None
        self._windows: asyncio.Queue[tuple[list[Bucket], list[Span]]] = asyncio.Queue()
        self._written = asyncio.Event()

    async def start(self, encoder: BatchEncoder) -> None:
        """Let the encoder collect trace events from now on.

        Raises TopicMissing when there is no topic for them, ServerUnavailable and ServerRefused.
        """
        partitions = await trace_event_partitions(self._settings)
        self._events = encoder.trace_events = TraceEvents(partitions)
        self._most_events = partitions * MOST_EVENTS

    @property
    def full(self) -> bool:
        """Whether so much is under way that nothing more should be read."""
        return self._windows.qsize() >= _MOST_WINDOWS

    def delivered(self, span: Span) -> None:
        """Note that the trace events of a batch have been collected: it has one part more, settled with them."""
        if self._events is None or not self._events.events:
            return
        span.parts += 1
        self._spans.append(span)
        if self._events.events >= self._most_events:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LONGEST_WAIT_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what has been collected, however little."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._events is not None and self._spans:
            self._windows.put_nowait((list(self._events.take()), self._spans))
            self._spans = []

    async def run(self) -> None:
        """Write one window after the other, until cancelled."""
        while True:
            buckets, spans = await self._windows.get()
            await self._producer.write(buckets)
            self._telemetry.trace_events.inc(sum([bucket.events for bucket in buckets]))
            for span in spans:
                self._ledger.settle_part(span)
            self._written.set()

    def troubles(self) -> Iterator[Trouble]:
        """Say whether trace events cannot be written."""
        if self._producer.problem is not None:
            yield Trouble(
                key="trace events",
                what=f"trace events cannot be written to {trace_events_topic(self._settings)}",
                over="trace events can be written again",
                why=self._producer.problem,
                means="Events are indexed, but their offsets are committed later, and soon nothing more is read",
                waits=f"{self._windows.qsize()} windows of at most {_MOST_WINDOWS} wait",
                next_try="They are tried every second",
                part_of=KAFKA,
            )

    async def wait_for_change(self, timeout: float) -> None:
        """Wait until a window has been written, at most so many seconds."""
        self._written.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._written.wait()
        except TimeoutError:
            return

    async def close(self) -> None:
        """Disconnect."""
        await self._producer.close()
