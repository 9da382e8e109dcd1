"""The site: pages of the repository, their links turned towards each other, built strictly by Zensical.

`python -m docs.source.site` builds into `.site/html`. Pages stay where GitHub shows them; a copy of each is what is
built. In a copy, a link to another page of the site leads to that page, a link to any other file of the repository
leads to the source on the web. What Zensical does not check is checked here: links to files outside the site,
pictures, and that the navigation has every page once.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["SiteError", "build", "pages"]

ROOT = Path(__file__).parents[2]
CONFIG = "zensical.toml"
# Folders whose Markdown pages are part of the site, and pages beside them.
_FOLDERS = ["docs", "monitoring/runbooks"]
_SINGLE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "deploy/README.md": "deploy.md",
}
_PICTURE = {".svg", ".png"}
_LINK = re.compile(
    r"(?P<before>\]\(|<(?:img|source)[^>]*?\bsrc(?:set)?=\")(?P<target>[^)\s\"#]+)(?P<anchor>#[^)\s\"]*)?"
)
_CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)


class SiteError(Exception):
    """The site cannot be built as it should be: all that was found, one a line."""


def pages() -> dict[Path, Path]:
    """Give each page's place in the repository and its place in the site, both relative."""
    found = {Path(name): Path(place) for name, place in _SINGLE.items()}
    for folder in _FOLDERS:
        for page in sorted((ROOT / folder).rglob("*.md")):
            place = page.relative_to(ROOT)
            site = (
                place.relative_to("docs")
                if folder == "docs"
                else Path(folder).name / place.relative_to(folder)
            )
            found[place] = site.with_name("index.md") if site.name == "README.md" else site
    return found


def build(directory: Path) -> Path:
    """Build the site below a directory and return where its pages are.

    Raises SiteError when a link leads nowhere, or a page is missing in the navigation or twice there.
    """
    shutil.rmtree(directory, ignore_errors=True)
    problems = [*_navigation_problems(), *_copy(directory / "pages")]
    if problems:
        raise SiteError("\n".join(problems))
    config = (ROOT / CONFIG).read_text("utf-8")
    (directory / CONFIG).write_text(
        config.replace("[project]", f'[project]\nrepo_url = "{_repository()}"', 1), "utf-8"
    )
    built = subprocess.run(  # noqa: S603 - our own command
        [Path(sys.executable).with_name("zensical"), "build", "--clean", "--strict"],
        cwd=directory,
        env={**os.environ, "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if built.returncode:
        raise SiteError(built.stdout)
    return directory / "html"


def _navigation_problems() -> Iterator[str]:
    listed = list(_listed(_config()["nav"]))
    there = {place.as_posix() for place in pages().values()}
    yield from (f"{CONFIG}: no page {name}" for name in listed if name not in there)
    yield from (f"{CONFIG}: {name} is there twice" for name in set(listed) if listed.count(name) > 1)
    yield from (f"{CONFIG}: {name} is missing in the navigation" for name in sorted(there - set(listed)))


def _listed(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        if isinstance(entry, str):
            yield entry
        else:
            for value in entry.values():
                yield from _listed(value if isinstance(value, list) else [value])


def _copy(target: Path) -> Iterator[str]:
    """Copy all pages and the pictures that they show; yield what is wrong with their links."""
    places = pages()
    for page, place in places.items():
        text, problems = _turned((ROOT / page).read_text("utf-8"), page, places, target)
        yield from problems
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        (target / place).write_text(text, "utf-8")


def _turned(text: str, page: Path, places: Mapping[Path, Path], target: Path) -> tuple[str, list[str]]:
    problems: list[str] = []

    def turn(found: re.Match[str]) -> str:
        link = found["target"]
        if re.match(r"[a-z]+:", link):
            return found[0]
        file = Path(os.path.normpath(page.parent / link))
        if file.parts[0] == ".." or not (ROOT / file).exists():
            problems.append(f"{page}: {link} leads nowhere")
            return found[0]
        place = places.get(file)
        if place is None and file.suffix in _PICTURE:
            place = file.relative_to("docs") if file.parts[0] == "docs" else Path("pictures") / file.name
            (target / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, target / place)
        if place is None:
            return f"{found['before']}{_repository()}/blob/main/{file.as_posix()}{found['anchor'] or ''}"
        turned = os.path.relpath(place, places[page].parent)
        return f"{found['before']}{turned}{found['anchor'] or ''}"

    # Code is shown as it is.
    parts = _CODE.split(text)
    parts[::2] = [_LINK.sub(turn, part) for part in parts[::2]]
    return "".join(parts), problems


def _repository() -> str:
    """Give the address of the project, which stands in pyproject.toml alone."""
    urls: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]
    return urls["Source"]


def _config() -> dict[str, Any]:
    config: dict[str, Any] = tomllib.loads((ROOT / CONFIG).read_text("utf-8"))["project"]
    return config


def main() -> None:
    """Build the site, or say what is wrong with it and exit with 1."""
    try:
        print(build(ROOT / ".site") / "index.html")  # noqa: T201 - where to look
    except SiteError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
