"""Write what follows from other files: `make deploy`.

The PrometheusRule of the plain manifests and the groups in the chart are monitoring/prometheus/rules; the table in the
chart's README is the comments of its values.yaml. Tests keep them equal.
"""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

__all__ = ["GENERATED", "RULES", "Value", "chart_rules", "documented_values", "prometheus_rule"]

ROOT = Path(__file__).parents[1]
CHART = ROOT / "deploy/helm/logpipe"
RULES = ("recording", "alerts", "platform")
_FROM = "# Written by `make deploy` from monitoring/prometheus/rules.\n"
_RULE = """\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: log-pipeline
  labels: {app: log-pipeline}
spec:
"""
_TABLE = re.compile(r"(?<=<!-- values -->\n).*(?=<!-- /values -->)", re.DOTALL)


class Value(NamedTuple):
    """A value of the chart: where it is, its default, and what its comment says."""

    path: str
    default: Any
    description: str


def rule_files() -> list[str]:
    """Read the rules that are copied."""
    return [(ROOT / f"monitoring/prometheus/rules/{name}.rules.yml").read_text() for name in RULES]


def chart_rules(files: list[str]) -> str:
    """Give all rules as one YAML text with the key `groups`, their comments kept."""
    return _FROM + _rule_groups(files)


def prometheus_rule(files: list[str]) -> str:
    """Give the manifest for the Prometheus operator."""
    lines = [f"  {line}" if line.strip() else line for line in _rule_groups(files).splitlines(keepends=True)]
    return _FROM + _RULE + "".join(lines)


def _rule_groups(files: list[str]) -> str:
    return "groups:\n" + "\n".join(text.partition("groups:\n")[2] for text in files)


def documented_values(text: str) -> list[Value]:
    """Read the values that have a comment beginning with `# --`, in their order."""
    tree = yaml.safe_load(text)
    found: list[Value] = []
    parents: list[str] = []
    description: list[str] = []
    for line in text.splitlines():
        if comment := re.match(r" *# (?P<mark>-- )?(?P<text>.*)", line):
            if comment["mark"] or description:
                description.append(comment["text"])
        elif key := re.match(r"(?P<indent> *)(?P<name>\w+):", line):
            parents = [*parents[: len(key["indent"]) // 2], key["name"]]
            if description:
                default = tree
                for parent in parents:
                    default = default[parent]
                found.append(Value(".".join(parents), default, " ".join(description)))
            description = []
        else:
            description = []
    return found


def readme() -> str:
    """Give the chart's README with its table of values as it should be."""
    rows = [
        f"| `{value.path}` | `{json.dumps(value.default)}` | {value.description} |\n"
        for value in documented_values((CHART / "values.yaml").read_text())
    ]
    table = "| value | default | what it is |\n|---|---|---|\n" + "".join(rows)
    return _TABLE.sub(lambda _: table, (CHART / "README.md").read_text())


# File -> its content as it should be.
GENERATED = {
    ROOT / "deploy/kubernetes/prometheus-operator/prometheus-rule.yaml": lambda: prometheus_rule(
        rule_files()
    ),
    CHART / "files/prometheus-rules.yaml": lambda: chart_rules(rule_files()),
    CHART / "README.md": readme,
}

if __name__ == "__main__":
    for file, content in GENERATED.items():
        file.write_text(content())
