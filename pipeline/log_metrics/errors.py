"""Errors by fingerprint: how often the most frequent ones occur, and which have never been seen before."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from pipeline.events.fingerprints import FINGERPRINT_FIELD
from pipeline.log_metrics.rules import OTHER, UNKNOWN, label_text

__all__ = ["FirstSeen", "LogErrors"]

# Of so many fingerprints it is remembered that they have been seen, and how often.
_MOST_REMEMBERED = 10_000
# New ones that wait to be written down; in a flood of them the others are found new at their next occurrence.
_MOST_WAITING = 1000


class FirstSeen(NamedTuple):
    """The first event with a fingerprint that this worker has seen."""

    fingerprint: str
    event: dict[str, Any]


class LogErrors(Collector):
    """Count errors by fingerprint: the `top` most frequent under their own, the rest under `other`.

    A fingerprint gets a series of its own when it has been counted more often than the least of those that
    have one, which then loses it. What was counted under `other` stays there, so that no series goes down.
    """

    def __init__(self, top: int, registry: CollectorRegistry | None = None) -> None:
        self._top = top
        self._seen: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._shown: dict[tuple[str, str], int] = {}
        self._others: dict[str, int] = {}
        self._least = 0
        self._waiting: list[FirstSeen] = []
        self._new: dict[str, int] = {}
        if registry is not None:
            registry.register(self)

    def count(self, event: dict[str, Any]) -> None:
        """Count an event that has a fingerprint."""
        fingerprint: str = event[FINGERPRINT_FIELD]
        service = label_text(event.get("service")) or UNKNOWN
        key = service, fingerprint
        before = self._seen.get(key)
        if before is None:
            if len(self._waiting) < _MOST_WAITING:
                self._waiting.append(FirstSeen(fingerprint, dict(event)))
                self._remember(key)
            before = 0
        else:
            self._seen.move_to_end(key)
        if key in self._seen:
            self._seen[key] = before + 1
        if key in self._shown:
            self._shown[key] += 1
        elif self._has_place(before + 1):
            self._shown[key] = 1
        else:
            self._others[service] = self._others.get(service, 0) + 1

    def take_new(self) -> list[FirstSeen]:
        """Hand over what has been seen for the first time since the last call."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def give_back(self, errors: list[FirstSeen]) -> None:
        """Take back what could not be written down; it waits for the next attempt."""
        self._waiting = [*errors, *self._waiting][:_MOST_WAITING]

    def is_new(self, error: FirstSeen) -> None:
        """Note that nobody has seen this one before."""
        service = label_text(error.event.get("service")) or UNKNOWN
        self._new[service] = self._new.get(service, 0) + 1

    def collect(self) -> Iterator[Metric]:
        """Give both metrics."""
        by_fingerprint, new = self.describe()
        for (service, fingerprint), number in self._shown.items():
            by_fingerprint.add_metric([service, fingerprint], number)
        for service, number in self._others.items():
            by_fingerprint.add_metric([service, OTHER], number)
        for service, number in self._new.items():
            new.add_metric([service], number)
        yield from (by_fingerprint, new)

    def describe(self) -> tuple[CounterMetricFamily, CounterMetricFamily]:
        """Give both without a sample."""
        return (
            CounterMetricFamily(
                "log_errors_by_fingerprint",
                "Events of level ERROR by fingerprint: the most frequent ones, and the rest",
                labels=["service", "fingerprint"],
            ),
            CounterMetricFamily(
                "log_new_errors",
                "Fingerprints of errors that had never been seen before",
                labels=["service"],
            ),
        )

    def _remember(self, key: tuple[str, str]) -> None:
        if len(self._seen) >= _MOST_REMEMBERED:
            self._seen.popitem(last=False)
        self._seen[key] = 0

    def _has_place(self, count: int) -> bool:
        """Tell whether an error of this count gets a series, making room for it if it has earned that."""
        if len(self._shown) < self._top:
            return True
        if count <= self._least:
            return False
        counts = {key: self._seen.get(key, 0) for key in self._shown}
        least = min(counts, key=counts.__getitem__)
        self._least = counts[least]
        if count <= self._least:
            return False
        del self._shown[least]
        return True
