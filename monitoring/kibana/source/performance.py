"""The dashboard Performance: how long requests, queries and calls to others take."""

from monitoring.kibana.source.charts import Chart, Kind
from monitoring.kibana.source.columns import (
    Column,
    by_range,
    by_time,
    by_top,
    count,
    last,
    maximum,
    percentile,
    when,
)
from monitoring.kibana.source.saved_objects import COLUMNS, Dashboard, Row

__all__ = ["PERFORMANCE"]

_TIME = "context.processing_time_ms"
# The line that a request ends with: the others of its trace have no status.
_REQUEST = f"context.route: * and context.http_status: * and {_TIME}: *"
# The guide's objective for 95 of 100 requests.
_SLOW = f"{_TIME} >= 500"
_EDGES_MS = (0, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000)


def _percentiles(*ranks: int) -> list[Column]:
    return [percentile(_TIME, rank, f"P{rank}") for rank in ranks]


PERFORMANCE = Dashboard(
    "performance",
    "Claude Code Bot: Performance",
    "How long requests, queries and calls to others take. Objectives: P50 100 ms, P95 500 ms, P99 1 s.",
    rows=(
        Row(
            6,
            (
                Chart("Requests", Kind.NUMBER, [count("Requests")], query=_REQUEST, width=12),
                *(
                    Chart(
                        f"Request time, P{rank}",
                        Kind.NUMBER,
                        [percentile(_TIME, rank, f"P{rank} of request time")],
                        query=_REQUEST,
                        width=12,
                    )
                    for rank in (50, 95, 99)
                ),
            ),
        ),
        Row(
            13,
            (
                Chart(
                    "Request processing time distribution",
                    Kind.BARS,
                    [count("Requests")],
                    [by_range(_TIME, _EDGES_MS, "Processing time")],
                    query=_REQUEST,
                ),
                Chart(
                    "Request processing time: P50, P95, P99",
                    Kind.LINES,
                    _percentiles(50, 95, 99),
                    [by_time()],
                    query=_REQUEST,
                    with_deployments=True,
                    description="Red lines are deployments.",
                ),
            ),
        ),
        Row(
            14,
            (
                Chart(
                    "Requests by route",
                    Kind.TABLE,
                    [
                        count("Requests"),
                        *_percentiles(50, 95, 99),
                        maximum(_TIME, "Slowest"),
                        when("context.http_status >= 500", count("Failed")),
                    ],
                    [by_top("context.method", 6, "Method"), by_top("context.route", 30, "Route")],
                    query=_REQUEST,
                    width=COLUMNS,
                ),
            ),
        ),
        Row(
            14,
            (
                Chart(
                    "Slow requests by route",
                    Kind.TABLE,
                    [count("Slow requests"), *_percentiles(95), maximum(_TIME, "Slowest")],
                    [by_top("context.route", 20, "Route")],
                    query=f"{_REQUEST} and {_SLOW}",
                    description="500 ms and more.",
                    width=20,
                ),
                Chart(
                    "Slowest requests",
                    Kind.TABLE,
                    [
                        maximum(_TIME, "Processing time"),
                        last("context.route", "Route"),
                        last("user_id", "User"),
                        maximum("@timestamp", "Time"),
                    ],
                    [by_top("trace_id", 30, "Trace")],
                    query=f"{_REQUEST} and {_SLOW}",
                    description="500 ms and more, each with its trace. Webhooks have no user.",
                    drilldown="traces",
                    to_events=True,
                    width=28,
                ),
            ),
        ),
        Row(
            14,
            (
                Chart(
                    "Database query performance",
                    Kind.TABLE,
                    [
                        count("Queries"),
                        *_percentiles(50, 95, 99),
                        maximum(_TIME, "Slowest"),
                        when(f"{_TIME} >= 100", count("100 ms and more")),
                    ],
                    [
                        by_top("context.db_table", 20, "Table"),
                        by_top("context.db_operation", 6, "Operation"),
                    ],
                    query="context.db_operation: *",
                    description="The application has to log context.db_operation, context.db_table and "
                    "context.processing_time_ms.",
                    width=28,
                ),
                Chart(
                    "Database time by operation, P95",
                    Kind.LINES,
                    _percentiles(95),
                    [by_time(), by_top("context.db_operation", 6, "Operation")],
                    query="context.db_operation: *",
                    width=20,
                ),
            ),
        ),
        Row(
            12,
            (
                Chart(
                    "External API call timing",
                    Kind.TABLE,
                    [
                        count("Calls"),
                        *_percentiles(50, 95, 99),
                        when("level: ERROR", count("Failed")),
                        last("context.reason", "Last failure"),
                    ],
                    [by_top("context.external_service", 10, "Service")],
                    query="context.external_service: *",
                    description="The application has to log context.external_service and "
                    "context.processing_time_ms; each attempt is a call.",
                    width=28,
                ),
                Chart(
                    "External calls by service, P95",
                    Kind.LINES,
                    _percentiles(95),
                    [by_time(), by_top("context.external_service", 5, "Service")],
                    query="context.external_service: *",
                    width=20,
                ),
            ),
        ),
        Row(
            12,
            (
                Chart(
                    "Stages of an integration",
                    Kind.TABLE,
                    [
                        count("Runs"),
                        *_percentiles(50, 95),
                        when("level: ERROR", count("Failed")),
                    ],
                    [by_top("context.stage", 10, "Stage")],
                    query=f"context.stage: * and {_TIME}: *",
                ),
                Chart(
                    "Time by component, P95",
                    Kind.HORIZONTAL_BARS,
                    _percentiles(95),
                    [by_top("component", 20, "Component")],
                    query=f"{_TIME}: *",
                ),
            ),
        ),
    ),
)
