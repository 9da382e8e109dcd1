"""One worker when every bulk request holds a document that Elasticsearch refuses, beside clean traffic.

Each such document is sent twice, the second time without the field that the refusal names, and then goes to the
dead-letter topic of a real Kafka.
"""

import asyncio
import uuid
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

from benchmarks.contenders.task import Task
from benchmarks.contest import run_contender
from benchmarks.sink import Rejects, documents_received, running_sink
from benchmarks.traffic import create_topic, produce, sample_day
from benchmarks.usage import Usage
from pipeline.kafka.dead_letters import dead_letter_topic, read_dead_letters
from pipeline.settings import Settings

__all__ = ["RejectionRound", "Rejections", "measure_rejections", "run_counted"]

_DEAD_LETTER_PARTITIONS = 1


class RejectionRound(NamedTuple):
    """What the worker used for clean traffic, and with a refused document in every request."""

    clean: Usage
    rejected: Usage
    dead_letters: int


class Rejections(NamedTuple):
    """All rounds, and the number of events of each."""

    events: int
    rounds: list[RejectionRound]

    @property
    def clean_us_per_event(self) -> float:
        """Give the median for clean traffic."""
        return median(turn.clean.cpu_us(self.events) for turn in self.rounds)

    @property
    def us_per_event(self) -> float:
        """Give the median with refused documents."""
        return median(turn.rejected.cpu_us(self.events) for turn in self.rounds)

    @property
    def events_per_second(self) -> float:
        """Give what one worker carries with refused documents."""
        return median(self.events / turn.rejected.wall_seconds for turn in self.rounds)

    @property
    def dead_letters(self) -> int:
        """Give the median number of documents that were refused."""
        return round(median(turn.dead_letters for turn in self.rounds))

    @property
    def throughput_to_clean(self) -> list[float]:
        """Give events per second relative to clean traffic, of each round."""
        return [turn.clean.wall_seconds / turn.rejected.wall_seconds for turn in self.rounds]

    @property
    def per_cpu_second_to_clean(self) -> list[float]:
        """Give events per second of CPU relative to clean traffic, of each round."""
        return [turn.clean.cpu_seconds / turn.rejected.cpu_seconds for turn in self.rounds]


def measure_rejections(bootstrap: str, events: int, rounds: int, report: Callable[[str], None]) -> Rejections:
    """Produce the events once, and let the worker read them in every round, clean and refused."""
    topic = f"bench.rejections.{uuid.uuid4().hex[:8]}"
    report(f"producing {events:,} events")
    asyncio.run(produce(bootstrap, topic, sample_day(events)))
    done = []
    with running_sink() as sink, running_sink(Rejects.ONE) as rejecting:
        for number in range(rounds):
            clean, none_dead = run_counted(bootstrap, topic, events, sink)
            rejected, dead = run_counted(bootstrap, topic, events, rejecting)
            if none_dead or not dead:
                raise RuntimeError(f"{none_dead} dead letters of clean traffic, {dead} of refused documents")
            turn = RejectionRound(clean, rejected, dead)
            done.append(turn)
            report(
                f"round {number + 1} of {rounds}: clean {clean.cpu_us(events):.2f} µs and "
                f"{events / clean.wall_seconds:,.0f} events/s; with {dead} dead letters "
                f"{rejected.cpu_us(events):.2f} µs and {events / rejected.wall_seconds:,.0f} events/s: "
                f"{clean.wall_seconds / rejected.wall_seconds:.2f} x the clean throughput"
            )
    return Rejections(events, done)


def run_counted(
    bootstrap: str,
    topic: str,
    events: int,
    sink: str,
    *,
    refuses_all: bool = False,
    letter_partitions: int = _DEAD_LETTER_PARTITIONS,
) -> tuple[Usage, int]:
    """Let the worker read all as a new group; gives what it used, and its dead letters.

    Raises RuntimeError when an event has become neither a document nor a dead letter.
    """
    name = f"bench-{uuid.uuid4().hex[:8]}"
    task = Task("ours", bootstrap, topic, name, events, sink, name, refuses_all=refuses_all)
    settings = task.settings()
    asyncio.run(create_topic(bootstrap, dead_letter_topic(settings), letter_partitions))
    before = documents_received(sink)
    usage = run_contender(task)
    taken = documents_received(sink) - before
    dead = asyncio.run(_dead_letters(settings))
    if taken + dead != events:
        raise RuntimeError(f"{taken} documents were taken and {dead} died, of {events} events")
    return usage, dead


async def _dead_letters(settings: Settings) -> int:
    return sum([1 async for _ in read_dead_letters(settings)])
