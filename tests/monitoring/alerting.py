"""The rules of Prometheus and the routes of Alertmanager as tests see them."""

import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.monitoring.manifests import MONITORING

__all__ = ["ALERTMANAGER", "ALERTS", "RULES", "RUNBOOKS", "Rule", "runbook", "severities_with_a_route"]

ALERTMANAGER = MONITORING / "alertmanager/alertmanager.yml"
RUNBOOKS = MONITORING / "runbooks"


class Rule(NamedTuple):
    """An alert, or a recorded series."""

    name: str
    expression: str
    labels: dict[str, str]
    annotations: dict[str, str]
    alerting: bool


def _rules() -> list[Rule]:
    return [
        Rule(
            name=rule.get("alert") or rule["record"],
            expression=rule["expr"],
            labels=rule.get("labels", {}),
            annotations=rule.get("annotations", {}),
            alerting="alert" in rule,
        )
        for file in sorted((MONITORING / "prometheus/rules").glob("*.rules.yml"))
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    ]


RULES = _rules()
ALERTS = [rule for rule in RULES if rule.alerting]


def runbook(alert: str) -> Path:
    """Return the page of an alert: its name in kebab case."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", alert)
    return RUNBOOKS / f"{words.lower()}.md"


@cache
def severities_with_a_route() -> set[str]:
    """Return every severity that a route of Alertmanager matches, by value or by an alternation."""
    route: dict[str, Any] = yaml.safe_load(ALERTMANAGER.read_text())["route"]
    matchers = [matcher for child in route["routes"] for matcher in child["matchers"]]
    alternations = [re.fullmatch(r'severity=~?"([a-z|]+)"', matcher) for matcher in matchers]
    return {name for found in alternations if found for name in found[1].split("|")}
