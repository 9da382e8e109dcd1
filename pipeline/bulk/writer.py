"""Document lines → `_bulk` requests: collected by size and time, handed to the senders, each settled once."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from elasticsearch import AsyncElasticsearch

from pipeline.bulk.batch_traces import NO_TRACES, BatchTraces
from pipeline.bulk.dead_letter_lines import DeadLetterLines
from pipeline.bulk.dead_letter_queue import DeadLetterQueue, DeadLetters
from pipeline.bulk.flood import FloodBreaker
from pipeline.bulk.in_flight import InFlight
from pipeline.bulk.parts import Part, split_payload
from pipeline.bulk.request_limits import RequestLimits
from pipeline.bulk.requests import BulkItem
from pipeline.bulk.sender import IdleProblem, Sender
from pipeline.bulk.troubles import WriterTroubles
from pipeline.bulk.waiting import WaitingRooms
from pipeline.encode.fast_path import Payload
from pipeline.kafka.dead_letters import SourceRecord
from pipeline.kafka.ledger import Partition, Span
from pipeline.settings import DeadLetterLimit, Elasticsearch, IndexWait
from pipeline.telemetry.metrics import Telemetry
from pipeline.telemetry.troubles import Trouble

__all__ = ["BulkWriter", "DeadLetters"]

# The error type and status of what Elasticsearch is not asked about.
UNREADABLE = "unreadable_record"
NEVER_SENT = 0


class BulkWriter:
    """Collect documents and send them; call `on_settled` for a span's part when each of its documents is.

    `on_conflict` is called before, with the ids of documents that were there already, or were changed since.

    `run` must be running for anything to be sent. Not safe across threads: one event loop owns it.
    """

    def __init__(
        self,
        client: AsyncElasticsearch,
        settings: Elasticsearch,
        on_settled: Callable[[Span], None],
        dead_letters: DeadLetters,
        telemetry: Telemetry,
        traces: BatchTraces = NO_TRACES,
        *,
        max_salvaged_fields: int = 8,
        index_wait: IndexWait = IndexWait(),  # noqa: B008 - it is frozen
        max_dead_ratio: float = DeadLetterLimit().max_ratio,
        on_conflict: Callable[[Sequence[str]], None] | None = None,
    ) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._breaker = FloodBreaker(max_dead_ratio)
        self._in_flight = InFlight(on_settled, telemetry, traces, self._breaker, on_conflict)
        self._dead = DeadLetterQueue(dead_letters, settings, self._in_flight, telemetry, traces)
        limits = RequestLimits(
            settings.max_concurrent_requests,
            settings.bulk_max_bytes,
            settings.slow_request_seconds,
            settings.request_timeout_seconds,
        )
        self._rooms = WaitingRooms(settings, index_wait, limits, self._in_flight, self._dead, self._breaker)
        self._sender = Sender(
            client,
            settings,
            limits,
            self._in_flight,
            self._rooms,
            self._dead,
            self._breaker,
            telemetry,
            traces,
            max_salvaged_fields,
        )
        self._troubles = WriterTroubles(
            settings, self._sender, self._rooms, self._dead, self._breaker, self._in_flight
        )
        self._buffer: list[Part] = []
        self._buffer_bytes = 0
        self._flush_timer: asyncio.TimerHandle | None = None

    @property
    def in_flight_bytes(self) -> int:
        """Document bytes that wait for or are in a request."""
        return self._in_flight.bytes

    @property
    def reachable(self) -> bool:
        """Whether the last request was answered."""
        return self._sender.reachable

    @property
    def answers(self) -> int:
        """How many requests have been answered."""
        return self._sender.answers

    @property
    def idle_problem(self) -> IdleProblem | None:
        """What is wrong by what Elasticsearch is asked between requests; None where nothing is, or it was not asked."""
        return self._sender.idle_problem

    @idle_problem.setter
    def idle_problem(self, problem: IdleProblem | None) -> None:
        self._sender.idle_problem = problem

    @property
    def full(self) -> bool:
        """Whether so much is in flight that nothing more should be added; what waits for an index is beside it."""
        moving = self._in_flight.bytes
        if self._rooms:
            moving += self._rooms.excess_bytes - self._rooms.body_bytes
        return moving >= self._settings.max_in_flight_bytes

    @property
    def forbidden(self) -> str | None:
        """Why nothing may be written at all, or nothing more given up, until that is mended: nothing is to be read."""
        return self._sender.forbidden or self._rooms.stops_reading

    @property
    def not_ready(self) -> str | None:
        """Why not everything would be indexed that is read now."""
        if not self._sender.reachable:
            return "Elasticsearch does not answer"
        if (problem := self._sender.idle_problem) is not None:
            return f"Elasticsearch {problem.does}: {problem.why}"
        return self.forbidden or self._sender.refused or self._rooms.not_ready

    @property
    def waiting(self) -> list[dict[str, Any]]:
        """What waits for an index, since when and why."""
        return self._rooms.told()

    @property
    def soon_over(self) -> bool:
        """Whether something waits that may soon be taken: it began less than ten seconds ago."""
        return self._rooms.soon_over

    @property
    def stalled(self) -> set[Partition]:
        """Partitions whose dead letters cannot be written: they must not go on."""
        return self._dead.stalled

    @property
    def dead_letter_lines(self) -> DeadLetterLines:
        """What the log says of dead letters."""
        return self._dead.lines

    def troubles(self) -> Iterator[Trouble]:
        """Say what is wrong with Elasticsearch, an index or the dead letters; to be asked once a second."""
        return self._troubles.now()

    def add(self, span: Span, records: Sequence[SourceRecord], payloads: Sequence[Payload]) -> None:
        """Take a span's documents; sends them by size, or after the flush interval.

        `records` are kept until the span is settled: a dead letter is the record itself.
        """
        most = self._sender.limits.request_bytes
        parts = [
            Part(span, records, piece.documents, piece.body, piece.last_stamp, piece.record_ms)
            for payload in payloads
            if payload.documents
            for piece in ((payload,) if len(payload.body) <= most else split_payload(payload, most))
            if piece.documents
        ]
        dead = [
            (each.action, BulkItem(NEVER_SENT, each.error_type or UNREADABLE, each.reason))
            for payload in payloads
            for each in payload.dead
        ]
        if any(payload.alone for payload in payloads):
            parts += _alone(span, records, payloads)
        span.parts = len(parts) + bool(dead)
        if span.parts == 0:
            # All of it has been dropped.
            span.parts = 1
            self._in_flight.settle(Part(span, (), 0, b""))
        self._in_flight.bytes += sum([len(part.body) for part in parts])
        if self._rooms:
            parts = [rest for part in parts for rest in self._rooms.divert(part)]
        if dead:
            # No fault of an index or the cluster, so that the flood breaker is not asked.
            self._dead.give_up(Part(span, records, len(dead), b"", attempts=0), dead)
        for part in parts:
            size = len(part.body)
            if self._buffer and self._buffer_bytes + size > most:
                self.flush()
            self._buffer.append(part)
            self._buffer_bytes += size
        if self._buffer_bytes >= most:
            self.flush()
        elif self._flush_timer is None:
            loop = asyncio.get_running_loop()
            self._flush_timer = loop.call_later(self._settings.flush_interval_seconds, self.flush)

    def flush(self) -> None:
        """Send what has been collected, however little."""
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        if self._buffer:
            self._sender.put(self._buffer)
            self._buffer = []
            self._buffer_bytes = 0

    async def run(self) -> None:
        """Send requests, several at a time, try what waits, and write dead letters, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._settings.max_concurrent_requests):
                tasks.create_task(self._sender.run())
            tasks.create_task(self._rooms.run(self._sender.send_once, self._sender.put))
            tasks.create_task(self._dead.run())

    async def wait_for_change(self, timeout: float) -> None:
        """Wait until some documents have been settled, at most so many seconds."""
        await self._in_flight.wait_for_change(timeout)

    def show(self) -> None:
        """Put what holds now on the metrics."""
        self._telemetry.in_flight_bytes.set(self._in_flight.bytes)
        self._telemetry.concurrency_limit.set(self._sender.limits.concurrency)
        self._telemetry.request_bytes_limit.set(self._sender.limits.request_bytes)
        self._telemetry.dead_letter_flood.set(self._breaker.open)
        waiting = sorted(((room.waiting_documents, room.index) for room in self._rooms), reverse=True)
        self._telemetry.show_waiting([(index, documents) for documents, index in waiting])


def _alone(span: Span, records: Sequence[SourceRecord], payloads: Sequence[Payload]) -> list[Part]:
    """Give documents whose ids do not say of which record they are as parts that have this record alone."""
    by_offset = {record.offset: record for record in records}
    return [
        Part(span, [by_offset[one.offset]], one.documents, one.body, payload.last_stamp, payload.record_ms)
        for payload in payloads
        for one in payload.alone
    ]
