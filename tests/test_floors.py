"""The floors of the house: import-linter refuses an import that goes up, and a client of a server in a pure room."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINT = Path(sys.executable).with_name("lint-imports")


def lint(directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINT, "--no-cache"], cwd=directory, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "line", "said"),
    [
        (
            "events/levels.py",
            "import pipeline.bulk.outcomes",
            "pipeline.events is not allowed to import pipeline.bulk",
        ),
        ("replay/run.py", "import pipeline.audit", "pipeline.replay is not allowed to import pipeline.audit"),
        ("events/levels.py", "import asyncio", "pipeline.events is not allowed to import asyncio"),
        ("log_metrics/rules.py", "import aiokafka", "pipeline.log_metrics is not allowed to import aiokafka"),
    ],
    ids=["up", "sideways", "an event loop", "a client"],
)
def test_a_wrong_import_is_refused(copy: Path, module: str, line: str, said: str) -> None:
    file = copy / "pipeline" / module
    file.write_text(f"{file.read_text()}\n{line}\n")
    result = lint(copy)
    assert result.returncode == 1
    assert said in " ".join(result.stdout.split())


def test_a_room_that_no_floor_names_is_refused(copy: Path) -> None:
    (copy / "pipeline/attic.py").touch()
    result = lint(copy)
    assert result.returncode == 1
    assert "attic" in result.stdout
