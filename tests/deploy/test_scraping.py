"""Prometheus finds the pods that the manifests make: its own relabelling, applied to their labels by promtool."""

import copy
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.helm import find as find_helm, template
from tests.monitoring.manifests import (
    DEPLOY,
    MONITORING,
    NAMESPACE,
    Manifest,
    containers,
    kustomized,
)
from tests.monitoring.tools import find

PLAIN = kustomized(DEPLOY / "kubernetes")
MONITORS = kustomized(DEPLOY / "kubernetes/prometheus-operator")
OTHER_PODS = [one for one in kustomized(MONITORING / "synthetic") if one["kind"] == "CronJob"]
WITH_PODS = {"Deployment", "CronJob"}
# Every pod that this project's manifests make.
PODS = [
    one
    for directory in (
        DEPLOY / "kubernetes",
        *(MONITORING / name for name in ("otel-collector", "synthetic", "load")),
    )
    for one in kustomized(directory)
    if one["kind"] in WITH_PODS
]
CONFIG: dict[str, Any] = yaml.safe_load((MONITORING / "prometheus/prometheus-kubernetes.yml").read_text())
JOBS_OF_PODS = [
    job["job_name"]
    for job in CONFIG["scrape_configs"]
    if [each["role"] for each in job.get("kubernetes_sd_configs", [])] == ["pod"]
]
# Job -> the names of the manifests whose pods it scrapes; the product and the exporters are not ours to make.
SCRAPED = {"log-pipeline": ["log-pipeline"], "otel-collector": ["otel-collector"]}

needs_helm = pytest.mark.skipif(find_helm() is None, reason="no helm and no Go: the chart is not rendered")


def plain() -> list[Manifest]:
    return [*PLAIN, *MONITORS]


def chart() -> list[Manifest]:
    return template("logs", "--set", "serviceMonitor.enabled=true")


each_way = pytest.mark.parametrize("made", [plain, pytest.param(chart, marks=needs_helm)])


def of_kind(objects: list[Manifest], kind: str) -> Manifest:
    (found,) = (one for one in objects if one["kind"] == kind)
    return found


def pod_labels(manifest: Manifest) -> dict[str, str]:
    spec = manifest["spec"]
    if manifest["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    labels: dict[str, str] = spec["template"]["metadata"]["labels"]
    return labels


def targets_in_a_cluster(manifest: Manifest) -> Iterator[dict[str, Any]]:
    """Give what Prometheus' discovery of the role `pod` makes of one pod: a target for each port of a container."""
    labels = {
        f"__meta_kubernetes_pod_label_{re.sub('[^a-zA-Z0-9_]', '_', name)}": value
        for name, value in pod_labels(manifest).items()
    }
    about = {
        "__meta_kubernetes_namespace": NAMESPACE,
        "__meta_kubernetes_pod_name": f"{manifest['metadata']['name']}-0",
        "__meta_kubernetes_pod_phase": "Running",
        **labels,
    }
    for container in containers(manifest):
        in_container = {**about, "__meta_kubernetes_pod_container_name": container["name"]}
        if not container.get("ports"):
            yield {"targets": ["10.0.0.1"], "labels": in_container}
        for port in container.get("ports", []):
            in_port = {
                **in_container,
                "__meta_kubernetes_pod_container_port_name": port.get("name", ""),
                "__meta_kubernetes_pod_container_port_number": str(port["containerPort"]),
            }
            yield {"targets": [f"10.0.0.1:{port['containerPort']}"], "labels": in_port}


def scraped(job: str, pods: list[Manifest], directory: Path) -> list[dict[str, str]]:
    """Give the labels of what a job of the shipped configuration scrapes of these pods."""
    (wanted,) = (copy.deepcopy(each) for each in CONFIG["scrape_configs"] if each["job_name"] == job)
    assert [each["role"] for each in wanted.pop("kubernetes_sd_configs")] == ["pod"]
    # Debian's promtool is built without Kubernetes: the same labels come from a file.
    targets = directory / "targets.json"
    targets.write_text(json.dumps([target for pod in pods for target in targets_in_a_cluster(pod)]))
    wanted["file_sd_configs"] = [{"files": [str(targets)]}]
    file = directory / "prometheus.yml"
    file.write_text(yaml.safe_dump({"scrape_configs": [wanted]}))
    return [target["labels"] for target in discovered(file, job) if target["labels"]]


def discovered(file: Path, job: str) -> list[dict[str, Any]]:
    """Ask promtool, which always waits for the whole of its time: longer only where the machine is that busy."""
    found: list[dict[str, Any]] = []
    for seconds in (1, 5, 25):
        said = subprocess.run(
            [find("promtool"), "check", "service-discovery", f"--timeout={seconds}s", file, job],
            capture_output=True,
            text=True,
            check=True,
        )
        found = json.loads(said.stdout) or []
        if found:
            break
    assert found, "promtool was not told of any target"
    return found


@each_way
def test_the_shipped_prometheus_scrapes_each_pod_of_the_pipeline_once(made: Any, tmp_path: Path) -> None:
    deployment = of_kind(made(), "Deployment")
    (target,) = scraped("log-pipeline", [deployment, *OTHER_PODS], tmp_path)
    assert target["job"] == "log-pipeline"
    assert target["pod"] == f"{deployment['metadata']['name']}-0"
    assert target["instance"] == target["__address__"] == "10.0.0.1:9600"
    assert target["__metrics_path__"] == "/metrics"


@each_way
def test_the_products_job_leaves_the_pipeline_alone(made: Any, tmp_path: Path) -> None:
    assert scraped("claude-code-bot", [of_kind(made(), "Deployment"), *OTHER_PODS], tmp_path) == []


@pytest.mark.parametrize("job", JOBS_OF_PODS)
def test_each_job_scrapes_of_all_our_pods_those_that_are_meant(job: str, tmp_path: Path) -> None:
    assert {"log-pipeline", "otel-collector", "load-test"} <= {pod["metadata"]["name"] for pod in PODS}
    targets = scraped(job, PODS, tmp_path)
    assert {target["job"] for target in targets} <= {job}
    expected = [f"{name}-0" for name in SCRAPED.get(job, [])]
    assert [target.get("pod", target["instance"]) for target in targets] == expected


def test_a_pod_of_the_product_is_scraped_as_its_service(tmp_path: Path) -> None:
    product = copy.deepcopy(of_kind(PLAIN, "Deployment"))
    product["metadata"]["name"] = "api-deployment"
    pod_labels(product)["app"] = "api"
    (target,) = scraped("claude-code-bot", [product, *PODS], tmp_path)
    assert (target["service"], target["pod"], target["namespace"]) == ("api", "api-deployment-0", NAMESPACE)


def test_a_pod_with_another_label_or_port_would_not_be_scraped(tmp_path: Path) -> None:
    deployment = json.loads(json.dumps(of_kind(PLAIN, "Deployment")))
    next(containers(deployment))["ports"][0]["name"] = "http"
    assert scraped("log-pipeline", [deployment], tmp_path) == []


@each_way
def test_the_operator_scrapes_each_pod_of_the_pipeline_as_the_same_job(made: Any) -> None:
    objects = made()
    monitor, service = of_kind(objects, "ServiceMonitor")["spec"], of_kind(objects, "Service")
    pods = of_kind(objects, "Deployment")
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert service["spec"]["selector"].items() <= pod_labels(pods).items()
    (endpoint,) = monitor["endpoints"]
    (port,) = (each for each in service["spec"]["ports"] if each["name"] == endpoint["port"])
    (container,) = containers(pods)
    assert port["targetPort"] in [each["name"] for each in container["ports"]]
    assert service["metadata"]["labels"][monitor["jobLabel"]] == "log-pipeline"
    assert endpoint["honorLabels"] is True


@each_way
def test_the_operators_target_adds_what_the_shipped_configuration_adds(made: Any, tmp_path: Path) -> None:
    """As the operator documents them: namespace, service, pod, container, endpoint, instance and job."""
    objects = made()
    (endpoint,) = of_kind(objects, "ServiceMonitor")["spec"]["endpoints"]
    (dropped,) = endpoint["relabelings"]
    assert dropped["action"] == "labeldrop"
    added = {"namespace", "service", "pod", "container", "endpoint", "instance", "job"}
    left = {name for name in added if not re.fullmatch(dropped["regex"], name)}
    (target,) = scraped("log-pipeline", [of_kind(objects, "Deployment")], tmp_path)
    assert left == {name for name in target if not name.startswith("__")}
