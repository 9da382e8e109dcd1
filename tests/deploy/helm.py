"""Find helm, or build it: `python -m tests.deploy.helm`.

What is on the PATH is taken. Else Go builds it from its authors' module, whose checksum it knows, into .venv.
Where there is neither, the chart's tests are skipped and say so.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

__all__ = ["CHART", "build", "find", "lint", "template"]

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/logpipe"
VERSION = "v3.19.5"
MODULE = f"helm.sh/helm/v3/cmd/helm@{VERSION}"
BUILT = ROOT / f".venv/helm-{VERSION}/helm"
# A helm that Go installs believes that it speaks to Kubernetes 1.20, unless it is told.
KUBERNETES = "1.33"


def find() -> Path | None:
    """Return the path of helm, or None where there is none."""
    places = os.pathsep.join([os.environ.get("PATH", os.defpath), str(BUILT.parent)])
    found = shutil.which("helm", path=places)
    return Path(found) if found else None


def build() -> bool:
    """Build helm where it is missing and Go is there; tell whether there is one now."""
    if find() is not None:
        return True
    go = shutil.which("go")
    if go is None:
        return False
    # Without the debugger's tables it links faster; without C it needs no compiler but Go's.
    command = [go, "install", "-trimpath", "-ldflags=-s -w", MODULE]
    built = subprocess.run(
        command, env={**os.environ, "GOBIN": str(BUILT.parent), "CGO_ENABLED": "0"}, check=False
    )
    return built.returncode == 0


def lint(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run `helm lint --strict` on the chart."""
    return _helm("lint", "--strict", CHART, *arguments)


def template(release: str, *arguments: str | Path) -> list[dict[str, Any]]:
    """Render the chart; raise CalledProcessError, whose `stderr` has helm's message, where helm refuses."""
    rendered = _helm("template", release, CHART, "--kube-version", KUBERNETES, *arguments)
    rendered.check_returncode()
    return [one for one in yaml.safe_load_all(rendered.stdout) if one]


def _helm(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    helm = find()
    assert helm is not None
    return subprocess.run([helm, *arguments], capture_output=True, text=True, check=False, timeout=60)


if __name__ == "__main__":
    if not build():
        sys.stderr.write("note: no helm, and no Go that could build it: the chart's tests are skipped\n")
