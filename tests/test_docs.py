"""Documents that are written by the code, or point into it, stay true."""

import re
from pathlib import Path

import pytest

from pipeline.settings.reference import reference

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def test_the_settings_reference_is_up_to_date() -> None:
    assert (ROOT / "docs/settings.md").read_text() == reference(), "run `make docs`"


def test_every_dependency_is_justified() -> None:
    text = (ROOT / "docs/dependencies.md").read_text()
    project = (ROOT / "pyproject.toml").read_text()
    wanted = set(re.findall(r'^    "([a-zA-Z0-9-]+)[\[><=]', project, re.MULTILINE))
    wanted |= set(re.findall(r'"([a-zA-Z0-9-]+)>=', project))
    wanted -= {"hatchling", "kafka-log-pipeline"}  # what builds the package, and the package
    assert {name for name in wanted if f"| {name} |" not in text} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
