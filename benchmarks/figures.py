"""The figures of a whole run: what they are called in `latest.json`, and which targets they have."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.end_to_end import EndToEnd
from benchmarks.filters import FilterRow, Filters
from benchmarks.formats import FormatRow
from benchmarks.hot_path import HotPath
from benchmarks.lines import (
    Line,
    end_to_end_lines,
    filter_lines,
    format_lines,
    hot_path_lines,
    rejection_lines,
    start_lines,
    template_lines,
    trace_lines,
    weather_lines,
    workers_lines,
)
from benchmarks.rejections import Rejections
from benchmarks.start import Start
from benchmarks.templates import Templates
from benchmarks.traces import TraceRun
from benchmarks.weather import KINDS, WeatherRow
from benchmarks.workers import Workers

__all__ = ["Figures"]

_DIGITS = 3


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
    weather: list[WeatherRow] | None = None

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
            "weather": _weather_figures(self.weather or []),
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
        parts: list[tuple[Any, Callable[[Any], list[Line]]]] = [
            (self.hot_path, hot_path_lines),
            (self.formats, format_lines),
            (self.filters, filter_lines),
            (self.end_to_end, end_to_end_lines),
            (self.weather, weather_lines),
            (self.workers, workers_lines),
            (self.rejections, rejection_lines),
            (self.start, start_lines),
            (self.traces, trace_lines),
            (self.templates, template_lines),
        ]
        return [line for measured, lines_of in parts if measured for line in lines_of(measured)]


def _filter_figures(row: FilterRow) -> dict[str, Any]:
    return {"name": row.name, "us_per_event": _rounded(row.median), "most": row.most}


def _weather_figures(rows: list[WeatherRow]) -> dict[str, dict[str, Any]]:
    measured = {row.kind.name: row for row in rows}
    return {kind.name: _weather_row_figures(measured.get(kind.name)) for kind in KINDS}


def _weather_row_figures(row: WeatherRow | None) -> dict[str, Any]:
    return {
        "us_per_event": _rounded(row and row.us_per_event),
        "times_base": _rounded(row and row.times_base),
        "rss_mb": row and round(row.rss_mb, 1),
        "events": row and row.events,
    }


def _workers_figures(both: Workers | None) -> dict[str, Any]:
    return {
        "one_us_per_event": _rounded(both and both.one_us_per_event),
        "two_us_per_event": _rounded(both and both.two_us_per_event),
        "one_events_per_second": both and round(both.one_events_per_second),
        "two_events_per_second": both and round(both.two_events_per_second),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def _ratio(rounds: list[float] | None) -> dict[str, Any]:
    if rounds is None:
        return {"median": None, "rounds": []}
    return {"median": _rounded(median(rounds)), "rounds": [_rounded(ratio) for ratio in rounds]}
