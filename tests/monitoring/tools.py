"""Find the programs that judge what is under monitoring/, or fetch them: `python -m tests.monitoring.tools`.

What is on the PATH is taken. Else Debian's packages are unpacked below .venv/monitoring-tools: nothing is
installed in the system, no service is started, and no root is needed.
"""

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

__all__ = ["PACKAGES", "ToolMissing", "find", "install"]

UNPACKED = Path(__file__).parents[2] / ".venv/monitoring-tools"

# Program -> Debian's package of it.
PACKAGES = {
    "promtool": "prometheus",
    "prometheus": "prometheus",
    "amtool": "prometheus-alertmanager",
    "alertmanager": "prometheus-alertmanager",
}

# Debian calls it otherwise than its authors do, ...
_OTHER_NAMES = {"alertmanager": "prometheus-alertmanager"}

# ... and has taken the built-in templates out of the program: it does not start unless they are installed in the
# system. A path of the same length that is relative makes it look for them where it was unpacked.
_SHARED, _SHARED_HERE = b"/usr/share/prometheus/alertmanager", b"usr/share//prometheus/alertmanager"
_LAUNCHER = """#!/bin/sh
cd "$(dirname "$0")/../.." && exec usr/bin/prometheus-alertmanager "$@"
"""


# To root it would complain that its own user may not write where the project is.
_APT = ["apt-get", "--quiet", "-o", "APT::Sandbox::User=root"]


class ToolMissing(RuntimeError):  # noqa: N818 - reads as a state, which it is
    """Say which program is missing and which package has it."""


def find(program: str) -> Path:
    """Return the path of a program; raise ToolMissing with the name of its package."""
    places = os.pathsep.join([os.environ.get("PATH", os.defpath), str(UNPACKED / "usr/bin")])
    for name in (program, _OTHER_NAMES.get(program, program)):
        if path := shutil.which(name, path=places):
            return Path(path)
    raise ToolMissing(
        f"{program} is missing: run `make {UNPACKED.parent.name}/.monitoring-tools`, "
        f"or install Debian's package {PACKAGES[program]}"
    )


def install(directory: Path = UNPACKED) -> None:
    """Fetch and unpack what is not there yet; raise ToolMissing where Debian's tools are missing too."""
    missing = {package for program, package in PACKAGES.items() if not _is_there(program)}
    if not missing:
        return
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise ToolMissing(
            "promtool, prometheus, amtool and alertmanager are needed on the PATH. Debian and Ubuntu have them in "
            f"the packages {' and '.join(sorted(set(PACKAGES.values())))}; there is no apt-get here to fetch them"
        )
    directory.mkdir(parents=True, exist_ok=True)
    try:
        _fetch(sorted(missing), directory)
        for file in directory.glob("*.deb"):
            _run("dpkg-deb", "--extract", str(file), str(directory))
            file.unlink()
        if "prometheus-alertmanager" in missing:
            _relocate_alertmanager(directory / "usr/bin")
    except subprocess.CalledProcessError as error:
        raise ToolMissing(
            f"could not fetch Debian's packages {' and '.join(sorted(missing))}: `{error.cmd[0]}` ended with "
            f"{error.returncode}; install them, or put their programs on the PATH"
        ) from error


def _is_there(program: str) -> bool:
    try:
        find(program)
    except ToolMissing:
        return False
    return True


def _fetch(packages: list[str], directory: Path) -> None:
    """Download packages with the lists that are there, or with lists of our own when these do not do."""
    try:
        _run(*_APT, "download", *packages, directory=directory)
    except subprocess.CalledProcessError:
        # No lists (an image without them), or old ones that name files which are gone. A directory of our own
        # needs no root; a source that does not answer fails the update, and need not be the one that is wanted.
        lists = directory / "lists"
        (lists / "partial").mkdir(parents=True, exist_ok=True)
        own = [
            "-o",
            f"Dir::State::lists={lists}",
            "-o",
            f"Dir::Cache={lists}",
            "-o",
            "APT::Sandbox::User=root",
        ]
        with suppress(subprocess.CalledProcessError):
            _run(*_APT, *own, "update")
        _run(*_APT, *own, "download", *packages, directory=directory)
        shutil.rmtree(lists)


def _relocate_alertmanager(programs: Path) -> None:
    program = programs / "prometheus-alertmanager"
    program.write_bytes(program.read_bytes().replace(_SHARED, _SHARED_HERE))
    launcher = programs / "alertmanager"
    launcher.write_text(_LAUNCHER)
    launcher.chmod(0o755)


def _run(*command: str, directory: Path | None = None) -> None:
    subprocess.run(command, cwd=directory, check=True)


if __name__ == "__main__":
    try:
        install()
    except ToolMissing as problem:
        sys.exit(f"error: {problem}")
