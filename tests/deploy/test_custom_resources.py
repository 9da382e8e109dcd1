"""What the plain manifests hold for operators."""

import copy
import subprocess
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from tests.deploy.custom_resources import assert_fits_its_operator, is_of_an_operator
from tests.monitoring.manifests import DEPLOY, Manifest, kustomized
from tests.monitoring.tools import find

PROMETHEUS = kustomized(DEPLOY / "kubernetes/prometheus-operator")
SCALED = kustomized(DEPLOY / "kubernetes/keda")
OBJECTS = {one["kind"]: one for one in (*PROMETHEUS, *SCALED) if is_of_an_operator(one)}


def test_the_operators_have_their_objects() -> None:
    assert set(OBJECTS) == {"ServiceMonitor", "PrometheusRule", "ScaledObject", "TriggerAuthentication"}


@pytest.mark.parametrize("kind", OBJECTS)
def test_objects_are_what_their_operator_takes(kind: str) -> None:
    assert_fits_its_operator(OBJECTS[kind])


def misspelt(manifest: Manifest) -> Manifest:
    wrong = copy.deepcopy(manifest)
    wrong["spec"]["maxReplicas"] = wrong["spec"].pop("maxReplicaCount")
    return wrong


def of_another_type(manifest: Manifest) -> Manifest:
    wrong = copy.deepcopy(manifest)
    wrong["spec"]["triggers"][0]["metadata"]["lagThreshold"] = 25000
    return wrong


def test_mistakes_would_be_noticed() -> None:
    with pytest.raises(AssertionError, match="the operator does not know it"):
        assert_fits_its_operator(misspelt(OBJECTS["ScaledObject"]))
    with pytest.raises(ValidationError, match="lagThreshold"):
        assert_fits_its_operator(of_another_type(OBJECTS["ScaledObject"]))


def test_promtool_takes_the_rules_of_the_prometheus_rule(tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump(OBJECTS["PrometheusRule"]["spec"]))
    checked = subprocess.run(
        [find("promtool"), "check", "rules", "--lint-fatal", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
