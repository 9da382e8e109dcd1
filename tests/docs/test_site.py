"""The site is built strictly: what leads nowhere, or cannot be found, is refused."""

import re
from pathlib import Path

import pytest

from docs.source import site
from docs.source.site import SiteError, build, pages

CONFIG = """
[project]
site_name = "t"
docs_dir = "pages"
site_dir = "html"
use_directory_urls = false
nav = [{ "A" = "index.md" }, { "B" = [{ "C" = "other.md" }] }]
[project.theme]
font = false
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("site"))


def test_every_page_is_built(built: Path) -> None:
    missing = [page for page in pages().values() if not (built / page.with_suffix(".html")).is_file()]
    assert missing == []


def test_the_site_has_search_and_loads_nothing_from_elsewhere(built: Path) -> None:
    assert "dead letter" in (built / "search.json").read_text().lower()
    for page in built.rglob("*.html"):
        text = page.read_text()
        loaded = re.findall(r"<(?:script|img|iframe)[^>]*\bsrc=\"?([^\"\s>]+)", text)
        loaded += re.findall(r"<link[^>]*rel=\"?stylesheet\"?[^>]*href=\"?([^\"\s>]+)", text)
        assert [each for each in loaded if re.match(r"(https?:)?//", each)] == [], page.name
        for each in loaded:
            start = built if each.startswith("/") else page.parent
            assert (start / each.split("?")[0].lstrip("/")).exists(), f"{page.name}: {each}"


def test_links_out_of_the_site_lead_to_the_source(built: Path) -> None:
    text = (built / "monitoring.html").read_text()
    assert "/blob/main/pipeline/log_metrics/default_metrics.toml" in text
    assert "runbooks/service-down.html" in text


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of two pages, whose site can be built."""
    monkeypatch.setattr(site, "ROOT", tmp_path)
    monkeypatch.setattr(site, "_SINGLE", {"README.md": "index.md"})
    (tmp_path / "zensical.toml").write_text(CONFIG)
    (tmp_path / "pyproject.toml").write_text('[project.urls]\nSource = "https://example.com/t"\n')
    (tmp_path / "README.md").write_text("# A\n\n[c](docs/other.md#there) `[not a link](x.md)`\n")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/other.md").write_text("# C\n\n## There\n")
    return tmp_path


def test_a_small_site_is_built(small: Path) -> None:
    assert 'href="other.html#there"' in (build(small / ".site") / "index.html").read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[x](docs/nothing.md)", "docs/nothing.md leads nowhere"),
        ("[x](pipeline/nothing.py)", "pipeline/nothing.py leads nowhere"),
        ("[x](../outside.md)", "outside.md leads nowhere"),
        ("![x](docs/pictures/nothing.svg)", "nothing.svg leads nowhere"),
        ("[x](docs/other.md#nowhere)", "anchor does not exist"),
    ],
)
def test_a_dead_link_is_refused(small: Path, text: str, said: str) -> None:
    (small / "README.md").write_text(f"# A\n\n{text}\n")
    with pytest.raises(SiteError, match=re.escape(said)):
        build(small / ".site")


def test_a_page_that_the_navigation_lacks_is_refused(small: Path) -> None:
    (small / "docs/third.md").write_text("# Third\n")
    with pytest.raises(SiteError, match=r"third.md is missing in the navigation"):
        build(small / ".site")


def test_a_page_of_the_navigation_that_is_not_there_is_refused(small: Path) -> None:
    (small / "docs/other.md").rename(small / "docs/renamed.md")
    with pytest.raises(SiteError, match=r"no page other.md"):
        build(small / ".site")
