"""When each story begins, and all their log lines in the order in which they were written."""

import heapq
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import accumulate
from typing import NamedTuple

from pipeline.errors import SettingsError
from pipeline.sample.product import INCIDENT_CONDITIONS, Product
from pipeline.sample.stories import deployment, next_story

__all__ = ["EVENTS_PER_REQUEST", "INCIDENTS", "SampleEvent", "sample_events"]

INCIDENTS = tuple(INCIDENT_CONDITIONS)

EVENTS_PER_REQUEST = 6.6
"""Log lines for each HTTP request to the product, an API request or a webhook, all stories counted."""

# Requests in each hour of the day, UTC, as a share of the busiest hour.
_BUSY = (
    0.25, 0.22, 0.20, 0.20, 0.24, 0.32, 0.45, 0.62, 0.80, 0.92, 0.98, 0.96,
    0.90, 0.95, 1.00, 0.98, 0.92, 0.85, 0.75, 0.65, 0.55, 0.45, 0.36, 0.30,
)  # fmt: skip
_CLOCK_STEPS = 1000

# An integration lasts minutes, so at a high rate very many are open at a time. They are told faster, in
# proportion, when the span is short or when more than this many lines would have to wait for their turn.
_MAX_WAITING_EVENTS = 100_000
_INTEGRATION_SHARE = 0.25
_INTEGRATION_MS = 300_000
_INTEGRATIONS_PER_SPAN = 30


class SampleEvent(NamedTuple):
    """One log line: when it was written, the trace it belongs to, and its bytes."""

    timestamp_ms: int
    trace_id: str
    value: bytes


def sample_events(
    count: int,
    *,
    seed: int = 0,
    end_ms: int,
    span_seconds: float = 3 * 86_400,
    incident: str | None = None,
    incident_from: float = 0.9,
    steady: bool = False,
) -> Iterator[SampleEvent]:
    """Write exactly `count` log lines, in time order, spread over the span that ends at `end_ms`.

    The traffic follows the hours of the day, or with `steady` is the same at all times. `incident` is one of
    `INCIDENTS` and lasts from `incident_from`, a share of the span, to its end. Nearly every value is one JSON
    object in the guide's format; about one in seventy has another timestamp or level notation or comes in a
    Filebeat envelope, and one in two thousand is not JSON, as in real traffic. Memory is bounded whatever the
    count: lines wait only while their story is going on.

    Raises SettingsError for a negative count, a span that is not positive, an unknown incident, or one that
    begins outside of the span.
    """
    if count < 0:
        raise SettingsError(f"count = {count}: cannot be negative")
    if not span_seconds > 0:
        raise SettingsError(f"span_seconds = {span_seconds}: must be more than 0")
    if incident is not None and incident not in INCIDENTS:
        raise SettingsError(
            f"incident = {incident!r}: there is no such incident; there are {', '.join(INCIDENTS)}"
        )
    if not 0 <= incident_from <= 1:
        raise SettingsError(f"incident_from = {incident_from}: must be a share of the span, 0 to 1")
    begin_ms = end_ms - round(span_seconds * 1000)
    product = Product(
        seed,
        begin_ms,
        end_ms,
        incident=incident,
        incident_from=incident_from,
        haste=_haste(count, end_ms - begin_ms),
    )
    return _tell(count, product, _Clock(begin_ms, end_ms, steady=steady), end_ms)


def _tell(count: int, product: Product, clock: "_Clock", end_ms: int) -> Iterator[SampleEvent]:
    """Begin stories at the pace of the clock, and merge their lines."""
    random = product.random
    waiting: list[tuple[int, int, str, bytes]] = []
    planned = 0
    while planned < count:
        # What is planned tells the time, so the last story begins when the span ends, whatever the sizes.
        start_ms = clock.at((planned + random()) / count)
        while waiting and waiting[0][0] <= start_ms:
            timestamp_ms, _, trace_id, value = heapq.heappop(waiting)
            yield SampleEvent(timestamp_ms, trace_id, value)
        trace = deployment(product, start_ms) if product.enter(start_ms) else next_story(product, start_ms)
        for timestamp_ms, value in trace.lines:
            if timestamp_ms > end_ms or planned == count:
                break  # The story goes on after the span.
            planned += 1
            heapq.heappush(waiting, (timestamp_ms, planned, trace.trace_id, value))
    while waiting:
        timestamp_ms, _, trace_id, value = heapq.heappop(waiting)
        yield SampleEvent(timestamp_ms, trace_id, value)


def _haste(count: int, span_ms: int) -> float:
    """Return by what factor the long stories are shortened, at most 1."""
    open_at_a_time = count / span_ms * _INTEGRATION_SHARE * _INTEGRATION_MS if span_ms else 0.0
    return min(
        1.0,
        span_ms / (_INTEGRATIONS_PER_SPAN * _INTEGRATION_MS),
        _MAX_WAITING_EVENTS / max(open_at_a_time, 1.0),
    )


class _Clock:
    """Which share of the traffic has passed at which time."""

    def __init__(self, begin_ms: int, end_ms: int, *, steady: bool) -> None:
        self._begin_ms = begin_ms
        self._step_ms = (end_ms - begin_ms) / _CLOCK_STEPS
        self._end_ms = end_ms
        weights = [
            1.0 if steady else _busy(begin_ms + self._step_ms * (step + 0.5)) for step in range(_CLOCK_STEPS)
        ]
        total = sum(weights)
        self._passed = [0.0, *(passed / total for passed in accumulate(weights))]

    def at(self, share: float) -> int:
        """Return the millisecond at which this share of the traffic, 0 to 1, has passed."""
        step = min(bisect_right(self._passed, share), _CLOCK_STEPS) - 1
        before, after = self._passed[step], self._passed[step + 1]
        inside = step + (share - before) / (after - before)
        return min(self._begin_ms + int(self._step_ms * inside), self._end_ms)


def _busy(time_ms: float) -> float:
    """Return how busy this time of the day is, between the hours too."""
    time = datetime.fromtimestamp(time_ms / 1000, UTC)
    part = time.minute / 60
    return _BUSY[time.hour] * (1 - part) + _BUSY[(time.hour + 1) % 24] * part
