"""The metrics of the correlator: of the traces, and its own."""

from bisect import bisect_left, bisect_right
from collections import Counter as CountOf
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector
from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from pipeline.trace_stories.flows import Flow
from pipeline.trace_stories.summary import OUTCOMES

__all__ = ["TraceTelemetry"]

# OpenMetrics: 128 characters of an exemplar, names included.
_LONGEST_EXAMPLE = 100
# From a quick request to an integration that takes twice what it may.
_DURATIONS = (0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 900, 1800)
_DURATIONS_MS = [round(bound * 1000) for bound in _DURATIONS]


class _Durations:
    """One histogram: a trace has half a dozen steps, and prometheus-client takes 2 µs to observe one."""

    def __init__(self) -> None:
        self.counts = [0] * (len(_DURATIONS) + 1)
        self.sum_ms = 0
        self.examples: dict[int, Exemplar] = {}
        self.waiting: list[int] = []
        """Durations in milliseconds that `count` takes."""

    def count(self) -> None:
        """Count what waits."""
        ordered, before = sorted(self.waiting), 0
        # Sorted, each bucket ends where its bound would stand: a dozen steps, however many there are.
        for place, bound in enumerate(_DURATIONS_MS):
            within = bisect_right(ordered, bound, before)
            self.counts[place] += within - before
            before = within
        self.counts[-1] += len(ordered) - before
        self.sum_ms += sum(ordered)
        self.waiting.clear()

    def show(self, milliseconds: int, trace_id: str) -> None:
        """Take a trace as the example of its bucket."""
        if len(trace_id) <= _LONGEST_EXAMPLE:
            place = bisect_left(_DURATIONS_MS, milliseconds)
            self.examples[place] = Exemplar({"trace_id": trace_id}, milliseconds / 1000)


class _Histograms(Collector):
    """The histograms of one name, by their labels."""

    def __init__(self, name: str, about: str, labels: Sequence[str]) -> None:
        self._about = name, about
        self._labels = labels
        self._series: dict[tuple[str, ...], _Durations] = {}

    def of(self, *labels: str) -> _Durations:
        """Give the series of these labels."""
        found = self._series.get(labels)
        if found is None:
            found = self._series[labels] = _Durations()
        return found

    def count(self) -> None:
        """Count what waits."""
        for durations in self._series.values():
            if durations.waiting:
                durations.count()

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Show them."""
        family = HistogramMetricFamily(*self._about, labels=self._labels)
        for labels, durations in list(self._series.items()):
            below = 0
            buckets: list[Any] = []
            for place, bound in enumerate([*map(str, map(float, _DURATIONS)), "+Inf"]):
                below += durations.counts[place]
                buckets.append((bound, below, durations.examples.get(place)))
            family.add_metric(labels, buckets, durations.sum_ms / 1000)
        yield family


class TraceTelemetry:
    """Every metric of one correlator, in a registry of its own; labels are flows, their steps and outcomes only."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.duration = _Histograms(
            "trace_duration_seconds",
            "Time from the first event of a trace to its last, when it was closed",
            ["flow"],
        )
        self.steps = _Histograms("trace_step_duration_seconds", "Time of a step of a trace", ["flow", "step"])
        self._appends: dict[str, Callable[[int], None]] = {}
        self._step_appends: dict[tuple[str, str], Callable[[int], None]] = {}
        registry.register(self.duration)
        registry.register(self.steps)
        self.traces = Counter(
            "traces",
            "Traces that were closed: ok, error, slow, incomplete",
            ["flow", "outcome"],
            registry=registry,
        )
        self.expected = Gauge(
            "trace_expected_seconds", "What a trace of a flow may take", ["flow"], registry=registry
        )
        self.open = Gauge("logpipe_traces_open", "Traces that are open", registry=registry)
        self.open_bytes = Gauge("logpipe_traces_open_bytes", "Bytes held of open traces", registry=registry)
        self.oldest = Gauge(
            "logpipe_traces_oldest_seconds",
            "How long ago the oldest trace event was written that is read again after a restart",
            registry=registry,
        )
        self.events = Counter("logpipe_traces_events", "Trace events read", registry=registry)
        self.bad = Counter(
            "logpipe_traces_events_refused", "Trace events that could not be read",
            registry=registry,
        )  # fmt: skip
        self.late = Counter(
            "logpipe_traces_late_events", "Events that came after their trace was closed", registry=registry
        )
        self.forced = Counter(
            "logpipe_traces_forced", "Traces closed early, since there was no room", registry=registry
        )
        self.writes = Counter(
            "logpipe_traces_writes",
            "Summaries by what became of them: created, updated, unchanged, refused",
            ["result"],
            registry=registry,
        )
        self.dead_letters = Counter(
            "logpipe_dead_letters",
            "Summaries that were refused; their trace events are in the topic of the dead letters",
            ["error_type"],
            registry=registry,
        )
        self.dependency_up = Gauge(
            "logpipe_dependency_up", "1 when the dependency answered last", ["dependency"], registry=registry
        )
        self.ready = Gauge("logpipe_ready", "1 when every dependency answers", registry=registry)
        ProcessCollector(registry=registry)

    def expect(self, flows: tuple[Flow, ...], no_flow: str) -> None:
        """Show every flow and outcome from the start, so that the first failure is an increase."""
        for flow in flows:
            self.expected.labels(flow.name).set(flow.expected_seconds)
        for name in [*(flow.name for flow in flows), no_flow]:
            for outcome in OUTCOMES:
                self.traces.labels(name, outcome)

    def closed(self, summaries: Iterable[dict[str, Any]]) -> None:
        """Count traces that have been closed."""
        outcomes: CountOf[tuple[str, str]] = CountOf()
        examples: dict[tuple[str, str], dict[str, Any]] = {}
        durations, steps = self._appends, self._step_appends
        for summary in summaries:
            flow = summary["flow"]
            outcome = flow, summary["outcome"]
            outcomes[outcome] += 1
            # One of each outcome is enough: the next scrape is seconds away.
            examples[outcome] = summary
            if flow not in durations:
                durations[flow] = self.duration.of(flow).waiting.append
            durations[flow](summary["duration_ms"])
            for step in summary.get("steps", ()):
                name = step["name"]
                if (flow, name) not in steps:
                    steps[flow, name] = self.steps.of(flow, name).waiting.append
                steps[flow, name](step["duration_ms"])
        self.duration.count()
        self.steps.count()
        for labels, number in outcomes.items():
            self.traces.labels(*labels).inc(number)
        for summary in examples.values():
            self.duration.of(summary["flow"]).show(summary["duration_ms"], summary["trace_id"])
