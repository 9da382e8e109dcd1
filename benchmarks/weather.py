"""One worker in every weather: the CPU time of an event of each kind of traffic, from a real Kafka into a sink.

A row that costs many times the base is a cliff: traffic that slows the pipeline down for no better reason than that
nobody has measured it.
"""

import asyncio
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from statistics import median
from typing import NamedTuple

from benchmarks.rejections import run_counted
from benchmarks.sink import Rejects, running_sink
from benchmarks.traffic import PARTITIONS, produce
from benchmarks.usage import Usage
from benchmarks.weather_traffic import BASE, weather_events

__all__ = ["KINDS", "Kind", "WeatherRow", "measure_weather"]

_DEAD_LETTER_PARTITIONS = 3


class Kind(NamedTuple):
    """Traffic of one kind, and what an event of it may cost."""

    name: str
    about: str
    most_us: float
    """Bound in microseconds, set on a build of Python with PGO on which the base cost 5.1."""
    traffic: str = BASE
    part: float = 1.0
    """The part of the events that are measured: large ones take longer to make than to read."""
    partitions: int = PARTITIONS
    rejects: Rejects = Rejects.NONE


KINDS = (
    Kind("base", "the sample's traffic, 364 bytes an event", 4.6),
    Kind("error_storm", "half ERROR with stack traces of 2 kB, few messages", 14, "error_storm", 0.4),
    Kind("error_storm_with_ids", "the same with ids in each message", 20, "error_storm_with_ids", 0.4),
    Kind("long_text", "messages of 5 kB", 16, "long_text", 0.3),
    Kind("services_20", "20 services", 6, "services_20"),
    Kind("services_50", "50 services", 7, "services_50"),
    Kind("services_200", "200 services", 8, "services_200"),
    Kind("services_1000", "1,000 services", 10, "services_1000"),
    Kind("filebeat", "Filebeat envelopes", 8, "filebeat"),
    Kind("tags", "events with tags of their own", 6, "tags"),
    Kind("dead_letters", "every document refused", 40, part=0.2, rejects=Rejects.ALL),
    Kind("partitions_1000", "1,000 partitions with lag", 6, partitions=1000),
)


class WeatherRow(NamedTuple):
    """What the worker used for events of one kind, round by round."""

    kind: Kind
    events: int
    usages: list[Usage]
    times_base: float
    """How many times the base that is; the median of the rounds."""

    @property
    def us_per_event(self) -> float:
        """Give the median of the rounds, the worker's start included."""
        return median(usage.cpu_us(self.events) for usage in self.usages)

    @property
    def rss_mb(self) -> float:
        """Give the most memory of any round."""
        return max(usage.peak_rss_bytes for usage in self.usages) / 1e6


def measure_weather(
    bootstrap: str, events: int, rounds: int, report: Callable[[str], None]
) -> list[WeatherRow]:
    """Produce each kind once, and let the worker read one after the other in every round."""
    counts = {kind: round(events * kind.part) for kind in KINDS}
    topics = {kind: f"bench.weather.{kind.name}.{uuid.uuid4().hex[:8]}" for kind in KINDS}
    for kind, topic in topics.items():
        report(f"producing {counts[kind]:,} events: {kind.about}")
        made = weather_events(kind.traffic, counts[kind])
        asyncio.run(produce(bootstrap, topic, made, partitions=kind.partitions))
    usages: dict[Kind, list[Usage]] = {kind: [] for kind in KINDS}
    with ExitStack() as at_exit:
        sinks = {
            rejects: at_exit.enter_context(running_sink(rejects)) for rejects in (Rejects.NONE, Rejects.ALL)
        }
        for number in range(rounds):
            for kind, topic in topics.items():
                all_refused = kind.rejects is Rejects.ALL
                used, dead = run_counted(
                    bootstrap,
                    topic,
                    counts[kind],
                    sinks[kind.rejects],
                    refuses_all=all_refused,
                    letter_partitions=_DEAD_LETTER_PARTITIONS,
                )
                if dead != all_refused * counts[kind]:
                    raise RuntimeError(f"{kind.name}: {dead} of {counts[kind]} events became dead letters")
                usages[kind].append(used)
                report(
                    f"round {number + 1} of {rounds}: {kind.about}: {used.cpu_us(counts[kind]):.2f} µs CPU per event, "
                    f"{counts[kind] / used.wall_seconds:,.0f} events/s, {used.peak_rss_bytes / 1e6:.0f} MB"
                )
    base = KINDS[0]
    return [
        WeatherRow(
            kind,
            counts[kind],
            used,
            median(
                one.cpu_us(counts[kind]) / other.cpu_us(counts[base])
                for one, other in zip(used, usages[base], strict=True)
            ),
        )
        for kind, used in usages.items()
    ]
