"""The dashboard Error Analysis: what fails, where, and since which release."""

from monitoring.kibana.source.charts import Chart, Kind
from monitoring.kibana.source.columns import (
    by_time,
    by_top,
    count,
    last,
    maximum,
    minimum,
    unique,
)
from monitoring.kibana.source.saved_objects import COLUMNS, Dashboard, Row, SavedSearch

__all__ = ["ERRORS", "ERROR_ANALYSIS"]

_ERROR = "level: ERROR"
# What tells one error from another: the same for messages that differ in numbers and names only.
_IDENTITY = "error.fingerprint"

ERRORS = SavedSearch(
    "errors",
    "Claude Code Bot: errors",
    "Every event of level ERROR, the newest first.",
    _ERROR,
    (
        "service",
        "component",
        "message",
        "context.exception_type",
        "error.fingerprint",
        "context.version",
        "trace_id",
        "user_id",
    ),
)

ERROR_ANALYSIS = Dashboard(
    "error-analysis",
    "Claude Code Bot: Error Analysis",
    "What fails, where, and since which release.",
    rows=(
        Row(
            6,
            (
                Chart("Errors", Kind.NUMBER, [count("Errors")], query=_ERROR, width=12),
                Chart(
                    "Different errors",
                    Kind.NUMBER,
                    [unique(_IDENTITY, "Different errors")],
                    query=_ERROR,
                    description="Messages that differ in numbers and names only are one error.",
                    width=12,
                ),
                Chart(
                    "Traces with errors",
                    Kind.NUMBER,
                    [unique("trace_id", "Traces with errors")],
                    query=_ERROR,
                    width=12,
                ),
                Chart(
                    "Users who met errors",
                    Kind.NUMBER,
                    [unique("user_id", "Users who met errors")],
                    query=_ERROR,
                    width=12,
                ),
            ),
        ),
        Row(
            12,
            (
                Chart(
                    "Error count over time",
                    Kind.STACKED_BARS,
                    [count("Errors")],
                    [by_time(), by_top("service", 10, "Service", with_other=True)],
                    query=_ERROR,
                    to_events=True,
                    with_deployments=True,
                    description="Red lines are deployments.",
                    width=32,
                ),
                Chart(
                    "Share of each level",
                    Kind.SHARES,
                    [count("Events")],
                    [by_time(), by_top("level", 5, "Level", with_other=True)],
                    description="Of all events, so that more traffic does not look like more errors.",
                    width=16,
                ),
            ),
        ),
        Row(
            16,
            (
                Chart(
                    "Top error messages",
                    Kind.TABLE,
                    [
                        count("Errors"),
                        last("message.keyword", "Last message"),
                        last("component", "Component"),
                        unique("trace_id", "Traces"),
                        unique("user_id", "Users"),
                        minimum("@timestamp", "First"),
                        maximum("@timestamp", "Last"),
                        last("trace_id", "Last trace"),
                    ],
                    [by_top(_IDENTITY, 50, "Error")],
                    query=_ERROR,
                    to_events=True,
                    description="By fingerprint: messages that differ in numbers and names only are one row.",
                    width=COLUMNS,
                ),
            ),
        ),
        Row(
            14,
            (
                Chart(
                    "Error distribution by service",
                    Kind.DONUT,
                    [count("Errors")],
                    [by_top("service", 10, "Service", with_other=True)],
                    query=_ERROR,
                    to_events=True,
                    width=16,
                ),
                Chart(
                    "Errors by component",
                    Kind.HORIZONTAL_BARS,
                    [count("Errors")],
                    [by_top("component", 15, "Component")],
                    query=_ERROR,
                    to_events=True,
                    width=16,
                ),
                Chart(
                    "Errors by exception",
                    Kind.HORIZONTAL_BARS,
                    [count("Errors")],
                    [by_top("context.exception_type", 15, "Exception")],
                    query=_ERROR,
                    to_events=True,
                    width=16,
                ),
            ),
        ),
        Row(
            14,
            (
                Chart(
                    "Error correlation with deployments",
                    Kind.STACKED_BARS,
                    [count("Errors")],
                    [by_time(), by_top("context.version", 6, "Release", with_other=True)],
                    query=_ERROR,
                    to_events=True,
                    with_deployments=True,
                    description="Errors by the release that logged them (context.version); red lines are "
                    "deployments (component: deployment). The application has to log both.",
                    width=28,
                ),
                Chart(
                    "Errors of each release",
                    Kind.TABLE,
                    [
                        count("Errors"),
                        unique(_IDENTITY, "Different errors"),
                        minimum("@timestamp", "First error"),
                        maximum("@timestamp", "Last error"),
                    ],
                    [by_top("context.version", 10, "Release")],
                    query=_ERROR,
                    to_events=True,
                    width=20,
                ),
            ),
        ),
        Row(
            10,
            (
                Chart(
                    "Deployments",
                    Kind.TABLE,
                    [
                        maximum("@timestamp", "Last event"),
                        count("Events"),
                        last("message.keyword", "Last message"),
                    ],
                    [by_top("context.version", 20, "Release")],
                    query="component: deployment",
                    width=20,
                ),
                Chart(
                    "New and old errors",
                    Kind.TABLE,
                    [
                        minimum("@timestamp", "First"),
                        count("Errors"),
                        last("message.keyword", "Last message"),
                        last("context.version", "Last release"),
                    ],
                    [by_top(_IDENTITY, 20, "Error")],
                    query=_ERROR,
                    to_events=True,
                    description="The error that was first met last is on top: what a release has brought.",
                    width=28,
                ),
            ),
        ),
        Row(18, (ERRORS,)),
    ),
)
