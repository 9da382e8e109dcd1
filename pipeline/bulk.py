"""Document lines → `_bulk` requests: size, time, concurrency, retries; every document is settled once."""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import orjson
from elastic_transport import (
    ConnectionError as TransportConnectionError,
    ConnectionTimeout,
    Serializer,
    TransportError,
)
from elasticsearch import ApiError, AsyncElasticsearch

from pipeline.errors import DeliveryStopped
from pipeline.fast_path import Payload
from pipeline.ledger import Span
from pipeline.outcomes import Outcome, classify, innermost_cause, retry_request
from pipeline.settings import Elasticsearch
from pipeline.telemetry import Telemetry

__all__ = ["BulkWriter", "BytesSerializer", "bulk_serializers"]

log = logging.getLogger(__name__)

_BULK_PATH = "/_bulk"
# The status of every item is asked for: a filter for errors alone would drop the items that succeeded, and
# with them the positions that tie answers to documents.
_BULK_PARAMETERS = {"filter_path": "errors,items.*.status,items.*.error"}
_BULK_HEADERS = {"content-type": "application/x-ndjson", "accept": "application/json"}
# The whole answer to a request of which every document was created, for n documents.
_ALL_CREATED_ITEM = b'{"create":{"status":201}}'
_LINES_PER_DOCUMENT = 2


class BytesSerializer(Serializer):
    """Pass bodies through as bytes both ways: ours are written, and answers are read, by this module."""

    def dumps(self, data: Any) -> bytes:
        """Take bytes only."""
        if not isinstance(data, bytes):
            raise TypeError(f"a bulk body is bytes, not {type(data).__name__}")
        return data

    def loads(self, data: bytes) -> bytes:
        """Leave the answer as it is."""
        return data


def bulk_serializers() -> dict[str, Serializer]:
    """Give the serializers of a client that is used for bulk requests alone."""
    serializer = BytesSerializer()
    return dict.fromkeys(
        (
            "application/json",
            "application/vnd.elasticsearch+json",
            "application/x-ndjson",
            "application/vnd.elasticsearch+x-ndjson",
            "text/*",
        ),
        serializer,
    )


class _Part(NamedTuple):
    """Documents of one span that travel together, as two lines each."""

    span: Span
    documents: int
    body: bytes


class BulkWriter:
    """Collect documents and send them; call `on_settled` for a span's part when each of its documents is.

    `run` must be running for anything to be sent. Not safe across threads: one event loop owns it.
    """

    def __init__(
        self,
        client: AsyncElasticsearch,
        settings: Elasticsearch,
        on_settled: Callable[[Span], None],
        telemetry: Telemetry,
    ) -> None:
        self._client = client
        self._settings = settings
        self._on_settled = on_settled
        self._telemetry = telemetry
        self._buffer: list[_Part] = []
        self._buffer_bytes = 0
        self._requests: asyncio.Queue[list[_Part]] = asyncio.Queue()
        self._flush_timer: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self.in_flight_bytes = 0
        self.reachable = True

    def add(self, span: Span, payloads: Iterable[Payload]) -> None:
        """Take a span's documents; sends them by size, or after the flush interval."""
        most = self._settings.bulk_max_bytes
        parts = [
            _Part(span, piece.documents, piece.body)
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
        """Send requests, several at a time, until cancelled.

        Raises DeliveryStopped when a document is rejected for good.
        """
        async with asyncio.TaskGroup() as senders:
            for _ in range(self._settings.max_concurrent_requests):
                senders.create_task(self._send_requests())

    async def wait_for_change(self, timeout: float) -> None:
        """Wait until some documents have been settled, at most so many seconds."""
        self._changed.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _send_requests(self) -> None:
        while True:
            parts = await self._requests.get()
            delay = self._settings.retry_initial_seconds
            while parts := await self._send(parts):
                await asyncio.sleep(random.uniform(0, delay))  # noqa: S311 - jitter, not a secret
                delay = min(2 * delay, self._settings.retry_max_seconds)

    async def _send(self, parts: list[_Part]) -> list[_Part]:
        """Send one request; give back what has to be sent again."""
        body = b"".join([part.body for part in parts])
        documents = sum(part.documents for part in parts)
        started = asyncio.get_running_loop().time()
        try:
            response = await self._client.perform_request(
                "POST", _BULK_PATH, params=_BULK_PARAMETERS, headers=_BULK_HEADERS, body=body
            )
            answer: bytes = response.body
        except ApiError as error:
            return self._refused(parts, documents, error)
        except (TransportConnectionError, ConnectionTimeout, TransportError) as error:
            # Whether the request was applied is unknown; `create` with our ids makes sending it again safe.
            return self._failed(parts, documents, f"{type(error).__name__}: {error.message}")
        self.reachable = True
        telemetry = self._telemetry
        telemetry.request_bytes.inc(len(body))
        telemetry.request_seconds.observe(asyncio.get_running_loop().time() - started)
        if _all_created(answer, documents):
            telemetry.requests.labels("answered").inc()
            telemetry.documents.labels(Outcome.INDEXED.value).inc(documents)
            for part in parts:
                self._settle(part)
            return []
        return self._settle_by_item(parts, documents, answer)

    def _settle_by_item(self, parts: list[_Part], documents: int, answer: bytes) -> list[_Part]:
        try:
            items = [next(iter(item.values())) for item in orjson.loads(answer)["items"]]
        except (ValueError, KeyError, TypeError, AttributeError, StopIteration):
            return self._failed(parts, documents, f"the answer is no bulk response: {answer[:200]!r}")
        if len(items) != documents:
            return self._failed(parts, documents, f"{len(items)} answers to {documents} documents")
        self._telemetry.requests.labels("answered").inc()
        counts = dict.fromkeys(Outcome, 0)
        again: list[_Part] = []
        position = 0
        for part in parts:
            lines = part.body.split(b"\n")
            unsettled: list[bytes] = []
            for number in range(part.documents):
                item = items[position]
                position += 1
                error = item.get("error")
                outcome = classify(item["status"], error.get("type") if isinstance(error, dict) else None)
                counts[outcome] += 1
                if outcome is Outcome.RETRY:
                    unsettled += lines[2 * number : 2 * number + 2]
                elif outcome is Outcome.REJECTED:
                    self._telemetry.documents.labels(outcome.value).inc()
                    raise DeliveryStopped(
                        f"Elasticsearch rejected {lines[2 * number].decode()} with {item['status']}: "
                        f"{innermost_cause(error)}; its offset and all behind it stay uncommitted"
                    )
            if unsettled:
                body = b"\n".join((*unsettled, b""))
                again.append(_Part(part.span, len(unsettled) // _LINES_PER_DOCUMENT, body))
                self.in_flight_bytes -= len(part.body) - len(body)
            else:
                self._settle(part)
        for outcome in (Outcome.INDEXED, Outcome.ALREADY_THERE):
            self._telemetry.documents.labels(outcome.value).inc(counts[outcome])
        if again:
            self._telemetry.retries.labels("item").inc(counts[Outcome.RETRY])
        return again

    def _settle(self, part: _Part) -> None:
        self.in_flight_bytes -= len(part.body)
        self._on_settled(part.span)
        self._changed.set()

    def _refused(self, parts: list[_Part], documents: int, error: ApiError) -> list[_Part]:
        """Handle an HTTP error of the whole request."""
        status = error.meta.status
        self._telemetry.requests.labels("refused").inc()
        reason = _reason(error.body)
        if not retry_request(status):
            raise DeliveryStopped(f"Elasticsearch refused a bulk request with HTTP {status}: {reason}")
        self._telemetry.retries.labels(f"http_{status}").inc(documents)
        log.warning("bulk request refused with HTTP %d, sending it again: %s", status, reason)
        return parts

    def _failed(self, parts: list[_Part], documents: int, reason: str) -> list[_Part]:
        """Handle a request of unknown outcome."""
        self.reachable = False
        self._telemetry.requests.labels("failed").inc()
        self._telemetry.retries.labels("connection").inc(documents)
        log.warning("bulk request failed, sending it again: %s", reason)
        return parts


def _all_created(answer: bytes, documents: int) -> bool:
    """Tell by counting bytes, not by decoding: far cheaper, and exact for this one form."""
    return (
        answer.startswith(b'{"errors":false,')
        and answer.count(_ALL_CREATED_ITEM) == documents
        and answer.count(b'"status":') == documents
    )


def _reason(body: Any) -> str:
    try:
        return innermost_cause(orjson.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return repr(body[:200]) if body else "no reason given"


def split_payload(payload: Payload, most_bytes: int) -> list[Payload]:
    """Cut documents into pieces of at most so many bytes; a larger document is a piece of its own."""
    lines = payload.body.splitlines(keepends=True)
    pieces: list[Payload] = []
    start = size = 0
    for position in range(0, len(lines), _LINES_PER_DOCUMENT):
        length = len(lines[position]) + len(lines[position + 1])
        if size and size + length > most_bytes:
            pieces.append(_payload(lines[start:position]))
            start, size = position, 0
        size += length
    pieces.append(_payload(lines[start:]))
    return pieces


def _payload(lines: list[bytes]) -> Payload:
    return Payload(len(lines) // _LINES_PER_DOCUMENT, b"".join(lines))
