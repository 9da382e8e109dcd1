"""The synthetic check of the product against small servers, and the CronJobs that run it."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.settings import Settings
from tests.monitoring.manifests import (
    MONITORING,
    Manifest,
    assert_restricted,
    assert_valid,
    containers,
    kustomized,
    pod_spec,
)
from tests.monitoring.product import Answers, product

DIRECTORY = MONITORING / "synthetic"
SCRIPT = DIRECTORY / "synthetic-monitor.sh"
KEY = "test-key-S3CRET"
JOBS = {one["metadata"]["name"]: one for one in kustomized(DIRECTORY) if one["kind"] == "CronJob"}
COMPOSE = yaml.safe_load((MONITORING.parent / "docker-compose.yml").read_text())["services"]

GOOD: Answers = {"/health": (200, b'{"status":"ok"}'), "/v1/integrations?limit=1": (200, b'{"total":3}')}


def monitor(url: str, path: str | None = None, **variables: str) -> tuple[int, str]:
    environment = {"PATH": path or os.environ["PATH"], "BASE_URL": url, "REQUEST_TIMEOUT": "5"}
    bash = shutil.which("bash")
    assert bash
    ended = subprocess.run(
        [bash, SCRIPT],
        env={**environment, "TEST_API_KEY": KEY, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert KEY not in ended.stdout + ended.stderr
    return ended.returncode, ended.stdout.strip()


def test_the_script_is_valid_bash_and_executable() -> None:
    assert os.access(SCRIPT, os.X_OK)
    checked = subprocess.run(["bash", "-n", SCRIPT], capture_output=True, check=False)  # noqa: S607 - of the PATH
    assert checked.returncode == 0, checked.stderr.decode()


def test_a_product_that_works_is_ok() -> None:
    with product(GOOD) as (url, keys):
        assert monitor(f"{url}/") == (0, "OK: health, API")
    assert keys == [f"Bearer {KEY}"]


def test_the_key_may_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "api-key"
    file.write_text("from-file\n")
    with product(GOOD) as (url, keys):
        assert monitor(url, TEST_API_KEY_FILE=str(file))[0] == 0
    assert keys == ["Bearer from-file"]


@pytest.mark.parametrize(
    ("path", "answer", "said"),
    [
        ("/health", (503, b'{"status":"down"}'), "/health answers HTTP 503"),
        ("/health", (301, b""), "/health answers HTTP 301"),
        (
            "/v1/integrations?limit=1",
            (401, b'{"error":"no"}'),
            '/v1/integrations answers HTTP 401: {"error":"no"}',
        ),
        ("/v1/integrations?limit=1", (500, b"oh"), "/v1/integrations answers HTTP 500: oh"),
        ("/v1/integrations?limit=1", (200, b"{}"), 'without a number "total": {}'),
        ("/v1/integrations?limit=1", (200, b'{"total":"3"}'), 'without a number "total"'),
        ("/v1/integrations?limit=1", (200, b"<html>"), 'without a number "total": <html>'),
        ("/v1/integrations?limit=1", (200, b""), 'without a number "total"'),
    ],
)
def test_a_product_that_fails_is_critical(path: str, answer: tuple[int, bytes], said: str) -> None:
    with product({**GOOD, path: answer}) as (url, _):
        code, text = monitor(url)
    assert code == 2
    assert text.startswith(f"CRITICAL: {url}/")
    assert said in text


def test_an_empty_list_of_integrations_is_no_failure() -> None:
    with product({**GOOD, "/v1/integrations?limit=1": (200, b'{"total":0}')}) as (url, _):
        assert monitor(url)[0] == 0


def test_a_product_that_is_away_is_critical() -> None:
    code, text = monitor("http://127.0.0.1:9")
    assert (code, text) == (2, "CRITICAL: http://127.0.0.1:9/health does not answer within 5 s")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"TEST_API_KEY": ""}, "neither TEST_API_KEY nor TEST_API_KEY_FILE is set"),
        ({"TEST_API_KEY_FILE": "/no/such/file"}, "/no/such/file cannot be read"),
    ],
)
def test_a_check_that_cannot_run_is_unknown(variables: dict[str, str], said: str) -> None:
    code, text = monitor("http://127.0.0.1:9", **variables)
    assert code == 3
    assert text.startswith("UNKNOWN: ")
    assert said in text


def test_a_missing_program_is_unknown(tmp_path: Path) -> None:
    code, text = monitor("http://127.0.0.1:9", path=str(tmp_path))
    assert (code, text) == (3, "UNKNOWN: curl is not installed")


# --- the whole flow, with a gh that only remembers --------------------------------------------------------

GH = """#!/usr/bin/env bash
echo "$@" >> "$GH_CALLS"
case "$1 $2" in
  "issue create") [[ $GH_REPO == refused/* ]] && exit 1; echo "https://github.com/$GH_REPO/issues/12" ;;
  "pr list") cat "$GH_PULL_REQUESTS" ;;
esac
"""


class Flow:
    """Runs the check with a `gh` of our own, which knows these pull requests."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        (directory / "gh").write_text(GH)
        (directory / "gh").chmod(0o755)

    def run(self, pull_requests: list[dict[str, Any]], repository: str = "o/r") -> tuple[int, str, list[str]]:
        calls, known = self._directory / "calls", self._directory / "pull-requests.json"
        calls.touch()
        known.write_text(json.dumps(pull_requests))
        with product(GOOD) as (url, _):
            code, text = monitor(
                url,
                path=f"{self._directory}:{os.environ['PATH']}",
                FULL_FLOW="1",
                GH_REPO=repository,
                GH_CALLS=str(calls),
                GH_PULL_REQUESTS=str(known),
                FLOW_LIMIT="1",
                FLOW_POLL="1",
            )
        return code, text, calls.read_text().splitlines()


@pytest.fixture
def flow(tmp_path: Path) -> Flow:
    return Flow(tmp_path)


def test_the_flow_ends_with_a_pull_request_of_our_issue_and_leaves_nothing_behind(flow: Flow) -> None:
    code, text, calls = flow.run([{"number": 40, "title": "Add Slack", "body": "Closes #12."}])
    assert code == 0
    assert text.startswith("OK: health, API, issue #12 to pull request in ")
    assert "--label synthetic" in calls[0]
    assert "pr close 40 --repo o/r --delete-branch" in calls
    assert calls[-1].startswith("issue close 12 --repo o/r")


@pytest.mark.parametrize(
    "others",
    [
        pytest.param([], id="none"),
        pytest.param([{"number": 41, "title": "Other", "body": "Closes #123"}], id="another number"),
        pytest.param([{"number": 42, "title": "Older", "body": None}], id="no text"),
    ],
)
def test_pull_requests_of_others_prove_nothing(flow: Flow, others: list[dict[str, Any]]) -> None:
    code, text, calls = flow.run(others)
    assert (code, text) == (2, "CRITICAL: no pull request for issue #12 within 1 s")
    assert not [call for call in calls if call.startswith("pr close")]
    assert calls[-1].startswith("issue close 12"), "closed whatever has happened"


def test_no_issue_is_no_failure_of_the_product(flow: Flow) -> None:
    code, text, calls = flow.run([], repository="refused/r")
    assert (code, text) == (3, "UNKNOWN: no issue could be created in refused/r")
    assert len(calls) == 1


# --- CronJobs ---------------------------------------------------------------------------------------------


def test_there_is_a_job_for_each_check() -> None:
    assert set(JOBS) == {"synthetic-monitor", "synthetic-monitor-full", "synthetic-monitor-pipeline"}


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_a_job_is_valid_limited_and_does_not_pile_up(job: Manifest) -> None:
    assert_valid(job)
    assert_restricted(job)
    spec = job["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["startingDeadlineSeconds"] >= 100, "below, a missed start is never made up for"
    assert spec["failedJobsHistoryLimit"] >= 1, "the alert needs the failed job"
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert "ttlSecondsAfterFinished" not in spec["jobTemplate"]["spec"], "the alert needs the failed job"
    assert pod_spec(job)["restartPolicy"] == "Never"


def test_a_job_ends_before_the_next_one_is_due() -> None:
    for name, every, longest in (
        ("synthetic-monitor", 300, 2 * 10),
        ("synthetic-monitor-pipeline", 300, 60 + 10),
        ("synthetic-monitor-full", 3600, 900 + 2 * 10),
    ):
        assert longest < JOBS[name]["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] < every


def test_only_what_costs_nothing_runs_by_default() -> None:
    assert {name for name, job in JOBS.items() if job["spec"].get("suspend")} == {"synthetic-monitor-full"}


def test_the_script_is_mounted_where_it_is_started_and_finds_its_key() -> None:
    (config_map,) = (one for one in kustomized(DIRECTORY) if one["kind"] == "ConfigMap")
    for name in ("synthetic-monitor", "synthetic-monitor-full"):
        (container,) = containers(JOBS[name])
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod_spec(JOBS[name])["volumes"]}
        assert volumes["scripts"]["configMap"]["name"] == config_map["metadata"]["name"]
        assert container["command"] == ["bash", f"{mounts['scripts']}/{SCRIPT.name}"]
        (item,) = volumes["secrets"]["secret"]["items"]
        environment = {variable["name"]: variable.get("value") for variable in container["env"]}
        assert environment["TEST_API_KEY_FILE"] == f"{mounts['secrets']}/{item['path']}"
        assert all(name in SCRIPT.read_text() for name in environment if name != "GH_CONFIG_DIR")


def test_the_pipelines_job_runs_the_probe_of_our_image() -> None:
    (container,) = containers(JOBS["synthetic-monitor-pipeline"])
    assert container["image"] == COMPOSE["pipeline"]["image"]
    command, *arguments = container["args"]
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert command == "probe"
    assert options == {"--timeout": "60", "--url": f"http://log-pipeline:{Settings().http.port}"}
