"""Grafana's dashboards: written by the code, readable by Grafana, their queries by Prometheus and Elasticsearch."""

import json
import re
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from monitoring.grafana.source import DASHBOARDS, as_json
from monitoring.grafana.source.operations import MEAN_TIME_FIRING
from monitoring.grafana.source.pipeline import UNSETTLED
from monitoring.grafana.source.queries import increase, share
from tests.logpipe import running
from tests.monitoring.exposed import registries
from tests.monitoring.tools import find
from tests.own_pipeline import Pipeline, stop

GRAFANA = Path(__file__).parents[2] / "monitoring/grafana"
RULES = GRAFANA.parent / "prometheus/rules"

Json = dict[str, Any]


class Target(NamedTuple):
    """A query, and where it stands."""

    dashboard: str
    panel: str
    query: Json


def committed(name: str) -> Json:
    text = (GRAFANA / f"dashboards/{name}.json").read_text()
    return json.loads(text)  # type: ignore[no-any-return]


BOARDS = {name: committed(name) for name in DASHBOARDS}


def panels(board: Json) -> list[Json]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def targets(source: str) -> Iterator[Target]:
    for name, board in BOARDS.items():
        for panel in panels(board):
            for query in panel["targets"]:
                if query["datasource"]["type"] == source:
                    yield Target(name, panel["title"], query)


def text_boxes(board: Json) -> dict[str, str]:
    variables = board["templating"]["list"]
    return {one["name"]: one["query"] for one in variables if one["type"] == "textbox"}


def choices(board: Json) -> list[Json]:
    """Give the variables that hold values of a label."""
    return [one for one in board["templating"]["list"] if one["type"] == "query"]


def matchers(board: Json) -> dict[str, str]:
    """Say what each choice adds to a selector: label_values(series, label) in the query names the label."""
    labels = {
        choice["name"]: choice["query"]["query"].rpartition(", ")[2].strip(")") for choice in choices(board)
    }
    return {name: f'{label}=~"${name}"' for name, label in labels.items()}


def interpolated(query: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        query = query.replace(f"${{{name}}}", value).replace(f"${name}", value)
    return query


def promql(target: Target) -> str:
    """Write a query as Grafana sends it."""
    board = BOARDS[target.dashboard]
    values = {"__rate_interval": "1m", "__range": "6h"}
    values |= {choice["name"]: "one|another" for choice in choices(board)}
    return interpolated(target.query["expr"], values | text_boxes(board))


PROMETHEUS_TARGETS = list(targets("prometheus"))
LOG_TARGETS = list(targets("elasticsearch"))


# What is written down, and what it is written from ---------------------------------------------------------------


@pytest.mark.parametrize("name", DASHBOARDS)
def test_what_is_committed_is_up_to_date(name: str) -> None:
    assert (GRAFANA / f"dashboards/{name}.json").read_text() == as_json(DASHBOARDS[name]()), (
        "run `make dashboards`"
    )


def test_there_is_no_dashboard_that_nothing_writes() -> None:
    assert {file.stem for file in (GRAFANA / "dashboards").iterdir()} == set(DASHBOARDS)


def test_dashboards_have_the_uids_that_links_name() -> None:
    assert {name: board["uid"] for name, board in BOARDS.items()} == {
        name: f"ccb-{name}" for name in DASHBOARDS
    }


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_grafanas_own_types_lose_nothing(board: Json) -> None:
    register_default_plugins()
    # Elasticsearch's fields of an annotation are not in the SDK; Grafana's data source reads them all the same.
    expected = json.loads(json.dumps(board))
    for annotation in expected["annotations"]["list"]:
        for field in ("query", "timeField", "textField", "tagsField"):
            del annotation[field]
    assert json.loads(as_json(Dashboard.from_json(board))) == expected


# What a reader meets ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_panels_have_an_id_of_their_own_a_title_and_a_description(board: Json) -> None:
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    titles = [panel["title"] for panel in panels(board)]
    assert len(set(titles)) == len(titles)
    for panel in panels(board):
        assert len(panel["description"]) > 20, panel["title"]
        assert "  " not in panel["description"], panel["title"]
        assert panel["targets"], panel["title"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_panels_tile_the_grid(board: Json) -> None:
    taken: set[tuple[int, int]] = set()
    lines: dict[int, int] = {}
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        lines[at["y"]] = at["y"] + at["h"]
    height = max(y for _, y in taken) + 1
    assert taken == {(x, y) for x in range(24) for y in range(height)}
    assert all(end == begin for (_, end), (begin, _) in pairwise(sorted(lines.items())))


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_every_variable_that_is_used_is_offered_and_the_other_way_round(board: Json) -> None:
    queries = [panel["targets"] for panel in panels(board)]
    links = [panel.get("links") for panel in panels(board)]
    text = json.dumps([queries, links, board["links"], board["annotations"]])
    used = set(re.findall(r"\$\{?([a-z][a-z_]*)", text))
    assert used == {variable["name"] for variable in board["templating"]["list"]}


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_a_dashboard_can_be_imported_wherever_there_are_sources_of_both_types(board: Json) -> None:
    assert "id" not in board
    assert "__inputs" not in board
    sources = {
        one["name"]: one["query"] for one in board["templating"]["list"] if one["type"] == "datasource"
    }
    assert sources == {"datasource": "prometheus", "logs": "elasticsearch"}
    assert [one["type"] for one in board["templating"]["list"]][:2] == ["datasource", "datasource"], (
        "the other variables are asked of them"
    )
    named = re.findall(r'"datasource": (\{"type": "\w+", "uid": "[^"]+"\})', json.dumps(board))
    assert {(one["type"], one["uid"]) for one in map(json.loads, named)} == {
        ("prometheus", "${datasource}"),
        ("elasticsearch", "${logs}"),
    }


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_all_dashboards_are_editable_and_begin_with_the_same_time(board: Json) -> None:
    assert board["editable"] is True
    assert board["time"] == {"from": "now-6h", "to": "now"}
    assert board["refresh"] == "1m"
    assert board["timezone"] == "browser"


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_a_choice_of_everything_leaves_nothing_out(board: Json) -> None:
    for choice in choices(board):
        assert choice["includeAll"]
        assert choice["multi"]
        assert choice["allValue"] == ".*"
        assert choice["datasource"]["uid"] == "${datasource}"


def test_thresholds_begin_with_a_colour_for_everything_and_rise() -> None:
    for board in BOARDS.values():
        for panel in panels(board):
            thresholds = panel.get("fieldConfig", {}).get("defaults", {}).get("thresholds")
            if thresholds:
                first, *rest = [step["value"] for step in thresholds["steps"]]
                assert first is None
                assert rest == sorted(rest)
                assert thresholds["mode"] == "absolute"


def steps(dashboard: str, title: str) -> list[tuple[float | None, str]]:
    (panel,) = [panel for panel in panels(BOARDS[dashboard]) if panel["title"] == title]
    return [
        (step["value"], step["color"]) for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    ]


@pytest.mark.parametrize(
    ("title", "values"),
    [
        ("Response time percentiles", [0.1, 0.5, 1]),
        ("Error rate", [0.01, 0.05]),
        ("Error rate now", [0.01, 0.05]),
        ("Request rate", [100, 500, 1000]),
        ("Request rate now", [100, 500, 1000]),
    ],
)
def test_thresholds_are_the_guides_objectives(title: str, values: list[float]) -> None:
    assert [value for value, _ in steps("operations", title)[1:]] == values


# The guide's "Dashboard Design": dashboard → group → its bullets and the panels that show them.
GUIDE = {
    "executive": {
        "Service health overview": {
            "Uptime percentage (24h, 7d, 30d)": ["Uptime, 24h", "Uptime, 7d", "Uptime, 30d"],
            "Current active integrations": ["Active integrations"],
            "Response time trend": ["Response time trend"],
        },
        "Business KPIs": {
            "Integrations created today/week/month": [
                "Integrations created today",
                "Integrations created this week",
                "Integrations created this month",
            ],
            "Success rate trend": ["Success rate trend"],
            "Top integration types": ["Top integration types"],
        },
        "User activity": {
            "API requests per day": ["API requests per day"],
            "Webhook events processed": ["Webhook events processed"],
            "Error rate trend": ["Error rate trend"],
        },
        "Revenue impact": {
            "Cost per integration": ["Cost per integration"],
            "API usage costs": ["API usage cost", "API usage cost per day"],
            "ROI metrics": ["ROI", "Net value"],
        },
    },
    "operations": {
        "System overview": {
            "Service status (green/red indicators)": ["Service status"],
            "Request rate and error rate": ["Request rate", "Error rate"],
            "Response time percentiles": ["Response time percentiles"],
        },
        "Infrastructure health": {
            "CPU/Memory usage by service": ["CPU usage by service", "Memory usage by service"],
            "Database connections and performance": ["Database connections", "Database query time"],
            "Pod status and restarts": ["Pod status", "Pod restarts in an hour"],
        },
        "External dependencies": {
            "Claude API status and rate limits": ["Claude API status", "Claude API rate limit"],
            "GitHub API status and rate limits": ["GitHub API status", "GitHub API rate limit"],
            "Third-party service health": ["Third-party service health"],
        },
        "Alert summary": {
            "Current active alerts": ["Current active alerts"],
            "Alert history": ["Alert history"],
            "MTTR trends": ["MTTR trend"],
        },
    },
    "development": {
        "Application metrics": {
            "HTTP status code distribution": ["HTTP status code distribution"],
            "Endpoint performance breakdown": ["Endpoint performance breakdown"],
            "Database query performance": ["Database query performance"],
        },
        "Integration metrics": {
            "Integration creation pipeline status": ["Integration creation pipeline status"],
            "AI generation success rate": ["AI generation success rate"],
            "Code review metrics": [
                "Code review: outcomes",
                "Code review: time",
                "Code review: with findings",
            ],
        },
        "Error analysis": {
            "Error rate by endpoint": ["Error rate by endpoint"],
            "Exception types and frequency": ["Exception types and frequency"],
            "Failed integration causes": ["Failed integration causes"],
        },
        "Performance trends": {
            "Response time trends": ["Response time trends"],
            "Database query timing": ["Database query timing"],
            "Cache hit rates": ["Cache hit rates"],
        },
    },
    "database": {
        "Connection management": {
            "Active connections": ["Active connections"],
            "Connection pool utilization": ["Connection pool utilization"],
            "Wait events": ["Wait events"],
        },
        "Query performance": {
            "Slow query log": ["Slow query log"],
            "Query execution time percentiles": ["Query execution time percentiles"],
            "Most frequent queries": ["Most frequent queries"],
        },
        "Resource usage": {
            "Database size growth": ["Database size growth"],
            "Index usage statistics": ["Index usage statistics"],
            "Lock contention": ["Lock contention"],
        },
        "Replication health": {
            "Replication lag": ["Replication lag"],
            "WAL generation rate": ["WAL generation rate"],
            "Backup status": ["Backup status"],
        },
    },
}


@pytest.mark.parametrize("name", GUIDE)
def test_every_bullet_of_the_guide_has_its_panels(name: str) -> None:
    groups: dict[str, list[str]] = {}
    for panel in BOARDS[name]["panels"]:
        if panel["type"] == "row":
            groups[panel["title"]] = shown = []
        else:
            shown.append(panel["title"])
    for group, bullets in GUIDE[name].items():
        for bullet, titles in bullets.items():
            assert set(titles) <= set(groups[group]), bullet


# Data sources ----------------------------------------------------------------------------------------------------


def provisioned() -> dict[str, Json]:
    text = (GRAFANA / "provisioning/datasources/claude-code-bot.yaml").read_text()
    return {source["uid"]: source for source in yaml.safe_load(text)["datasources"]}


def test_the_sources_that_a_dashboard_chooses_from_are_provisioned_once_each() -> None:
    types = [source["type"] for source in provisioned().values()]
    for board in BOARDS.values():
        for one in board["templating"]["list"]:
            if one["type"] == "datasource":
                assert types.count(one["query"]) == 1


def test_sources_lead_to_each_other_and_dollars_survive_provisioning() -> None:
    sources = provisioned()
    text = (GRAFANA / "provisioning/datasources/claude-code-bot.yaml").read_text()
    assert set(re.findall(r"datasourceUid: ([a-z-]+)", text)) <= set(sources)
    # Grafana replaces $NAME by a variable of its environment, unless the dollar is doubled.
    assert not re.search(r"(?<!\$)\$(?!\$)", text.replace("$$", ""))


# Prometheus ------------------------------------------------------------------------------------------------------

# Of the exporters that the descriptions name.
EXPORTED = {
    "Prometheus": {"up", "ALERTS"},
    "cAdvisor": {
        "container_cpu_usage_seconds_total",
        "container_memory_working_set_bytes",
        "container_spec_memory_limit_bytes",
        "container_network_receive_bytes_total",
        "container_network_transmit_bytes_total",
    },
    "kube-state-metrics": {
        "kube_deployment_spec_replicas",
        "kube_deployment_status_replicas_available",
        "kube_node_status_allocatable",
        "kube_node_status_capacity",
        "kube_pod_container_resource_limits",
        "kube_pod_container_resource_requests",
        "kube_pod_container_status_restarts_total",
        "kube_pod_status_phase",
    },
    "node_exporter": {"node_filesystem_avail_bytes", "node_filesystem_size_bytes"},
    "postgres_exporter": {
        "pg_database_size_bytes",
        "pg_locks_count",
        "pg_replication_lag_seconds",
        "pg_settings_max_connections",
        "pg_stat_activity_count",
        "pg_stat_activity_max_tx_duration",
        "pg_stat_archiver_failed_count",
        "pg_stat_archiver_last_archive_age",
        "pg_stat_database_blks_hit",
        "pg_stat_database_blks_read",
        "pg_stat_database_deadlocks",
        "pg_stat_replication_pg_current_wal_lsn_bytes",
        "pg_stat_statements_calls_total",
        "pg_stat_statements_seconds_total",
        "pg_stat_user_tables_idx_scan",
        "pg_stat_user_tables_seq_scan",
        "pg_up",
    },
    "redis_exporter": {
        "redis_commands_processed_total",
        "redis_connected_clients",
        "redis_keyspace_hits_total",
        "redis_keyspace_misses_total",
        "redis_memory_max_bytes",
        "redis_memory_used_bytes",
    },
    "blackbox_exporter": {"probe_success"},
}


def own_metrics() -> set[str]:
    """Name what the pipeline exposes about itself: a worker's metrics, and what the supervisor adds."""
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "info": ["_info"]}
    return {
        family.name + suffix
        for registry in registries()
        for family in registry.collect()
        for suffix in suffixes.get(family.type, [""])
    }


def recorded() -> set[str]:
    names: set[str] = set()
    for file in RULES.glob("*.yml"):
        for group in yaml.safe_load(file.read_text())["groups"]:
            names |= {rule["record"] for rule in group["rules"] if "record" in rule}
    return names


def metrics_of(expression: str) -> set[str]:
    """Name the metrics of a PromQL expression: what is left without strings, labels, durations, functions."""
    text = re.sub(r'"[^"]*"', "", expression)
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", text)
    text = re.sub(r"\b(by|without|on|ignoring|group_left|group_right) *\([^)]*\)", " ", text)
    text = re.sub(r"\boffset +[0-9a-z]+", " ", text)
    words = re.findall(r"(?<![\w:.])[a-zA-Z_:][\w:]*(?! *\()(?![\w:])", text)
    return set(words) - {"or", "and", "unless", "bool", "sum", "min", "max", "count"}


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ('sum by (a, b) (rate(m_total{x=~"a|b"}[5m])) / (sum(n) > 0)', {"m_total", "n"}),
        ("a:b:c unless on (x) d offset 1d or vector(0)", {"a:b:c", "d"}),
        ('60 * count_over_time(ALERTS{a="b"}[1d:1m])', {"ALERTS"}),
        ("topk(10, sum by (le) (m_bucket)) > bool 1e3", {"m_bucket"}),
    ],
)
def test_metrics_are_found_in_an_expression(expression: str, names: set[str]) -> None:
    assert metrics_of(expression) == names


@pytest.mark.parametrize(
    "metric",
    [
        "logpipe_index_waiting_documents",
        "logpipe_dead_letter_flood",
        "logpipe_records_expired_total",
        "logpipe_records_implausible_timestamp_total",
        "logpipe_documents_without_day_total",
        "logpipe_clock_difference_seconds",
        "logpipe_elasticsearch_disk_used_ratio",
    ],
)
def test_what_an_alert_of_the_pipeline_asks_for_is_on_its_dashboard(metric: str) -> None:
    shown = [promql(target) for target in PROMETHEUS_TARGETS if target.dashboard == "pipeline"]
    assert any(metric in metrics_of(query) for query in shown)


def test_every_metric_exists() -> None:
    known = own_metrics() | recorded() | set.union(*EXPORTED.values())
    unknown = {
        (target.dashboard, target.panel, name)
        for target in PROMETHEUS_TARGETS
        for name in metrics_of(promql(target)) - known
    }
    assert unknown == set()


def test_exporters_are_named_where_they_are_needed() -> None:
    for target in PROMETHEUS_TARGETS:
        (panel,) = [one for one in panels(BOARDS[target.dashboard]) if one["title"] == target.panel]
        for exporter, names in EXPORTED.items():
            if metrics_of(promql(target)) & names:
                assert exporter in panel["description"], f"{target.panel}: {exporter}"


def promtool(command: str, rules: Json, directory: Path, tests: Json | None = None) -> None:
    (directory / "panels.rules.yml").write_text(json.dumps(rules))
    file = "panels.rules.yml"
    if tests is not None:
        file = "panels.test.yml"
        (directory / file).write_text(json.dumps({**tests, "rule_files": ["panels.rules.yml"]}))
    checked = subprocess.run(
        [find("promtool"), command, "rules", file],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_prometheus_understands_every_expression(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": promql(target)}
        for number, target in enumerate(PROMETHEUS_TARGETS)
    ]
    assert len(rules) > 30
    # Grafana knows no variable 1: what label_replace takes stays as it is.
    assert not any("$" in rule["expr"].replace('"$1"', "") for rule in rules)
    promtool("check", {"groups": [{"name": "panels", "rules": rules}]}, tmp_path)


def evaluated(
    expression: str, series: dict[str, str], at: str, directory: Path, expected: dict[str, float]
) -> None:
    """Have Prometheus compute an expression from series that have a value a minute."""
    samples = [{"labels": labels, "value": value} for labels, value in expected.items()]
    case = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": expression, "eval_time": at, "exp_samples": samples}],
    }
    promtool("test", {"groups": []}, directory, {"evaluation_interval": "1m", "tests": [case]})


@pytest.mark.parametrize(
    ("series", "value"),
    [
        pytest.param({'m{k="a"}': "_x30 1x10", 'm{k="b"}': "_x20 2x20"}, 3, id="new series count from zero"),
        pytest.param({'m{k="a"}': "5x20 8x20"}, 3, id="old series count what was added"),
        pytest.param({'m{k="a"}': "5x20 0x5 2x15"}, 2, id="a restart begins at zero"),
        pytest.param({'m{k="a"}': "5x40"}, 0, id="nothing happened"),
    ],
)
def test_increase_counts_what_was_counted(series: dict[str, str], value: float, tmp_path: Path) -> None:
    # Prometheus extrapolates to the whole window, so the exact number is asked for in half a window's steps.
    expression = f"round(sum({increase('m', window='30m')}))"
    evaluated(expression, series, "40m", tmp_path, {"{}": value})


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        pytest.param({"part": "0+1x10", "whole": "0+4x10"}, {"{}": 0.25}, id="a quarter"),
        pytest.param({"whole": "0+4x10"}, {"{}": 0.0}, id="no part yet"),
        pytest.param({"part": "0x10", "whole": "0x10"}, {}, id="no whole"),
    ],
)
def test_a_share_is_of_all_that_happened(
    series: dict[str, str], expected: dict[str, float], tmp_path: Path
) -> None:
    evaluated(share("rate(part[5m])", "rate(whole[5m])"), series, "10m", tmp_path, expected)


def test_mttr_is_the_time_firing_over_the_times_fired(tmp_path: Path) -> None:
    firing = 'ALERTS{{alertname="{}", alertstate="firing", severity="{}"}}'
    series = {
        # 10 minutes and 20 minutes. An alert that has ended is marked as stale by Prometheus.
        firing.format("A", "high"): "_x5 1x9 stale _x30 1x19 stale _x60",
        # 30 minutes; and another alert that is only pending.
        firing.format("B", "low"): "_x40 1x29 stale _x60",
        'ALERTS{alertname="C", alertstate="pending", severity="low"}': "1x125",
    }
    expected = {'{severity="high"}': 15 * 60.0, '{severity="low"}': 30 * 60.0}
    evaluated(MEAN_TIME_FIRING, series, "125m", tmp_path, expected)


def test_what_is_not_settled_is_in_flight(tmp_path: Path) -> None:
    labels = 'topic="t", partition="{}"'
    series = {
        f"logpipe_documents_consumed_total{{{labels.format(0)}}}": "100x10",
        f"logpipe_documents_consumed_total{{{labels.format(1)}}}": "50x10",
        f'logpipe_documents_total{{{labels.format(0)}, outcome="indexed"}}': "90x10",
        f'logpipe_documents_total{{{labels.format(0)}, outcome="dead_lettered"}}': "4x10",
        f'logpipe_documents_total{{{labels.format(1)}, outcome="already_there"}}': "50x10",
    }
    expression = interpolated(UNSETTLED, {"topic": ".+"})
    evaluated(expression, series, "5m", tmp_path, {"{}": 6})
    nothing_yet = dict(list(series.items())[:2])
    evaluated(expression, nothing_yet, "5m", tmp_path, {"{}": 150})


# Elasticsearch ---------------------------------------------------------------------------------------------------

# As many as it takes for a deployment to be among them.
EVENTS = 30_000


def lucene(target: Target) -> str:
    """Write a query as Grafana sends it."""
    return interpolated(
        target.query["query"], {"service:regex": ".*", **text_boxes(BOARDS[target.dashboard])}
    )


def query_string(query: str) -> Json:
    return {"query_string": {"query": query, "analyze_wildcard": True}}


def aggregations(query: Json) -> Json:
    """Nest the buckets as the data source does, the metric innermost."""
    made: Json = {
        metric["id"]: {metric["type"]: {"field": metric["field"]}}
        for metric in query["metrics"]
        if "field" in metric
    }
    for bucket in reversed(query["bucketAggs"]):
        settings = bucket["settings"]
        match bucket["type"]:
            case "terms":
                body = {"field": bucket["field"], "size": int(settings["size"])}
                body |= {"order": {settings["orderBy"]: settings["order"]}, "missing": settings["missing"]}
            case "date_histogram":
                body = {"field": bucket["field"], "fixed_interval": "1h"}
            case "filters":
                filters = {one["label"]: query_string(one["query"]) for one in settings["filters"]}
                body = {"filters": filters}
        made = {bucket["id"]: {bucket["type"]: body, **({"aggs": made} if made else {})}}
    return made


async def test_elasticsearch_finds_what_is_asked_for(pipeline: Pipeline) -> None:
    sent = await pipeline.send_samples(EVENTS)
    with running("index", settings=pipeline.environment()) as process:
        assert await pipeline.indexed(EVENTS) == sent
        stop(process)
    assert LOG_TARGETS
    for target in LOG_TARGETS:
        await assert_found(pipeline, target)
    for board in BOARDS.values():
        (mark,) = board["annotations"]["list"]
        await assert_deployments_found(pipeline, mark)


async def assert_found(pipeline: Pipeline, target: Target) -> None:
    answer = await pipeline.client.search(
        index=f"{pipeline.name}-*",
        query=query_string(lucene(target)),
        aggs=aggregations(target.query),
        size=1,
    )
    assert answer["hits"]["total"]["value"] > 0, target
    buckets = target.query["bucketAggs"]
    if buckets and buckets[0]["type"] == "terms":
        keys = {one["key"] for one in answer["aggregations"][buckets[0]["id"]]["buckets"]}
        assert keys - {"-"}, f"{target}: no document has {buckets[0]['field']}"
    if buckets and buckets[0]["type"] == "filters":
        (bucket,) = answer["aggregations"][buckets[0]["id"]]["buckets"].values()
        assert bucket[target.query["metrics"][0]["id"]]["value"] > 1, target


async def assert_deployments_found(pipeline: Pipeline, mark: Json) -> None:
    answer = await pipeline.client.search(index=f"{pipeline.name}-*", query=query_string(mark["query"]))
    assert 1 <= answer["hits"]["total"]["value"] <= 10
    for hit in answer["hits"]["hits"]:
        assert hit["_source"][mark["timeField"]]
        assert hit["_source"][mark["textField"]] == "Deployment completed"
        parent, _, child = mark["tagsField"].partition(".")
        assert re.fullmatch(r"\d+\.\d+\.\d+", hit["_source"][parent][child])
