"""Kubernetes manifests as tests see them: read, and checked against Kubernetes' own schemas."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

__all__ = [
    "DEPLOY",
    "MONITORING",
    "NAMESPACE",
    "Manifest",
    "assert_restricted",
    "assert_valid",
    "containers",
    "kustomized",
    "manifests",
    "pod_spec",
]

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "monitoring"
DEPLOY = ROOT / "deploy"
NAMESPACE = "claude-code-bot"

Manifest = dict[str, Any]


def manifests(file: Path) -> list[Manifest]:
    """Read every document of a file."""
    return list(yaml.safe_load_all(file.read_text()))


def kustomized(directory: Path) -> list[Manifest]:
    """Do what `kubectl kustomize` does with the few fields that this project uses."""
    kustomization = yaml.safe_load((directory / "kustomization.yaml").read_text())
    assert kustomization["kind"] == "Kustomization"
    assert set(kustomization) <= {
        "apiVersion",
        "kind",
        "namespace",
        "resources",
        "configMapGenerator",
        "patches",
    }
    found: list[Manifest] = []
    for name in kustomization["resources"]:
        resource = directory / name
        found += kustomized(resource) if resource.is_dir() else manifests(resource)
    for made in kustomization.get("configMapGenerator", []):
        assert set(made) == {"name", "files"}
        data = {name: (directory / name).read_text() for name in made["files"]}
        found.append(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": made["name"]}, "data": data}
        )
    for patch in kustomization.get("patches", []):
        _patch(found, patch)
    if "namespace" in kustomization:
        for one in found:
            one["metadata"].setdefault("namespace", kustomization["namespace"])
    return found


def _patch(found: list[Manifest], patch: dict[str, Any]) -> None:
    (target,) = (
        one for one in found if {"kind": one["kind"], "name": one["metadata"]["name"]} == patch["target"]
    )
    for operation in yaml.safe_load(patch["patch"]):
        assert operation["op"] == "remove"
        *parents, name = operation["path"].strip("/").split("/")
        parent = target
        for each in parents:
            parent = parent[each]
        del parent[name]


def assert_valid(manifest: Manifest) -> None:
    """Check against the newest Kubernetes that is known; a field that it does not have is an error too."""
    kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def assert_restricted(manifest: Manifest) -> None:
    """Check what Kubernetes' restricted pod security standard wants, that memory is limited, images pinned."""
    pods = pod_spec(manifest)
    assert pods["securityContext"]["runAsNonRoot"]
    assert pods["securityContext"]["runAsUser"] > 0
    assert pods["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pods["automountServiceAccountToken"] is False
    for container in containers(manifest):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert re.search(r":v?\d+\.\d+\.\d+$", container["image"]), container["image"]


def containers(manifest: Manifest) -> Iterator[Manifest]:
    """Give the containers of a Deployment or a CronJob."""
    yield from pod_spec(manifest)["containers"]


def pod_spec(manifest: Manifest) -> dict[str, Any]:
    """Give what the pods of a Deployment or a CronJob are made from."""
    spec = manifest["spec"]
    if manifest["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    pods: dict[str, Any] = spec["template"]["spec"]
    return pods
