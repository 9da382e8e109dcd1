"""The experiment that deletes the pipeline's pods."""

import pytest

from tests.monitoring.manifests import DEPLOY, MONITORING, NAMESPACE, assert_valid, kustomized, manifests

CHAOS = {one["kind"]: one for one in kustomized(MONITORING / "chaos")}
(ENGINE,) = manifests(MONITORING / "chaos/engine.yaml")
(DEPLOYMENT,) = (one for one in kustomized(DEPLOY / "kubernetes") if one["kind"] == "Deployment")


@pytest.mark.parametrize("kind", ["ServiceAccount", "Role", "RoleBinding"])
def test_what_chaos_may_do_is_what_kubernetes_takes(kind: str) -> None:
    assert_valid(CHAOS[kind])


def test_the_experiment_is_complete_and_pinned() -> None:
    definition = CHAOS["ChaosExperiment"]["spec"]["definition"]
    assert definition["scope"] == "Namespaced"
    assert definition["args"] == ["-c", "./experiments -name pod-delete"]
    version = definition["image"].partition(":")[2]
    assert version.count(".") == 2
    labels = definition["labels"]
    assert labels["app.kubernetes.io/component"] == "experiment-job"
    assert labels["app.kubernetes.io/version"] == version


def test_the_role_allows_what_the_experiment_asks_for_and_no_more() -> None:
    assert CHAOS["Role"]["rules"] == CHAOS["ChaosExperiment"]["spec"]["definition"]["permissions"]
    assert not any("*" in rule["verbs"] + rule["resources"] for rule in CHAOS["Role"]["rules"])
    account = CHAOS["ServiceAccount"]["metadata"]["name"]
    assert CHAOS["RoleBinding"]["subjects"] == [
        {"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}
    ]
    assert CHAOS["RoleBinding"]["roleRef"]["name"] == CHAOS["Role"]["metadata"]["name"]
    assert ENGINE["spec"]["chaosServiceAccount"] == account


def test_the_engine_deletes_pods_of_the_pipeline_and_is_not_started_by_preparing() -> None:
    assert "ChaosEngine" not in CHAOS
    assert ENGINE["metadata"]["namespace"] == NAMESPACE
    assert ENGINE["spec"]["engineState"] == "active"
    (name, value), *more = DEPLOYMENT["metadata"]["labels"].items()
    assert not more
    assert ENGINE["spec"]["appinfo"] == {
        "appns": NAMESPACE,
        "applabel": f"{name}={value}",
        "appkind": "deployment",
    }
    assert [one["name"] for one in ENGINE["spec"]["experiments"]] == [
        CHAOS["ChaosExperiment"]["metadata"]["name"]
    ]


def test_the_engine_sets_only_what_the_experiment_knows() -> None:
    (experiment,) = ENGINE["spec"]["experiments"]
    known = {variable["name"] for variable in CHAOS["ChaosExperiment"]["spec"]["definition"]["env"]}
    variables = {one["name"]: one["value"] for one in experiment["spec"]["components"]["env"]}
    assert set(variables) <= known
    assert int(variables["CHAOS_INTERVAL"]) < int(variables["TOTAL_CHAOS_DURATION"])
    assert 0 < int(variables["PODS_AFFECTED_PERC"]) < 100, "somebody has to take over"
