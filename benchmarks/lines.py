"""The lines of the table: each figure beside what it has to be."""

from statistics import median
from typing import NamedTuple

from benchmarks.end_to_end import EndToEnd
from benchmarks.filters import Filters
from benchmarks.formats import FormatRow
from benchmarks.hot_path import HotPath
from benchmarks.rejections import Rejections
from benchmarks.start import Start
from benchmarks.templates import Templates
from benchmarks.traces import TraceRun
from benchmarks.weather import WeatherRow
from benchmarks.workers import Workers

__all__ = [
    "Line",
    "end_to_end_lines",
    "filter_lines",
    "format_lines",
    "hot_path_lines",
    "rejection_lines",
    "start_lines",
    "template_lines",
    "trace_lines",
    "weather_lines",
    "workers_lines",
]

_MOST_OURS_TO_FLOOR = 2.0
_MOST_LOG_METRICS_US = 0.85
_LEAST_PLAIN_TO_OURS = 5.0
_LEAST_REJECTED_TO_CLEAN = 0.5
_MOST_OURS_TO_GUIDE = 0.75
_MOST_RSS_MB = 200
_MOST_START_SECONDS = 2.0
_MOST_TRACE_EVENTS_US = 0.9
_MOST_CORRELATOR_US = 4.5
_MOST_UNMATCHED_TO_MATCHED = 1.0
_MOST_GUIDE_TO_BUILT_IN = 1.3
_LEAST_TWO_TO_TWICE_ONE = 0.9


class Line(NamedTuple):
    """One line of the table; `met` is None where there is no target."""

    group: str
    name: str
    value: str
    target: str = ""
    met: bool | None = None


def hot_path_lines(hot: HotPath) -> list[Line]:
    """Say what each way through the encoder costs."""
    group = "In memory, CPU per event"
    lines = [Line(group, row.name, f"{row.median:.2f} µs (least {row.minimum:.2f})") for row in hot.rows]
    if (cost := hot.trace_events_us) is not None:
        name = "what trace events cost"
        lines.append(
            Line(
                group,
                name,
                f"{cost:.2f} µs",
                f"≤ {_MOST_TRACE_EVENTS_US:g} µs",
                cost <= _MOST_TRACE_EVENTS_US,
            )
        )
    return lines


def format_lines(rows: list[FormatRow]) -> list[Line]:
    """Compare each format with the guide's, and with what its kind may cost."""
    group = "Formats, in memory, CPU per event"
    return [
        Line(
            group,
            row.name,
            f"{row.us_per_event:.2f} µs, {row.times_guide:.2f} x guide",
            f"≤ {row.most_times_guide:g} x guide" if row.most_times_guide else "",
            row.times_guide <= row.most_times_guide if row.most_times_guide else None,
        )
        for row in rows
    ]


def filter_lines(filters: Filters) -> list[Line]:
    """Compare the filters with their bounds."""
    group = "Logstash's filters alone, CPU per event"
    in_worker = "Records to documents, in memory, with filters"
    ratio, guide = median(filters.unmatched_to_matched), median(filters.guide_to_built_in)
    return [
        *(
            Line(
                group,
                row.name,
                f"{row.median:.2f} µs (least {row.least:.2f})",
                f"≤ {row.most:g} µs" if row.most is not None else "",
                row.is_met,
            )
            for row in filters.rows
        ),
        Line(
            group,
            "a line that does not match against one that does",
            f"{ratio:.2f} x",
            f"≤ {_MOST_UNMATCHED_TO_MATCHED:g} x",
            ratio <= _MOST_UNMATCHED_TO_MATCHED,
        ),
        Line(
            in_worker,
            "the guide's filter section",
            f"{guide:.2f} x without filters",
            f"≤ {_MOST_GUIDE_TO_BUILT_IN:g} x without filters",
            guide <= _MOST_GUIDE_TO_BUILT_IN,
        ),
        Line(
            in_worker,
            "the same and one filter more",
            f"{median(filters.more_to_built_in):.2f} x without filters",
        ),
    ]


def end_to_end_lines(end: EndToEnd) -> list[Line]:
    """Compare the worker with its floor and with the plain way."""
    group = "Kafka → answering sink, CPU per event"
    to_floor, to_ours = median(end.ours_to_floor), median(end.plain_to_ours)
    without_to_floor, metrics = median(end.ours_without_log_metrics_to_floor), end.log_metrics_us
    return [
        Line(group, "the floor: getmany + orjson.loads", f"{end.floor_us_per_event:.2f} µs"),
        Line(
            group,
            "ours, everything on",
            f"{end.ours_us_per_event:.2f} µs, {to_floor:.2f} x floor",
            f"≤ {_MOST_OURS_TO_FLOOR:.1f} x floor",
            to_floor <= _MOST_OURS_TO_FLOOR,
        ),
        Line(
            group,
            "ours, no metrics from the logs",
            f"{end.ours_without_log_metrics_us_per_event:.2f} µs, {without_to_floor:.2f} x floor",
            f"≤ {_MOST_OURS_TO_FLOOR:.1f} x floor",
            without_to_floor <= _MOST_OURS_TO_FLOOR,
        ),
        Line(
            group,
            "what metrics from the logs cost",
            f"{metrics:.2f} µs",
            f"≤ {_MOST_LOG_METRICS_US:g} µs",
            metrics <= _MOST_LOG_METRICS_US,
        ),
        Line(
            group,
            "the plain way: json + async_bulk",
            f"{end.plain_us_per_event:.1f} µs, {to_ours:.1f} x ours",
            f"≥ {_LEAST_PLAIN_TO_OURS:g} x ours",
            to_ours >= _LEAST_PLAIN_TO_OURS,
        ),
        Line("One worker", "events per second", f"{end.events_per_second:,.0f}"),
        Line(
            "One worker",
            "peak resident memory",
            f"{end.rss_mb:.0f} MB",
            f"< {_MOST_RSS_MB} MB",
            end.rss_mb < _MOST_RSS_MB,
        ),
    ]


def weather_lines(rows: list[WeatherRow]) -> list[Line]:
    """Compare each kind with its bound in microseconds, which was set for a build of Python with PGO."""
    return [
        Line(
            "Weather: Kafka → answering sink, CPU per event",
            row.kind.about,
            f"{row.us_per_event:.1f} µs, {row.times_base:.1f} x base, {row.rss_mb:.0f} MB",
            f"≤ {row.kind.most_us:g} µs",
            row.us_per_event <= row.kind.most_us,
        )
        for row in rows
    ]


def workers_lines(both: Workers) -> list[Line]:
    """Say what two workers do by the CPU too: on two cores the broker and the sink have none of their own."""
    group = "Two workers at a time, each over all events"
    throughput, per_cpu = (
        median(both.events_per_second_to_twice_one),
        median(both.events_per_cpu_second_to_one),
    )
    target = f"≥ {_LEAST_TWO_TO_TWICE_ONE:g} x"
    return [
        Line(
            group,
            "events per second of CPU",
            f"{1e6 / both.two_us_per_event:,.0f}, {per_cpu:.2f} x one worker's",
            target,
            per_cpu >= _LEAST_TWO_TO_TWICE_ONE,
        ),
        Line(
            group,
            "events per second, beside broker and sink",
            f"{both.two_events_per_second:,.0f}, {throughput:.2f} x twice one worker's",
        ),
    ]


def rejection_lines(rejected: Rejections) -> list[Line]:
    """Compare refused documents with clean traffic."""
    group = "One refused document in every bulk request"
    target = f"≥ {_LEAST_REJECTED_TO_CLEAN:g} x clean"
    throughput, per_cpu_second = (
        median(rejected.throughput_to_clean),
        median(rejected.per_cpu_second_to_clean),
    )
    return [
        Line(
            group,
            "events per second, dead letters to Kafka",
            f"{rejected.events_per_second:,.0f}, {throughput:.2f} x clean",
            target,
            throughput >= _LEAST_REJECTED_TO_CLEAN,
        ),
        Line(
            group,
            "events per second of CPU",
            f"{1e6 / rejected.us_per_event:,.0f}, {per_cpu_second:.2f} x clean",
            target,
            per_cpu_second >= _LEAST_REJECTED_TO_CLEAN,
        ),
    ]


def start_lines(start: Start) -> list[Line]:
    """Compare the time of a start with its bound."""
    return [
        Line(
            "One worker",
            "process start → first document",
            f"{start.seconds:.2f} s",
            f"< {_MOST_START_SECONDS:g} s",
            start.seconds < _MOST_START_SECONDS,
        )
    ]


def trace_lines(told: TraceRun) -> list[Line]:
    """Say what the correlator costs."""
    group = "Trace events → summaries in a real Elasticsearch, one correlator"
    return [
        Line(
            group,
            "CPU per source event",
            f"{told.us_per_event:.2f} µs",
            f"≤ {_MOST_CORRELATOR_US:g} µs",
            told.us_per_event <= _MOST_CORRELATOR_US,
        ),
        Line(group, "source events read in a second", f"{told.events_per_second:,.0f}"),
        Line(
            group,
            f"memory of an open trace, of {told.held.traces:,}",
            f"{told.held.bytes_per_trace:,.0f} bytes",
        ),
        Line(
            group, "restart, 15 minutes of 1,000 events a second read again", f"{told.reread_seconds:.1f} s"
        ),
    ]


def template_lines(real: Templates) -> list[Line]:
    """Compare Elasticsearch's work with that for the guide's template."""
    group = "Elasticsearch's CPU per document"
    ratio = median(real.ours_to_guide)
    return [
        Line(group, "the guide's template", f"{real.guide_us_per_document:.1f} µs"),
        Line(
            group,
            "our template",
            f"{real.ours_us_per_document:.1f} µs, {ratio:.2f} x the guide's",
            f"≤ {_MOST_OURS_TO_GUIDE:g} x the guide's",
            ratio <= _MOST_OURS_TO_GUIDE,
        ),
        Line(
            "Kafka → real Elasticsearch",
            "documents per second",
            f"{real.real_documents_per_second:,.0f}",
        ),
    ]
