"""Print a release's notes, taken from CHANGELOG.md: `python -m release.notes v1.2.3`.

A tag that is not the version in pyproject.toml is refused, and so is a version without notes. Standard library
only: the workflow runs this before anything is installed.
"""

import re
import sys
import tomllib
from pathlib import Path

__all__ = ["ReleaseError", "notes", "release_notes"]

ROOT = Path(__file__).parents[1]


class ReleaseError(Exception):
    """Say why a tag cannot be released, and what to change."""


def notes(changelog: str, version: str) -> str:
    """Return the text below the heading of a version; raise ReleaseError where there is none."""
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d{{2}}-\d{{2}}$"
    found = re.search(rf"{heading}\n(.*?)(?=^## |^\[[^\]]+\]: |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ReleaseError(
            f"CHANGELOG.md has no heading `## [{version}] - YYYY-MM-DD`: put what is under Unreleased below it"
        )
    text = found[1].strip()
    if not text:
        raise ReleaseError(f"CHANGELOG.md says nothing about {version}: write what a user will notice")
    return text + "\n"


def release_notes(tag: str, root: Path = ROOT) -> str:
    """Return the notes of the release that a tag asks for; raise ReleaseError where the tag is not the version."""
    version: str = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    if tag != f"v{version}":
        raise ReleaseError(
            f"the tag is {tag}, but pyproject.toml has version {version}: the tag must be v{version}"
        )
    return notes((root / "CHANGELOG.md").read_text(), version)


def main(arguments: list[str]) -> int:
    """Print the notes, or what is wrong."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m release.notes TAG\n")
        return 2
    try:
        sys.stdout.write(release_notes(arguments[0]))
    except ReleaseError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
