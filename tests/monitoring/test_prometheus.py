"""Prometheus' configuration and rules, judged by promtool, and the completeness of what judges them."""

import copy
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring.alerting import ALERTS, RULES, Rule, runbook, severities_with_a_route
from tests.monitoring.manifests import MONITORING
from tests.monitoring.tools import find

PROMETHEUS = MONITORING / "prometheus"
CONFIGURATIONS = ["prometheus.yml", "prometheus-kubernetes.yml"]
UNIT_TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))

# What Grafana and other parts of the project ask for by name.
RECORDED = {
    "service:http_requests:rate5m",
    "service:http_requests_errors:ratio_rate5m",
    "service:http_request_duration_seconds:p50_5m",
    "service:http_request_duration_seconds:p95_5m",
    "service:http_request_duration_seconds:p99_5m",
    "service:integrations_success:ratio_rate1h",
    "service:up:max",
    *(f"service:slo_errors:ratio_rate{window}" for window in ("5m", "30m", "1h", "2h", "6h", "3d")),
    "service:error_budget_left:ratio30d",
}

# The guide's priorities, and ours for the names that its rules use.
PRIORITIES = {"critical": "P0", "high": "P1", "medium": "P2", "low": "P3", "none": "none"}
# What says that all is well by firing: it is never quiet, and Alertmanager routes it by its name.
ALWAYS = {"Watchdog"}


def promtool(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [find("promtool"), *arguments], capture_output=True, text=True, check=False, timeout=110
    )


def configuration(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((PROMETHEUS / name).read_text())
    return loaded


@cache
def unit_tests() -> list[dict[str, Any]]:
    """Read every alert_rule_test of every file: what is expected of one alert at one time."""
    return [
        case
        for file in UNIT_TESTS
        for test in yaml.safe_load(file.read_text())["tests"]
        for case in test.get("alert_rule_test", [])
    ]


def test_the_configuration_of_compose_and_its_rules_are_valid() -> None:
    checked = promtool("check", "config", PROMETHEUS / "prometheus.yml")
    assert checked.returncode == 0, checked.stderr + checked.stdout
    assert "3 rule files found" in checked.stdout


def test_the_rules_are_valid_and_none_is_there_twice() -> None:
    checked = promtool("check", "rules", "--lint-fatal", *sorted((PROMETHEUS / "rules").glob("*.yml")))
    assert checked.returncode == 0, checked.stderr + checked.stdout


def test_the_configuration_of_a_cluster_is_valid(tmp_path: Path) -> None:
    """Debian's promtool is built without Kubernetes: its discovery is replaced by one from files."""
    config = configuration("prometheus-kubernetes.yml")
    discoveries = []
    for job in config["scrape_configs"]:
        if "kubernetes_sd_configs" in job:
            discoveries += job.pop("kubernetes_sd_configs")
            job["file_sd_configs"] = [{"files": ["targets.json"]}]
    assert discoveries
    for discovery in discoveries:
        assert discovery["role"] in {"node", "pod"}
        assert set(discovery) <= {"role", "namespaces"}
        assert discovery.get("namespaces", {"names": ["claude-code-bot"]}) == {"names": ["claude-code-bot"]}
    (tmp_path / "targets.json").write_text("[]")
    (tmp_path / "rules").symlink_to(PROMETHEUS / "rules")
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    checked = promtool("check", "config", "--syntax-only", file)
    assert checked.returncode == 0, checked.stderr + checked.stdout


def test_a_mistake_in_a_configuration_would_be_noticed(tmp_path: Path) -> None:
    config = copy.deepcopy(configuration("prometheus.yml"))
    config["scrape_configs"][0]["honour_labels"] = True
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    checked = promtool("check", "config", "--syntax-only", tmp_path / "prometheus.yml")
    assert checked.returncode != 0
    assert "honour_labels" in checked.stderr


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_alerts_reach_alertmanager_with_cluster_and_product(name: str) -> None:
    config = configuration(name)
    assert set(config["global"]["external_labels"]) == {"cluster", "product"}
    assert config["alerting"]["alertmanagers"] == [{"static_configs": [{"targets": ["alertmanager:9093"]}]}]
    assert config["rule_files"] == ["rules/*.rules.yml"]


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_service_of_an_event_is_kept(name: str) -> None:
    jobs = {job["job_name"]: job for job in configuration(name)["scrape_configs"]}
    assert jobs["log-pipeline"]["honor_labels"] is True
    assert {"prometheus", "alertmanager"} <= set(jobs)


def test_a_cluster_has_every_job_that_the_rules_ask_for() -> None:
    jobs = {job["job_name"] for job in configuration("prometheus-kubernetes.yml")["scrape_configs"]}
    asked = {job for rule in RULES for job in re.findall(r'job="([^"]+)"', rule.expression)}
    assert asked == {"claude-code-bot", "log-pipeline"}
    assert asked <= jobs
    exporters = {
        "kube-state-metrics",
        "node",
        "cadvisor",
        "postgres",
        "redis",
        "kafka",
        "elasticsearch",
        "blackbox",
    }
    assert exporters <= jobs


@pytest.mark.parametrize("file", UNIT_TESTS, ids=lambda file: file.stem)
def test_unit_tests_of_the_rules_pass(file: Path) -> None:
    tested = promtool("test", "rules", file)
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_is_shown_to_fire_and_not_to_fire(alert: Rule) -> None:
    cases = [case for case in unit_tests() if case["alertname"] == alert.name]
    quiet = [case for case in cases if not case["exp_alerts"]]
    assert bool(quiet) != (alert.name in ALWAYS), "nothing shows that it can be quiet"
    firing = [expected for case in cases for expected in case["exp_alerts"]]
    assert firing, "nothing shows that it can fire"
    for expected in firing:
        assert expected["exp_labels"]["severity"] == alert.labels["severity"]
        assert expected["exp_labels"]["priority"] == alert.labels["priority"]
        assert expected["exp_labels"]["service"]
        assert expected["exp_annotations"]["runbook_url"] == alert.annotations["runbook_url"]
        for text in expected["exp_annotations"].values():
            assert "{{" not in text
            assert "<no value>" not in text


def test_no_unit_test_is_of_an_alert_that_is_not_there() -> None:
    assert {case["alertname"] for case in unit_tests()} == {alert.name for alert in ALERTS}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_says_how_bad_what_and_where_to_read_on(alert: Rule) -> None:
    assert alert.labels["severity"] in severities_with_a_route() or alert.name in ALWAYS
    assert alert.labels["priority"] == PRIORITIES[alert.labels["severity"]]
    assert set(alert.annotations) == {"summary", "description", "runbook_url"}
    assert all(text.strip() for text in alert.annotations.values())
    name = alert.annotations["runbook_url"].removeprefix("https://docs.claude-code-bot.com/runbooks/")
    assert name == runbook(alert.name).stem


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_has_a_service(alert: Rule) -> None:
    """By its rule, or because the series it is made of have one."""
    assert ("service" in alert.labels) != bool(
        re.match(r"[(\s]*(min by \(service\)|service:|label_replace\(service:)", alert.expression)
    )


def test_what_others_ask_for_is_recorded() -> None:
    assert {rule.name for rule in RULES} >= RECORDED


def test_a_recorded_series_that_a_rule_uses_is_recorded() -> None:
    recorded = {rule.name for rule in RULES if rule not in ALERTS}
    used = {
        name for rule in RULES for name in re.findall(r"\b[a-z_]+:[a-z0-9_]+:[a-z0-9_]+\b", rule.expression)
    }
    assert used
    assert used <= recorded
