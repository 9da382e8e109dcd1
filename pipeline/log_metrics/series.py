"""Metrics derived from events and their series: what a group of events adds to them, and what Prometheus sees."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Exemplar

from pipeline.events.timestamps import parse_timestamp
from pipeline.log_metrics.rules import Rule

__all__ = [
    "Amounts",
    "CounterSeries",
    "DerivedMetric",
    "GaugeSeries",
    "HistogramSeries",
    "Series",
    "amounts_of",
]

# OpenMetrics allows 128 characters for an exemplar, names and values together.
_LONGEST_TRACE_ID = 100
# What is larger measures nothing, and would make a sum infinite for ever.
_LARGEST = 2.0**63
_NUMBERS = frozenset((int, float))


class Amounts(NamedTuple):
    """The numbers of some events that can be an amount of something."""

    ordered: list[Any]
    sum: float
    first: Any
    """The number of the first event, None when it has none."""
    refused: int
    """How many others there were, null aside."""


def amounts_of(values: Sequence[Any]) -> Amounts:
    """Take the values that can be an amount of something."""
    # Values that have waited are no longer in the processor's cache: they are gone through three times, no more,
    # whatever the number of rules that want them.
    ordered = sorted(values if _are_numbers(values) else filter(_is_number, values))
    if ordered and (ordered[0] < 0 or ordered[-1] > _LARGEST):
        ordered = ordered[bisect_left(ordered, 0) : bisect_right(ordered, _LARGEST)]
    first = values[0] if _is_number(values[0]) and 0 <= values[0] <= _LARGEST else None
    return Amounts(ordered, sum(ordered), first, _number_given(values) - len(ordered))


class CounterSeries:
    """A number of events, or a sum of their numbers."""

    def __init__(self, rule: Rule) -> None:
        self._scale = rule.scale
        self.total = 0.0

    def add(self, amounts: Amounts, _: Any) -> None:
        """Add the sum."""
        self.total += amounts.sum * self._scale


class GaugeSeries:
    """The reading of the newest event."""

    def __init__(self, rule: Rule) -> None:
        self._scale = rule.scale
        self.value = 0.0
        self.time_ms = -math.inf

    def read(self, values: Sequence[Any], stamps: Sequence[Any], now_ms: float) -> int:
        """Take the newest reading; give how many of the values, null aside, were refused."""
        # Without the Z, which comes behind the digits: .123Z is before .1235Z.
        pairs = zip([stamp[:-1] for stamp in stamps], values, strict=True)
        readings = list(pairs) if _are_numbers(values) else [pair for pair in pairs if _is_number(pair[1])]
        if readings:
            stamp, value = max(readings)
            time = parse_timestamp(f"{stamp}Z")
            # A clock ahead of ours must not win for ever.
            time_ms = -math.inf if time is None else min(time.epoch_ms, now_ms)
            if time_ms >= self.time_ms:
                self.value, self.time_ms = value * self._scale, time_ms
        return _number_given(values) - len(readings)


class HistogramSeries:
    """Numbers by bucket, each bucket with a trace as its example."""

    def __init__(self, rule: Rule) -> None:
        self._scale = rule.scale
        # In the field's own unit, rounded as floats are shown, so that 100 ms is within 0.1 s.
        self._bounds = [float(f"{bound / rule.scale:.12g}") for bound in rule.buckets]
        self.counts = [0] * (len(self._bounds) + 1)
        self.sum = 0.0
        self.exemplars: dict[int, tuple[str, float]] = {}

    def add(self, amounts: Amounts, trace_id: Any) -> None:
        """Take numbers, and the trace of the first."""
        # Sorted, each bucket ends where its bound would stand: a dozen steps, however many numbers.
        ordered, before = amounts.ordered, 0
        for place, bound in enumerate(self._bounds):
            within = bisect_right(ordered, bound, before)
            self.counts[place] += within - before
            before = within
        self.counts[-1] += len(ordered) - before
        self.sum += amounts.sum * self._scale
        value = amounts.first
        if value is not None and type(trace_id) is str and 0 < len(trace_id) <= _LONGEST_TRACE_ID:
            self.exemplars[bisect_left(self._bounds, value)] = (trace_id, value * self._scale)


Series = CounterSeries | GaugeSeries | HistogramSeries
_SERIES: dict[str, type[Series]] = {
    "counter": CounterSeries,
    "gauge": GaugeSeries,
    "histogram": HistogramSeries,
}


class DerivedMetric:
    """One metric with all its series."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.series: dict[tuple[str, ...], Series] = {}
        self.folded = 0
        self.refused = 0
        # By places of labels: which texts there are at these places, of any series.
        self._texts_at: dict[tuple[int, ...], set[tuple[str, ...]]] = {}

    def has_none_for(self, places: tuple[int, ...], texts: tuple[str, ...]) -> bool:
        """Tell whether there is no series with these texts at these places, and never will be."""
        if len(self.series) < self.rule.max_label_sets:
            return False
        there = self._texts_at.get(places)
        if there is None:
            there = self._texts_at[places] = {_at(places, labels) for labels in self.series}
        return texts not in there

    def get(self, labels: tuple[str, ...], others: tuple[str, ...]) -> tuple[Series | None, bool]:
        """Give the series of these labels; beyond the cap that of the others, none for a gauge, and tell so."""
        series = self.series.get(labels)
        if series is not None:
            return series, False
        if len(self.series) < self.rule.max_label_sets:
            return self._new(labels), False
        if self.rule.type == "gauge":
            # A reading that belongs to nothing says nothing.
            return None, True
        return self.series.get(others) or self._new(others), True

    def _new(self, labels: tuple[str, ...]) -> Series:
        series = self.series[labels] = _SERIES[self.rule.type](self.rule)
        for places, there in self._texts_at.items():
            there.add(_at(places, labels))
        return series

    def names(self) -> Iterator[Metric]:
        """Give the empty families."""
        rule = self.rule
        yield Metric(rule.name.removesuffix("_total"), rule.help, rule.type)
        if rule.type == "gauge":
            yield Metric(self._time_name, f"Time of the event that {rule.name} is from", "gauge")

    def families(self, now_ms: float) -> Iterator[Metric]:
        """Give what Prometheus shall see."""
        rule = self.rule
        family, *times = self.names()
        oldest_ms = now_ms - rule.expire_seconds * 1000
        for values, series in self.series.items():
            labels = dict(zip(rule.labels, values, strict=True))
            if isinstance(series, CounterSeries):
                family.add_sample(rule.name, labels, series.total)
            elif isinstance(series, HistogramSeries):
                self._add_histogram(family, labels, series)
            elif series.time_ms >= oldest_ms:  # a newer event brings a stale gauge back
                family.add_sample(rule.name, labels, series.value)
                times[0].add_sample(self._time_name, labels, series.time_ms / 1000)
        yield family
        yield from times

    @property
    def _time_name(self) -> str:
        return f"{self.rule.name}_updated_timestamp_seconds"

    def _add_histogram(self, family: Metric, labels: dict[str, str], series: HistogramSeries) -> None:
        name = self.rule.name
        total = 0
        bounds = [*map(str, self.rule.buckets), "+Inf"]
        for place, (bound, number) in enumerate(zip(bounds, series.counts, strict=True)):
            total += number
            example = series.exemplars.get(place)
            family.add_sample(
                f"{name}_bucket",
                {**labels, "le": bound},
                total,
                exemplar=None if example is None else Exemplar({"trace_id": example[0]}, example[1]),
            )
        family.add_sample(f"{name}_count", labels, total)
        family.add_sample(f"{name}_sum", labels, series.sum)


def _at(places: tuple[int, ...], labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple([labels[place] for place in places])


def _number_given(values: Sequence[Any]) -> int:
    return len(values) - values.count(None)


def _are_numbers(values: Sequence[Any]) -> bool:
    """Tell whether all values are numbers, which they nearly always are; JSON has no others than finite ones."""
    return _NUMBERS.issuperset(map(type, values))


def _is_number(value: Any) -> bool:
    return type(value) in _NUMBERS
