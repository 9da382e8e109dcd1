"""The manifests of the pipeline itself, and of what deletes its pods."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.settings import Settings, Shutdown, load_settings
from tests.monitoring.manifests import (
    MONITORING,
    NAMESPACE,
    Manifest,
    assert_restricted,
    assert_valid,
    containers,
    kustomized,
    manifests,
    pod_spec,
)

COMPOSE = yaml.safe_load((MONITORING.parent / "docker-compose.yml").read_text())["services"]
PIPELINE = {one["kind"]: one for one in kustomized(MONITORING / "kubernetes")}
DEPLOYMENT = PIPELINE["Deployment"]
CHAOS = {one["kind"]: one for one in kustomized(MONITORING / "chaos")}
(ENGINE,) = manifests(MONITORING / "chaos/engine.yaml")
(PROBE_JOB,) = manifests(MONITORING / "synthetic/synthetic-monitor-pipeline.yaml")
LABELS = {"app": "log-pipeline"}


def settings_in(pods: Manifest, secrets: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Read the settings as a container of these pods does, its secrets elsewhere."""
    (container,) = containers(pods)
    assert container["envFrom"] == [{"configMapRef": {"name": "log-pipeline"}}]
    own = {variable["name"]: variable["value"] for variable in container.get("env", [])}
    variables = {**PIPELINE["ConfigMap"]["data"], **own}
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert mounts[variables["LOGPIPE_SECRETS_DIR"]] == "secrets"
    for name in ("KAFKA", "ELASTICSEARCH"):
        assert mounts[variables[f"LOGPIPE_{name}__CA_CERTS"].rpartition("/")[0]] == "ca"
    (secrets / "kafka.sasl_password").write_text("of-kafka")
    (secrets / "elasticsearch.api_key").write_text("of-elasticsearch")
    monkeypatch.chdir(secrets)
    for name, value in {**variables, "LOGPIPE_SECRETS_DIR": str(secrets)}.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def probe(name: str) -> dict[str, Any]:
    (container,) = containers(DEPLOYMENT)
    found: dict[str, Any] = container[name]
    return found


@pytest.mark.parametrize("kind", PIPELINE)
def test_manifests_are_what_kubernetes_takes(kind: str) -> None:
    assert_valid(PIPELINE[kind])
    assert PIPELINE[kind]["metadata"]["name"] == "log-pipeline"
    assert PIPELINE[kind]["metadata"]["labels"] == LABELS


def test_the_pods_are_restricted_and_run_our_image() -> None:
    assert_restricted(DEPLOYMENT)
    (container,) = containers(DEPLOYMENT)
    assert container["image"] == COMPOSE["pipeline"]["image"]
    assert pod_spec(DEPLOYMENT)["enableServiceLinks"] is False


def test_settings_and_secrets_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_in(DEPLOYMENT, tmp_path, monkeypatch)
    assert settings.kafka.sasl_password is not None
    assert settings.elasticsearch.api_key is not None
    (container,) = containers(DEPLOYMENT)
    assert [port["containerPort"] for port in container["ports"]] == [settings.http.port]
    assert container["args"] == ["run", "--workers", "2"]


def test_the_synthetic_check_has_the_same_settings_and_credentials_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings_in(PROBE_JOB, tmp_path, monkeypatch).kafka.sasl_username == "logpipe-probe"
    secret_of = {
        one["kind"]: next(each["secret"] for each in pod_spec(one)["volumes"] if "secret" in each)[
            "secretName"
        ]
        for one in (DEPLOYMENT, PROBE_JOB)
    }
    assert secret_of == {"Deployment": "log-pipeline", "CronJob": "log-pipeline-probe"}


def test_each_probe_asks_its_own_question_and_waits_for_the_answer() -> None:
    for name, path in (("startupProbe", "startup"), ("livenessProbe", "live"), ("readinessProbe", "ready")):
        assert probe(name)["httpGet"] == {"path": f"/health/{path}", "port": "http"}
        # The supervisor gives its workers two seconds.
        assert probe(name)["timeoutSeconds"] > 2


def test_there_is_time_to_stop_gracefully() -> None:
    assert pod_spec(DEPLOYMENT)["terminationGracePeriodSeconds"] > Shutdown().timeout_seconds


def test_service_and_budget_mean_these_pods_and_leave_one_to_move() -> None:
    assert DEPLOYMENT["spec"]["template"]["metadata"]["labels"] == LABELS
    assert DEPLOYMENT["spec"]["selector"]["matchLabels"] == LABELS
    assert PIPELINE["Service"]["spec"]["selector"] == LABELS
    budget = PIPELINE["PodDisruptionBudget"]["spec"]
    assert budget["selector"]["matchLabels"] == LABELS
    assert budget["minAvailable"] < DEPLOYMENT["spec"]["replicas"]


# --- chaos ------------------------------------------------------------------------------------------------


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
