"""What `/metrics` says of a pipeline now and over the last minute: pure, from readings to a view."""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

__all__ = ["ErrorView", "History", "PartitionView", "Reading", "View", "read_metrics"]

_KEPT = 60
_BEHIND_SECONDS = 10.0
_LEAST_LAG_SECONDS = 5.0
_PREFIXES = ("logpipe_", "log_errors_by_fingerprint_total")
_REST = "other"

_Series = Mapping[tuple[tuple[str, str], ...], float]


class Reading(NamedTuple):
    """The samples of one scrape that are of interest, by name and labels."""

    at: float
    """Seconds of a clock that only goes forward."""
    series: Mapping[str, _Series]

    def total(self, name: str) -> float:
        """Add up all series of a name; 0 where there are none."""
        return sum(self.series.get(name, {}).values())

    def most(self, name: str) -> float:
        """Give the largest of a name's series; 0 where there are none."""
        return max(self.series.get(name, {}).values(), default=0.0)

    def by(self, name: str, label: str) -> dict[str, float]:
        """Add up the series of a name by the value of one label."""
        found: Counter[str] = Counter()
        for labels, value in self.series.get(name, {}).items():
            found[dict(labels).get(label, "")] += value  # type: ignore[assignment]  # it counts floats as well
        return dict(found)


def read_metrics(text: str, at: float) -> Reading:
    """Read Prometheus' text format; raises ValueError for what is none."""
    series: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.startswith(_PREFIXES):
                labels = tuple(sorted(sample.labels.items()))
                series.setdefault(sample.name, {})[labels] = sample.value
    return Reading(at, series)


class PartitionView(NamedTuple):
    """One partition."""

    topic: str
    partition: int
    committed: int | None
    lag: int | None
    """None while nobody knows: Kafka does not tell where it ends."""
    rate: float
    """Documents that were settled, per second, between the last two readings."""
    rates: tuple[float, ...]
    """The same for all readings that are kept, the oldest first."""


class ErrorView(NamedTuple):
    """The events of level ERROR with one fingerprint."""

    fingerprint: str
    service: str
    events: int
    new: int
    """How many of them came since the oldest reading that is kept."""


class View(NamedTuple):
    """What there is to show."""

    ready: bool
    dependencies: Mapping[str, bool]
    version: str
    workers: tuple[int, int] | None
    """How many run, and how many should; None for a single worker without a supervisor."""
    restarts: int
    assigned: int
    records_per_second: float
    documents_per_second: float
    bytes_per_second: float
    settled_per_second: float
    sent_bytes_per_second: float
    lag: int | None
    """Of the partitions whose lag is known; None where that is of none, as it is while Kafka is away."""
    lag_unknown: int
    """Of how many partitions the lag is not known."""
    eta_seconds: float | None
    """When the lag will be 0 if it goes on falling as it does; None when it does not fall, or is not known."""
    lag_grows: bool
    in_flight_records: int
    in_flight_bytes: int
    concurrency: int
    request_bytes: int
    seconds_a_request: float | None
    """Mean of the requests between the last two readings; None where there were none."""
    outcomes: Mapping[str, tuple[int, float]]
    """By outcome: how many since the start, and how many a second now."""
    salvaged: int
    retries: Mapping[str, tuple[int, float]]
    slowdowns: Mapping[str, int]
    waiting: Mapping[str, int]
    """Documents that wait, by index."""
    flood: bool
    dead_letters: Mapping[str, int]
    commit_failures: int
    stopped: Sequence[str]
    """Partitions that stand before a damaged batch."""
    behind_others: Mapping[str, float]
    """Workers with records in flight that index nothing while others do: for how many seconds, by number."""
    partitions: Sequence[PartitionView]
    errors: Sequence[ErrorView]


class History:
    """The readings of the last minute, and what they say together."""

    def __init__(self) -> None:
        self._readings: deque[Reading] = deque(maxlen=_KEPT)

    def add(self, reading: Reading) -> None:
        """Take one more."""
        self._readings.append(reading)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show."""
        return not self._readings

    def view(self) -> View:
        """Say what there is to show; rates need two readings and are 0 before."""
        now = self._readings[-1]
        before = self._readings[-2] if len(self._readings) > 1 else now
        partitions = self._partitions()
        lags = [one.lag for one in partitions if one.lag is not None]
        lag = sum(lags) if lags else None
        falls = self._lag_falls()
        workers = None
        if "logpipe_workers_up" in now.series:
            workers = int(now.total("logpipe_workers_up")), int(now.total("logpipe_workers"))
        requests = _gained(before.total(_REQUESTS), now.total(_REQUESTS))
        took = _gained(before.total(_REQUEST_SECONDS), now.total(_REQUEST_SECONDS))
        return View(
            ready=bool(now.total("logpipe_ready")),
            dependencies={
                name: bool(up) for name, up in now.by("logpipe_dependency_up", "dependency").items()
            },
            version=next(iter(now.by("logpipe_build_info", "version")), ""),
            workers=workers,
            restarts=int(now.total("logpipe_worker_restarts_total")),
            assigned=int(now.total("logpipe_assigned_partitions")),
            records_per_second=_rate(before, now, "logpipe_records_total"),
            documents_per_second=_rate(before, now, "logpipe_documents_consumed_total"),
            bytes_per_second=_rate(before, now, "logpipe_record_bytes_total"),
            settled_per_second=_rate(before, now, "logpipe_documents_total"),
            sent_bytes_per_second=_rate(before, now, "logpipe_bulk_request_bytes_total"),
            lag=lag,
            lag_unknown=len(partitions) - len(lags),
            eta_seconds=0.0 if lag == 0 else lag / falls if lag and falls > 0 else None,
            lag_grows=falls < 0,
            in_flight_records=int(now.total("logpipe_in_flight_records")),
            in_flight_bytes=int(now.total("logpipe_in_flight_bytes")),
            concurrency=int(now.total("logpipe_bulk_concurrency_limit")),
            request_bytes=int(now.most("logpipe_bulk_size_limit_bytes")),
            seconds_a_request=took / requests if requests else None,
            outcomes=_with_rates(before, now, "logpipe_documents_total", "outcome"),
            salvaged=int(now.total("logpipe_documents_salvaged_total")),
            retries=_with_rates(before, now, "logpipe_document_retries_total", "reason"),
            slowdowns=_counts(now.by("logpipe_bulk_slowdowns_total", "reason")),
            waiting=_counts(now.by("logpipe_index_waiting_documents", "index")),
            flood=bool(now.total("logpipe_dead_letter_flood")),
            dead_letters=_counts(now.by("logpipe_dead_letters_total", "error_type")),
            commit_failures=int(now.total("logpipe_commit_failures_total")),
            stopped=[
                f"{dict(labels).get('topic')}/{dict(labels).get('partition')}"
                for labels, value in now.series.get("logpipe_partition_stopped", {}).items()
                if value
            ],
            behind_others=self._behind_others(),
            partitions=partitions,
            errors=self._errors(),
        )

    def _lag_falls(self) -> float:
        """Tell by how many records a second the lag has fallen over the readings kept; 0 where none can tell."""
        first, now = self._readings[0], self._readings[-1]
        seconds = now.at - first.at
        name = "logpipe_consumer_lag_records"
        same = first.series.get(name, {}).keys() == now.series.get(name, {}).keys()
        if seconds < _LEAST_LAG_SECONDS or not same:
            return 0.0
        return (first.total(name) - now.total(name)) / seconds

    def _behind_others(self) -> dict[str, float]:
        """Give the workers that had something in flight in every reading, and indexed nothing while others did."""
        first, now = self._readings[0], self._readings[-1]
        name = "logpipe_last_indexed_timestamp_seconds"
        before, after = first.by(name, "worker"), now.by(name, "worker")
        newest = max(after.values(), default=0.0)
        if now.at - first.at < _BEHIND_SECONDS or newest == max(before.values(), default=0.0):
            return {}
        in_flight = [each.by("logpipe_in_flight_records", "worker") for each in self._readings]
        return {
            worker: newest - when
            for worker, when in sorted(after.items())
            if when and when == before.get(worker) and all(each.get(worker) for each in in_flight)
        }

    def _partitions(self) -> list[PartitionView]:
        now = self._readings[-1]
        lags = now.series.get("logpipe_consumer_lag_records", {})
        commits = now.series.get("logpipe_committed_offset", {})
        found = []
        for labels in sorted(lags.keys() | commits.keys(), key=_in_order):
            topic, partition = _place(labels)
            rates = self._rates(topic, partition)
            committed, lag = commits.get(labels), lags.get(labels)
            found.append(
                PartitionView(
                    topic,
                    partition,
                    None if committed is None else int(committed),
                    None if lag is None else int(lag),
                    rates[-1] if rates else 0.0,
                    tuple(rates),
                )
            )
        return found

    def _rates(self, topic: str, partition: int) -> list[float]:
        counts = [
            sum(
                value
                for labels, value in reading.series.get("logpipe_documents_total", {}).items()
                if _place(labels) == (topic, partition)
            )
            for reading in self._readings
        ]
        times = [reading.at for reading in self._readings]
        return [
            _gained(count, counts[number + 1]) / max(times[number + 1] - times[number], 1e-3)
            for number, count in enumerate(counts[:-1])
        ]

    def _errors(self) -> list[ErrorView]:
        """Give the errors that have come up most lately, then those of which there are most."""
        first = self._readings[0].series.get(_ERRORS, {})
        found = [
            ErrorView(
                dict(labels).get("fingerprint", ""),
                dict(labels).get("service", ""),
                int(value),
                int(_gained(first.get(labels, 0.0), value)) if len(self._readings) > 1 else 0,
            )
            for labels, value in self._readings[-1].series.get(_ERRORS, {}).items()
        ]
        named = [error for error in found if error.fingerprint != _REST and error.events]
        return sorted(named, key=lambda error: (-error.new, -error.events, error.fingerprint))


_ERRORS = "log_errors_by_fingerprint_total"
_REQUESTS = "logpipe_bulk_request_seconds_count"
_REQUEST_SECONDS = "logpipe_bulk_request_seconds_sum"


def _gained(before: float, now: float) -> float:
    """Give what a counter has gained; one that has begun anew has gained all that it has."""
    return now - before if now >= before else now


def _rate(before: Reading, now: Reading, name: str) -> float:
    seconds = now.at - before.at
    return _gained(before.total(name), now.total(name)) / seconds if seconds > 0 else 0.0


def _with_rates(before: Reading, now: Reading, name: str, label: str) -> dict[str, tuple[int, float]]:
    seconds = now.at - before.at
    earlier = before.by(name, label)
    return {
        value: (int(count), _gained(earlier.get(value, 0.0), count) / seconds if seconds > 0 else 0.0)
        for value, count in sorted(now.by(name, label).items())
        if count
    }


def _counts(values: Mapping[str, float]) -> dict[str, int]:
    return {
        name: int(value)
        for name, value in sorted(values.items(), key=lambda each: (-each[1], each[0]))
        if value
    }


def _place(labels: Iterable[tuple[str, str]]) -> tuple[str, int]:
    named = dict(labels)
    number = named.get("partition", "")
    return named.get("topic", ""), int(number) if number.isdecimal() else -1


def _in_order(labels: tuple[tuple[str, str], ...]) -> tuple[str, int]:
    return _place(labels)
