"""Requests on their way: several at a time, each sent until every document of it has its outcome.

Longer than most: every way in which a request can end is here, one beside the other.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import NamedTuple

from elastic_transport import ConnectionTimeout, TransportError
from elasticsearch import ApiError, AsyncElasticsearch, UnsupportedProductError

from pipeline.bulk.answers import Left, Refused, held, settle
from pipeline.bulk.backoff import backoff_seconds
from pipeline.bulk.batch_traces import BatchTraces
from pipeline.bulk.body import BulkBody
from pipeline.bulk.client import cut_tracebacks
from pipeline.bulk.dead_letter_queue import DeadLetterQueue
from pipeline.bulk.flood import FloodBreaker
from pipeline.bulk.in_flight import InFlight
from pipeline.bulk.outcomes import Outcome, RequestOutcome, classify_request
from pipeline.bulk.parts import Part, cut_in_two, fitting_and_rest
from pipeline.bulk.request_limits import RequestLimits
from pipeline.bulk.requests import (
    BulkAnswer,
    BulkItem,
    all_created,
    bulk_summary,
    items_of,
    request_item,
    send_bulk,
    target_of,
)
from pipeline.bulk.waiting import Sent, WaitingRooms
from pipeline.bulk.waiting_room import WARN_SECONDS
from pipeline.settings import Elasticsearch
from pipeline.telemetry.metrics import Telemetry

__all__ = ["IdleProblem", "Sender"]

log = logging.getLogger(__name__)

_BAD_REQUEST = 400
_TIMEOUTS = (408, 504)
_THROTTLED = (408, 429)
# Elasticsearch names itself in each answer.
_PRODUCT = "x-elastic-product"
# What stands for an answer where there was none; the status is a gateway's.
_NO_ANSWER = "no_answer"
_NO_ANSWER_STATUS = 504
# A request that was refused as a whole, or not answered, so often, while others were answered, is taken apart.
_VAIN_RETRIES = 5


class _Request(NamedTuple):
    """A request on its way."""

    parts: list[Part]
    retries: int = 0
    """How often it was refused as a whole, or not answered."""
    answers: int = 0
    """How many others had been answered before that."""


class IdleProblem(NamedTuple):
    """What is wrong with Elasticsearch while nothing is sent."""

    does: str
    """A verb with what belongs to it: "does not answer"."""
    why: str


class Sender:
    """Send requests, each the parts of which it is made; `run` as often as there are to be requests at a time."""

    def __init__(
        self,
        client: AsyncElasticsearch,
        settings: Elasticsearch,
        limits: RequestLimits,
        in_flight: InFlight,
        rooms: WaitingRooms,
        dead: DeadLetterQueue,
        breaker: FloodBreaker,
        telemetry: Telemetry,
        traces: BatchTraces,
        max_salvaged_fields: int,
    ) -> None:
        self._max_salvaged_fields = max_salvaged_fields
        self._client = client
        self._settings = settings
        self.limits = limits
        self._in_flight = in_flight
        self._rooms = rooms
        self._dead = dead
        self._breaker = breaker
        self._telemetry = telemetry
        self._traces = traces
        self._requests: asyncio.Queue[_Request] = asyncio.Queue()
        self.answers = 0
        """Requests that were answered, whatever became of their documents."""
        self.idle_problem: IdleProblem | None = None
        """What is wrong with Elasticsearch by what others than this ask it between requests."""
        self._blamed: dict[str, int] = {}
        self._refused_since: float | None = None
        self._refusal = ""
        self.failures = 0
        """Requests that were refused as a whole, or not answered."""
        self.problem = ""
        """What became of the last of them, and where that is known on which node."""
        self.slow_seconds = 0.0
        """How long the last request took, where that is longer than `slow_request_seconds`."""
        self._unanswered = 0
        """How many requests in a row have not been answered."""
        self.forbidden: str | None = None
        """Why nothing may be written at all, until that is mended."""

    @property
    def reachable(self) -> bool:
        """Whether any node answers: one of several that is away leaves its turn to the next."""
        return self._unanswered < len(self._settings.hosts)

    @property
    def refuses_every_request(self) -> bool:
        """Whether nothing but refusals has been answered since the first of them."""
        return self._refused_since is not None

    @property
    def refused(self) -> str | None:
        """Why no request at all is answered, once that has lasted for a while."""
        if self._refused_since is None:
            return None
        seconds = asyncio.get_running_loop().time() - self._refused_since
        if seconds < WARN_SECONDS:
            return None
        return f"Elasticsearch has refused every request for {seconds:.0f} s: {self._refusal}"

    def put(self, parts: list[Part]) -> None:
        """Take a request."""
        self._requests.put_nowait(_Request(parts))

    async def run(self) -> None:
        """Send one request after the other, until cancelled."""
        while True:
            parts, retries, answers = await self._requests.get()
            while parts:
                if retries == 0:
                    answers = self.answers
                async with self.limits.slot():
                    sent = await self._send(self._fit(parts))
                parts = sent.again
                for part in parts:
                    self._traces.event(part.span, "retry", part.documents)
                if not sent.wait:
                    continue
                retries += 1
                if sent.refusal is not None and retries > _VAIN_RETRIES:
                    if self.answers > answers:
                        parts = self._take_apart(parts, sent.refusal, retries, answers)
                        continue
                    if not self._requests.empty():
                        # Whether it is this one that is not taken, or any, another will tell.
                        self._requests.put_nowait(_Request(parts, retries, answers))
                        parts = []
                await asyncio.sleep(backoff_seconds(self._settings, retries - 1))

    async def send_once(self, parts: list[Part]) -> Sent:
        """Send one request of what waits, beside the others and without a say in how much they send."""
        for part in parts:
            self._traces.event(part.span, "retry", part.documents)
        sent = await self._send(parts, trying=True)
        if sent.wait or not sent.again:
            return sent
        self.put(sent.again)
        return sent._replace(again=[])

    async def _send(self, parts: list[Part], *, trying: bool = False) -> Sent:
        """Send one request; give back what has to be sent again, and whether to wait before."""
        body = BulkBody([part.body for part in parts])
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
            return self._failed(parts, documents, str(error), trying=trying)
        except ApiError as error:
            self._note_late(len(body), started, error, trying=trying)
            return self._refused(parts, documents, error, trying=trying)
        except TransportError as error:
            # Whether the request was applied is unknown; `create` with our ids makes sending it again safe.
            cut_tracebacks(error)
            self._note_late(len(body), started, error, trying=trying)
            reason = f"{type(error).__name__}: {error.message}"
            return self._failed(parts, documents, reason, trying=trying)
        seconds = loop.time() - started
        telemetry = self._telemetry
        telemetry.request_bytes.inc(len(body))
        telemetry.request_seconds.observe(seconds)
        if all_created(answer, documents):
            self._answered(seconds, len(body), answer, trying=trying)
            if self._rooms:
                self._rooms.note_taken(parts)
            self._in_flight.created(parts)
            return Sent(documents, [])
        items = items_of(answer, [part.body for part in parts], [part.documents for part in parts])
        if items is None:
            reason = f"no answer to {documents} documents: {answer[:200]!r}"
            return self._failed(parts, documents, reason, trying=trying)
        self._answered(seconds, len(body), answer, trying=trying)
        if self._rooms:
            self._rooms.note_taken([part for part, item in zip(parts, items, strict=True) if item is None])
        return self._settle(parts, items, trying=trying)

    def _answered(self, seconds: float, size: int, answer: bytes, *, trying: bool) -> None:
        self._unanswered = 0
        self.idle_problem = None
        self.forbidden = None
        self.answers += 1
        self._refused_since = None
        self.slow_seconds = seconds if seconds > self._settings.slow_request_seconds else 0.0
        if summary := bulk_summary(answer):
            self._telemetry.took_seconds.observe(summary.took_ms / 1000)
        self._telemetry.requests.labels("answered").inc()
        if not trying and self.limits.answered(seconds, size):
            self._telemetry.slowdowns.labels("slow").inc()

    def _note_late(
        self, size: int, started: float, error: ApiError | TransportError, *, trying: bool
    ) -> None:
        """Let the size of requests fall where it is too large to be answered in time."""
        status = error.meta.status if isinstance(error, ApiError) else None
        if not trying and (isinstance(error, ConnectionTimeout) or status in _TIMEOUTS):
            self.limits.timed_out(size, started)

    def _refused(self, parts: list[Part], documents: int, error: ApiError, *, trying: bool) -> Sent:
        """Handle an HTTP error of the whole request."""
        status = error.meta.status
        item = request_item(status, error.body)
        self._telemetry.requests.labels("refused").inc()
        outcome = classify_request(status, item.error_type)
        if status == _BAD_REQUEST and not self.answers and _PRODUCT not in error.meta.headers:
            outcome = RequestOutcome.FORBIDDEN
        if outcome is RequestOutcome.SPLIT:
            return self._halve(parts, item)
        node = error.meta.node
        self._note_problem(f"HTTP {status} of {node.scheme}://{node.host}:{node.port}: {item.reason}")
        self._telemetry.retries.labels(f"http_{status}").inc(documents)
        if outcome is RequestOutcome.FORBIDDEN:
            self.forbidden = f"HTTP {status}: {item.reason}"
        else:
            if not trying:
                self._overloaded(f"http_{status}")
            if self._refused_since is None and not trying:
                self._refused_since = asyncio.get_running_loop().time()
            self._refusal = f"HTTP {status}: {item.reason}"
            return Sent(0, parts, wait=True, refusal=item)
        return Sent(0, parts, wait=True)

    def _failed(self, parts: list[Part], documents: int, reason: str, *, trying: bool) -> Sent:
        """Handle a request of unknown outcome."""
        self._unanswered += 1
        self._telemetry.requests.labels("failed").inc()
        self._telemetry.retries.labels("failed").inc(documents)
        if not trying:
            self._overloaded("failed")
        self._note_problem(reason)
        return Sent(0, parts, wait=True, refusal=BulkItem(_NO_ANSWER_STATUS, _NO_ANSWER, reason))

    def _note_problem(self, problem: str) -> None:
        """Keep what is wrong for `troubles.py`, which is asked once a second: here a line would be one of thousands."""
        self.failures += 1
        self.problem = problem
        log.debug("bulk request in vain: %s", problem)

    def _fit(self, parts: list[Part]) -> list[Part]:
        """Give as much of a request as may be sent at a time now; the rest waits for its turn."""
        if self.limits.request_bytes >= self._settings.bulk_max_bytes:
            return parts
        fitting, rest = fitting_and_rest(parts, self.limits.request_bytes)
        if rest:
            self.put(rest)
        return fitting

    def _overloaded(self, reason: str) -> None:
        if self.limits.overloaded():
            self._telemetry.slowdowns.labels(reason).inc()

    def _halve(self, parts: list[Part], item: BulkItem) -> Sent:
        """Send the two halves of a request as two requests; a single document is looked at by itself."""
        first, second = cut_in_two(parts)
        if not second:
            return self._settle(parts, [[item]], trying=True)
        self.put(second)
        return Sent(0, first)

    def _take_apart(self, parts: list[Part], item: BulkItem, retries: int, answers: int) -> list[Part]:
        """Look for what it is in a request that keeps it from being answered, while others are.

        Gives the half that is to be sent now. A single document waits beside its index, which may take others.
        """
        first, second = cut_in_two(parts)
        if second:
            self._requests.put_nowait(_Request(second, retries, answers))
            return first
        (part,) = parts
        self._refused_since = None
        index = target_of(part.body.splitlines()[0])[0]
        part.span.parts += 1
        self._in_flight.bytes += len(part.body)
        self._rooms.admit(
            Refused(
                *(index, part._replace(attempts=part.attempts + 1), Outcome.PASSING, item),
                # Without an answer it may be the index that gives none: of a node that hangs, say.
                took_others=item.error_type != _NO_ANSWER,
            )
        )
        self._in_flight.settle(part)
        return []

    def _settle(self, parts: list[Part], answers: Sequence[BulkAnswer], *, trying: bool) -> Sent:
        """Settle what is done, and hand what is left of each part on to where it belongs."""
        again: list[Part] = []
        taken = sum([part.documents for part in parts])
        throttled = False
        settled = settle(
            parts,
            answers,
            self._in_flight,
            self._telemetry,
            self._may_blame,
            self._max_salvaged_fields,
        )
        for part, left in settled:
            taken -= len(left.dead) + sum([each.documents for each in left.salvaged])
            taken -= sum([refused.part.documents for refused in left.waiting])
            throttled |= any(refused.item.status in _THROTTLED for refused in left.waiting)
            again += left.salvaged
            self._continue(part, left)
        if throttled and not trying:
            self._overloaded("items")
        return Sent(taken, again)

    def _may_blame(self, index: str) -> bool:
        """Tell whether a document that its index has refused alone, for a reason that no row knows, is at fault.

        Not when others wait for the index. Nor when another was blamed just before, and nothing was taken since: twice
        in a row it is the index, or the cluster.
        """
        taken = self._in_flight.taken
        if self._rooms.documents_of(index) or self._blamed.get(index) == taken:
            return False
        self._blamed[index] = taken
        return True

    def _continue(self, part: Part, left: Left) -> None:
        """Settle a part, or replace it by what is left of it."""
        waiting = list(left.waiting)
        gives_up = bool(left.dead) and self._breaker.may_give_up(len(left.dead))
        if left.dead and not gives_up:
            waiting += held(part, left.dead)
        others = [*left.salvaged, *(refused.part for refused in waiting)]
        part.span.parts += len(others) + gives_up
        self._in_flight.bytes += sum([len(one.body) for one in others])
        for refused in waiting:
            self._rooms.admit(refused)
        if gives_up:
            self._dead.give_up(part._replace(body=b""), left.dead)
        self._in_flight.settle(part)
