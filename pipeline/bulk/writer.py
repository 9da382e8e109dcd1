"""Document lines → `_bulk` requests: size, time, concurrency, retries; every document is settled once."""

import asyncio
import logging
import random
import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

import orjson
from aiokafka.errors import KafkaError
from elastic_transport import TransportError
from elasticsearch import ApiError, AsyncElasticsearch, UnsupportedProductError

from pipeline.bulk.batch_traces import NO_TRACES, BatchTraces
from pipeline.bulk.outcomes import Outcome, RequestOutcome, classify, classify_request
from pipeline.bulk.request_limits import RequestLimits
from pipeline.bulk.requests import (
    BulkAnswer,
    BulkItem,
    all_created,
    bulk_summary,
    items_of,
    request_item,
    send_bulk,
)
from pipeline.bulk.salvage import field_of, salvage
from pipeline.encode.fast_path import Payload
from pipeline.events.document import Coordinates
from pipeline.kafka.dead_letters import DeadLetter, SourceRecord
from pipeline.kafka.ledger import Partition, Span
from pipeline.settings import Elasticsearch
from pipeline.telemetry.metrics import Telemetry

__all__ = [
    "BulkWriter",
    "DeadLetters",
    "split_payload",
]

log = logging.getLogger(__name__)

_DONE = (Outcome.INDEXED, Outcome.ALREADY_THERE)
_LINES_PER_DOCUMENT = 2
# The end of an id: offset, timestamp (-1 where Kafka has none), number within an array.
_OFFSET = re.compile(r"-(\d{12,})-(?:-?\d+)(?:\.(\d+))?$")


class DeadLetters(Protocol):
    """Where documents go that Elasticsearch will not take."""

    async def write(self, letters: Iterable[DeadLetter]) -> None:
        """Return when every letter is acknowledged; raise KafkaError otherwise."""


class _Part(NamedTuple):
    """Documents of one span that travel together, as two lines each, and the records they came from."""

    span: Span
    records: Sequence[SourceRecord]
    documents: int
    body: bytes
    event_ms: int | None = None
    record_ms: int | None = None
    attempts: int = 1
    last_chance: bool = False
    salvaged: bool = False
    """Whether a field of each has been moved aside."""


class BulkWriter:
    """Collect documents and send them; call `on_settled` for a span's part when each of its documents is.

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
    ) -> None:
        self._client = client
        self._settings = settings
        self._on_settled = on_settled
        self._dead_letters = dead_letters
        self._telemetry = telemetry
        self._traces = traces
        self._buffer: list[_Part] = []
        self._buffer_bytes = 0
        self._requests: asyncio.Queue[list[_Part]] = asyncio.Queue()
        self._dead: asyncio.Queue[tuple[_Part, list[DeadLetter]]] = asyncio.Queue()
        self._flush_timer: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self._limits = RequestLimits(
            settings.max_concurrent_requests, settings.bulk_max_bytes, settings.slow_request_seconds
        )
        self.in_flight_bytes = 0
        self.reachable = True
        self.forbidden: str | None = None
        """Why nothing may be written at all, until that is mended."""
        self.stalled: set[Partition] = set()
        """Partitions whose dead letters cannot be written: they must not go on."""

    def add(self, span: Span, records: Sequence[SourceRecord], payloads: Iterable[Payload]) -> None:
        """Take a span's documents; sends them by size, or after the flush interval.

        `records` are kept until the span is settled: a dead letter is the record itself.
        """
        most = self._limits.request_bytes
        parts = [
            _Part(span, records, piece.documents, piece.body, piece.event_ms, piece.record_ms)
            for payload in payloads
            for piece in ((payload,) if len(payload.body) <= most else split_payload(payload, most))
        ]
        span.parts = len(parts)
        for part in parts:
            size = len(part.body)
            if self._buffer and self._buffer_bytes + size > most:
                self.flush()
            self._buffer.append(part)
            self._buffer_bytes += size
            self.in_flight_bytes += size
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
            self._requests.put_nowait(self._buffer)
            self._buffer = []
            self._buffer_bytes = 0

    async def run(self) -> None:
        """Send requests, several at a time, and write dead letters, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._settings.max_concurrent_requests):
                tasks.create_task(self._send_requests())
            tasks.create_task(self._bury())

    async def wait_for_change(self, timeout: float) -> None:
        """Wait until some documents have been settled, at most so many seconds."""
        self._changed.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return

    def show(self) -> None:
        """Put what holds now on the metrics."""
        self._telemetry.in_flight_bytes.set(self.in_flight_bytes)
        self._telemetry.concurrency_limit.set(self._limits.concurrency)
        self._telemetry.request_bytes_limit.set(self._limits.request_bytes)

    # --- sending ------------------------------------------------------------------------------------------

    async def _send_requests(self) -> None:
        while True:
            parts = await self._requests.get()
            retries = 0
            while parts:
                async with self._limits.slot():
                    parts, wait = await self._send(parts)
                for part in parts:
                    self._traces.event(part.span, "retry", part.documents)
                if wait:
                    await self._back_off(retries)
                    retries += 1

    async def _back_off(self, retries: int) -> None:
        """Wait for a random time up to a bound that doubles: full jitter, so that workers spread out."""
        bound = min(
            self._settings.retry_initial_seconds * 2 ** min(retries, 30), self._settings.retry_max_seconds
        )
        await asyncio.sleep(random.uniform(0, bound))  # noqa: S311 - jitter, not a secret

    async def _send(self, parts: list[_Part]) -> tuple[list[_Part], bool]:
        """Send one request; give back what has to be sent again, and whether to wait before."""
        body = b"".join([part.body for part in parts])
        documents = sum([part.documents for part in parts])
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            with self._traces.sending(parts, len(body)) as request:
                response = await send_bulk(self._client, body)
                request.answered(response)
            answer: bytes = response.body
        except UnsupportedProductError as error:
            # A proxy's page, say: the outcome is as unknown as without any answer.
            return self._failed(parts, documents, str(error))
        except ApiError as error:
            return self._refused(parts, documents, error)
        except TransportError as error:
            # Whether the request was applied is unknown; `create` with our ids makes sending it again safe.
            _cut_tracebacks(error)
            return self._failed(parts, documents, f"{type(error).__name__}: {error.message}")
        seconds = loop.time() - started
        telemetry = self._telemetry
        telemetry.request_bytes.inc(len(body))
        telemetry.request_seconds.observe(seconds)
        if all_created(answer, documents):
            self._answered(seconds, answer)
            for part in parts:
                self._settle_created(part)
            return [], False
        items = items_of(answer, [part.documents for part in parts])
        if items is None:
            return self._failed(parts, documents, f"no answer to {documents} documents: {answer[:200]!r}")
        self._answered(seconds, answer)
        return self._settle_by_item(zip(parts, items, strict=True))

    def _answered(self, seconds: float, answer: bytes) -> None:
        self.reachable = True
        self.forbidden = None
        if summary := bulk_summary(answer):
            self._telemetry.took_seconds.observe(summary.took_ms / 1000)
        self._telemetry.requests.labels("answered").inc()
        if self._limits.answered(seconds):
            self._telemetry.slowdowns.labels("slow").inc()

    def _refused(self, parts: list[_Part], documents: int, error: ApiError) -> tuple[list[_Part], bool]:
        """Handle an HTTP error of the whole request."""
        status = error.meta.status
        item = request_item(status, error.body)
        self._telemetry.requests.labels("refused").inc()
        outcome = classify_request(status)
        if outcome is RequestOutcome.SPLIT:
            return self._halve(parts, item), False
        self._telemetry.retries.labels(f"http_{status}").inc(documents)
        if outcome is RequestOutcome.FORBIDDEN:
            self.forbidden = f"HTTP {status}: {item.reason}"
            log.error(
                "Elasticsearch forbids writing, nothing is read until it allows it again: %s", self.forbidden
            )
        else:
            self._overloaded(f"http_{status}")
            log.warning("bulk request refused with HTTP %d, sending it again: %s", status, item.reason)
        return parts, True

    def _failed(self, parts: list[_Part], documents: int, reason: str) -> tuple[list[_Part], bool]:
        """Handle a request of unknown outcome."""
        self.reachable = False
        self._telemetry.requests.labels("failed").inc()
        self._telemetry.retries.labels("failed").inc(documents)
        self._overloaded("failed")
        log.warning("bulk request failed, sending it again: %s", reason)
        return parts, True

    def _overloaded(self, reason: str) -> None:
        if self._limits.overloaded():
            self._telemetry.slowdowns.labels(reason).inc()

    def _halve(self, parts: list[_Part], item: BulkItem) -> list[_Part]:
        """Send the two halves of a request as two requests; a single document is dead."""
        if len(parts) > 1:
            middle = len(parts) // 2
            self._requests.put_nowait(parts[middle:])
            return parts[:middle]
        (part,) = parts
        if part.documents == 1:
            self._give_up(part, [(part.body.split(b"\n", 1)[0], item)])
            return []
        lines = part.body.splitlines(keepends=True)
        middle = part.documents // 2 * _LINES_PER_DOCUMENT
        part.span.parts += 1
        halves = [
            part._replace(documents=len(half) // _LINES_PER_DOCUMENT, body=b"".join(half))
            for half in (lines[:middle], lines[middle:])
        ]
        self._requests.put_nowait(halves[1:])
        return halves[:1]

    # --- settling -----------------------------------------------------------------------------------------

    def _settle_by_item(self, answered: Iterable[tuple[_Part, BulkAnswer]]) -> tuple[list[_Part], bool]:
        again: list[_Part] = []
        wait = False
        for part, items in answered:
            if items is None:
                self._settle_created(part)
            else:
                left, passing = self._settle_mixed(part, items)
                again += left
                wait |= passing
        if wait:
            self._overloaded("items")
        return again, wait

    def _settle_mixed(self, part: _Part, items: Sequence[BulkItem]) -> tuple[list[_Part], bool]:
        """Look at each document of a part; give what has to be sent again, and whether to wait before."""
        outcomes = [classify(item.status, item.error_type or None) for item in items]
        for done in _DONE:
            self._count(part, done, outcomes.count(done))
        if Outcome.INDEXED in outcomes:
            self._note_age(part)
        lines = part.body.splitlines(keepends=True)
        wait = False
        retried: list[bytes] = []
        once_more: list[bytes] = []
        salvaged: list[bytes] = []
        dead: list[tuple[bytes, BulkItem]] = []
        for number, (item, outcome) in enumerate(zip(items, outcomes, strict=True)):
            if outcome in _DONE:
                continue
            action, source = lines[2 * number], lines[2 * number + 1]
            if outcome is Outcome.RETRY:
                retried += (action, source)
                self._telemetry.retries.labels(_retry_label(item)).inc()
                wait = True
            elif outcome is Outcome.RETRY_ONCE and not part.last_chance:
                once_more += (action, source)
                wait = True
            elif outcome is Outcome.REJECTED and not part.last_chance:
                moved = salvage(source, item.reason)
                if moved is None:
                    dead.append((action, item))
                else:
                    salvaged += (action, moved[0] + b"\n")
            else:
                dead.append((action, item))
        left = [
            part._replace(
                documents=len(lines) // _LINES_PER_DOCUMENT,
                body=b"".join(lines),
                attempts=part.attempts + 1,
                last_chance=part.last_chance or lines is not retried,
                salvaged=part.salvaged or lines is salvaged,
            )
            for lines in (retried, once_more, salvaged)
            if lines
        ]
        self._continue(part, left, dead)
        return left, wait

    def _continue(self, part: _Part, left: list[_Part], dead: list[tuple[bytes, BulkItem]]) -> None:
        """Settle a part, or replace it by what is left of it."""
        part.span.parts += len(left) + bool(dead)
        self.in_flight_bytes += sum([len(one.body) for one in left])
        if dead:
            self._give_up(part._replace(body=b""), dead)
        self._settle(part)

    def _settle_created(self, part: _Part) -> None:
        self._count(part, Outcome.INDEXED, part.documents)
        self._note_age(part)
        self._settle(part)

    def _settle(self, part: _Part) -> None:
        self.in_flight_bytes -= len(part.body)
        self._on_settled(part.span)
        if part.span.settled:
            self._traces.settled(part.span)
        self._changed.set()

    def _note_age(self, part: _Part) -> None:
        """Measure how old the documents are, now that they can be found; one stands for all of the part."""
        now_ms = time.time() * 1000
        if part.event_ms is not None:
            self._telemetry.freshness.observe(max(now_ms - part.event_ms, 0) / 1000)
        if part.record_ms is not None and part.record_ms >= 0:
            self._telemetry.latency.observe(max(now_ms - part.record_ms, 0) / 1000)

    def _count(self, part: _Part, outcome: Outcome, documents: int) -> None:
        if documents:
            topic, number = part.span.partition
            self._telemetry.documents.labels(topic, number, outcome.value).inc(documents)
            if part.salvaged and outcome is Outcome.INDEXED:
                self._telemetry.salvaged.inc(documents)

    # --- dead letters -------------------------------------------------------------------------------------

    def _give_up(self, part: _Part, dead: list[tuple[bytes, BulkItem]]) -> None:
        """Hand documents over to be written as dead letters; the part is settled when they are."""
        by_offset = {record.offset: record for record in part.records}
        letters: list[DeadLetter] = []
        for action, item in dead:
            target = orjson.loads(action)["create"]
            offset, element = _place(target["_id"])
            record = by_offset[offset]
            if not letters:
                # One line for all: what is wrong with the first is mostly wrong with the others.
                others = len(dead) - 1
                log.warning(
                    "dead letter: %s: HTTP %d %s (%d more with it)", target, item.status, item.reason, others
                )
            letters.append(
                DeadLetter(
                    record=Coordinates(*part.span.partition, record.offset, record.timestamp),
                    key=record.key,
                    value=record.value,
                    headers=record.headers,
                    error_type=item.error_type,
                    reason=item.reason,
                    field=field_of(item.reason) or "",
                    status=item.status,
                    attempts=part.attempts,
                    element=element,
                )
            )
        self._dead.put_nowait((part, letters))

    async def _bury(self) -> None:
        while True:
            part, letters = await self._dead.get()
            retries = 0
            while not await self._written(part, letters):
                await self._back_off(retries)
                retries += 1
            self.stalled.discard(part.span.partition)
            for letter in letters:
                self._telemetry.dead_letters.labels(letter.error_type).inc()
            self._traces.event(part.span, "dead letters", len(letters))
            topic, number = part.span.partition
            self._telemetry.documents.labels(topic, number, "dead_lettered").inc(len(letters))
            self._settle(part)

    async def _written(self, part: _Part, letters: list[DeadLetter]) -> bool:
        try:
            await self._dead_letters.write(letters)
        except (KafkaError, OSError) as error:
            self.stalled.add(part.span.partition)
            self._telemetry.dead_letter_failures.inc()
            log.error(  # noqa: TRY400 - the trace says nothing more
                "dead letters of %s/%d cannot be written, the partition waits: %s: %s",
                *part.span.partition,
                type(error).__name__,
                error,
            )
            return False
        return True


def _cut_tracebacks(error: BaseException) -> None:
    """Let go of the frames that an exception of the client and its causes came through.

    They and the exception hold each other, and the body of the request: 2 MB an attempt, until the next garbage
    collection, which `process.py` has made rare.
    """
    cause: BaseException | None = error
    while cause is not None:
        cause.__traceback__ = None
        for inner in getattr(cause, "errors", ()):
            inner.__traceback__ = None
        cause = cause.__cause__ or cause.__context__


def _retry_label(item: BulkItem) -> str:
    return "blocked" if item.error_type == "cluster_block_exception" else f"item_{item.status}"


def _place(identifier: str) -> tuple[int, int | None]:
    """Read the offset and the number within an array, if any, back out of an id as `document_id` makes it."""
    match = _OFFSET.search(identifier)
    if match is None:
        raise ValueError(f"{identifier!r} is no id of ours")
    return int(match[1]), int(match[2]) if match[2] else None


def split_payload(payload: Payload, most_bytes: int) -> list[Payload]:
    """Cut documents into pieces of at most so many bytes; a larger document is a piece of its own."""
    lines = payload.body.splitlines(keepends=True)
    times = payload.event_ms, payload.record_ms
    pieces: list[Payload] = []
    start = size = 0
    for position in range(0, len(lines), _LINES_PER_DOCUMENT):
        length = len(lines[position]) + len(lines[position + 1])
        if size and size + length > most_bytes:
            pieces.append(_payload(lines[start:position], *times))
            start, size = position, 0
        size += length
    pieces.append(_payload(lines[start:], *times))
    return pieces


def _payload(lines: list[bytes], event_ms: int | None, record_ms: int | None) -> Payload:
    return Payload(len(lines) // _LINES_PER_DOCUMENT, b"".join(lines), event_ms, record_ms)
