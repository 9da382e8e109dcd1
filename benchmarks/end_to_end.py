"""From a real Kafka into a sink that only answers: the worker between its floor and the plain way."""

import asyncio
import uuid
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

from benchmarks.contenders.task import Task
from benchmarks.contest import run_contender
from benchmarks.sink import documents_received, running_sink
from benchmarks.traffic import produce, sample_day
from benchmarks.usage import Usage

__all__ = ["EndToEnd", "Round", "measure_end_to_end"]

# The plain way takes so long that fewer events tell its cost as well.
_MOST_PLAIN_EVENTS = 100_000


class Round(NamedTuple):
    """Each contender once, one after the other; CPU microseconds per event."""

    floor: float
    ours: float
    ours_without_log_metrics: float
    plain: float
    ours_usage: Usage


class EndToEnd(NamedTuple):
    """All rounds, and the number of events of each."""

    events: int
    plain_events: int
    rounds: list[Round]

    @property
    def floor_us_per_event(self) -> float:
        """Give the median of the floor."""
        return median(turn.floor for turn in self.rounds)

    @property
    def ours_us_per_event(self) -> float:
        """Give the median of the worker."""
        return median(turn.ours for turn in self.rounds)

    @property
    def ours_without_log_metrics_us_per_event(self) -> float:
        """Give the median of the worker that derives no metrics from the events."""
        return median(turn.ours_without_log_metrics for turn in self.rounds)

    @property
    def plain_us_per_event(self) -> float:
        """Give the median of the plain way."""
        return median(turn.plain for turn in self.rounds)

    @property
    def events_per_second(self) -> float:
        """Give what one worker carries, connecting and the last commit included."""
        return median(self.events / turn.ours_usage.wall_seconds for turn in self.rounds)

    @property
    def rss_mb(self) -> float:
        """Give the most memory the worker has had resident in any round."""
        return max(turn.ours_usage.peak_rss_bytes for turn in self.rounds) / 1e6

    @property
    def ours_to_floor(self) -> list[float]:
        """Give the ratio of each round."""
        return [turn.ours / turn.floor for turn in self.rounds]

    @property
    def ours_without_log_metrics_to_floor(self) -> list[float]:
        """Give the ratio of each round."""
        return [turn.ours_without_log_metrics / turn.floor for turn in self.rounds]

    @property
    def log_metrics_to_none(self) -> list[float]:
        """Give, for each round, what the worker costs with metrics from the events by what it costs without."""
        return [turn.ours / turn.ours_without_log_metrics for turn in self.rounds]

    @property
    def log_metrics_us(self) -> float:
        """Give what metrics from the events cost: microseconds an event, the median of the rounds."""
        return median(turn.ours - turn.ours_without_log_metrics for turn in self.rounds)

    @property
    def plain_to_ours(self) -> list[float]:
        """Give the ratio of each round."""
        return [turn.plain / turn.ours for turn in self.rounds]


def measure_end_to_end(bootstrap: str, events: int, rounds: int, report: Callable[[str], None]) -> EndToEnd:
    """Produce the events once, and let each contender read them in every round."""
    topic = f"bench.end-to-end.{uuid.uuid4().hex[:8]}"
    plain_events = min(events, _MOST_PLAIN_EVENTS)
    report(f"producing {events:,} events")
    asyncio.run(produce(bootstrap, topic, sample_day(events)))
    done = []
    with running_sink() as sink:
        contest = _Contest(bootstrap, topic, sink)
        for number in range(rounds):
            floor = contest.run("floor", events).cpu_us(events)
            ours = contest.run("ours", events)
            without = contest.run("ours", events, log_metrics=False).cpu_us(events)
            plain = contest.run("plain", plain_events).cpu_us(plain_events)
            turn = Round(floor, ours.cpu_us(events), without, plain, ours)
            done.append(turn)
            report(
                f"round {number + 1} of {rounds}: CPU per event: floor {floor:.2f} µs, ours {turn.ours:.2f} µs, "
                f"without metrics from logs {without:.2f} µs, plain {plain:.1f} µs; "
                f"ours/floor {turn.ours / floor:.2f}, plain/ours {plain / turn.ours:.1f}"
            )
    return EndToEnd(events, plain_events, done)


class _Contest(NamedTuple):
    """One topic, and the sink of those who send what they read."""

    bootstrap: str
    topic: str
    sink: str

    def run(self, contender: str, events: int, *, log_metrics: bool = True) -> Usage:
        """Let a contender read so many events as a new group, and see that all have arrived."""
        before = documents_received(self.sink)
        usage = run_contender(
            Task(
                contender=contender,
                bootstrap=self.bootstrap,
                topic=self.topic,
                group=f"{self.topic}.{uuid.uuid4().hex[:8]}",
                events=events,
                elasticsearch_url=self.sink,
                log_metrics=log_metrics,
            )
        )
        arrived = documents_received(self.sink) - before
        if contender != "floor" and arrived != events:
            raise RuntimeError(f"{contender} sent {arrived} documents of {events} events")
        return usage
