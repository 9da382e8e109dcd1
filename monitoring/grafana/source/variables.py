"""What a reader chooses at the top of a dashboard, and the metrics that each choice filters.

A panel's expression says nothing of it: `filtered` adds the matchers when the panel is put on its dashboard, to every
metric that has the label. So no panel can forget one.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

__all__ = [
    "FLOWS",
    "LOGS",
    "MODELS",
    "NAMESPACES",
    "NODES",
    "PIPELINES",
    "PIPELINE_NAMESPACES",
    "POSTGRES",
    "PROMETHEUS",
    "REDIS",
    "RUNBOOK_BASE_URL",
    "SERVICES",
    "SOURCES",
    "TOPICS",
    "WORKERS",
    "Choice",
    "filtered",
    "text_box",
]

PROMETHEUS: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
LOGS: Final = DataSourceRef(type_val="elasticsearch", uid="${logs}")

# Where the runbooks are published; `make dashboards` writes another (monitoring/values.toml).
_RUNBOOKS: Final = "https://docs.claude-code-bot.com/runbooks"

_EVERYTHING: Final = ".*"
_ALL: Final = VariableOption(selected=True, text=["All"], value=["$__all"])


class Choice(NamedTuple):
    """Values of a label, and the metrics that have it (a pattern of whole names) and are filtered by it."""

    variable: Builder[VariableModel]
    matcher: str
    metrics: re.Pattern[str]


def _choice(name: str, label: str, series: str, metrics: str, *, of: str = "", at_first: str = "") -> Choice:
    """Offer the values that the label `of` has in the series; everything is chosen at first, or one value."""
    of = of or name
    chosen = VariableOption(selected=True, text=[at_first], value=[at_first]) if at_first else _ALL
    variable = (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(PROMETHEUS)
        .query({"query": f"label_values({series}, {of})", "refId": name})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(multi=True)
        .include_all(include_all=True)
        # Also what lacks the label, and what began after the dashboard was opened.
        .all_value(_EVERYTHING)
        .current(chosen)
    )
    return Choice(variable, f'{of}=~"${name}"', re.compile(metrics))


def text_box(name: str, label: str, value: str, description: str) -> dashboard.TextBoxVariable:
    """Let the reader write a value."""
    chosen = VariableOption(selected=True, text=value, value=value)
    box = dashboard.TextBoxVariable(name).label(label).description(description)
    return box.default_value(value).current(chosen)


def filtered(expression: str, choices: Sequence[Choice]) -> str:
    """Add to each metric of a PromQL expression the matchers of the choices that filter it."""

    def with_matchers(found: re.Match[str]) -> str:
        name = found["metric"]
        added = [choice.matcher for choice in choices if name and choice.metrics.fullmatch(name)]
        if not added:
            return found[0]
        own = (found["selector"] or "").strip("{}")
        return f"{name}{{{', '.join([own, *added] if own else added)}}}"

    return _WORDS.sub(with_matchers, expression)


# What is no metric comes first: strings, windows, lists of labels, functions, Grafana's own variables.
_WORDS: Final = re.compile(
    r"""
    "(?:[^"\\]|\\.)*"
    | \[[^\]]*\]
    | \b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)
    | \b\w+(?=\s*\()
    | \$\{?\w+
    | (?<![\w.])(?P<metric>[a-zA-Z_:][\w:]*)(?P<selector>\{[^}]*\})?
    """,
    re.VERBOSE,
)

# Grafana shows the first source of the type, unless somebody chooses another.
SOURCES: Final[list[Builder[VariableModel]]] = [
    dashboard.DatasourceVariable("datasource").label("Metrics").type("prometheus"),
    dashboard.DatasourceVariable("logs").label("Logs").type("elasticsearch"),
]
RUNBOOK_BASE_URL: Final = dashboard.ConstantVariable("runbook_base_url").value(_RUNBOOKS)

# `service` of external_call_duration_seconds is the one that is called.
SERVICES: Final = _choice(
    "service",
    "Service",
    '{__name__=~"log_events_total|service:up:max"}',
    r"service:.+|log_.+|http_.+|integrations_.+|integration_stages_total|webhooks_.+|(claude|github)_api_.+"
    r"|database_.+|cache_.+",
)
MODELS: Final = _choice("model", "Model", "claude_api_tokens_total", "claude_api_tokens_total")
FLOWS: Final = _choice("flow", "Flow", "traces_total", r"traces_total|trace_.+|flow:.+")
NAMESPACES: Final = _choice(
    "namespace",
    "Namespace",
    "kube_pod_status_phase",
    r"container_.+|kube_(pod|deployment)_.+",
    at_first="claude-code-bot",
)
NODES: Final = _choice("instance", "Instance", "up", r"up|node_.+|pg_.+|probe_.+|logpipe_.+")
POSTGRES: Final = _choice("instance", "PostgreSQL", "pg_up", r"pg_.+")
REDIS: Final = _choice("redis", "Redis", "redis_connected_clients", r"redis_.+", of="instance")
PIPELINES: Final = _choice("instance", "Instance", "logpipe_ready", r"logpipe_.+|process_.+|log_events_total")
PIPELINE_NAMESPACES: Final = _choice(
    "namespace", "Namespace", "logpipe_ready", r"logpipe_.+|process_.+|log_events_total"
)
TOPICS: Final = _choice(
    "topic",
    "Topic",
    "logpipe_records_total",
    r"logpipe_(records|record_bytes|input_events|documents|documents_consumed|records_expired"
    r"|records_implausible_timestamp|topics_recreated|corrupt_batches|corrupt_records)_total|logpipe_consumer_.+"
    r"|logpipe_committed_offset|logpipe_partition_stopped",
)
# What a worker can be stuck in alone (pipeline/telemetry/merged.py); one process without workers has no such label.
WORKERS: Final = _choice(
    "worker",
    "Worker",
    "logpipe_in_flight_bytes",
    r"logpipe_(assigned_partitions|back_pressure_seconds_total|bulk_concurrency_limit|bulk_size_limit_bytes"
    r"|event_loop_delay_seconds_(bucket|count|sum)|in_flight_bytes|in_flight_records|kafka_silent_seconds"
    r"|last_indexed_timestamp_seconds)",
)
