"""`python -m benchmarks`: measure all of it, or a part, and write the results."""

import logging
import signal
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from benchmarks.end_to_end import measure_end_to_end
from benchmarks.figures import Figures
from benchmarks.filters import measure_filters
from benchmarks.formats import measure_formats
from benchmarks.hot_path import measure_hot_path
from benchmarks.machine import describe_machine
from benchmarks.rejections import measure_rejections
from benchmarks.report import table, write_results
from benchmarks.start import measure_start
from benchmarks.templates import measure_templates
from benchmarks.traces import measure_traces
from benchmarks.weather import WeatherRow, measure_weather
from benchmarks.workers import Workers, measure_workers
from pipeline.sandbox import start_sandbox

_RESULTS = Path(__file__).parent / "results"
_MOST_HOT_PATH_EVENTS = 20_000
_MOST_FORMAT_EVENTS = 8_000
_MOST_REJECTION_EVENTS = 500_000
# A real Elasticsearch takes ten times as long for an event as the worker does.
_MOST_ELASTICSEARCH_EVENTS = 200_000
# A round of all kinds takes a minute.
_MOST_WEATHER_EVENTS = 500_000
_MOST_WEATHER_ROUNDS = 3
_MOST_TRACE_EVENTS = 300_000
_HOT_PATH_REPETITIONS = 3  # for each round: these are short

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
# In a file or a pipe the table shall not be broken at 80 characters.
out = Console(width=None if sys.stdout.isatty() else 110)


class Part(StrEnum):
    """What can be measured by itself."""

    HOT_PATH = "hot_path"
    FORMATS = "formats"
    FILTERS = "filters"
    END_TO_END = "end_to_end"
    REJECTIONS = "rejections"
    ELASTICSEARCH = "elasticsearch"
    START = "start"
    TRACES = "traces"
    WORKERS = "workers"
    WEATHER = "weather"


@app.command()
def main(
    # A worker's start (0.2 s of CPU, mostly memory that is touched for the first time) shall not count.
    events: Annotated[int, typer.Option(min=1000, help="Events of each end-to-end run.")] = 1_000_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often each contender has its turn.")] = 5,
    only: Annotated[list[Part] | None, typer.Option(help="Measure this part; may be repeated.")] = None,
    results: Annotated[
        Path | None,
        typer.Option(help="Where to write latest.json, .md and .png.", show_default="benchmarks/results"),
    ] = None,
) -> None:
    """Measure the pipeline on real servers; takes some minutes, best on a machine with nothing else to do.

    A part alone is only shown, unless --results says where to write it: the files of a whole run stay whole.
    """
    parts = set(only or Part)
    figures = _measure(parts, events, rounds)
    out.print(table(figures))
    directory = results or (_RESULTS if parts == set(Part) else None)
    if directory is not None:
        write_results(figures, directory)
        _say(f"written to {directory}")


def _measure(parts: set[Part], events: int, rounds: int) -> Figures:
    """Measure one part after the other; the servers run only when one of them is needed."""
    hot_path = formats = filters = end_to_end = rejections = templates = start = traces = workers = (
        weather
    ) = None
    if Part.HOT_PATH in parts:
        _say("hot path")
        hot_path = measure_hot_path(min(events, _MOST_HOT_PATH_EVENTS), rounds * _HOT_PATH_REPETITIONS)
    if Part.FORMATS in parts:
        _say("formats")
        formats = measure_formats(min(events, _MOST_FORMAT_EVENTS), rounds)
    if Part.FILTERS in parts:
        _say("Logstash's filters")
        filters = measure_filters(rounds)
    with ExitStack() as at_exit:
        if parts - {Part.HOT_PATH, Part.FORMATS, Part.FILTERS}:
            servers = at_exit.enter_context(start_sandbox(report=_say))
            if Part.END_TO_END in parts:
                _say("end to end")
                end_to_end = measure_end_to_end(servers.kafka_bootstrap, events, rounds, _say)
            workers = _measure_workers(parts, servers.kafka_bootstrap, events, rounds)
            weather = _measure_weather(parts, servers.kafka_bootstrap, events, rounds)
            if Part.REJECTIONS in parts:
                _say("one refused document in every request")
                rejections = measure_rejections(
                    servers.kafka_bootstrap, min(events, _MOST_REJECTION_EVENTS), rounds, _say
                )
            if Part.START in parts:
                _say("start to first document")
                start = measure_start(servers, rounds, _say)
            if Part.TRACES in parts:
                _say("the correlator of traces")
                traces = measure_traces(servers, min(events, _MOST_TRACE_EVENTS), rounds, _say)
            if Part.ELASTICSEARCH in parts:
                _say("the guide's template against ours")
                templates = measure_templates(servers, min(events, _MOST_ELASTICSEARCH_EVENTS), rounds, _say)
    return Figures(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=describe_machine(),
        hot_path=hot_path,
        end_to_end=end_to_end,
        rejections=rejections,
        templates=templates,
        start=start,
        formats=formats,
        traces=traces,
        filters=filters,
        workers=workers,
        weather=weather,
    )


def _measure_workers(parts: set[Part], bootstrap: str, events: int, rounds: int) -> Workers | None:
    if Part.WORKERS not in parts:
        return None
    _say("one worker, and two at a time")
    return measure_workers(bootstrap, events, rounds, _say)


def _measure_weather(parts: set[Part], bootstrap: str, events: int, rounds: int) -> list[WeatherRow] | None:
    if Part.WEATHER not in parts:
        return None
    _say("every weather")
    return measure_weather(
        bootstrap, min(events, _MOST_WEATHER_EVENTS), min(rounds, _MOST_WEATHER_ROUNDS), _say
    )


def _say(text: str) -> None:
    out.print(escape(text), soft_wrap=True, highlight=False)


if __name__ == "__main__":
    # What it says about topics and groups that are a moment old mends itself; what does not is raised.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    # As after Ctrl-C: the servers and children are stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    app()
