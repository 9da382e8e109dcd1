"""One worker and then two at a time: what another core brings."""

import asyncio
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import NamedTuple

from benchmarks.contenders.task import Task
from benchmarks.contest import run_contender
from benchmarks.sink import documents_received, running_sink
from benchmarks.traffic import produce, sample_day
from benchmarks.usage import Usage

__all__ = ["Workers", "WorkersRound", "measure_workers"]

_TWO = 2


class WorkersRound(NamedTuple):
    """One worker, then two at a time."""

    one: Usage
    two: tuple[Usage, Usage]


class Workers(NamedTuple):
    """All rounds, and the number of events that each worker has read in each."""

    events: int
    rounds: list[WorkersRound]

    @property
    def one_us_per_event(self) -> float:
        """Give the median of the worker that is alone."""
        return median(turn.one.cpu_us(self.events) for turn in self.rounds)

    @property
    def two_us_per_event(self) -> float:
        """Give the median of the mean of two."""
        return median(self._two_us(turn) for turn in self.rounds)

    @property
    def one_events_per_second(self) -> float:
        """Give what one worker carries."""
        return median(self.events / turn.one.wall_seconds for turn in self.rounds)

    @property
    def two_events_per_second(self) -> float:
        """Give what both carry together."""
        return median(self._two_per_second(turn) for turn in self.rounds)

    @property
    def events_per_second_to_twice_one(self) -> list[float]:
        """Give, for each round, what two carry by twice what one does."""
        return [
            self._two_per_second(turn) * turn.one.wall_seconds / (_TWO * self.events) for turn in self.rounds
        ]

    @property
    def events_per_cpu_second_to_one(self) -> list[float]:
        """Give, for each round, the events that two index in a second of CPU by those that one does."""
        return [turn.one.cpu_us(self.events) / self._two_us(turn) for turn in self.rounds]

    def _two_us(self, turn: WorkersRound) -> float:
        return sum(usage.cpu_us(self.events) for usage in turn.two) / _TWO

    def _two_per_second(self, turn: WorkersRound) -> float:
        return sum(self.events / usage.wall_seconds for usage in turn.two)


def measure_workers(bootstrap: str, events: int, rounds: int, report: Callable[[str], None]) -> Workers:
    """Produce the events once; in each round one worker reads them all, and then two do, each all of them.

    Each is a group of its own: two of one group would begin with a rebalance, of which a short run would tell more
    than of the workers. Broker and sink have what the workers leave of the cores.
    """
    topic = f"bench.workers.{uuid.uuid4().hex[:8]}"
    report(f"producing {events:,} events")
    asyncio.run(produce(bootstrap, topic, sample_day(events)))
    done = []
    with running_sink() as sink, ThreadPoolExecutor(_TWO) as at_a_time:

        def run(_: int = 0) -> Usage:
            group = f"{topic}.{uuid.uuid4().hex[:8]}"
            return run_contender(Task("ours", bootstrap, topic, group, events, elasticsearch_url=sink))

        for number in range(rounds):
            before = documents_received(sink)
            one = run()
            first, second = at_a_time.map(run, range(_TWO))
            arrived = documents_received(sink) - before
            if arrived != (1 + _TWO) * events:
                raise RuntimeError(f"three workers sent {arrived} documents of {events} events each")
            turn = WorkersRound(one, (first, second))
            done.append(turn)
            so_far = Workers(events, [turn])
            report(
                f"round {number + 1} of {rounds}: one worker {so_far.one_us_per_event:.2f} µs, "
                f"{so_far.one_events_per_second:,.0f} events/s; two at a time {so_far.two_us_per_event:.2f} µs each, "
                f"{so_far.two_events_per_second:,.0f} events/s"
            )
    return Workers(events, done)
