"""The metrics of the correlator: of the traces, and its own."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from pipeline.trace_stories.flows import Flow
from pipeline.trace_stories.summary import OUTCOMES

__all__ = ["TraceTelemetry"]

# OpenMetrics: 128 characters of an exemplar, names included.
_LONGEST_EXAMPLE = 100
# From a quick request to an integration that takes twice what it may.
_DURATIONS = (0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 900, 1800)


class TraceTelemetry:
    """Every metric of one correlator, in a registry of its own; labels are flows, their steps and outcomes only."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._flows: dict[str, tuple[Histogram, dict[str, Histogram], dict[str, Counter]]] = {}
        self.duration = Histogram(
            "trace_duration_seconds",
            "Time from the first event of a trace to its last, when it was closed",
            ["flow"],
            buckets=_DURATIONS,
            registry=registry,
        )
        self.traces = Counter(
            "traces",
            "Traces that were closed: ok, error, slow, incomplete",
            ["flow", "outcome"],
            registry=registry,
        )
        self.expected = Gauge(
            "trace_expected_seconds", "What a trace of a flow may take", ["flow"], registry=registry
        )
        self.steps = Histogram(
            "trace_step_duration_seconds",
            "Time of a step of a trace",
            ["flow", "step"],
            buckets=_DURATIONS,
            registry=registry,
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

    def closed(self, summary: dict[str, Any]) -> None:
        """Count a trace that has been closed."""
        flow = summary["flow"]
        duration, steps, outcomes = self._of_flow(flow)
        outcomes[summary["outcome"]].inc()
        example = {"trace_id": summary["trace_id"]} if len(summary["trace_id"]) <= _LONGEST_EXAMPLE else None
        duration.observe(summary["duration_ms"] / 1000, example)
        for step in summary.get("steps", ()):
            name = step["name"]
            if name not in steps:
                steps[name] = self.steps.labels(flow, name)
            steps[name].observe(step["duration_ms"] / 1000)

    def _of_flow(self, flow: str) -> tuple[Histogram, dict[str, Histogram], dict[str, Counter]]:
        """Give the series of a flow: to find them by their labels costs as much as to count."""
        found = self._flows.get(flow)
        if found is None:
            outcomes = {outcome: self.traces.labels(flow, outcome) for outcome in OUTCOMES}
            found = self._flows[flow] = (self.duration.labels(flow), {}, outcomes)
        return found
