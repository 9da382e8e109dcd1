"""What deploy/README.md and the chart's README name is there."""

import re
import shlex
from pathlib import Path

import pytest

from tests.monitoring.manifests import DEPLOY, ROOT

PAGES = [DEPLOY / "README.md", DEPLOY / "helm/logpipe/README.md"]


def commands(page: Path) -> list[list[str]]:
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=["deploy", "chart"])
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert links
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=["deploy", "chart"])
def test_files_of_the_project_in_commands_are_there(page: Path) -> None:
    named = [word for command in commands(page) for word in command if word.startswith("deploy/")]
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_what_kubectl_applies_is_a_kustomization() -> None:
    applied = [
        command[3] for command in commands(DEPLOY / "README.md") if command[:3] == ["kubectl", "apply", "-k"]
    ]
    assert len(applied) == 3
    assert [name for name in applied if not (ROOT / name / "kustomization.yaml").is_file()] == []


def test_each_way_has_its_section() -> None:
    text = (DEPLOY / "README.md").read_text()
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Helm", "Kubernetes, plain", "systemd"]
    anchors = re.findall(r"\]\(#([a-z-]+)\)", text)
    assert anchors == ["helm", "kubernetes-plain", "systemd"]
