"""The wheel and the source distribution, built once for the whole run."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]


class Distributions(NamedTuple):
    """What `python -m build` makes."""

    sdist: Path
    wheel: Path


def build(source: Path, output: Path, *options: str) -> None:
    """Build with the hatchling of the environment, so that nothing has to be fetched."""
    command = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "--outdir",
        str(output),
        *options,
        str(source),
    ]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """Build the wheel from the unpacked source distribution, as a packager does."""
    output = tmp_path_factory.mktemp("dist")
    build(ROOT, output)
    (sdist,), (wheel,) = output.glob("*.tar.gz"), output.glob("*.whl")
    return Distributions(sdist, wheel)
