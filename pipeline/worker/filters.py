"""The filters of a worker: compiled at its start, counted on its metrics, their exceptions logged once a minute."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from pipeline.encode.run_filters import compile_filtering
from pipeline.events.document import DocumentBuilder
from pipeline.kafka.ledger import Partition
from pipeline.settings import Settings
from pipeline.telemetry.metrics import Telemetry

if TYPE_CHECKING:
    from pipeline.encode.filtering import Filtered, Filtering
    from pipeline.encode.own_functions import OwnFunctions

__all__ = ["Filters", "filters_of"]

log = logging.getLogger(__name__)

_LOG_SECONDS = 60.0
_FEWEST_RECORDS, _FIRST_RECORDS, _MOST_RECORDS = 8, 128, 1 << 17
_LONG_SECONDS = 0.5


class Filters:
    """Count what filters do."""

    def __init__(
        self,
        filtering: "Filtering",
        functions: "OwnFunctions",
        telemetry: Telemetry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.filtering = filtering
        self._functions = functions
        self._telemetry = telemetry
        self._clock = clock
        self._logged: dict[str, float] = {}
        self.records = _FIRST_RECORDS
        """How many records to give to the filters before the worker looks at its sockets again."""

    def took(self, seconds: float) -> None:
        """Note how long the last of them took: filters that are slow must not keep the worker from its heartbeats."""
        if seconds > _LONG_SECONDS:
            self.records = max(_FEWEST_RECORDS, self.records // 4)
        elif seconds < _LONG_SECONDS / 4:
            self.records = min(_MOST_RECORDS, self.records * 2)

    def count(self, partition: Partition, filtered: "Iterable[Filtered]") -> None:
        """Count what has happened to the events of a batch."""
        telemetry = self._telemetry
        dropped: Counter[str] = Counter()
        for some in filtered:
            dropped.update(some.dropped)
            if some.failed:
                for step, number in some.failed.items():
                    telemetry.filter_failures.labels(step).inc(number)
                self._say("the filter", some.failed, some.samples, "the events are tagged and go on")
        if dropped:
            telemetry.documents.labels(*partition, "dropped").inc(dropped.total())
            for step, number in dropped.items():
                telemetry.dropped.labels(step).inc(number)
        failed, impure, samples = self._functions.take()
        if failed:
            self._say("the function", failed, samples, "the events are tagged and go on")
        for name, number in impure.items():
            telemetry.impure_functions.labels(name).inc(number)
        if impure:
            told = dict.fromkeys(impure, "two calls with one event gave two results")
            self._say(
                "the function", impure, told, "a replay gives other documents, and the audit is no proof"
            )

    def _say(
        self, what: str, numbers: Mapping[str, int], samples: Mapping[str, str], consequence: str
    ) -> None:
        """Log, for each filter at most once a minute."""
        now = self._clock()
        for name, number in numbers.items():
            key = f"{what} {name} {consequence}"
            if now - self._logged.get(key, -_LOG_SECONDS) < _LOG_SECONDS:
                continue
            self._logged[key] = now
            log.warning(
                "%s `%s`: %s (%d events of this batch; not told again for a minute); %s",
                what,
                name,
                samples.get(name, "an exception"),
                number,
                consequence,
            )


def filters_of(settings: Settings, builder: DocumentBuilder, telemetry: Telemetry) -> Filters | None:
    """Compile the filters, if there are any; raises LogstashError."""
    if not settings.filters.wanted:
        return None
    from pipeline.encode.own_functions import OwnFunctions  # noqa: PLC0415 - only where there are filters

    functions = OwnFunctions(settings.filters.python_timeout)
    return Filters(compile_filtering(settings, builder, functions), functions, telemetry)
