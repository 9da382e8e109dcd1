"""The plain manifests of the pipeline."""

import json
import re
import shutil
import subprocess
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.install.setup import run_setup
from pipeline.settings import Settings, Shutdown, load_settings
from tests.monitoring.alerting import ALERTS
from tests.monitoring.manifests import (
    DEPLOY,
    MONITORING,
    ROOT,
    Manifest,
    assert_restricted,
    assert_valid,
    containers,
    kustomized,
    manifests,
    pod_spec,
)

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
KUBERNETES = DEPLOY / "kubernetes"
PIPELINE = {one["kind"]: one for one in kustomized(KUBERNETES)}
SCALED = {one["kind"]: one for one in kustomized(KUBERNETES / "keda")}
DEPLOYMENT = PIPELINE["Deployment"]
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
        assert probe(name)["httpGet"] == {"path": f"/health/{path}", "port": "metrics"}
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


def test_a_pod_asks_for_what_was_measured() -> None:
    (container,) = containers(DEPLOYMENT)
    workers = int(container["args"][2])
    resources = container["resources"]
    assert int(resources["requests"]["cpu"]) == workers, "a core for each worker"
    assert "cpu" not in resources["limits"]
    measured = json.loads((ROOT / "benchmarks/results/latest.json").read_text())
    peak = measured["end_to_end"]["rss_mb"] * 1e6
    assert mebibytes(resources["requests"]["memory"]) * 2**20 > workers * peak
    assert mebibytes(resources["limits"]["memory"]) >= 2 * mebibytes(resources["requests"]["memory"])


def mebibytes(quantity: str) -> int:
    return int(quantity.removesuffix("Mi"))


def test_the_network_policy_lets_the_pods_reach_both_servers_and_prometheus_the_pods() -> None:
    data = PIPELINE["ConfigMap"]["data"]
    addresses = data["LOGPIPE_KAFKA__BOOTSTRAP_SERVERS"], data["LOGPIPE_ELASTICSEARCH__HOSTS"]
    policy = PIPELINE["NetworkPolicy"]["spec"]
    assert policy["podSelector"]["matchLabels"] == LABELS
    anywhere = [port["port"] for rule in policy["egress"] if "to" not in rule for port in rule["ports"]]
    assert anywhere == [int(address.rpartition(":")[2]) for address in addresses]
    (incoming,) = policy["ingress"]
    assert [port["port"] for port in incoming["ports"]] == ["metrics"]


def test_keda_alone_says_how_many_pods_there_are() -> None:
    assert set(PIPELINE) < set(SCALED)
    assert (
        SCALED["ScaledObject"]["spec"]["scaleTargetRef"]["name"] == SCALED["Deployment"]["metadata"]["name"]
    )
    assert "replicas" not in SCALED["Deployment"]["spec"]
    assert {**SCALED["Deployment"]["spec"], "replicas": 2} == DEPLOYMENT["spec"]


def test_no_pod_is_started_that_would_have_no_partition_or_too_late() -> None:
    spec = SCALED["ScaledObject"]["spec"]
    workers = int(next(containers(DEPLOYMENT))["args"][2])
    assert spec["maxReplicaCount"] * workers == signature(run_setup).parameters["partitions"].default
    assert spec["minReplicaCount"] > PIPELINE["PodDisruptionBudget"]["spec"]["minAvailable"]
    (alert,) = (rule for rule in ALERTS if rule.name == "LogPipelineLagGrowing")
    fires_at = re.search(r"logpipe_\w*lag\w* *\) > (\d+)", alert.expression)
    assert fires_at
    threshold = int(spec["triggers"][0]["metadata"]["lagThreshold"])
    assert spec["maxReplicaCount"] * threshold <= int(fires_at[1])


def test_keda_reads_the_lag_of_the_workers_group_as_the_worker_connects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = settings_in(DEPLOYMENT, tmp_path, monkeypatch).kafka
    (trigger,) = SCALED["ScaledObject"]["spec"]["triggers"]
    assert trigger["metadata"]["consumerGroup"] == kafka.group_id
    assert trigger["metadata"]["offsetResetPolicy"] == kafka.start_at
    assert trigger["metadata"]["bootstrapServersFromEnv"] in PIPELINE["ConfigMap"]["data"]
    assert kafka.sasl_mechanism is not None
    assert trigger["metadata"]["sasl"] == kafka.sasl_mechanism.lower().replace("-", "_").replace(
        "_sha_", "_sha"
    )
    assert trigger["metadata"]["tls"] == "enable"
    authentication = SCALED["TriggerAuthentication"]
    assert trigger["authenticationRef"]["name"] == authentication["metadata"]["name"]
    (password,) = authentication["spec"]["secretTargetRef"]
    assert (password["name"], password["key"]) == ("log-pipeline", "kafka.sasl_password")
    username, authority = authentication["spec"]["configMapTargetRef"]
    assert PIPELINE["ConfigMap"]["data"][username["key"]] == kafka.sasl_username
    assert (authority["name"], authority["key"]) == ("log-pipeline-ca", "ca.crt")


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl: what the tests read is not compared")
@pytest.mark.parametrize("directory", ["", "prometheus-operator", "keda"])
def test_kubectl_makes_the_same_of_the_kustomizations(directory: str) -> None:
    made = subprocess.run(
        ["kubectl", "kustomize", KUBERNETES / directory],  # noqa: S607 - of the PATH
        capture_output=True,
        text=True,
        check=True,
    )
    objects = {one["kind"]: one for one in yaml.safe_load_all(made.stdout)}
    assert objects == {one["kind"]: one for one in kustomized(KUBERNETES / directory)}
