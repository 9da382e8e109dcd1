"""The worker on several builds of Python in turns, from a real Kafka into a sink that only answers.

    python -m benchmarks.pythons --python /usr/bin/python3.13 --python /opt/python3.14/bin/python3

Each of them needs this package's dependencies.
"""

import asyncio
import subprocess
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Annotated, Any, NamedTuple

import typer

from benchmarks.contenders.task import Task
from benchmarks.contest import HOME, clean_environment, run_contender
from benchmarks.machine import describe_machine
from benchmarks.report import say, write_side_results
from benchmarks.sink import documents_received, running_sink
from benchmarks.traffic import produce, sample_day
from benchmarks.usage import Usage
from pipeline.sandbox import start_sandbox

__all__ = ["Build", "as_markdown", "measure"]

_RESULTS = Path(__file__).parent / "results"
_ASK = "from benchmarks.machine import describe_python; print(describe_python())"


class Build(NamedTuple):
    """One build of Python, and what the worker and the floor used on it, round by round."""

    python: str
    """Version and optimisation."""
    events: int
    ours: list[Usage]
    floor: list[Usage]


def measure(bootstrap: str, pythons: Sequence[str], events: int, rounds: int) -> list[Build]:
    """Produce the events once, and let the worker read them on each build in every round.

    Raises RuntimeError when not every event has become a document, CalledProcessError for what is no Python.
    """
    builds = {python: Build(_described(python), events, [], []) for python in pythons}
    topic = f"bench.pythons.{uuid.uuid4().hex[:8]}"
    asyncio.run(produce(bootstrap, topic, sample_day(events)))
    with running_sink() as sink:
        for number in range(rounds):
            # There and back, so that a machine that slows down is no disadvantage of those behind.
            for python in pythons if number % 2 == 0 else tuple(reversed(pythons)):
                build = builds[python]
                build.floor.append(_run("floor", python, bootstrap, topic, events, sink))
                before = documents_received(sink)
                build.ours.append(_run("ours", python, bootstrap, topic, events, sink))
                if (taken := documents_received(sink) - before) != events:
                    raise RuntimeError(f"{python}: {taken} documents of {events} events")
                say(f"round {number + 1} of {rounds}: {build.python}: {build.ours[-1].cpu_us(events):.2f} µs")
    return list(builds.values())


def _run(contender: str, python: str, bootstrap: str, topic: str, events: int, sink: str) -> Usage:
    name = f"bench-{uuid.uuid4().hex[:8]}"
    return run_contender(Task(contender, bootstrap, topic, name, events, sink, name), python)


def _described(python: str) -> str:
    asked = subprocess.run(
        [python, "-c", _ASK], cwd=HOME, env=clean_environment(), capture_output=True, text=True, check=True
    )
    return asked.stdout.strip()


def as_markdown(builds: Sequence[Build], machine: dict[str, Any], date: str) -> str:
    """Write the table; medians, the least of all rounds in brackets."""
    rows = [
        "| Python | worker, CPU µs an event | floor | events/s | memory |",
        "| --- | --- | --- | --- | --- |",
    ]
    for build in builds:
        rate = median(build.events / used.wall_seconds for used in build.ours)
        memory = max(used.peak_rss_bytes for used in build.ours) / 1e6
        rows.append(
            f"| {build.python} | {_cpu(build.ours, build.events)} | {_cpu(build.floor, build.events)} "
            f"| {rate:,.0f} | {memory:.0f} MB |"
        )
    about = (
        f"{date[:10]}, {machine['cpu']}, {machine['cores']} cores for broker, sink and worker together; "
        f"{builds[0].events:,} events, {len(builds[0].ours)} rounds in turns, medians, the least in brackets. "
        "`python -m benchmarks.pythons` measures it again."
    )
    return "\n".join([*rows, "", about, ""])


def _cpu(usages: Sequence[Usage], events: int) -> str:
    found = [used.cpu_us(events) for used in usages]
    return f"{median(found):.2f} ({min(found):.2f})"


def main(
    python: Annotated[list[str], typer.Option(help="A Python to measure; to be repeated.")],
    events: Annotated[int, typer.Option(min=1000, help="Of each run.")] = 1_000_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often each has its turn.")] = 5,
    results: Annotated[
        Path, typer.Option(help="Where to write pythons.json and .md.", show_default="benchmarks/results")
    ] = _RESULTS,
) -> None:
    """Measure the worker on several builds of Python."""
    with start_sandbox(report=say) as servers:
        builds = measure(servers.kafka_bootstrap, python, events, rounds)
    date, machine = datetime.now(UTC).isoformat(timespec="seconds"), describe_machine()
    del machine["python"]
    text = as_markdown(builds, machine, date)
    say(text)
    found = {"date": date, "machine": machine, "builds": [_as_json(build) for build in builds]}
    write_side_results(found, text, results, "pythons")


def _as_json(build: Build) -> dict[str, Any]:
    runs = {"ours": build.ours, "floor": build.floor}
    return {
        "python": build.python,
        "events": build.events,
        **{name: [used._asdict() for used in usages] for name, usages in runs.items()},
    }


if __name__ == "__main__":
    typer.run(main)
