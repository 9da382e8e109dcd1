"""The collector's configuration, as far as it can be judged without the collector."""

import re
from typing import Any

import pytest
import yaml

from tests.monitoring.manifests import MONITORING, assert_restricted, assert_valid, containers, kustomized

DIRECTORY = MONITORING / "otel-collector"
CONFIG: dict[str, Any] = yaml.safe_load((DIRECTORY / "config.yaml").read_text())
PIPELINES: dict[str, dict[str, list[str]]] = CONFIG["service"]["pipelines"]
COMPOSE = yaml.safe_load((MONITORING.parent / "docker-compose.yml").read_text())["services"]
MANIFESTS = {one["kind"]: one for one in kustomized(DIRECTORY)}

# Gone from the collector, or renamed: https://github.com/open-telemetry/opentelemetry-collector-contrib releases.
GONE = {"jaeger", "jaeger_thrift", "logging", "otlp", "otlphttp", "spanmetrics"}


def used(place: str) -> set[str]:
    return {name for pipeline in PIPELINES.values() for name in pipeline[place]}


def test_every_component_of_a_pipeline_is_defined_and_none_is_idle() -> None:
    connectors = set(CONFIG["connectors"])
    assert used("receivers") == {*CONFIG["receivers"], *connectors}
    assert used("exporters") == {*CONFIG["exporters"], *connectors}
    assert used("processors") == set(CONFIG["processors"])
    assert set(CONFIG["service"]["extensions"]) == set(CONFIG["extensions"])


def test_a_connector_joins_two_pipelines() -> None:
    (traces, metrics) = (PIPELINES["traces"], PIPELINES["metrics"])
    for connector in CONFIG["connectors"]:
        assert connector in traces["exporters"]
        assert connector in metrics["receivers"]


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_memory_is_limited_before_anything_else_happens(pipeline: str) -> None:
    assert PIPELINES[pipeline]["processors"][0] == "memory_limiter"
    limiter = CONFIG["processors"]["memory_limiter"]
    assert re.fullmatch(r"[1-9]\d*s", limiter["check_interval"]), "the collector refuses to start without it"
    assert 0 < limiter["spike_limit_mib"] < limiter["limit_mib"]


def test_no_exporter_is_one_that_the_collector_no_longer_has() -> None:
    assert {name.split("/")[0] for name in {*CONFIG["exporters"], *CONFIG["connectors"]}} & GONE == set()


def test_spans_reach_jaeger_by_otlp_and_their_metrics_prometheus() -> None:
    assert CONFIG["exporters"]["otlp_grpc/jaeger"]["endpoint"].endswith("jaeger:4317}")
    assert CONFIG["exporters"]["otlp_http/prometheus"]["endpoint"].endswith("prometheus:9090/api/v1/otlp}")
    assert "--web.enable-otlp-receiver" in COMPOSE["prometheus"]["command"]


def test_span_metrics_have_a_bucket_at_each_duration_that_the_guide_expects() -> None:
    spans = CONFIG["connectors"]["span_metrics"]
    assert spans["histogram"]["unit"] == "s"
    assert {"200ms", "500ms", "900s"} <= set(spans["histogram"]["explicit"]["buckets"])
    assert spans["aggregation_cardinality_limit"] > 0


@pytest.mark.parametrize("kind", MANIFESTS)
def test_manifests_are_what_kubernetes_takes(kind: str) -> None:
    assert_valid(MANIFESTS[kind])


def test_kubernetes_runs_the_very_file_and_the_same_release_as_compose() -> None:
    config_map, deployment = MANIFESTS["ConfigMap"], MANIFESTS["Deployment"]
    (container,) = containers(deployment)
    assert config_map["data"] == {"config.yaml": (DIRECTORY / "config.yaml").read_text()}
    (volume,) = deployment["spec"]["template"]["spec"]["volumes"]
    assert volume["configMap"]["name"] == config_map["metadata"]["name"]
    (mount,) = container["volumeMounts"]
    assert (
        container["args"]
        == [f"--config={mount['mountPath']}/config.yaml"]
        == COMPOSE["otel-collector"]["command"]
    )
    assert container["image"] == COMPOSE["otel-collector"]["image"]


def test_every_variable_of_the_configuration_is_set_in_kubernetes() -> None:
    (container,) = containers(MANIFESTS["Deployment"])
    variables = set(re.findall(r"\$\{env:(\w+)", (DIRECTORY / "config.yaml").read_text()))
    assert variables == {"JAEGER_ENDPOINT", "PROMETHEUS_OTLP_ENDPOINT"}
    assert variables <= {variable["name"] for variable in container["env"]}


def test_the_ports_lead_from_the_service_to_what_the_collector_listens_on() -> None:
    service, deployment = MANIFESTS["Service"], MANIFESTS["Deployment"]
    (container,) = containers(deployment)
    listens = {port["name"]: port["containerPort"] for port in container["ports"]}
    protocols = CONFIG["receivers"]["otlp"]["protocols"]
    assert protocols["grpc"]["endpoint"] == f"0.0.0.0:{listens['otlp-grpc']}"
    assert protocols["http"]["endpoint"] == f"0.0.0.0:{listens['otlp-http']}"
    assert CONFIG["extensions"]["health_check"]["endpoint"] == f"0.0.0.0:{listens['health']}"
    assert {port["targetPort"] for port in service["spec"]["ports"]} <= set(listens)
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    assert service["metadata"]["name"] == "otel-collector"


def test_the_container_is_limited() -> None:
    assert_restricted(MANIFESTS["Deployment"])
