"""The Helm chart: what helm says of it, what it makes, and that this is what the plain manifests hold."""

import json
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.settings import load_settings
from pipeline.version import version
from tests.deploy import helm
from tests.deploy.custom_resources import assert_fits_its_operator, is_of_an_operator
from tests.monitoring.alerting import ALERTS, runbook
from tests.monitoring.manifests import (
    DEPLOY,
    Manifest,
    assert_restricted,
    assert_valid,
    containers,
    kustomized,
    pod_spec,
)

pytestmark = pytest.mark.skipif(
    helm.find() is None, reason="no helm, and no Go that could build it: the chart is not rendered"
)

ALL = ("--set", "keda.enabled=true,serviceMonitor.enabled=true,prometheusRule.enabled=true")
WITHOUT = (
    "--set",
    "podDisruptionBudget.enabled=false,networkPolicy.enabled=false",
)
README = (helm.CHART / "README.md").read_text()
EXAMPLES = [block.partition("```")[0] for block in README.split("```yaml\n")[1:]]


def rendered(*arguments: str | Path) -> dict[str, Manifest]:
    return {one["kind"]: one for one in helm.template("log-pipeline", *arguments)}


def plain() -> dict[str, Manifest]:
    made = [*kustomized(DEPLOY / "kubernetes/keda"), *kustomized(DEPLOY / "kubernetes/prometheus-operator")]
    return {one["kind"]: one for one in made}


def comparable(value: Any) -> Any:
    """Leave out what only Helm adds: labels of its release, and the sum that makes new settings new pods."""
    if isinstance(value, list):
        return [comparable(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    kept = {
        name: comparable(each)
        for name, each in value.items()
        if not name.startswith(("app.kubernetes.io/", "helm.sh/", "checksum/"))
    }
    kept.pop("imagePullPolicy", None)
    kept.pop("namespace", None)
    return {name: each for name, each in kept.items() if name != "annotations" or each}


def variables_in(config_map: Manifest, monkeypatch: pytest.MonkeyPatch, secrets: Path) -> None:
    for name, value in {**config_map["data"], "LOGPIPE_SECRETS_DIR": str(secrets)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(secrets)


def refusal(*arguments: str) -> str:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        rendered(*arguments)
    return str(refused.value.stderr)


def test_helm_finds_nothing_wrong() -> None:
    linted = helm.lint(*ALL)
    assert linted.returncode == 0, linted.stdout + linted.stderr
    assert "[WARNING]" not in linted.stdout


def test_a_mistake_in_a_template_would_be_noticed() -> None:
    assert helm.lint("--set", "settings.kafka=3").returncode != 0


@pytest.mark.parametrize("values", [(), ALL, WITHOUT], ids=["defaults", "all", "least"])
def test_all_objects_are_what_kubernetes_and_the_operators_take(values: tuple[str, ...]) -> None:
    for one in rendered(*values).values():
        (assert_fits_its_operator if is_of_an_operator(one) else assert_valid)(one)
    assert_restricted(rendered(*values)["Deployment"])


def test_the_chart_makes_the_objects_of_the_plain_manifests() -> None:
    assert comparable(rendered(*ALL)) == comparable(plain())


def test_without_operators_nothing_is_made_for_them() -> None:
    made = rendered()
    assert not any(map(is_of_an_operator, made.values()))
    assert made["Deployment"]["spec"]["replicas"] == 2
    assert set(rendered(*WITHOUT)) == {"Deployment", "Service", "ConfigMap"}


def test_two_releases_in_a_namespace_are_apart() -> None:
    one, other = helm.template("one"), helm.template("other")
    assert {each["metadata"]["name"] for each in one} == {"one"}
    selectors = [
        next(each for each in made if each["kind"] == "Service")["spec"]["selector"] for made in (one, other)
    ]
    assert selectors[0] != selectors[1]


def test_the_chart_is_of_this_release() -> None:
    chart = yaml.safe_load((helm.CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == version()


@pytest.mark.parametrize("example", EXAMPLES, ids=["production", "plain text"])
def test_settings_of_the_readmes_examples_are_read(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "values.yaml").write_text(example)
    made = rendered("--values", tmp_path / "values.yaml")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    if yaml.safe_load(example).get("existingSecret", "log-pipeline"):
        (secrets / "kafka.sasl_password").write_text("of-kafka")
    variables_in(made["ConfigMap"], monkeypatch, secrets)
    settings = load_settings()
    wanted = yaml.safe_load(example)["settings"]
    assert list(settings.kafka.bootstrap_servers) == wanted["kafka"]["bootstrap_servers"]
    assert list(settings.elasticsearch.hosts) == wanted["elasticsearch"]["hosts"]
    assert settings.http.host == "0.0.0.0"  # noqa: S104 - in its pod
    ports = [port["containerPort"] for port in next(containers(made["Deployment"]))["ports"]]
    assert ports == [settings.http.port]


@pytest.mark.parametrize("page", ["README.md", "helm/logpipe/README.md"])
def test_the_command_that_the_documents_give_is_one_that_helm_takes(page: str, tmp_path: Path) -> None:
    text = (DEPLOY / page).read_text().replace("\\\n", " ")
    (command,) = (line for line in text.splitlines() if line.startswith("helm "))
    (tmp_path / "my-values.yaml").write_text(EXAMPLES[0])
    words = [str(tmp_path / word) if word == "my-values.yaml" else word for word in shlex.split(command)]
    release, chart, *options = words[words.index("install") + 1 :]
    assert DEPLOY.parent / chart == helm.CHART
    (deployment,) = (one for one in helm.template(release, *options) if one["kind"] == "Deployment")
    assert deployment["metadata"]["name"] == "log-pipeline", "what the runbooks ask for"
    assert next(containers(deployment))["image"].startswith("registry.example.com/")


def test_values_of_every_type_become_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, Any] = {
        "kafka": {"topics": ["a.logs", "b.logs"], "sasl_username": "true"},
        "elasticsearch": {"bulk_max_bytes": 4194304, "compress": True, "flush_interval_seconds": 0.25},
    }
    (tmp_path / "values.json").write_text(json.dumps({"settings": settings}))
    made = rendered("--values", tmp_path / "values.json")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "kafka.sasl_password").write_text("of-kafka")
    variables_in(made["ConfigMap"], monkeypatch, secrets)
    read = load_settings()
    assert read.kafka.topics == ("a.logs", "b.logs")
    assert read.kafka.sasl_username == "true"
    assert read.elasticsearch.bulk_max_bytes == 4194304
    assert read.elasticsearch.compress is True
    assert read.elasticsearch.flush_interval_seconds == 0.25


def test_new_settings_are_new_pods() -> None:
    def annotations(*values: str) -> Any:
        return rendered(*values)["Deployment"]["spec"]["template"]["metadata"]["annotations"]

    assert annotations() != annotations("--set", "settings.index.prefix=other")


@pytest.mark.parametrize(
    "setting", ["kafka.sasl_password", "elasticsearch.api_key", "elasticsearch.password"]
)
def test_a_secret_among_the_settings_is_refused_without_showing_it(setting: str) -> None:
    said = refusal("--set", f"settings.{setting}=hunter2")
    assert f"settings.{setting} is a secret: put it into existingSecret under the key {setting}" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("workrs=3", "workrs"),
        ("keda.enable=true", "enable"),
        ("workers=0", "workers"),
        ("podDisruptionBudget.minAvailable=some", "minAvailable"),
    ],
)
def test_a_misspelt_or_impossible_value_is_refused_by_the_schema(value: str, named: str) -> None:
    assert named in refusal("--set", value)


def test_every_value_has_its_place_in_the_schema() -> None:
    schema = json.loads((helm.CHART / "values.schema.json").read_text())
    values = yaml.safe_load((helm.CHART / "values.yaml").read_text())
    assert set(values) == set(schema["properties"]) - {"global"}
    for name, value in values.items():
        if schema["properties"][name].get("additionalProperties") is False:
            assert set(value) == set(schema["properties"][name]["properties"]), name


def test_secrets_and_authorities_are_mounted_only_where_they_are_named() -> None:
    made = rendered("--set", "existingSecret=,caConfigMap=")
    assert [volume["name"] for volume in pod_spec(made["Deployment"])["volumes"]] == ["tmp"]
    assert "LOGPIPE_SECRETS_DIR" not in made["ConfigMap"]["data"]


@pytest.mark.parametrize(
    ("values", "metadata", "authentication"),
    [
        ("settings.kafka.security_protocol=PLAINTEXT", {}, None),
        ("settings.kafka.security_protocol=SSL", {"tls": "enable"}, "log-pipeline"),
        ("settings.kafka.security_protocol=SSL,caConfigMap=", {"tls": "enable"}, None),
        ("settings.kafka.sasl_mechanism=PLAIN", {"tls": "enable", "sasl": "plaintext"}, "log-pipeline"),
        ("keda.triggerAuthentication=mine", {"tls": "enable", "sasl": "scram_sha512"}, "mine"),
    ],
)
def test_keda_connects_as_the_worker_does(
    values: str, metadata: dict[str, str], authentication: str | None
) -> None:
    made = rendered("--set", "keda.enabled=true", "--set", values)
    (trigger,) = made["ScaledObject"]["spec"]["triggers"]
    assert {name: trigger["metadata"].get(name) for name in metadata} == metadata
    assert {"tls", "sasl"} & set(trigger["metadata"]) == set(metadata)
    assert trigger.get("authenticationRef", {}).get("name") == authentication
    assert ("TriggerAuthentication" in made) == (authentication == "log-pipeline")
    for one in made.values():
        (assert_fits_its_operator if is_of_an_operator(one) else assert_valid)(one)


def test_the_address_of_the_runbooks_is_one_setting() -> None:
    options = ("--set", "prometheusRule.runbookBaseUrl=https://wiki.example.com/on-call/")
    rules = rendered(*ALL, *options)["PrometheusRule"]
    alerts = [rule for group in rules["spec"]["groups"] for rule in group["rules"] if "alert" in rule]
    assert {alert["alert"] for alert in alerts} == {alert.name for alert in ALERTS}
    for alert in alerts:
        page = f"https://wiki.example.com/on-call/{runbook(alert['alert']).stem}"
        assert alert["annotations"]["runbook_url"] == page
