"""The load test: its objectives are the guide's; where k6 is installed it is run, scaled down."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.sample.produce import PROFILES
from tests.monitoring.manifests import (
    MONITORING,
    assert_restricted,
    assert_valid,
    containers,
    kustomized,
    pod_spec,
)
from tests.monitoring.product import product

DIRECTORY = MONITORING / "load"
SCRIPT = DIRECTORY / "load-test.js"
TEXT = SCRIPT.read_text()
JOB, CONFIG_MAP = kustomized(DIRECTORY)
PATH = "/v1/integrations?limit=20"


def test_levels_and_objectives_are_the_guides() -> None:
    levels = {name: int(rate) for name, rate in re.findall(r"(\w+): \{ rate: (\d+), hold", TEXT)}
    assert levels == PROFILES
    objectives = re.search(r"OBJECTIVES = \[(.*)\]", TEXT)
    assert objectives
    assert re.findall(r"'(.*?)'", objectives[1]) == ["p(50)<100", "p(95)<500", "p(99)<1000"]
    assert "threshold: 'rate<0.01'" in TEXT
    assert "'ramping-arrival-rate'" in TEXT, "users are no requests per second"


def test_the_test_ends_before_its_job_does() -> None:
    ramp = re.search(r"RAMP = (\d+)", TEXT)
    assert ramp
    holds = [int(hold) for hold in re.findall(r"hold: (\d+)", TEXT)]
    assert (
        sum(holds) + len(holds) * int(ramp[1]) < JOB["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"]
    )


def test_the_job_is_valid_limited_and_waits_to_be_wanted() -> None:
    assert_valid(JOB)
    assert_restricted(JOB)
    assert JOB["spec"]["suspend"] is True
    assert JOB["spec"]["concurrencyPolicy"] == "Forbid"
    assert JOB["spec"]["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert pod_spec(JOB)["restartPolicy"] == "Never"


def test_the_job_runs_the_very_script_and_not_against_production() -> None:
    (container,) = containers(JOB)
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod_spec(JOB)["volumes"]}
    assert volumes["scripts"]["configMap"]["name"] == CONFIG_MAP["metadata"]["name"]
    assert container["args"][-1] == f"{mounts['scripts']}/{SCRIPT.name}"
    variables = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert "staging" in variables["BASE_URL"]
    assert "ALLOW_PRODUCTION" not in variables
    for name in re.findall(r"__ENV\.(\w+)", TEXT):
        assert name in {*variables, "ALLOW_PRODUCTION", "RATE_SCALE", "TIME_SCALE"}


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_script_is_valid_javascript(tmp_path: Path) -> None:
    module = tmp_path / "load-test.mjs"
    module.write_text(TEXT)
    checked = subprocess.run(["node", "--check", module], capture_output=True, check=False)  # noqa: S607 - of the PATH
    assert checked.returncode == 0, checked.stderr.decode()


def k6(url: str, *more: str) -> "subprocess.CompletedProcess[str]":
    scale = ("-e", "RATE_SCALE=0.02", "-e", "TIME_SCALE=0.01")
    return subprocess.run(
        ["k6", "run", "--no-usage-report", "--quiet", "-e", f"BASE_URL={url}", *scale, *more, SCRIPT],  # noqa: S607
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.skipif(shutil.which("k6") is None, reason="k6 is not installed")
def test_k6_judges_a_server() -> None:
    with product({PATH: (200, b'{"total":3}')}) as (url, keys):
        good = k6(url, "-e", "API_KEY=secret")
    assert good.returncode == 0, good.stdout + good.stderr
    assert "{scenario:burst}" in good.stdout
    assert set(keys) == {"Bearer secret"}
    with product({PATH: (200, b"{}")}) as (url, _):
        assert k6(url).returncode == 99, "crossed thresholds"


@pytest.mark.skipif(shutil.which("k6") is None, reason="k6 is not installed")
@pytest.mark.parametrize(
    ("url", "said"), [("", "BASE_URL is not set"), ("https://api.claude-code-bot.com/", "production")]
)
def test_k6_does_not_begin_by_accident(url: str, said: str) -> None:
    refused = k6(url)
    assert refused.returncode != 0
    assert said in refused.stderr
