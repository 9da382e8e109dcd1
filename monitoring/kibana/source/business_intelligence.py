"""The dashboard Business Intelligence: integrations, and who uses them from where."""

from monitoring.kibana.source.charts import Chart, Kind
from monitoring.kibana.source.columns import (
    by_filters,
    by_time,
    by_top,
    count,
    last,
    maximum,
    percentile,
    unique,
    when,
)
from monitoring.kibana.source.saved_objects import Dashboard, Row

__all__ = ["BUSINESS_INTELLIGENCE"]

_CREATED = 'component: integration_service and message: "Integration created"'
_FAILED = 'component: integration_service and message: "Integration failed"'
_ENDED = f"({_CREATED}) or ({_FAILED})"
_WITH_COUNTRY = "context.country_iso_code: *"
_NEEDS_COUNTRY = (
    "The pipeline does not look up addresses: the application has to log context.country_iso_code, an ISO 3166 "
    "code such as DE."
)

BUSINESS_INTELLIGENCE = Dashboard(
    "business-intelligence",
    "Claude Code Bot: Business Intelligence",
    "What the product is used for, by whom and from where.",
    rows=(
        Row(
            6,
            (
                Chart("Integrations created", Kind.NUMBER, [count("Created")], query=_CREATED, width=12),
                Chart("Integrations failed", Kind.NUMBER, [count("Failed")], query=_FAILED, width=12),
                Chart("Active users", Kind.NUMBER, [unique("user_id", "Active users")], width=12),
                Chart(
                    "Time to create an integration, P50",
                    Kind.NUMBER,
                    [percentile("context.processing_time_ms", 50, "P50")],
                    query=_CREATED,
                    width=12,
                ),
            ),
        ),
        Row(
            13,
            (
                Chart(
                    "Integration creation patterns",
                    Kind.STACKED_BARS,
                    [count("Integrations created")],
                    [by_time(), by_top("context.integration_type", 10, "Type", with_other=True)],
                    query=_CREATED,
                ),
                Chart(
                    "Integrations created and failed",
                    Kind.STACKED_BARS,
                    [count("Integrations")],
                    [by_time(), by_filters("Outcome", Created=_CREATED, Failed=_FAILED)],
                    query=_ENDED,
                ),
            ),
        ),
        Row(
            13,
            (
                Chart(
                    "Popular integration types",
                    Kind.DONUT,
                    [count("Integrations created")],
                    [by_top("context.integration_type", 10, "Type", with_other=True)],
                    query=_CREATED,
                    width=16,
                ),
                Chart(
                    "Integration types",
                    Kind.TABLE,
                    [
                        when(_CREATED, count("Created")),
                        when(_FAILED, count("Failed")),
                        when(_CREATED, percentile("context.processing_time_ms", 50, "P50 of time")),
                        unique("user_id", "Users"),
                    ],
                    [by_top("context.integration_type", 20, "Type")],
                    query=_ENDED,
                    width=16,
                ),
                Chart(
                    "Why integrations fail",
                    Kind.HORIZONTAL_BARS,
                    [count("Integrations failed")],
                    [by_top("context.reason", 10, "Reason")],
                    query=_FAILED,
                    width=16,
                ),
            ),
        ),
        Row(
            13,
            (
                Chart(
                    "User activity",
                    Kind.LINES,
                    [unique("user_id", "Active users")],
                    [by_time()],
                    description="Different users in each interval.",
                ),
                Chart(
                    "Most active users",
                    Kind.TABLE,
                    [
                        unique("trace_id", "Requests and integrations"),
                        when(_CREATED, count("Integrations created")),
                        when("level: ERROR", count("Errors met")),
                        maximum("@timestamp", "Last seen"),
                    ],
                    [by_top("user_id", 50, "User")],
                ),
            ),
        ),
        Row(
            13,
            (
                Chart(
                    "What users do",
                    Kind.TABLE,
                    [count("Requests"), unique("user_id", "Users")],
                    [by_top("context.method", 6, "Method"), by_top("context.route", 20, "Route")],
                    query='message: "Request received"',
                ),
                Chart(
                    "Clients",
                    Kind.DONUT,
                    [unique("user_id", "Users")],
                    [by_top("context.client", 10, "Client")],
                    query="context.client: *",
                ),
            ),
        ),
        Row(
            14,
            (
                Chart(
                    "Geographic usage patterns",
                    Kind.TABLE,
                    [
                        unique("user_id", "Users"),
                        count("Requests"),
                        last("context.route", "Last route"),
                        maximum("@timestamp", "Last request"),
                    ],
                    [by_top("context.country_iso_code", 50, "Country")],
                    query=_WITH_COUNTRY,
                    description=_NEEDS_COUNTRY,
                ),
                Chart(
                    "Requests by country",
                    Kind.STACKED_BARS,
                    [count("Requests")],
                    [by_time(), by_top("context.country_iso_code", 8, "Country", with_other=True)],
                    query=_WITH_COUNTRY,
                    description=_NEEDS_COUNTRY,
                ),
            ),
        ),
    ),
)
