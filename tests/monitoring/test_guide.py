"""docs/monitoring.md's list of what the guide asks for: complete, and what it says is so."""

import json
import re
from functools import cache
from typing import NamedTuple

import pytest
import yaml

from pipeline.log_metrics.rules import load_rules
from pipeline.settings import Traces
from pipeline.trace_stories.flows import chosen_flows
from tests.monitoring import test_grafana as grafana, test_kibana as kibana
from tests.monitoring.alerting import ALERTS, RULES, runbook
from tests.monitoring.kql import fields_of
from tests.monitoring.manifests import MONITORING

ROOT = MONITORING.parent
PAGE = ROOT / "docs/monitoring.md"
TITLE = "## The guide's monitoring, and where its data comes from"

# monitoring-guide.md, "Метрики системы", and what only its alerts and its trace queries name.
METRICS = {
    "HTTP": ["http_requests_total", "http_request_duration_seconds"],
    "business": [
        "integrations_created_total",
        "integrations_success_total",
        "integrations_total",
        "webhooks_processed_total",
        "claude_api_calls_total",
        "github_api_calls_total",
    ],
    "resources": [
        "container_cpu_usage_seconds_total",
        "container_memory_usage_bytes",
        "container_spec_memory_limit_bytes",
        "node_filesystem_size_bytes",
        "node_filesystem_free_bytes",
        "container_network_receive_bytes_total",
        "container_network_transmit_bytes_total",
    ],
    "PostgreSQL": [
        "pg_stat_activity_count",
        "pg_stat_statements_calls",
        "pg_stat_statements_mean_time_ms",
        "pg_database_size_bytes",
        "pg_stat_activity_max_tx_duration",
        "pg_replication_lag_seconds",
    ],
    "Redis": [
        "redis_memory_used_bytes",
        "redis_memory_max_bytes",
        "redis_connected_clients",
        "redis_commands_processed_total",
        "redis_keyspace_hits_total",
        "redis_keyspace_misses_total",
    ],
    "Kubernetes": [
        "kube_pod_status_phase",
        "kube_node_status_capacity",
        "kube_node_status_allocatable",
        "kube_pod_container_status_restarts_total",
        "kube_deployment_status_replicas_available",
    ],
    "alerts": [
        "up",
        "pg_up",
        "integrations_failed_total",
        "claude_api_rate_limit_remaining",
        "webhook_queue_depth",
    ],
}
TRACE_METRICS = ["trace_duration_seconds", "trace_error_rate", "external_call_duration_seconds"]
# What does not exist, or measures something else than the guide wants of it.
REPLACED = {
    "container_memory_usage_bytes",
    "node_filesystem_free_bytes",
    "pg_stat_statements_calls",
    "pg_stat_statements_mean_time_ms",
}
# What a query of the guide's has to be written otherwise for.
REWRITTEN = {"trace_duration_seconds"}
# Groups of our rules that hold the guide's alerts and objectives; the others are of the pipeline.
GROUPS = {"critical", "business", "infrastructure", "objectives"}
EXPORTERS = {
    "container_": "cAdvisor",
    "kube_": "kube-state-metrics",
    "node_": "node_exporter",
    "pg_": "postgres_exporter",
    "redis_": "redis_exporter",
    "probe_": "blackbox_exporter",
}


class Row(NamedTuple):
    """A row of a table: what the guide asks for, where it is, and what it is made from."""

    item: str
    here: str
    source: str

    @property
    def names(self) -> list[str]:
        """What is written as code, outside the guide's own column."""
        return re.findall(r"`([^`]+)`", f"{self.here} {self.source}")

    @property
    def panels(self) -> list[str]:
        text = re.sub(r"`[^`]*`|\*\*[^*]*\*\*", "", f"{self.item} {self.here}")
        return re.findall(r"\*([^*]+)\*", text)


def _section() -> str:
    text = PAGE.read_text()
    assert text.count(f"{TITLE}\n") == 1
    return re.split(r"^## ", text.split(f"{TITLE}\n")[1], flags=re.MULTILINE)[0]


SECTION = _section()


def _tables() -> dict[str, dict[str, list[Row]]]:
    """Read the rows by heading, and by the group in bold before them; Grafana's group begins with its dashboard."""
    tables: dict[str, dict[str, list[Row]]] = {}
    dashboard = group = heading = ""
    for line in SECTION.splitlines():
        if line.startswith("### "):
            heading, dashboard, group = line.removeprefix("### "), "", ""
            tables[heading] = {}
        elif board := re.fullmatch(r"\[\w+\]\(\.\./monitoring/grafana/dashboards/(\w+)\.json\)", line):
            dashboard = f"{board[1]}: "
        elif line.startswith("|") and not line.startswith(("| the guide's", "|---")):
            item, here, source = (cell.strip() for cell in line.strip("|").split("|"))
            if item.startswith("**"):
                group = dashboard + item.strip("*")
            else:
                tables[heading].setdefault(group, []).append(Row(item, here, source))
    return tables


TABLES = _tables()


def rows(heading: str) -> list[Row]:
    return [row for group in TABLES[heading].values() for row in group]


EVERY_ROW = [row for heading in TABLES for row in rows(heading)]
each_row = pytest.mark.parametrize("row", EVERY_ROW, ids=lambda row: row.item)
ROOT_FIELDS = {"component", "level", "message", "service", "trace_id", "user_id", "integration_id"}
LOG_RULES = {rule.name for rule in load_rules()}
ORIGINS = {"Elasticsearch", "by Prometheus", *EXPORTERS.values(), *(f"`{name}`" for name in LOG_RULES)}
PANELS_OF_GRAFANA = {
    name: {panel["title"]: panel for panel in grafana.panels(board)} for name, board in grafana.BOARDS.items()
}


def base_name(metric: str) -> str:
    """Name the metric that a series belongs to: a histogram's are several."""
    name = re.sub(r"_(bucket|count|sum)$", "", metric)
    return name if name in LOG_RULES else metric


@cache
def leaves(expression: str) -> frozenset[str]:
    """Name the metrics that an expression is made from, through the recording rules."""
    recorded = {rule.name: rule.expression for rule in RULES if not rule.alerting}
    found: set[str] = set()
    for name in grafana.metrics_of(expression) - {"instance:counted_from_zero:bool"}:  # since when, not what
        found |= leaves(recorded[name]) if name in recorded else {name}
    return frozenset(found)


def origin(metric: str) -> str:
    """Say what a row has to name for a metric: its rule, its exporter, or Prometheus."""
    if metric in {"up", "ALERTS"}:
        return "by Prometheus"
    for prefix, exporter in EXPORTERS.items():
        if metric.startswith(prefix):
            return exporter
    return f"`{base_name(metric)}`"


def origins_of(panel: grafana.Json, dashboard: str) -> set[str]:
    found: set[str] = set()
    for query in panel["targets"]:
        if query["datasource"]["type"] == "elasticsearch":
            found.add("Elasticsearch")
        else:
            target = grafana.Target(dashboard, panel["title"], query)
            found |= {origin(metric) for metric in leaves(grafana.promql(target))}
    return found


def fields_of_rules(names: set[str]) -> set[str]:
    """Name the fields that log rules look at."""
    found: set[str] = set()
    for rule in load_rules():
        if rule.name in names:
            found |= {*rule.when, *(label.field or "" for label in rule.labels.values()), rule.value or ""}
    return found


def fields_of_panel(panel: kibana.Panel) -> set[str]:
    found = set().union(*map(fields_of, [*panel.queries, *panel.filters]))
    return found | {column.get("sourceField", "") for column in panel.layer["columns"].values()}


# Complete --------------------------------------------------------------------------------------------------------


def test_every_metric_of_the_guide_has_one_row() -> None:
    named = [name for row in rows("Metrics") for name in re.findall(r"`(\w+)`", row.item)]
    assert sorted(named) == sorted(name for metrics in METRICS.values() for name in metrics)
    named = [name for row in rows("Traces, probes, runbooks") for name in re.findall(r"`(\w+)`", row.item)]
    assert named == TRACE_METRICS


def test_every_alert_of_the_guides_groups_has_one_row_and_its_runbook() -> None:
    rules = yaml.safe_load((MONITORING / "prometheus/rules/alerts.rules.yml").read_text())["groups"]
    wanted = {
        f"[{rule['alert']}](../{runbook(rule['alert']).relative_to(ROOT)}), {rule['labels']['priority']}"
        for group in rules
        if group["name"] in GROUPS
        for rule in group["rules"]
    }
    assert {group["name"] for group in rules} - GROUPS == {"kafka", "log-pipeline", "traces"}
    items = [row.item for row in rows("Alerts")]
    assert len(items) == len(set(items))
    assert set(items) == wanted


GRAFANAS_GROUPS = {
    f"{name}: {group}": items for name, groups in grafana.GUIDE.items() for group, items in groups.items()
}
KIBANAS_GROUPS = {name.removeprefix("Claude Code Bot: "): items for name, items in kibana.GUIDE.items()}


@pytest.mark.parametrize(
    ("heading", "groups"),
    [("Grafana", GRAFANAS_GROUPS), ("Kibana", KIBANAS_GROUPS)],
    ids=["grafana", "kibana"],
)
def test_every_item_of_a_dashboard_has_a_row_with_its_panels(
    heading: str, groups: dict[str, dict[str, list[str]]]
) -> None:
    assert list(TABLES[heading]) == list(groups)
    for group, items in groups.items():
        listed = TABLES[heading][group]
        assert [row.item for row in listed] == list(items)
        for row in listed:
            assert set(items[row.item]) <= set(row.panels), row.item


@pytest.mark.parametrize("heading", ["Metrics", "Alerts", "Grafana", "Kibana"])
def test_the_numbers_are_right(heading: str) -> None:
    part = SECTION.split(f"### {heading}\n")[1].split("\n### ")[0]
    (number,) = re.findall(r"<summary>.*: (\d+) \w+</summary>", part)
    assert int(number) == len(rows(heading))


# True ------------------------------------------------------------------------------------------------------------


@each_row
def test_rows_say_where_it_is_and_where_its_data_comes_from(row: Row) -> None:
    assert all(row)


@each_row
def test_panels_that_are_named_exist(row: Row) -> None:
    known = {title for panels in PANELS_OF_GRAFANA.values() for title in panels}
    known |= {panel.title for panel in kibana.PANELS}
    assert [title for title in row.panels if title not in known] == []


@each_row
def test_metrics_and_fields_that_are_named_exist(row: Row) -> None:
    exported = {name for rule in RULES for name in grafana.metrics_of(rule.expression)}
    exported |= set().union(*grafana.EXPORTED.values())
    known = LOG_RULES | exported | grafana.own_metrics() | grafana.recorded()
    known |= set(re.findall(r"`(traces_\w+)`", (MONITORING / "otel-collector/README.md").read_text()))
    mapping = json.loads((ROOT / "mappings/claude-code-bot@mappings.json").read_text())
    known |= set(mapping["template"]["mappings"]["properties"])
    summaries = json.loads((ROOT / "mappings/claude-code-bot.traces.json").read_text())
    known |= set(summaries["template"]["mappings"]["properties"])
    known |= {flow.name for flow in chosen_flows(Traces())}
    named = [name for name in row.names if re.fullmatch(r"[a-z][a-z0-9]*[_:][a-z0-9_:]+", name)]
    assert [name for name in named if name not in known] == []


@pytest.mark.parametrize(
    "row", [*rows("Metrics"), *rows("Traces, probes, runbooks")], ids=lambda row: row.item
)
def test_what_stands_instead_is_said_where_the_guides_metric_is_not_used(row: Row) -> None:
    names = set(re.findall(r"`(\w+)`", row.item))
    if names & {*TRACE_METRICS, *(name for metrics in METRICS.values() for name in metrics)}:
        assert ("**instead:**" in row.here) == (
            bool(names & (REPLACED | REWRITTEN)) or "pg_locks_count" in row.here
        )


def test_what_is_replaced_is_used_nowhere() -> None:
    used = set().union(*(leaves(rule.expression) for rule in RULES))
    used |= set().union(*(leaves(grafana.promql(target)) for target in grafana.PROMETHEUS_TARGETS))
    assert {base_name(name) for name in used} & REPLACED == set()


@pytest.mark.parametrize("row", rows("Metrics"), ids=lambda row: row.item)
def test_metrics_come_from_where_their_row_says(row: Row) -> None:
    metric = row.item.strip("`")
    if metric in LOG_RULES:
        assert row.source.startswith("log rule on ")
    elif metric == "up":
        assert row.source.startswith("Prometheus itself")
    else:
        assert row.source.startswith(origin(metric))
    shown = {
        base_name(name)
        for target in grafana.PROMETHEUS_TARGETS
        if target.panel in row.panels
        for name in leaves(grafana.promql(target))
    }
    instead = {name for name in row.names if name in shown}
    if row.panels:
        assert instead if metric in REPLACED else metric in shown
    for name in row.names:
        if name in grafana.recorded():
            assert metric in {base_name(one) for one in leaves(name)}, name


@pytest.mark.parametrize("row", rows("Alerts"), ids=lambda row: row.item)
def test_alerts_rows_name_all_that_their_expressions_are_made_from(row: Row) -> None:
    (alert,) = [alert for alert in ALERTS if f"[{alert.name}]" in row.item]
    wanted = {origin(metric) for metric in leaves(alert.expression)}
    assert {one for one in ORIGINS if one in row.source} == wanted


@pytest.mark.parametrize(
    ("dashboard", "row"),
    [(group.split(":")[0], row) for group, listed in TABLES["Grafana"].items() for row in listed],
)
def test_grafanas_rows_name_all_that_their_panels_are_made_from(dashboard: str, row: Row) -> None:
    panels = [PANELS_OF_GRAFANA[dashboard][title] for title in row.panels]
    wanted = set().union(*(origins_of(panel, dashboard) for panel in panels))
    assert {one for one in ORIGINS if one in row.source} == wanted


@each_row
def test_fields_are_those_that_the_rules_and_panels_look_at(row: Row) -> None:
    named = {name for name in row.names if name in ROOT_FIELDS or name.startswith(("context.", "error."))}
    rules = {name for name in (*row.names, row.item.strip("`")) if name in LOG_RULES}
    looked_at = fields_of_rules(rules)
    if row in rows("Kibana"):
        looked_at = set().union(*(fields_of_panel(one) for one in kibana.PANELS if one.title in row.panels))
    elif row in rows("Grafana"):
        for target in grafana.LOG_TARGETS:
            if target.panel in row.panels:
                looked_at |= set(re.findall(r"[a-z_.]+", json.dumps(target.query)))
    assert named - looked_at == set()


def test_files_that_are_named_exist() -> None:
    links = re.findall(r"\]\(([^)]+)\)", SECTION)
    assert len(links) > 30
    assert [link for link in links if not (PAGE.parent / link).is_file()] == []
