"""Many workers' metrics as those of one process.

- Counters and histograms are summed, those of workers that have ended included, so that no sum goes down
  because a process was replaced. A worker that ends in order hands over what it has counted; what a killed one
  counted since the last scrape is not in them.
- What a worker had read but not settled when it was last heard is read again by another, and counted again: its
  documents get the outcome `read_again`, so that what was consumed is what was settled, in flight or read again.
- Gauges are summed over the workers that answer, `process_*` of the workers (not the supervisor) included.
  Offsets and `*_info` are the highest; `process_start_time_seconds` and what says whether something is up are
  the lowest of all.
- Of a gauge that has an `…_updated_timestamp_seconds`, the newest reading counts.
- Of exemplars any worker's counts.
- `*_created`, the time a counter began, is left out: a sum has none.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar, Sample

__all__ = ["MergedMetrics", "SupervisorTelemetry"]

_CUMULATIVE = frozenset({"counter", "histogram", "summary"})
_NOT_SUMMED: dict[str, Callable[[float, float], float]] = {
    "logpipe_committed_offset": max,
    "logpipe_consumer_lag_seconds": max,
    "logpipe_consumer_unread_seconds": max,
    "logpipe_dependency_up": min,
    "logpipe_kafka_silent_seconds": max,
    "logpipe_last_indexed_timestamp_seconds": max,
    "logpipe_ready": min,
    "logpipe_topics_missing": max,
    "logpipe_traces_oldest_seconds": max,
    "process_start_time_seconds": min,
    "trace_expected_seconds": max,
}
_TIME_SUFFIX = "_updated_timestamp_seconds"
_CONSUMED = "logpipe_documents_consumed"
_DOCUMENTS = "logpipe_documents"

_Key = tuple[str, tuple[tuple[str, str], ...]]


class MergedMetrics(Collector):
    """Collect what the workers last said. A worker is known by the number of its run, never used again."""

    def __init__(self) -> None:
        self._ended: list[Metric] = []
        self._running: dict[int, list[Metric]] = {}

    def begin(self, run: int) -> None:
        """Count this run in from now on."""
        self._running[run] = []

    def update(self, run: int, families: list[Metric]) -> None:
        """Take what a worker exposes; of a run that has ended, nothing."""
        if run in self._running:
            for family in families:
                family.samples = [each for each in family.samples if not each.name.endswith("_created")]
            self._running[run] = _with_times(families)

    def silent(self, run: int) -> None:
        """Keep what a worker that does not answer has counted, and forget what it measured."""
        if run in self._running:
            self._running[run] = _cumulative(self._running[run])

    def end(self, run: int) -> None:
        """Keep what a worker that has ended has counted."""
        counted = _cumulative(self._running.pop(run))
        self._ended = list(_merge([*self._ended, *counted, *_read_again(counted)]))

    def collect(self) -> Iterator[Metric]:
        """Give the families of all workers, each once."""
        return _merge(family for families in [self._ended, *self._running.values()] for family in families)


def _cumulative(families: Iterable[Metric]) -> list[Metric]:
    return [family for family in families if family.type in _CUMULATIVE]


def _read_again(counted: Iterable[Metric]) -> Iterator[Metric]:
    """Give the documents that a worker had made and not settled when it ended, by partition."""
    left: defaultdict[tuple[str, str], int] = defaultdict(int)
    for family in counted:
        sign = {_CONSUMED: 1, _DOCUMENTS: -1}.get(family.name)
        if sign is not None:
            for sample in family.samples:
                left[sample.labels["topic"], sample.labels["partition"]] += sign * int(sample.value)
    for (topic, partition), number in left.items():
        if number > 0:
            documents = Metric(_DOCUMENTS, "", "counter")
            labels = {"topic": topic, "partition": partition, "outcome": "read_again"}
            documents.add_sample(f"{_DOCUMENTS}_total", labels, number)
            yield documents


def _with_times(families: list[Metric]) -> list[Metric]:
    """Give the samples of gauges the times of their readings, by which they are chosen."""
    times = {
        family.name.removesuffix(_TIME_SUFFIX): family
        for family in families
        if family.name.endswith(_TIME_SUFFIX)
    }
    for family in families:
        if family.name in times:
            when = {_key_of(sample)[1]: float(sample.value) for sample in times[family.name].samples}
            # OpenMetrics gives a sample a time of its own; here it carries what decides.
            family.samples = [
                sample._replace(timestamp=when.get(_key_of(sample)[1], 0.0)) for sample in family.samples
            ]
    return families


def _key_of(sample: Sample) -> _Key:
    return sample.name, tuple(sorted(sample.labels.items()))


def _merge(families: Iterable[Metric]) -> Iterator[Metric]:
    grouped: dict[str, list[Metric]] = {}
    for family in families:
        grouped.setdefault(family.name, []).append(family)
    for name, group in grouped.items():
        yield _newest(group) if f"{name}{_TIME_SUFFIX}" in grouped else _combined(group)


def _newest(group: list[Metric]) -> Metric:
    """Take each series from where it was read last."""
    samples: dict[_Key, Sample] = {}
    for family in group:
        for sample in family.samples:
            key = _key_of(sample)
            if key not in samples or float(sample.timestamp or 0) > float(samples[key].timestamp or 0):
                samples[key] = sample
    merged = Metric(group[0].name, group[0].documentation, group[0].type)
    for sample in samples.values():
        merged.add_sample(sample.name, sample.labels, sample.value)
    return merged


def _combined(group: list[Metric]) -> Metric:
    """Add the series up, or take the highest or lowest."""
    first = group[0]
    name = first.name
    highest = name.endswith(_TIME_SUFFIX) or first.type == "info"
    merge = max if highest else _NOT_SUMMED.get(name, float.__add__)
    values: dict[_Key, float] = {}
    exemplars: dict[_Key, Exemplar] = {}
    for family in group:
        for sample in family.samples:
            key = _key_of(sample)
            value = float(sample.value)
            values[key] = merge(values[key], value) if key in values else value
            if sample.exemplar is not None:
                exemplars[key] = sample.exemplar
    merged = Metric(name, first.documentation, first.type)
    for key, value in values.items():
        sample_name, labels = key
        merged.add_sample(sample_name, dict(labels), value, exemplar=exemplars.get(key))
    return merged


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
