"""The dashboard of those who ask what the product brings and costs."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from monitoring.grafana.source import limits
from monitoring.grafana.source.layout import Row, arrange, line
from monitoring.grafana.source.log_panels import SERVICE_OF_LOGS, distinct
from monitoring.grafana.source.panels import Series, bars, graph, number
from monitoring.grafana.source.queries import (
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
from monitoring.grafana.source.variables import MODELS, SERVICES, text_box

__all__ = ["executive"]

_PER_MILLION: Final = (
    "US dollars for a million tokens, of the models chosen; choose one to apply its own price"
)
_INPUT_PRICE: Final = text_box("input_price", "Input price", "3", _PER_MILLION)
_OUTPUT_PRICE: Final = text_box("output_price", "Output price", "15", _PER_MILLION)
_VALUE: Final = text_box(
    "integration_value",
    "Value of an integration",
    "100",
    "US dollars that an integration is worth to its user",
)


def executive() -> Dashboard:
    """Make the dashboard."""
    return arrange(
        "ccb-executive",
        "Claude Code Bot - Executive",
        "High-level business metrics for management",
        [_health(), _business(), _users(), _revenue()],
        choices=[SERVICES, MODELS],
        texts=[_INPUT_PRICE, _OUTPUT_PRICE, _VALUE],
    )


def _health() -> Row:
    uptime = [
        number(
            f"Uptime, {window}",
            "Part of the time in which at least one instance of each service answered Prometheus; green from 99.95 %, "
            "yellow from the objective of 99.9 %. Only time in which the recording rule service:up:max ran is counted.",
            Series(f"avg_over_time(service:up:max[{window}])", "{{service}}"),
            unit="percentunit",
            limits=limits.AVAILABILITY,
            none="not scraped",
            decimals=3,
        )
        for window in ("24h", "7d", "30d")
    ]
    return Row(
        "Service health overview",
        [
            line(
                *uptime,
                distinct(
                    "Active integrations",
                    "Integrations that any log line names in the time shown: created, worked on, read or changed. "
                    "An approximation, because no service exposes how many there are. From Elasticsearch.",
                    "integration_id",
                    f"_exists_:integration_id AND {SERVICE_OF_LOGS}",
                    "integrations",
                ),
                height=5,
            ),
            line(
                graph(
                    "Response time trend",
                    "P95 over five minutes, by service, from the recording rules. Dashed: the objective of 500 ms "
                    f"and the alert at 2 s. {FROM_LOGS}",
                    Series("service:http_request_duration_seconds:p95_5m", "{{service}}"),
                    unit="s",
                    limits=limits.P95,
                ),
                graph(
                    "Response time, all services",
                    f"P50, P95 and P99 of all services chosen. {FROM_LOGS}",
                    Series(quantile(0.5, LATENCY), "P50"),
                    Series(quantile(0.95, LATENCY), "P95"),
                    Series(quantile(0.99, LATENCY), "P99"),
                    unit="s",
                    limits=limits.LATENCY_OBJECTIVES,
                ),
            ),
        ],
    )


def _business() -> Row:
    created = [
        number(
            f"Integrations created {name}",
            f"From its beginning until now, in the time zone of the dashboard. {FROM_LOGS}",
            Series(total(increase("integrations_created_total"))),
            decimals=0,
            since=since,
            none="none",
        )
        for name, since in (("today", "now/d"), ("this week", "now/w"), ("this month", "now/M"))
    ]
    return Row(
        "Business KPIs",
        [
            line(
                *created,
                number(
                    "Success rate",
                    f"Integrations created, of those created or failed, in the time shown. {FROM_LOGS}",
                    Series(share(increase("integrations_success_total"), increase("integrations_total"))),
                    unit="percentunit",
                    limits=limits.SUCCESS_RATIO,
                    decimals=1,
                ),
                height=5,
            ),
            line(
                graph(
                    "Success rate trend",
                    "Integrations created, of those created or failed in the hour before, from the recording rules. "
                    + FROM_LOGS,
                    Series("service:integrations_success:ratio_rate1h", "{{service}}"),
                    unit="percentunit",
                    maximum=1,
                ),
                graph(
                    "Integrations per day",
                    f"In the 24 hours that end at each column. {FROM_LOGS}",
                    Series(total(increase("integrations_created_total", window="1d")), "created", "1d"),
                    Series(total(increase("integrations_failed_total", window="1d")), "failed", "1d"),
                    columns=True,
                    since="7d",
                ),
                bars(
                    "Top integration types",
                    f"Integrations created in the time shown. {FROM_LOGS}",
                    Series(
                        f"sort_desc(topk(10, {total(increase('integrations_created_total'), 'integration_type')}))",
                        "{{integration_type}}",
                    ),
                ),
            ),
        ],
    )


def _users() -> Row:
    return Row(
        "User activity",
        [
            line(
                graph(
                    "API requests per day",
                    f"In the 24 hours that end at each column, by service. {FROM_LOGS}",
                    Series(
                        total(increase("http_requests_total", window="1d"), "service"),
                        "{{service}}",
                        "1d",
                    ),
                    since="7d",
                    columns=True,
                    stacked=True,
                ),
                graph(
                    "Webhook events processed",
                    f"Per second, by outcome. {FROM_LOGS}",
                    Series(total(rate("webhooks_processed_total"), "outcome"), "{{outcome}}"),
                    unit="eps",
                    stacked=True,
                ),
                graph(
                    "Error rate trend",
                    f"Share of responses with status 5xx, by service. Dashed: 1 % and 5 %. {FROM_LOGS}",
                    Series(share(FAILURES, REQUESTS, "service"), "{{service}}"),
                    unit="percentunit",
                    limits=limits.ERROR_RATIO,
                ),
                distinct(
                    "Active users",
                    "Users that any log line names in the time shown. From Elasticsearch.",
                    "user_id",
                    f"_exists_:user_id AND {SERVICE_OF_LOGS}",
                    "users",
                ),
                widths=(7, 7, 7, 3),
            ),
        ],
    )


def _revenue() -> Row:
    priced = "Tokens of the models chosen times the prices at the top of the dashboard; not the invoice."
    cost = _cost("$__range")
    delivered = total(increase("integrations_success_total"))
    return Row(
        "Revenue impact",
        [
            line(
                number(
                    "Cost per integration",
                    f"Cost of the Claude API over the integrations that succeeded; failed ones cost too. {priced}",
                    Series(f"{cost} / ({delivered} > 0)"),
                    unit="currencyUSD",
                    decimals=2,
                ),
                number("API usage cost", priced, Series(cost), unit="currencyUSD", decimals=2),
                number(
                    "ROI",
                    "Value of the integrations that succeeded, less the cost of the Claude API, over that cost. The "
                    f"value of one is what is written at the top: an assumption. {priced}",
                    Series(f"({delivered} * $integration_value - {cost}) / ({cost} > 0)"),
                    unit="percentunit",
                    decimals=0,
                ),
                number(
                    "Net value",
                    f"Value of the integrations that succeeded, less the cost of the Claude API. {priced}",
                    Series(f"{delivered} * $integration_value - {cost}"),
                    unit="currencyUSD",
                    decimals=0,
                ),
                height=5,
            ),
            line(
                graph(
                    "API usage cost per day",
                    f"In the 24 hours that end at each column. {priced}",
                    Series(_cost("1d"), "cost", "1d"),
                    since="7d",
                    unit="currencyUSD",
                    columns=True,
                ),
                graph(
                    "Tokens",
                    f"Per second, by model and direction. {FROM_LOGS}",
                    Series(
                        total(rate("claude_api_tokens_total"), "model", "direction"),
                        "{{model}} {{direction}}",
                    ),
                    unit="cps",
                    stacked=True,
                ),
            ),
        ],
    )


def _cost(window: str) -> str:
    """Price the tokens of a window, in dollars."""
    read, written = (
        total(increase("claude_api_tokens_total", f'direction="{direction}"', window=window))
        for direction in ("input", "output")
    )
    return f"(({read} * $input_price + {written} * $output_price) / 1e6)"
