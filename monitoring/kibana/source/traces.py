"""The dashboard Traces: how long what users do takes, and where the time goes."""

from functools import partial

from monitoring.kibana.source.charts import TRACES_VIEW, Chart, Kind
from monitoring.kibana.source.columns import by_time, by_top, count, last, maximum, percentile, when
from monitoring.kibana.source.navigation import Control
from monitoring.kibana.source.saved_objects import COLUMNS, Dashboard, Row, SavedSearch

__all__ = ["TRACES", "TRACE_EVENTS"]

_Chart = partial(Chart, data_view=TRACES_VIEW)
_SLOW = "slow: true"
_FAILED = "failed: true"

TRACE_EVENTS = SavedSearch(
    "trace-events",
    "Claude Code Bot: events of traces",
    "Every event that has a trace, the newest first. Filter by a trace above, and its events are left. Nothing is "
    "shown while a flow, an outcome or a service is chosen: these are of summaries.",
    "trace_id: *",
    ("level", "service", "component", "message", "trace_id", "user_id", "integration_id"),
)

TRACES = Dashboard(
    "traces",
    "Claude Code Bot: Traces",
    "How long what users do takes, where the time goes, and what fails. Needs traces.enabled.",
    controls=(
        Control("Flow", "flow", TRACES_VIEW),
        Control("Outcome", "outcome", TRACES_VIEW),
        Control("Service", "services", TRACES_VIEW),
    ),
    rows=(
        Row(
            6,
            (
                _Chart("Traces", Kind.NUMBER, [count("Traces")], width=12),
                _Chart("Slow traces", Kind.NUMBER, [count("Slow traces")], query=_SLOW, width=12),
                _Chart("Failed traces", Kind.NUMBER, [count("Failed traces")], query=_FAILED, width=12),
                _Chart(
                    "Trace duration, P95",
                    Kind.NUMBER,
                    [percentile("duration_ms", 95, "P95 of trace duration")],
                    query="not flow: none",
                    width=12,
                ),
            ),
        ),
        Row(
            13,
            (
                _Chart(
                    "Flows",
                    Kind.TABLE,
                    [
                        count("Traces"),
                        percentile("duration_ms", 50, "P50"),
                        percentile("duration_ms", 95, "P95"),
                        maximum("expected_ms", "Expected"),
                        percentile("critical_ms", 95, "Critical path, P95"),
                        when(_SLOW, count("Slow")),
                        when(_FAILED, count("Failed")),
                        when("complete: false", count("Incomplete")),
                    ],
                    [by_top("flow", 20, "Flow")],
                    width=30,
                ),
                _Chart(
                    "Outcomes of traces over time",
                    Kind.STACKED_BARS,
                    [count("Traces")],
                    [by_time(), by_top("outcome", 4, "Outcome")],
                    width=18,
                ),
            ),
        ),
        Row(
            14,
            (
                _Chart(
                    "Slowest traces",
                    Kind.TABLE,
                    [
                        maximum("duration_ms", "Duration"),
                        maximum("expected_ms", "Expected"),
                        last("flow", "Flow"),
                        last("outcome", "Outcome"),
                        maximum("largest_gap.duration_ms", "Largest gap"),
                        last("largest_gap.before_component", "Waited for"),
                        maximum("event_count", "Events"),
                    ],
                    [by_top("trace_id", 30, "Trace")],
                    description="An id leads to its events in Discover; filtered by, to those below.",
                    width=COLUMNS,
                ),
            ),
        ),
        Row(
            13,
            (
                _Chart(
                    "Where the time goes",
                    Kind.HORIZONTAL_BARS,
                    [count("Traces")],
                    [by_top("largest_gap.before_component", 15, "Component")],
                    query=_SLOW,
                    description="The component that logged next after the largest gap of a slow trace.",
                ),
                _Chart(
                    "Where traces fail first",
                    Kind.HORIZONTAL_BARS,
                    [count("Traces")],
                    [by_top("first_error.component", 15, "Component")],
                    query="error_count > 0",
                ),
            ),
        ),
        Row(16, (TRACE_EVENTS,)),
    ),
)
