"""What is in flight: its bytes, and the settling of each part, once."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from operator import attrgetter

from pipeline.bulk.batch_traces import BatchTraces
from pipeline.bulk.flood import FloodBreaker
from pipeline.bulk.outcomes import Outcome
from pipeline.bulk.parts import Part
from pipeline.events.timestamps import parse_timestamp
from pipeline.kafka.ledger import Span
from pipeline.telemetry.metrics import Telemetry

__all__ = ["InFlight"]

_is_counted_with = attrgetter("span", "salvaged")


class InFlight:
    """Count the bytes in flight; call `on_settled` for a span's part when each of its documents is settled."""

    def __init__(
        self,
        on_settled: Callable[[Span], None],
        telemetry: Telemetry,
        traces: BatchTraces,
        breaker: FloodBreaker,
        on_conflict: Callable[[Sequence[str]], None] | None = None,
    ) -> None:
        self.bytes = 0
        self.taken = 0
        """Documents that Elasticsearch has, of all indices."""
        self._breaker = breaker
        self._on_settled = on_settled
        self._on_conflict = on_conflict
        self._telemetry = telemetry
        self._traces = traces
        self._changed = asyncio.Event()

    async def wait_for_change(self, timeout: float) -> None:
        """Wait until some documents have been settled, at most so many seconds."""
        self._changed.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return

    def created(self, parts: Iterable[Part]) -> None:
        """Settle parts of which every document was created: those of one span that are beside each other at once."""
        for _, some in groupby(parts, _is_counted_with):
            together = list(some)
            self.count(together[0], Outcome.INDEXED, sum([part.documents for part in together]))
            self.note_age(together)
            for part in together:
                self.settle(part)

    def settle(self, part: Part) -> None:
        """Take a part out: each of its documents has its outcome, or is in another part."""
        self.bytes -= len(part.body)
        self._on_settled(part.span)
        if part.span.settled:
            self._traces.settled(part.span)
        self._changed.set()

    def count(self, part: Part, outcome: Outcome, documents: int) -> None:
        """Count documents of a part that Elasticsearch has, by their outcome."""
        if documents:
            self.taken += documents
            self._breaker.took(documents)
            topic, number = part.span.partition
            self._telemetry.documents.labels(topic, number, outcome.value).inc(documents)
            if part.salvaged and outcome is Outcome.INDEXED:
                self._telemetry.salvaged.inc(documents)

    def conflicting(self, ids: Callable[[], Sequence[str]]) -> None:
        """Tell who wants to know which documents were there already."""
        if self._on_conflict is not None:
            self._on_conflict(ids())

    def drop(self, part: Part) -> None:
        """Forget a part of a partition that another worker has now: it reads the records again."""
        topic, number = part.span.partition
        self._telemetry.documents.labels(topic, number, "read_again").inc(part.documents)
        self.settle(part)

    def note_age(self, parts: Sequence[Part]) -> None:
        """Measure how old documents of a span are, now that they can be found; the first with a time stands for all."""
        now_ms = time.time() * 1000
        self._telemetry.last_indexed.set(now_ms / 1000)
        event = next(filter(None, (parse_timestamp(part.last_stamp) for part in parts)), None)
        if event is not None:
            self._telemetry.freshness.observe(max(now_ms - event.epoch_ms, 0) / 1000)
        for part in parts:
            if part.record_ms is not None and part.record_ms >= 0:
                self._telemetry.latency.observe(max(now_ms - part.record_ms, 0) / 1000)
                return
