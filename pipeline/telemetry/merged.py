"""Many workers' metrics as those of one process.

- Counters and histograms are summed, those of workers that have ended included, so that no sum goes down
  because a process was replaced. A worker that ends in order hands over what it has counted; what a killed one
  counted since the last scrape is not in them.
- What a worker had read but not settled when it was last heard is read again by another, and counted again: its
  documents get the outcome `read_again`, so that what was consumed is what was settled, in flight or read again.
- Gauges are summed over the workers that answer, `process_*` of the workers (not the supervisor) included.
  Offsets, the difference of the clocks, Elasticsearch's fullest disk and `*_info` are the highest;
  `process_start_time_seconds` and what says whether something is up are the lowest of all.
- What can be stuck in one worker alone is not merged: each series has that worker's number as its label `worker`.
  A process that takes another's place has its number, so that there are as many as there are workers.
- Of a gauge that has an `…_updated_timestamp_seconds`, the newest reading counts.
- Of exemplars any worker's counts.
- `*_created`, the time a counter began, is left out: a sum has none.
"""

import gc
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar, Sample

from pipeline.telemetry.families import dump_metrics, load_families

__all__ = ["MergedMetrics", "SupervisorTelemetry"]

_CUMULATIVE = frozenset({"counter", "histogram", "summary"})
_NOT_SUMMED: dict[str, Callable[[float, float], float]] = {
    "logpipe_clock_difference_seconds": max,
    "logpipe_committed_offset": max,
    "logpipe_consumer_lag_seconds": max,
    "logpipe_consumer_unread_seconds": max,
    "logpipe_dependency_up": min,
    "logpipe_elasticsearch_disk_used_ratio": max,
    "logpipe_ready": min,
    "logpipe_topics_missing": max,
    "logpipe_traces_oldest_seconds": max,
    "process_start_time_seconds": min,
    "trace_expected_seconds": max,
}
_LAST_INDEXED = "logpipe_last_indexed_timestamp_seconds"
_BY_WORKER = frozenset(
    {
        "logpipe_assigned_partitions",
        "logpipe_back_pressure_seconds",
        "logpipe_bulk_concurrency_limit",
        "logpipe_bulk_size_limit_bytes",
        "logpipe_event_loop_delay_seconds",
        "logpipe_in_flight_bytes",
        "logpipe_in_flight_records",
        "logpipe_kafka_silent_seconds",
        _LAST_INDEXED,
    }
)
_WORKER = "worker"
_TIME_SUFFIX = "_updated_timestamp_seconds"
# The number of no run: what the supervisor says itself, before there are workers to say it.
_BEFORE_ALL = -1
_CONSUMED = "logpipe_documents_consumed"
_DOCUMENTS = "logpipe_documents"

_NO_LABELS: Mapping[str, str] = {}
_Key = tuple[str, tuple[tuple[str, str], ...]]


class _Told(NamedTuple):
    """What a worker has said last."""

    families: bytes
    """As `dump_families` writes them: in a tenth of the memory, and no garbage collection goes through them."""
    answers: bool
    """Whether it still does: what others measured holds for as long as they answer."""
    ended: bool = False
    worker: int | None = None
    """Its number; None where what is said is of several, or of none."""


class MergedMetrics(Collector):
    """Collect what the workers last said. A worker is known by the number of its run, never used again.

    `collect` takes seconds where there are many series, and may run in a thread of its own beside the other methods,
    which take no time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended: list[_Told] = []
        self._running: dict[int, _Told] = {}

    def begin(self, run: int, worker: int | None = None) -> None:
        """Count this run in from now on, as one of the worker of this number."""
        self._tell(run, _Told(dump_metrics([]), answers=True, worker=worker))

    def update(self, run: int, families: bytes) -> None:
        """Take what a worker exposes, as `dump_families` writes it; of a run that has ended, nothing."""
        if run in self._running:
            self._tell(run, self._running[run]._replace(families=families, answers=True))

    def silent(self, run: int) -> None:
        """Keep what a worker that does not answer has counted, and forget what it measured."""
        if run in self._running:
            self._tell(run, self._running[run]._replace(answers=False))

    def end(self, run: int) -> None:
        """Keep what a worker that has ended has counted."""
        with self._lock:
            self._ended.append(self._running.pop(run)._replace(answers=False, ended=True))

    def forget(self, run: int) -> None:
        """Keep nothing of this run."""
        with self._lock:
            self._running.pop(run, None)

    def _tell(self, run: int, told: _Told) -> None:
        with self._lock:
            self._running[run] = told

    def families(self, wanted: Callable[[str], bool]) -> Iterator[Metric]:
        """Give the families that are wanted by their names, each once; of few it takes no time."""
        with self._lock:
            told = [*self._ended, *self._running.values()]
        families = _Families()
        for each in told:
            families.take(each, wanted)
        return families.metrics()

    def collect(self) -> Iterator[Metric]:
        """Give the families of all workers, each once."""
        with self._lock:
            ended, running = list(self._ended), list(self._running.values())
        families = _Families()
        with _no_collection():
            for told in ended:
                families.take(told)
            if len(ended) > 1:
                # The next time there is one to read for all of them.
                told = _Told(dump_metrics(families.metrics()), answers=False)
                with self._lock:
                    self._ended[: len(ended)] = [told]
            for told in running:
                families.take(told)
            yield from families.metrics()


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector from going through what is read and merged, which holds no cycles.

    It would hold up every thread while it does, for half a second where there are many series.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class _Family:
    """One family of all workers that have been taken."""

    def __init__(self, first: Metric) -> None:
        self._first = first
        highest = first.name.endswith(_TIME_SUFFIX) or first.type == "info"
        self._merge = max if highest else _NOT_SUMMED.get(first.name, float.__add__)
        self._values: dict[_Key, float] = {}
        self._times: dict[_Key, float] = {}
        self._exemplars: dict[_Key, Exemplar] = {}

    def add(self, family: Metric, times: Metric | None, worker: int | None = None) -> None:
        """Take what a worker has said of this family, and of the times at which it read it.

        `worker` is the number that its series keep, None where they are merged.
        """
        if times is None:
            self._add_up(family, _NO_LABELS if worker is None else {_WORKER: str(worker)})
        else:
            self._take_newest(family, times)

    def _add_up(self, family: Metric, labels: Mapping[str, str]) -> None:
        """Add the series up, or take the highest or lowest."""
        values, merge = self._values, self._merge
        for sample in family.samples:
            if sample.name.endswith("_created"):
                continue
            key = _key_of(sample, labels)
            value = float(sample.value)
            values[key] = merge(values[key], value) if key in values else value
            if sample.exemplar is not None:
                self._exemplars[key] = sample.exemplar

    def _take_newest(self, family: Metric, times: Metric) -> None:
        """Take each series from where it was read last."""
        read_at = {_key_of(sample)[1]: float(sample.value) for sample in times.samples}
        for sample in family.samples:
            key = _key_of(sample)
            when = read_at.get(key[1], 0.0)
            if key not in self._values or when > self._times[key]:
                self._values[key], self._times[key] = float(sample.value), when

    def metric(self) -> Metric:
        """Give the family as it is exposed."""
        first = self._first
        merged = Metric(first.name, first.documentation, first.type)
        exemplars = self._exemplars
        merged.samples = [
            Sample(key[0], dict(key[1]), value, exemplar=exemplars.get(key))
            for key, value in self._values.items()
        ]
        return merged


class _Families:
    """The families of all workers that have been taken, by name."""

    def __init__(self) -> None:
        self._by_name: dict[str, _Family] = {}

    def take(self, told: _Told, wanted: Callable[[str], bool] | None = None) -> None:
        """Merge what one worker has said, or what is wanted of it."""
        times: dict[str, Metric] = {}
        if told.answers:
            said_when = load_families(told.families, lambda name: name.endswith(_TIME_SUFFIX))
            times = {family.name: family for family in said_when}
        settled: list[Metric] = []
        for family in load_families(told.families, wanted):
            # A worker whose loop stands still is found by when it has indexed last.
            lasts = family.type in _CUMULATIVE or (family.name == _LAST_INDEXED and not told.ended)
            if not told.answers and not lasts:
                continue
            if family.name in {_CONSUMED, _DOCUMENTS}:
                settled.append(family)
            worker = told.worker if family.name in _BY_WORKER else None
            self._family(family).add(family, times.get(f"{family.name}{_TIME_SUFFIX}"), worker)
        if told.ended:
            lost = _read_again(settled)
            self._family(lost).add(lost, None)

    def _family(self, family: Metric) -> _Family:
        known = self._by_name.get(family.name)
        if known is None:
            known = self._by_name[family.name] = _Family(family)
        return known

    def metrics(self) -> Iterator[Metric]:
        """Give each family once."""
        return (family.metric() for family in self._by_name.values())


def _read_again(counted: Iterable[Metric]) -> Metric:
    """Give the documents that a worker had made and not settled when it ended, by partition."""
    left: defaultdict[tuple[str, str], int] = defaultdict(int)
    for family in counted:
        sign = {_CONSUMED: 1, _DOCUMENTS: -1}.get(family.name)
        if sign is not None:
            for sample in family.samples:
                left[sample.labels["topic"], sample.labels["partition"]] += sign * int(sample.value)
    documents = Metric(_DOCUMENTS, "", "counter")
    for (topic, partition), number in left.items():
        if number > 0:
            labels = {"topic": topic, "partition": partition, "outcome": "read_again"}
            documents.add_sample(f"{_DOCUMENTS}_total", labels, number)
    return documents


def _key_of(sample: Sample, more: Mapping[str, str] = _NO_LABELS) -> _Key:
    labels = {**sample.labels, **more} if more else sample.labels
    return sample.name, tuple(sorted(labels.items()))


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
        self.waiting: tuple[str, ...] = ()
        """Why no worker has been started yet: what is waited for, in words."""

    def wait_for(self, reasons: Sequence[str], dependencies: Mapping[str, bool]) -> None:
        """Show that no worker has been started, why, and which dependencies answer; nothing to wait for ends it."""
        self.waiting = tuple(reasons)
        if not reasons:
            self.merged.forget(_BEFORE_ALL)
            return
        ready = Metric("logpipe_ready", "Whether /health/ready says so", "gauge")
        ready.add_sample(ready.name, {}, 0)
        up = Metric("logpipe_dependency_up", "Whether a dependency answers", "gauge")
        for name, answers in dependencies.items():
            up.add_sample(up.name, {"dependency": name}, answers)
        self.merged.begin(_BEFORE_ALL)
        self.merged.update(_BEFORE_ALL, dump_metrics([ready, up]))
