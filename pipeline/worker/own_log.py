"""What a worker writes to its log of its own accord: troubles, dead letters, progress, and a summary at the end."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import Counter, Gauge

from pipeline.bulk.dead_letter_lines import DeadLetterLines
from pipeline.kafka.ledger import Ledger
from pipeline.telemetry.metrics import Telemetry, counted
from pipeline.telemetry.progress import Figures, Progress, summary
from pipeline.telemetry.troubles import (
    COMMITS_AGAIN,
    DOCUMENTS_AGAIN,
    LETTERS_AGAIN,
    LOST,
    OngoingTroubles,
    Trouble,
    write,
)

__all__ = ["WorkerLog"]

log = logging.getLogger("pipeline.worker")

_SECONDS = 1.0


class WorkerLog:
    """Look at a worker once a second, and write what is due."""

    def __init__(
        self,
        telemetry: Telemetry,
        ledger: Ledger,
        dead_letters: DeadLetterLines,
        troubles: Callable[[], Iterable[Trouble]],
        clock: Callable[[], float] = time.monotonic,
        *,
        one_of_many: bool = False,
    ) -> None:
        """Of `one_of_many` workers the supervisor tells how they all do: the line of each is for DEBUG."""
        self._telemetry = telemetry
        self._ledger = ledger
        self._dead_letters = dead_letters
        self._troubles = troubles
        self._clock = clock
        self._ongoing = OngoingTroubles(self._counts)
        self._start = self._figures()
        self._progress = Progress(self._start)
        self._progress_level = logging.DEBUG if one_of_many else logging.INFO

    async def run(self) -> None:
        """Look once a second, until cancelled."""
        while True:
            await asyncio.sleep(_SECONDS)
            self.look()

    def look(self) -> None:
        """Write what is due now."""
        now = self._clock()
        write(log, self._ongoing.due(now, time.time(), self._troubles()))
        write(log, self._dead_letters.due(now))
        if self._progress.is_due(now):
            told = bool(self._ongoing.told)
            lines = self._progress.line(self._figures(), told_otherwise=told)
            write(log, [line._replace(level=self._progress_level) for line in lines])

    def end(self) -> None:
        """Write what is not written yet, and the summary."""
        write(log, self._ongoing.end(self._clock(), self._troubles()))
        write(log, self._dead_letters.rest())
        write(log, [summary(self._start, self._figures(), self._counts(), self._ongoing.told)])

    def _figures(self) -> Figures:
        telemetry = self._telemetry
        return Figures(
            self._clock(),
            _total(telemetry.consumed),
            dict(telemetry.outcomes()),
            self._ledger.in_flight(),
            _sum(telemetry.lag.records),
        )

    def _counts(self) -> Mapping[str, int]:
        telemetry = self._telemetry
        return {
            DOCUMENTS_AGAIN: _total(telemetry.retries),
            COMMITS_AGAIN: _total(telemetry.commit_failures),
            LETTERS_AGAIN: _total(telemetry.dead_letter_failures),
            LOST: _total(telemetry.expired) + _total(telemetry.corrupt_records),
        }


def _total(counter: Counter) -> int:
    return sum([value for _, value in counted(counter)])


def _sum(gauge: Gauge) -> int | None:
    samples = [int(sample.value) for metric in gauge.collect() for sample in metric.samples]
    return sum(samples) if samples else None
