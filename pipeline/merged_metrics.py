"""Many workers' metrics as those of one process.

- Counters and histograms are summed, those of workers that have ended included, so that no sum goes down
  because a process was replaced. What a killed worker counted since the last scrape is not in them.
- Gauges are summed over the workers that answer, `process_*` of the workers (not the supervisor) included.
  Offsets and `*_info` are the highest, `process_start_time_seconds` is the lowest of all.
- `*_created`, the time a counter began, is left out: a sum has none.
"""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

__all__ = ["MergedMetrics", "SupervisorTelemetry"]

_CUMULATIVE = frozenset({"counter", "histogram", "summary"})
_NOT_SUMMED: dict[str, Callable[[float, float], float]] = {
    "logpipe_committed_offset": max,
    "process_start_time_seconds": min,
}


class MergedMetrics(Collector):
    """Collect what the workers last said. A worker is known by the number of its run, never used again."""

    def __init__(self) -> None:
        self._ended: list[Metric] = []
        self._running: dict[int, list[Metric]] = {}

    def begin(self, run: int) -> None:
        """Count this run in from now on."""
        self._running[run] = []

    def update(self, run: int, exposition: str) -> None:
        """Take what a worker exposes, in Prometheus' text format; of a run that has ended, nothing.

        Raises ValueError for what is no such text, and leaves what was known.
        """
        if run in self._running:
            self._running[run] = [
                family
                for family in text_string_to_metric_families(exposition)
                if not family.name.endswith("_created")
            ]

    def silent(self, run: int) -> None:
        """Keep what a worker that does not answer has counted, and forget what it measured."""
        if run in self._running:
            self._running[run] = _cumulative(self._running[run])

    def end(self, run: int) -> None:
        """Keep what a worker that has ended has counted."""
        self._ended = list(_merge([*self._ended, *_cumulative(self._running.pop(run))]))

    def collect(self) -> Iterator[Metric]:
        """Give the families of all workers, each once."""
        return _merge(family for families in [self._ended, *self._running.values()] for family in families)


def _cumulative(families: Iterable[Metric]) -> list[Metric]:
    return [family for family in families if family.type in _CUMULATIVE]


def _merge(families: Iterable[Metric]) -> Iterator[Metric]:
    grouped: dict[str, list[Metric]] = {}
    for family in families:
        grouped.setdefault(family.name, []).append(family)
    for name, group in grouped.items():
        first = group[0]
        merge = max if name.endswith("_info") else _NOT_SUMMED.get(name, float.__add__)
        values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        for family in group:
            for sample in family.samples:
                key = sample.name, tuple(sorted(sample.labels.items()))
                value = float(sample.value)
                values[key] = merge(values[key], value) if key in values else value
        merged = Metric(name, first.documentation, first.type)
        for (sample_name, labels), value in values.items():
            merged.add_sample(sample_name, dict(labels), value)
        yield merged


class SupervisorTelemetry:
    """The workers' metrics as one, and the supervisor's own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.merged = MergedMetrics()
        registry.register(self.merged)
        self.workers = Gauge("logpipe_workers", "Workers there are to be", registry=registry)
        self.up = Gauge("logpipe_workers_up", "Workers that answered the last scrape", registry=registry)
        self.restarts = Counter(
            "logpipe_worker_restarts", "Workers started again after they had ended", registry=registry
        )
        self.scrape_failures = Counter(
            "logpipe_worker_scrape_failures",
            "Times a worker did not answer; what it had counted before is in the sums",
            registry=registry,
        )
