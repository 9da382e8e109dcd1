"""Objects of operators, checked against the operators' own types."""

import importlib
from typing import Any

from tests.monitoring.manifests import Manifest

__all__ = ["assert_fits_its_operator", "is_of_an_operator"]

_MODELS = {
    "monitoring.coreos.com/v1": "cloudcoil.models.prometheus_operator.v1",
    "keda.sh/v1alpha1": "cloudcoil.models.keda.v1alpha1",
}


def is_of_an_operator(manifest: Manifest) -> bool:
    """Tell whether Kubernetes itself does not know the kind."""
    return manifest["apiVersion"] in _MODELS


def assert_fits_its_operator(manifest: Manifest) -> None:
    """Check types and required fields; a field that the operator does not have is an error too."""
    # Imported by name and late: these are a hundred thousand lines of classes.
    model: Any = getattr(importlib.import_module(_MODELS[manifest["apiVersion"]]), manifest["kind"])
    read = model.model_validate(manifest).model_dump(by_alias=True, exclude_unset=True, mode="json")
    assert read == manifest, "a field was left out: the operator does not know it"
