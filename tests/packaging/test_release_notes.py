"""Which tags can be released, and what is said of them."""

import subprocess
import sys
from pathlib import Path

import pytest

from release.notes import ReleaseError, notes, release_notes
from tests.packaging.conftest import ROOT

CHANGELOG = """# Changelog

## [Unreleased]

### Added

- Not out yet.

## [0.10.0] - 2026-12-01

### Added

- A thing, see [the docs].

### Fixed

- Another.

## [0.1.0] - 2026-11-01

- The first.

## [0.0.9] - 2026-10-01

[the docs]: https://example.com/docs
"""


def write_project(directory: Path, version: str) -> Path:
    (directory / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n')
    (directory / "CHANGELOG.md").write_text(CHANGELOG)
    return directory


@pytest.mark.parametrize(
    ("version", "text"),
    [
        ("0.10.0", "### Added\n\n- A thing, see [the docs].\n\n### Fixed\n\n- Another.\n"),
        ("0.1.0", "- The first.\n"),
    ],
)
def test_notes_are_what_stands_below_the_version(version: str, text: str) -> None:
    assert notes(CHANGELOG, version) == text


@pytest.mark.parametrize("version", ["0.2.0", "0.1", "0x1.0", "Unreleased"])
def test_a_version_without_a_dated_heading_has_no_notes(version: str) -> None:
    with pytest.raises(ReleaseError, match="has no heading"):
        notes(CHANGELOG, version)


def test_a_version_of_which_nothing_is_said_is_refused() -> None:
    with pytest.raises(ReleaseError, match=r"says nothing about 0\.0\.9"):
        notes(CHANGELOG, "0.0.9")


def test_the_tag_is_the_version(tmp_path: Path) -> None:
    assert release_notes("v0.1.0", write_project(tmp_path, "0.1.0")) == "- The first.\n"


@pytest.mark.parametrize("tag", ["0.1.0", "v0.1.1", "v0.1.0-rc1", "main"])
def test_another_tag_is_refused(tag: str, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"the tag must be v0\.1\.0"):
        release_notes(tag, write_project(tmp_path, "0.1.0"))


def test_the_command_says_what_is_wrong_and_prints_no_notes() -> None:
    command = [sys.executable, "-m", "release.notes", "v0.0.0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: the tag is v0.0.0, but pyproject.toml has version ")
