"""Pages that are written by the code, or point into it, stay true."""

import re
from pathlib import Path

import pytest

from docs.source.generated import generated
from docs.source.pictures import PICTURES, pictures
from docs.source.rooms_picture import floors, imports
from tests.docs.shell import PAGES, ROOT

ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()
README = (ROOT / "README.md").read_text()
GENERATED = generated()


def rows(text: str, heading: str) -> list[list[str]]:
    """Give the cells of the table below a heading."""
    part = re.split(r"^## ", text.split(f"## {heading}\n")[1], flags=re.MULTILINE)[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize("page", GENERATED, ids=lambda page: page.name)
def test_generated_parts_are_up_to_date(page: Path) -> None:
    assert page.read_text() == GENERATED[page], "run `make docs`"


@pytest.mark.parametrize("name", pictures())
def test_pictures_are_up_to_date(name: str) -> None:
    assert (PICTURES / name).read_text() == pictures()[name], "run `make docs`"


def test_pictures_can_be_read_on_light_and_dark_pages_and_load_nothing() -> None:
    for file in PICTURES.glob("*.svg"):
        text = file.read_text()
        assert not re.search(r"(?:href|src)=\"|url\((?!#)", text.replace('href="#', "")), file.name
        # A terminal has a colour of its own.
        assert "prefers-color-scheme: dark" in text or "rich-terminal" in text, file.name


def test_the_picture_of_the_rooms_has_them_all() -> None:
    text = (PICTURES / "rooms.svg").read_text()
    rooms = [room for floor in floors() for room in floor]
    assert [room for room in rooms if f">{room}</text>" not in text] == []
    assert imports()["cli"] >= {"worker", "audit"}


def test_every_dependency_is_justified() -> None:
    text = (ROOT / "docs/dependencies.md").read_text()
    project = (ROOT / "pyproject.toml").read_text()
    wanted = set(re.findall(r'^    "([a-zA-Z0-9-]+)[\[><=]', project, re.MULTILINE))
    wanted |= set(re.findall(r'"([a-zA-Z0-9-]+)>=', project))
    wanted -= {"hatchling", "kafka-log-pipeline"}  # what builds the package, and the package
    assert {name for name in wanted if f"| {name} |" not in text} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(
        r"\]\(([^)#:]+)(?:#[^)]*)?\)",
        re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL),
    )
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_is_short_and_has_what_one_looks_for() -> None:
    assert len(README.encode()) <= 8_000
    headings = re.findall(r"^## (.+)$", README, re.MULTILINE)
    assert headings == [
        "Try it",
        "Your Kafka, your Elasticsearch",
        "Why this one",
        "Guarantees",
        "Figures",
        "More",
    ]
    assert len(rows(README, "Why this one")) == 8


def test_every_page_of_docs_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        waiting += [target for link in links if (target := (page.parent / link).resolve()).is_file()]
    assert set((ROOT / "docs").glob("*.md")) <= reached


def test_the_walk_has_ten_stops_and_every_change_its_place() -> None:
    assert len(rows(ARCHITECTURE, "The walk of one record")) == 10
    table = rows(ARCHITECTURE, "To change X, look in Y")
    assert len(table) >= 30
    assert all(re.search(r"`[^`]+`", cell) for row in table for cell in row[1:])


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_files_that_are_named_exist(page: str) -> None:
    named = set(re.findall(r"`([\w.@-]+/[\w./@-]*|[\w-]+\.toml)`", (ROOT / page).read_text()))
    # What the reader makes: the settings, and the site that `make docs` builds.
    named -= {"logpipe.toml", ".site/html"}
    assert len(named) > 3
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
