"""What is written by `make deploy` is up to date, and says all."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.generate import CHART, GENERATED, documented_values
from tests.monitoring.manifests import DEPLOY, MONITORING, manifests

VALUES = (CHART / "values.yaml").read_text()


@pytest.mark.parametrize("file", GENERATED, ids=lambda file: file.name)
def test_generated_files_are_up_to_date(file: Path) -> None:
    assert file.read_text() == GENERATED[file](), "run `make deploy`"


@pytest.mark.parametrize("kind", ["recording", "alerts"])
def test_every_rule_of_the_pack_is_in_the_manifest_and_in_the_chart(kind: str) -> None:
    groups = yaml.safe_load((MONITORING / f"prometheus/rules/{kind}.rules.yml").read_text())["groups"]
    (rule,) = manifests(DEPLOY / "kubernetes/prometheus-operator/prometheus-rule.yaml")
    (chart,) = manifests(CHART / "files/prometheus-rules.yaml")
    for group in groups:
        assert group in rule["spec"]["groups"]
        assert group in chart["groups"]


def test_every_value_is_described() -> None:
    described = {value.path for value in documented_values(VALUES)}
    assert [path for path in leaves(yaml.safe_load(VALUES)) if not covered(path, described)] == []


def covered(path: str, described: set[str]) -> bool:
    parts = path.split(".")
    return any(".".join(parts[:length]) in described for length in range(1, len(parts) + 1))


def leaves(tree: dict[str, Any], parent: str = "") -> Iterator[str]:
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{parent}{name}.")
        else:
            yield f"{parent}{name}"


def test_a_comment_of_several_lines_is_one_description() -> None:
    text = "group:\n  # -- What it\n  # is for.\n  name: 3\n  other: 4\n# No row.\nlast: 5\n"
    assert documented_values(text) == [("group.name", 3, "What it is for.")]
