"""The figures of a whole run: what they are called in `latest.json`, and which targets they have."""

from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

from benchmarks.end_to_end import EndToEnd
from benchmarks.filters import FilterRow, Filters
from benchmarks.formats import FormatRow
from benchmarks.hot_path import HotPath
from benchmarks.rejections import Rejections
from benchmarks.start import Start
from benchmarks.templates import Templates
from benchmarks.traces import TraceRun
from benchmarks.workers import Workers

__all__ = ["Figures", "Line"]

_DIGITS = 3
_MOST_OURS_TO_FLOOR = 2.0
_MOST_LOG_METRICS = 1.1
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


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured; None where a part was left out."""

    date: str
    machine: dict[str, str | int]
    hot_path: HotPath | None = None
    end_to_end: EndToEnd | None = None
    templates: Templates | None = None
    start: Start | None = None
    rejections: Rejections | None = None
    formats: list[FormatRow] | None = None
    traces: TraceRun | None = None
    filters: Filters | None = None
    workers: Workers | None = None

    def as_json(self) -> dict[str, Any]:
        """Give the content of `latest.json`; its keys do not depend on what was left out."""
        hot, end, start, real = self.hot_path, self.end_to_end, self.start, self.templates
        rejected, told = self.rejections, self.traces
        return {
            "hot_path": {"us_per_event": _rounded(hot and hot.us_per_event)},
            "formats": self.formats and [row._asdict() for row in self.formats],
            "filters": self.filters and [_filter_figures(row) for row in self.filters.rows],
            "end_to_end": {
                "ours_us_per_event": _rounded(end and end.ours_us_per_event),
                "ours_without_log_metrics_us_per_event": _rounded(
                    end and end.ours_without_log_metrics_us_per_event
                ),
                "floor_us_per_event": _rounded(end and end.floor_us_per_event),
                "plain_us_per_event": _rounded(end and end.plain_us_per_event),
                "events_per_second": end and round(end.events_per_second),
                "rss_mb": end and round(end.rss_mb, 1),
            },
            "workers": _workers_figures(self.workers),
            "rejections": {
                "us_per_event": _rounded(rejected and rejected.us_per_event),
                "clean_us_per_event": _rounded(rejected and rejected.clean_us_per_event),
                "events_per_second": rejected and round(rejected.events_per_second),
                "dead_letters": rejected and rejected.dead_letters,
            },
            "start_to_first_document_seconds": _rounded(start and start.seconds),
            "traces": {
                "us_per_event": _rounded(told and told.us_per_event),
                "events_per_second": told and round(told.events_per_second),
                "bytes_per_open_trace": told and round(told.held.bytes_per_trace),
                "reread_seconds": _rounded(told and told.reread_seconds),
                "emission_us_per_event": _rounded(hot and hot.trace_events_us),
            },
            "elasticsearch": {
                "ours_us_per_document": _rounded(real and real.ours_us_per_document),
                "guide_us_per_document": _rounded(real and real.guide_us_per_document),
                "real_documents_per_second": real and round(real.real_documents_per_second),
            },
            "ratios": {
                "ours_to_floor": _ratio(end and end.ours_to_floor),
                "ours_without_log_metrics_to_floor": _ratio(end and end.ours_without_log_metrics_to_floor),
                "log_metrics_to_none": _ratio(end and end.log_metrics_to_none),
                "plain_to_ours": _ratio(end and end.plain_to_ours),
                "two_workers_to_twice_one": _ratio(
                    self.workers and self.workers.events_per_second_to_twice_one
                ),
                "two_workers_to_one_per_cpu_second": _ratio(
                    self.workers and self.workers.events_per_cpu_second_to_one
                ),
                "rejected_to_clean_throughput": _ratio(rejected and rejected.throughput_to_clean),
                "rejected_to_clean_per_cpu_second": _ratio(rejected and rejected.per_cpu_second_to_clean),
                "ours_to_guide": _ratio(real and real.ours_to_guide),
                "unmatched_to_matched": _ratio(self.filters and self.filters.unmatched_to_matched),
                "guide_filters_to_built_in": _ratio(self.filters and self.filters.guide_to_built_in),
                "more_filters_to_built_in": _ratio(self.filters and self.filters.more_to_built_in),
            },
            "events": {
                "hot_path": hot and hot.events,
                "end_to_end": end and end.events,
                "plain": end and end.plain_events,
                "workers": self.workers and self.workers.events,
                "rejections": rejected and rejected.events,
                "traces": told and told.events,
                "elasticsearch": real and real.events,
            },
            "date": self.date,
            "machine": self.machine,
        }

    def lines(self) -> list[Line]:
        """Give the table, top to bottom."""
        lines: list[Line] = []
        if self.hot_path:
            lines += _hot_path_lines(self.hot_path)
        if self.formats:
            lines += _format_lines(self.formats)
        if self.filters:
            lines += _filter_lines(self.filters)
        if self.end_to_end:
            lines += _end_to_end_lines(self.end_to_end)
        if self.workers:
            lines += _workers_lines(self.workers)
        if self.rejections:
            lines += _rejection_lines(self.rejections)
        if self.start:
            seconds = self.start.seconds
            lines.append(
                Line(
                    "One worker",
                    "process start → first document",
                    f"{seconds:.2f} s",
                    f"< {_MOST_START_SECONDS:g} s",
                    seconds < _MOST_START_SECONDS,
                )
            )
        if self.traces:
            lines += _trace_lines(self.traces)
        if self.templates:
            lines += _template_lines(self.templates)
        return lines


def _hot_path_lines(hot: HotPath) -> list[Line]:
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


def _format_lines(rows: list[FormatRow]) -> list[Line]:
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


def _filter_figures(row: FilterRow) -> dict[str, Any]:
    return {"name": row.name, "us_per_event": _rounded(row.median), "most": row.most}


def _filter_lines(filters: Filters) -> list[Line]:
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


def _end_to_end_lines(end: EndToEnd) -> list[Line]:
    group = "Kafka → answering sink, CPU per event"
    to_floor, to_ours = median(end.ours_to_floor), median(end.plain_to_ours)
    without_to_floor, metrics = median(end.ours_without_log_metrics_to_floor), median(end.log_metrics_to_none)
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
            f"{100 * (metrics - 1):.0f} %",
            f"≤ {100 * (_MOST_LOG_METRICS - 1):.0f} %",
            metrics <= _MOST_LOG_METRICS,
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


def _workers_figures(both: Workers | None) -> dict[str, Any]:
    return {
        "one_us_per_event": _rounded(both and both.one_us_per_event),
        "two_us_per_event": _rounded(both and both.two_us_per_event),
        "one_events_per_second": both and round(both.one_events_per_second),
        "two_events_per_second": both and round(both.two_events_per_second),
    }


def _workers_lines(both: Workers) -> list[Line]:
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


def _rejection_lines(rejected: Rejections) -> list[Line]:
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


def _trace_lines(told: TraceRun) -> list[Line]:
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


def _template_lines(real: Templates) -> list[Line]:
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


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def _ratio(rounds: list[float] | None) -> dict[str, Any]:
    if rounds is None:
        return {"median": None, "rounds": []}
    return {"median": _rounded(median(rounds)), "rounds": [_rounded(ratio) for ratio in rounds]}
