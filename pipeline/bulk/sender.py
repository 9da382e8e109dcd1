"""Requests on their way: several at a time, each sent until every document of it has its outcome."""

import asyncio
import logging
from collections.abc import Iterable

from elastic_transport import TransportError
from elasticsearch import ApiError, AsyncElasticsearch, UnsupportedProductError

from pipeline.bulk.answers import settle_mixed
from pipeline.bulk.backoff import backoff_seconds
from pipeline.bulk.batch_traces import BatchTraces
from pipeline.bulk.dead_letter_queue import DeadLetterQueue
from pipeline.bulk.in_flight import InFlight
from pipeline.bulk.outcomes import RequestOutcome, classify_request
from pipeline.bulk.parts import Part, halves
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
from pipeline.settings import Elasticsearch
from pipeline.telemetry.metrics import Telemetry

__all__ = ["Sender"]

log = logging.getLogger(__name__)


class Sender:
    """Send requests, each the parts of which it is made; `run` as often as there are to be requests at a time."""

    def __init__(
        self,
        client: AsyncElasticsearch,
        settings: Elasticsearch,
        in_flight: InFlight,
        dead: DeadLetterQueue,
        telemetry: Telemetry,
        traces: BatchTraces,
        max_salvaged_fields: int,
    ) -> None:
        self._max_salvaged_fields = max_salvaged_fields
        self._client = client
        self._settings = settings
        self._in_flight = in_flight
        self._dead = dead
        self._telemetry = telemetry
        self._traces = traces
        self._requests: asyncio.Queue[list[Part]] = asyncio.Queue()
        self.limits = RequestLimits(
            settings.max_concurrent_requests, settings.bulk_max_bytes, settings.slow_request_seconds
        )
        self.reachable = True
        self.forbidden: str | None = None
        """Why nothing may be written at all, until that is mended."""

    def put(self, parts: list[Part]) -> None:
        """Take a request."""
        self._requests.put_nowait(parts)

    async def run(self) -> None:
        """Send one request after the other, until cancelled."""
        while True:
            parts = await self._requests.get()
            retries = 0
            while parts:
                async with self.limits.slot():
                    parts, wait = await self._send(parts)
                for part in parts:
                    self._traces.event(part.span, "retry", part.documents)
                if wait:
                    await asyncio.sleep(backoff_seconds(self._settings, retries))
                    retries += 1

    async def _send(self, parts: list[Part]) -> tuple[list[Part], bool]:
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
                self._in_flight.created(part)
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
        if self.limits.answered(seconds):
            self._telemetry.slowdowns.labels("slow").inc()

    def _refused(self, parts: list[Part], documents: int, error: ApiError) -> tuple[list[Part], bool]:
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

    def _failed(self, parts: list[Part], documents: int, reason: str) -> tuple[list[Part], bool]:
        """Handle a request of unknown outcome."""
        self.reachable = False
        self._telemetry.requests.labels("failed").inc()
        self._telemetry.retries.labels("failed").inc(documents)
        self._overloaded("failed")
        log.warning("bulk request failed, sending it again: %s", reason)
        return parts, True

    def _overloaded(self, reason: str) -> None:
        if self.limits.overloaded():
            self._telemetry.slowdowns.labels(reason).inc()

    def _halve(self, parts: list[Part], item: BulkItem) -> list[Part]:
        """Send the two halves of a request as two requests; a single document is dead."""
        if len(parts) > 1:
            middle = len(parts) // 2
            self.put(parts[middle:])
            return parts[:middle]
        (part,) = parts
        if part.documents == 1:
            self._dead.give_up(part, [(part.body.split(b"\n", 1)[0], item)])
            return []
        first, second = halves(part)
        self.put([second])
        return [first]

    def _settle_by_item(self, answered: Iterable[tuple[Part, BulkAnswer]]) -> tuple[list[Part], bool]:
        again: list[Part] = []
        wait = False
        for part, items in answered:
            if items is None:
                self._in_flight.created(part)
                continue
            left = settle_mixed(part, items, self._in_flight, self._telemetry, self._max_salvaged_fields)
            self._continue(part, left.again, left.dead)
            again += left.again
            wait |= left.wait
        if wait:
            self._overloaded("items")
        return again, wait

    def _continue(self, part: Part, again: list[Part], dead: list[tuple[bytes, BulkItem]]) -> None:
        """Settle a part, or replace it by what is left of it."""
        part.span.parts += len(again) + bool(dead)
        self._in_flight.bytes += sum([len(one.body) for one in again])
        if dead:
            self._dead.give_up(part._replace(body=b""), dead)
        self._in_flight.settle(part)


def _cut_tracebacks(error: BaseException) -> None:
    """Let go of the frames that an exception of the client and its causes came through.

    They and the exception hold each other, and the body of the request: 2 MB an attempt, until the next garbage
    collection, which `worker/memory.py` has made rare.
    """
    cause: BaseException | None = error
    while cause is not None:
        cause.__traceback__ = None
        for inner in getattr(cause, "errors", ()):
            inner.__traceback__ = None
        cause = cause.__cause__ or cause.__context__
