"""The dashboard of the developers: how the application does, and where it fails."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from monitoring.grafana.source import limits
from monitoring.grafana.source.layout import Row, arrange, line
from monitoring.grafana.source.log_panels import SERVICE_OF_LOGS, counts, log_lines, most_frequent
from monitoring.grafana.source.panels import Column, Series, bars, graph, number, rows_of
from monitoring.grafana.source.queries import (
    DATABASE_TIME,
    FAILED,
    FAILURES,
    FROM_LOGS,
    LATENCY,
    REQUESTS,
    increase,
    quantile,
    rate,
    share,
    total,
)
from monitoring.grafana.source.trace_panels import traces
from monitoring.grafana.source.variables import FLOWS, PIPELINES, REDIS, SERVICES

__all__ = ["development"]

_RANGE = "$__range"
_ENDPOINT = ("method", "route")


def development() -> Dashboard:
    """Make the dashboard."""
    return arrange(
        "ccb-development",
        "Claude Code Bot - Development",
        "Application performance for developers",
        [_application(), _integrations(), traces(), _errors(), _trends()],
        choices=[SERVICES, FLOWS, REDIS, PIPELINES],
    )


def _application() -> Row:
    requests = rate("http_requests_total", window=_RANGE)
    failures = rate("http_requests_total", FAILED, window=_RANGE)
    times = {which: quantile(which, LATENCY, by=_ENDPOINT, window=_RANGE) for which in (0.5, 0.95, 0.99)}
    return Row(
        "Application metrics",
        [
            line(
                graph(
                    "HTTP status code distribution",
                    f"Responses a second, by status. {FROM_LOGS}",
                    Series(total(REQUESTS, "status"), "{{status}}"),
                    unit="reqps",
                    stacked=True,
                ),
                rows_of(
                    "Endpoint performance breakdown",
                    f"Each endpoint over the time shown; colours by the objectives. {FROM_LOGS}",
                    {"method": "Method", "route": "Route"},
                    [
                        Column("Requests/s", total(requests, *_ENDPOINT), "reqps"),
                        Column(
                            "Errors", share(failures, requests, *_ENDPOINT), "percentunit", limits.ERROR_RATIO
                        ),
                        Column("P50", times[0.5], "s", limits.P50),
                        Column("P95", times[0.95], "s", limits.P95),
                        Column("P99", times[0.99], "s", limits.P99),
                    ],
                ),
                widths=(8, 16),
                height=9,
            ),
            line(
                graph(
                    "Database query performance",
                    f"P95 of the queries' time as the services saw it, by operation. {FROM_LOGS}",
                    Series(quantile(0.95, DATABASE_TIME, by=("operation",)), "{{operation}}"),
                    unit="s",
                ),
                graph(
                    "Database queries",
                    f"Queries a second, by operation. {FROM_LOGS}",
                    Series(total(rate(f"{DATABASE_TIME}_count"), "operation"), "{{operation}}"),
                    unit="ops",
                    stacked=True,
                ),
            ),
        ],
    )


def _integrations() -> Row:
    generation = 'stage="code_generation"'
    review = 'stage="code_review"'
    succeeded = 'outcome="success"'
    return Row(
        "Integration metrics",
        [
            line(
                bars(
                    "Integration creation pipeline status",
                    f"How often each stage ended, and how, in the time shown. {FROM_LOGS}",
                    Series(
                        total(increase("integration_stages_total"), "stage", "outcome"),
                        "{{stage}}: {{outcome}}",
                    ),
                ),
                graph(
                    "Time of the stages, P95",
                    f"By stage, over an hour, because integrations are few. {FROM_LOGS}",
                    Series(
                        quantile(0.95, "integration_stage_duration_seconds", by=("stage",), window="1h"),
                        "{{stage}}",
                    ),
                    unit="s",
                ),
                graph(
                    "AI generation success rate",
                    "Share of code generations, and of single calls of Claude (which are tried again), that "
                    f"succeeded in the hour before. {FROM_LOGS}",
                    Series(
                        share(
                            rate("integration_stages_total", generation, succeeded, window="1h"),
                            rate("integration_stages_total", generation, window="1h"),
                        ),
                        "code generations",
                    ),
                    Series(
                        share(
                            rate("claude_api_calls_total", succeeded, window="1h"),
                            rate("claude_api_calls_total", window="1h"),
                        ),
                        "calls of Claude",
                    ),
                    unit="percentunit",
                    maximum=1,
                ),
            ),
            line(
                graph(
                    "Code review: outcomes",
                    f"Reviews that ended in the hour before each column, by outcome. {FROM_LOGS}",
                    Series(
                        total(increase("integration_stages_total", review, window="1h"), "outcome"),
                        "{{outcome}}",
                        "1h",
                    ),
                    columns=True,
                    stacked=True,
                ),
                graph(
                    "Code review: time",
                    f"Over an hour. {FROM_LOGS}",
                    Series(quantile(0.5, "integration_stage_duration_seconds", review, window="1h"), "P50"),
                    Series(quantile(0.95, "integration_stage_duration_seconds", review, window="1h"), "P95"),
                    unit="s",
                ),
                counts(
                    "Code review: with findings",
                    "Reviews that found something to correct, which the code is then generated again for. From "
                    "Elasticsearch.",
                    f'component:code_reviewer AND message:"Review found issues" AND {SERVICE_OF_LOGS}',
                ),
            ),
        ],
    )


def _errors() -> Row:
    exceptions = total(increase("log_exceptions_total"), "exception_type")
    causes = total(increase("integrations_failed_total"), "reason")
    return Row(
        "Error analysis",
        [
            line(
                graph(
                    "Error rate by endpoint",
                    "Share of responses with status 5xx, of the endpoints that have any. Dashed: 1 % and 5 %. "
                    + FROM_LOGS,
                    Series(f"{share(FAILURES, REQUESTS, *_ENDPOINT)} > 0", "{{method}} {{route}}"),
                    unit="percentunit",
                    limits=limits.ERROR_RATIO,
                ),
                bars(
                    "Exception types and frequency",
                    f"The ten most frequent in the time shown. {FROM_LOGS}",
                    Series(f"sort_desc(topk(10, {exceptions}))", "{{exception_type}}"),
                ),
                bars(
                    "Failed integration causes",
                    f"The ten most frequent reasons in the time shown. {FROM_LOGS}",
                    Series(f"sort_desc(topk(10, {causes}))", "{{reason}}"),
                ),
                height=9,
            ),
            line(
                graph(
                    "Exceptions over time",
                    f"Per second, by type. {FROM_LOGS}",
                    Series(total(rate("log_exceptions_total"), "exception_type"), "{{exception_type}}"),
                    unit="eps",
                    stacked=True,
                ),
                most_frequent(
                    "Most frequent errors",
                    "Errors that are alike but for names and numbers share a fingerprint. From Elasticsearch.",
                    f"level:ERROR AND {SERVICE_OF_LOGS}",
                    {
                        "error.fingerprint": "Fingerprint",
                        "service": "Service",
                        "component": "Component",
                        "context.exception_type": "Exception",
                    },
                ),
                number(
                    "New errors",
                    f"Fingerprints that this installation had never seen before the time shown. {FROM_LOGS}",
                    Series(f"{total(increase('log_new_errors_total'))} or vector(0)"),
                    limits=limits.ANY_IS_BAD,
                    decimals=0,
                ),
                widths=(9, 12, 3),
                height=9,
            ),
            line(
                log_lines(
                    "Exception details",
                    "The newest log lines with an exception; a click shows its stack trace. From Elasticsearch.",
                    f"_exists_:context.exception_type AND {SERVICE_OF_LOGS}",
                ),
                log_lines(
                    "Failed integrations",
                    "The newest integrations that failed, and why. From Elasticsearch.",
                    f"component:integration_service AND level:ERROR AND {SERVICE_OF_LOGS}",
                ),
                height=9,
            ),
        ],
    )


def _trends() -> Row:
    by_table = quantile(0.95, DATABASE_TIME, by=("table",))
    hits = rate("redis_keyspace_hits_total")
    misses = rate("redis_keyspace_misses_total")
    return Row(
        "Performance trends",
        [
            line(
                graph(
                    "Response time trends",
                    f"P50 and P95 now and a week ago. {FROM_LOGS}",
                    Series(quantile(0.5, LATENCY), "P50"),
                    Series(quantile(0.95, LATENCY), "P95", exemplars=True),
                    Series(quantile(0.5, LATENCY, ago="1w"), "P50 a week ago"),
                    Series(quantile(0.95, LATENCY, ago="1w"), "P95 a week ago"),
                    unit="s",
                ),
                graph(
                    "Processing time by component, P95",
                    f"Whatever the components log as their processing time. {FROM_LOGS}",
                    Series(
                        quantile(0.95, "log_processing_time_seconds", by=("component",)),
                        "{{component}}",
                    ),
                    unit="s",
                ),
            ),
            line(
                graph(
                    "Database query timing",
                    f"P95 of the queries' time as the services saw it, by table. {FROM_LOGS}",
                    Series(by_table, "{{table}}"),
                    unit="s",
                ),
                graph(
                    "Cache hit rates",
                    "Share of the services' look-ups that found something (from the logs), and of all look-ups in "
                    "Redis (from redis_exporter).",
                    Series(
                        share(
                            rate("cache_lookups_total", 'hit="true"'),
                            rate("cache_lookups_total"),
                        ),
                        "services",
                    ),
                    Series(f"sum({hits}) / (sum({hits}) + sum({misses}) > 0)", "Redis"),
                    unit="percentunit",
                    maximum=1,
                ),
            ),
        ],
    )
