"""What runs on GitHub, as far as it can be judged without GitHub."""

import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.packaging.conftest import ROOT
from tests.packaging.test_distributions import PROJECT

GITHUB = ROOT / ".github"
FILES = sorted((GITHUB / "workflows").glob("*.yml"))
WORKFLOWS: dict[str, dict[str, Any]] = {file.stem: yaml.safe_load(file.read_text()) for file in FILES}
BIN = Path(sys.executable).parent

# A step or a job of another repository: by commit, its version beside it.
PINNED = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")

UNSAFE_WORKFLOW = """name: Unsafe
on: pull_request_target
jobs:
  greet:
    runs-on: ubuntu-24.04
    steps:
      - run: echo "${{ github.event.pull_request.title }}"
"""
BROKEN_WORKFLOW = """name: Broken
on: push
jobs:
  greet:
    runs-on: ubuntu-24.04
    needs: [nobody]
    steps:
      - run: for
"""


def steps(workflow: str) -> Iterator[dict[str, Any]]:
    for job in WORKFLOWS[workflow]["jobs"].values():
        yield from job.get("steps", [])


def check(*command: Path | str, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    # shellcheck, which actionlint calls, stands beside the other tools of the environment.
    environment = {"PATH": f"{BIN}:/usr/bin:/bin", "NO_COLOR": "1"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def assert_passes(*command: Path | str) -> None:
    checked = check(*command)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def actionlint() -> str:
    """Find actionlint, or skip the test."""
    found = shutil.which("actionlint", path=BIN) or shutil.which("actionlint")
    if found is None:
        pytest.skip("actionlint is not installed: `make test` builds it where Go is installed")
    return found


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", FILES),
        ("custom.github-workflows-require-timeout", FILES),
        ("vendor.dependabot", [GITHUB / "dependabot.yml"]),
        ("vendor.github-issue-config", [GITHUB / "ISSUE_TEMPLATE/config.yml"]),
        ("vendor.github-issue-forms", sorted((GITHUB / "ISSUE_TEMPLATE").glob("*_*.yml"))),
    ],
)
def test_files_for_github_keep_to_its_schemas(schema: str, files: list[Path]) -> None:
    assert files
    assert_passes(BIN / "check-jsonschema", "--builtin-schema", schema, *files)


def test_zizmor_finds_no_weakness_in_workflows_dependabot_and_hooks() -> None:
    files = [*FILES, GITHUB / "dependabot.yml", ROOT / ".pre-commit-config.yaml"]
    assert_passes(BIN / "zizmor", "--offline", "--persona", "auditor", "--no-progress", *files)


def test_zizmor_would_find_one(tmp_path: Path) -> None:
    (tmp_path / "unsafe.yml").write_text(UNSAFE_WORKFLOW)
    found = check(BIN / "zizmor", "--offline", "--no-progress", tmp_path / "unsafe.yml")
    assert "template-injection" in found.stdout
    assert found.returncode != 0


def test_actionlint_finds_no_fault_in_the_workflows_or_their_shell() -> None:
    assert_passes(actionlint(), *FILES)


def test_actionlint_would_find_one(tmp_path: Path) -> None:
    (tmp_path / "broken.yml").write_text(BROKEN_WORKFLOW)
    found = check(actionlint(), tmp_path / "broken.yml", cwd=tmp_path)
    assert "nobody" in found.stdout
    assert "shellcheck" in found.stdout
    assert found.returncode != 0


def test_hadolint_finds_no_fault_in_the_dockerfile() -> None:
    assert_passes(BIN / "hadolint", "--no-color", ROOT / "Dockerfile")


def test_hadolint_would_find_one(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM python:latest\nRUN pip install orjson\n")
    found = check(BIN / "hadolint", tmp_path / "Dockerfile")
    assert "DL3007" in found.stdout
    assert found.returncode != 0


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_actions_are_pinned_to_a_commit_with_its_version_beside_it(file: Path) -> None:
    used = re.findall(r"uses: (.+)", file.read_text())
    assert used
    for action in used:
        assert action.startswith("./") or PINNED.fullmatch(action), action


def test_an_action_is_the_same_commit_everywhere() -> None:
    commits = defaultdict(set)
    for file in FILES:
        for action, commit in re.findall(r"uses: ([^\s@]+)@(.+)", file.read_text()):
            commits[action].add(commit)
    assert all(len(different) == 1 for different in commits.values()), commits


def test_no_step_keeps_the_token_after_the_checkout() -> None:
    checkouts = [
        step
        for name in WORKFLOWS
        for step in steps(name)
        if step.get("uses", "").startswith("actions/checkout@")
    ]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_nothing_is_written_to_the_outside_before_the_checks_have_passed() -> None:
    jobs = WORKFLOWS["release"]["jobs"]

    def waits_for(job: str) -> set[str]:
        needs = jobs[job].get("needs", [])
        return set(needs).union(*(waits_for(need) for need in needs))

    writing = [name for name, job in jobs.items() if "write" in job.get("permissions", {}).values()]
    assert writing == ["image", "pypi", "github"]
    assert jobs["checks"]["uses"] == "./.github/workflows/ci.yml"
    for job in writing:
        assert {"checks", "build"} <= waits_for(job), job


def test_the_workflow_runs_on_every_python_that_the_package_names() -> None:
    named = {
        one.rpartition(" ")[2]
        for one in PROJECT["classifiers"]
        if one.startswith("Programming Language :: Python :: 3.")
    }
    assert set(WORKFLOWS["ci"]["jobs"]["unit"]["strategy"]["matrix"]["python"]) == named


def test_the_image_has_bill_of_materials_and_provenance() -> None:
    (push,) = [step["with"] for step in steps("release") if "build-push-action" in step.get("uses", "")]
    assert push["sbom"] is True
    assert push["provenance"] == "mode=max"


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_ci_calls_targets_that_there_are() -> None:
    called = [step["run"] for step in steps("ci") if "run" in step]
    assert called
    assert {command.removeprefix("make ") for command in called} <= make_targets()


def test_the_hooks_are_the_targets_of_ci_so_versions_cannot_differ() -> None:
    (hooks,) = [
        repository["hooks"]
        for repository in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
        if repository["repo"] == "local"
    ]
    entries = {hook["entry"] for hook in hooks}
    assert entries == {"make lint", "make unit"}
    assert {entry.removeprefix("make ") for entry in entries} <= make_targets()
    assert all(hook["language"] == "system" and not hook["pass_filenames"] for hook in hooks)


def test_artifacts_are_fetched_by_the_names_that_they_were_stored_under() -> None:
    stored = [step["with"]["name"] for step in steps("release") if "upload-artifact" in step.get("uses", "")]
    fetched = [
        step["with"]["name"] for step in steps("release") if "download-artifact" in step.get("uses", "")
    ]
    assert len(stored) == len(set(stored))
    assert set(fetched) == set(stored)


def test_what_the_release_installs_is_constrained() -> None:
    constrained = set(re.findall(r"^([\w-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    installs = [
        re.findall(r"pip install --constraint constraints.txt (.+)", step.get("run", ""))
        for step in steps("release")
    ]
    packages = {package for found in installs for line in found for package in line.split()}
    assert packages == {"build", "hatch-fancy-pypi-readme", "hatchling"}
    assert packages <= constrained
