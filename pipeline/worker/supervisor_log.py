"""What the supervisor writes to its log: workers that end, how all of them do together, and a summary at the end."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.metrics_core import Metric

from pipeline.telemetry.merged import SupervisorTelemetry
from pipeline.telemetry.progress import Figures, Progress, summary
from pipeline.telemetry.quantities import as_duration
from pipeline.telemetry.troubles import (
    COMMITS_AGAIN,
    DOCUMENTS_AGAIN,
    LETTERS_AGAIN,
    LOST,
    OngoingTroubles,
    Trouble,
    write,
)

__all__ = ["GOOD_LIFE_SECONDS", "SupervisorLog"]

log = logging.getLogger("pipeline.supervisor")

GOOD_LIFE_SECONDS = 60.0
"""A worker that has lived for so long has started well."""
_SECONDS = 1.0
_EVENTS, _OUTCOMES = "logpipe_documents_consumed", "logpipe_documents"
_IN_FLIGHT, _LAG = "logpipe_in_flight_records", "logpipe_consumer_lag_records"
_COUNTS = {
    "logpipe_document_retries": DOCUMENTS_AGAIN,
    "logpipe_commit_failures": COMMITS_AGAIN,
    "logpipe_dead_letter_failures": LETTERS_AGAIN,
    "logpipe_records_expired": LOST,
    "logpipe_corrupt_records": LOST,
}
_WANTED = frozenset({_EVENTS, _OUTCOMES, _IN_FLIGHT, _LAG, *_COUNTS})


@dataclass(slots=True)
class _Ended:
    """A worker that has ended by itself, and has not lived for long since."""

    since: float
    why: str
    times: int = 0
    next_try: str = ""
    alive_since: float | None = None


class SupervisorLog:
    """Look at the workers once a second, and write what is due."""

    def __init__(self, telemetry: SupervisorTelemetry, clock: Callable[[], float] = time.monotonic) -> None:
        self._telemetry = telemetry
        self._clock = clock
        self._ended: dict[int, _Ended] = {}
        self._ongoing = OngoingTroubles()
        self._start = Figures(clock(), 0, {}, 0, None)
        self._progress = Progress(self._start)

    def ended(self, number: int, why: str, again_seconds: float) -> None:
        """Note a worker that has ended though nobody told it to, and when it is started again."""
        worker = self._ended.setdefault(number, _Ended(self._clock(), why))
        worker.why, worker.times, worker.alive_since = why, worker.times + 1, None
        worker.next_try = f"It is started again in {as_duration(again_seconds)}"

    def started(self, number: int, process_id: int) -> None:
        """Note the process that is a worker from now on; of the first one there is a line."""
        worker = self._ended.get(number)
        if worker is None:
            log.info("worker %d is process %d", number, process_id)
        else:
            worker.alive_since = self._clock()
            worker.next_try = f"It is process {process_id} now"

    async def run(self, scrape: Callable[[], Awaitable[object]] | None = None) -> None:
        """Look until cancelled; `scrape` asks the workers how they do, for a line a minute about all of them."""
        while True:
            await asyncio.sleep(_SECONDS)
            self.look()
            if scrape is not None and self._progress.is_due(self._clock()):
                await scrape()
                self.progress()

    def look(self) -> None:
        """Write what is due of workers that have ended."""
        write(log, self._ongoing.due(self._clock(), time.time(), self._troubles()))

    def progress(self) -> None:
        """Write how all workers do, unless nothing moves."""
        write(log, self._progress.line(self._figures()))

    def end(self) -> None:
        """Write the summary of all workers, after their last words."""
        counts: Counter[str] = Counter()
        for name, family in self._families().items():
            if name in _COUNTS:
                counts[_COUNTS[name]] += _sum(family)
        write(log, [summary(self._start, self._figures(), counts, self._ongoing.told)])

    def _troubles(self) -> Iterator[Trouble]:
        now = self._clock()
        for number, worker in list(self._ended.items()):
            if worker.alive_since is not None and now - worker.alive_since >= GOOD_LIFE_SECONDS:
                del self._ended[number]
                continue
            again = f" {worker.times:,} times" if worker.times > 1 else ""
            yield Trouble(
                key=f"worker {number}",
                what=f"worker {number} has ended{again}",
                over=f"worker {number} has been running for a minute",
                why=worker.why,
                means="The others take its partitions over; what it had not committed is read again",
                next_try=worker.next_try,
                seconds=now - worker.since,
                grace_seconds=0,
                level=logging.ERROR,
            )

    def _figures(self) -> Figures:
        families = self._families()
        outcomes: Counter[str] = Counter()
        for sample in families[_OUTCOMES].samples if _OUTCOMES in families else ():
            outcomes[sample.labels["outcome"]] += int(sample.value)
        events, in_flight = (
            _sum(families[name]) if name in families else 0 for name in (_EVENTS, _IN_FLIGHT)
        )
        lag = _sum(families[_LAG]) if _LAG in families else None
        return Figures(self._clock(), events, outcomes, in_flight, lag)

    def _families(self) -> Mapping[str, Metric]:
        """Give what the workers last said, of the families that are of interest and have samples, by name."""
        families = self._telemetry.merged.families(_WANTED.__contains__)
        return {family.name: family for family in families if family.samples}


def _sum(family: Metric) -> int:
    return int(sum([sample.value for sample in family.samples]))
