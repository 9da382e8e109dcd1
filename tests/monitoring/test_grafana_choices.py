"""What a reader of Grafana's dashboards chooses filters every panel, and links lead where something is."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from monitoring.grafana.source.links import DRILLS, RUNBOOKS, page_of
from monitoring.grafana.source.variables import PIPELINES, SERVICES, TOPICS, filtered
from pipeline.log_metrics.rules import load_rules
from tests.monitoring import test_grafana as grafana
from tests.monitoring.alerting import ALERTS, runbook
from tests.monitoring.exposed import registries

Json = dict[str, Any]
BOARDS = grafana.BOARDS
each_board = pytest.mark.parametrize("name", BOARDS)
RUNBOOK_BASE_URL = "https://docs.claude-code-bot.com/runbooks"

# Expressions of which nothing can be chosen: Prometheus' own series of alerts, which have the labels of whatever fires,
# and the nodes of the cluster as a whole.
ABOUT_EVERYTHING = {"ALERTS", "kube_node_status_allocatable", "kube_node_status_capacity"}
# Log metrics that say for themselves which source, stage or service they are of.
WITHOUT_A_SERVICE = {
    "webhook_queue_depth",
    "integration_stage_duration_seconds",
    "external_call_duration_seconds",
}


def labelled(label: str) -> set[str]:
    """Name the series of the pipeline, of its correlator and of the log rules that have a label."""
    suffixes = ("", "_bucket", "_count", "_sum")
    own = {
        name
        for registry in registries()
        for collector, names in registry._collector_to_names.items()  # noqa: SLF001 - nothing else tells the labels
        if label in getattr(collector, "_labelnames", ())
        for name in names
    }
    return own | {rule.name + suffix for rule in load_rules() if label in rule.labels for suffix in suffixes}


def of_a_service(metric: str) -> bool:
    base = re.sub(r"_(bucket|count|sum)$", "", metric)
    has_one = metric in labelled("service") or metric == "log_new_errors_total"
    return (has_one and base not in WITHOUT_A_SERVICE) or metric.startswith("service:")


def of_a_flow(metric: str) -> bool:
    return metric.startswith(("trace_", "traces_total", "flow:"))


def of_the_pipeline(metric: str) -> bool:
    return metric.startswith("process_") or metric in grafana.own_metrics()


def begins_with(*prefixes: str) -> Callable[[str], bool]:
    return lambda metric: metric.startswith(prefixes)


# What the supervisor does not merge.
OF_A_WORKER = {
    f"logpipe_{name}"
    for name in (
        "assigned_partitions",
        "back_pressure_seconds",
        "bulk_concurrency_limit",
        "bulk_size_limit_bytes",
        "event_loop_delay_seconds",
        "in_flight_bytes",
        "in_flight_records",
        "kafka_silent_seconds",
        "last_indexed_timestamp_seconds",
    )
}

# Dashboard -> choice -> the metrics that it has to filter.
FILTERED: dict[str, dict[str, Callable[[str], bool]]] = {
    "executive": {"service": of_a_service, "model": lambda metric: metric == "claude_api_tokens_total"},
    "operations": {
        "service": of_a_service,
        "flow": of_a_flow,
        "namespace": begins_with("container_", "kube_pod_", "kube_deployment_"),
        "instance": lambda metric: (
            metric == "up" or metric.startswith(("node_", "pg_", "probe_", "logpipe_"))
        ),
    },
    "development": {
        "service": of_a_service,
        "flow": of_a_flow,
        "redis": begins_with("redis_"),
        "instance": begins_with("logpipe_"),
    },
    "database": {"service": of_a_service, "instance": begins_with("pg_"), "redis": begins_with("redis_")},
    "pipeline": {
        "namespace": of_the_pipeline,
        "instance": of_the_pipeline,
        "worker": lambda metric: re.sub(r"_(total|bucket|count|sum)$", "", metric) in OF_A_WORKER,
        "topic": lambda metric: metric in labelled("topic"),
    },
}


def selectors(expression: str) -> Iterator[tuple[str, str]]:
    """Give each metric of an expression with what stands in its braces, as often as it is there."""
    windowless = re.sub(r"\[[^\]]*\]|\boffset +\S+", " ", expression)
    for metric in grafana.metrics_of(re.sub(r"\$\w+", "1", windowless)):
        for found in re.finditer(rf"(?<![\w:]){metric}(?![\w:(])(?:\{{([^}}]*)\}})?", windowless):
            yield metric, found[1] or ""


@each_board
def test_the_choices_are_those_that_are_known_here(name: str) -> None:
    assert {one["name"] for one in grafana.choices(BOARDS[name])} == set(FILTERED[name])


@pytest.mark.parametrize(
    "target", grafana.PROMETHEUS_TARGETS, ids=lambda one: f"{one.dashboard}: {one.panel}"
)
def test_every_metric_is_filtered_by_each_choice_whose_label_it_has(target: grafana.Target) -> None:
    matchers = grafana.matchers(BOARDS[target.dashboard])
    found = list(selectors(target.query["expr"]))
    assert found
    for metric, selector in found:
        there = {name for name, matcher in matchers.items() if matcher in selector}
        assert there == {name for name, has in FILTERED[target.dashboard].items() if has(metric)}, metric


def test_a_panel_that_no_choice_filters_is_about_everything_or_recorded() -> None:
    for target in grafana.PROMETHEUS_TARGETS:
        if not any(
            matcher in target.query["expr"] for matcher in grafana.matchers(BOARDS[target.dashboard]).values()
        ):
            names = {metric for metric, _ in selectors(target.query["expr"])}
            base = {re.sub(r"_(bucket|count|sum)$", "", name) for name in names}
            assert base <= ABOUT_EVERYTHING | WITHOUT_A_SERVICE, target.panel


@pytest.mark.parametrize("target", grafana.LOG_TARGETS, ids=lambda one: f"{one.dashboard}: {one.panel}")
def test_every_search_for_logs_is_of_the_services_chosen(target: grafana.Target) -> None:
    assert target.query["query"].endswith("service:/${service:regex}/")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("sum(http_requests_total)", 'sum(http_requests_total{service=~"$service"})'),
        (
            'rate(log_events_total{level="ERROR"}[5m] offset 1w)',
            'rate(log_events_total{level="ERROR", instance=~"$instance", service=~"$service"}[5m] offset 1w)',
        ),
        ('sum by (logpipe_ready) (up{a="logpipe_ready"})', 'sum by (logpipe_ready) (up{a="logpipe_ready"})'),
        ("$logpipe_ready * ${logpipe_ready} + 1e6", "$logpipe_ready * ${logpipe_ready} + 1e6"),
        (
            "max(logpipe_committed_offset) by (topic)",
            'max(logpipe_committed_offset{instance=~"$instance", topic=~"$topic"}) by (topic)',
        ),
    ],
)
def test_matchers_are_added_to_metrics_and_to_nothing_else(expression: str, expected: str) -> None:
    assert filtered(expression, [PIPELINES, TOPICS, SERVICES]) == expected


# Links -----------------------------------------------------------------------------------------------------------


def every_link(board: Json) -> Iterator[Json]:
    yield from board["links"]
    for panel in grafana.panels(board):
        yield from panel.get("links", [])
        fields = panel.get("fieldConfig", {})
        yield from fields.get("defaults", {}).get("links", [])
        for override in fields.get("overrides", []):
            for setting in override["properties"]:
                if setting["id"] == "links":
                    yield from setting["value"]


@each_board
def test_links_to_dashboards_name_one_that_is_there_and_keep_time_and_choices(name: str) -> None:
    uids = {board["uid"] for board in BOARDS.values()}
    found = [link for link in every_link(BOARDS[name]) if link.get("url", "").startswith("/d/")]
    assert found
    for link in found:
        assert urlsplit(link["url"]).path.removeprefix("/d/") in uids
        if link in BOARDS[name]["links"]:
            assert link["keepTime"]
            assert link["includeVars"]
        else:
            assert "${__url_time_range}" in link["url"]
            assert {"${datasource:queryparam}", "${logs:queryparam}"} <= set(re.split("[?&]", link["url"]))


@each_board
def test_a_choice_that_a_link_makes_is_one_of_the_other_dashboard(name: str) -> None:
    boards = {board["uid"]: board for board in BOARDS.values()}
    for link in every_link(BOARDS[name]):
        url = urlsplit(link.get("url", ""))
        if url.path.startswith("/d/"):
            offered = {one["name"] for one in boards[url.path.removeprefix("/d/")]["templating"]["list"]}
            assert set(re.findall(r"var-(\w+)=", url.query)) <= offered


@each_board
def test_the_way_is_from_the_overview_to_the_pipeline_to_the_runbooks(name: str) -> None:
    titles = [link["title"] for link in BOARDS[name]["links"]]
    wanted = ["Overview", "Log pipeline", "Dashboards", "Runbooks"]
    if name == "operations":
        wanted.remove("Overview")
    if name == "pipeline":
        wanted.remove("Log pipeline")
    assert titles == wanted


@each_board
def test_links_to_runbooks_begin_with_the_one_setting_and_name_a_page(name: str) -> None:
    (base,) = [one for one in BOARDS[name]["templating"]["list"] if one["name"] == "runbook_base_url"]
    assert base["type"] == "constant"
    assert base["query"] == RUNBOOK_BASE_URL
    pages = {runbook(alert.name).stem for alert in ALERTS}
    for link in every_link(BOARDS[name]):
        if not link.get("url", "").startswith(("/d/", "${runbook_base_url}/")):
            assert link["type"] == "dashboards"
        if link.get("url", "").startswith("${runbook_base_url}/"):
            assert link["targetBlank"]
            assert link["url"].removeprefix("${runbook_base_url}/") in {"", "${__value.text}", *pages}
    assert RUNBOOK_BASE_URL not in json.dumps({**BOARDS[name], "templating": None})


def test_every_alert_in_the_table_leads_to_its_runbook() -> None:
    (panel,) = [
        one for one in grafana.panels(BOARDS["operations"]) if one["title"] == "Current active alerts"
    ]
    (override,) = [one for one in panel["fieldConfig"]["overrides"] if one["matcher"]["options"] == "Runbook"]
    settings = {one["id"]: one["value"] for one in override["properties"]}
    (mapping,) = settings["mappings"]
    shown = {name: result["text"] for name, result in mapping["options"].items()}
    assert shown == {alert.name: runbook(alert.name).stem for alert in ALERTS}, "run `make dashboards`"
    assert [link["url"] for link in settings["links"]] == ["${runbook_base_url}/${__value.text}"]


def test_what_is_linked_is_shown() -> None:
    titles = {panel["title"] for board in BOARDS.values() for panel in grafana.panels(board)}
    assert {*RUNBOOKS, *DRILLS} <= titles
    assert {name for names in RUNBOOKS.values() for name in names} <= {alert.name for alert in ALERTS}
    assert all(page_of(alert.name) == runbook(alert.name).stem for alert in ALERTS)


def test_a_link_with_the_service_is_on_panels_whose_series_have_one() -> None:
    for board in BOARDS.values():
        for panel in grafana.panels(board):
            links = panel.get("fieldConfig", {}).get("defaults", {}).get("links", [])
            if any("labels.service" in link["url"] for link in links):
                assert "service" in panel["targets"][0]["legendFormat"], panel["title"]
