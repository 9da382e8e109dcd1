"""Send a contender to its task in a process of its own, and hear what it used."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.contenders.task import Task
from benchmarks.usage import Usage

__all__ = ["HOME", "ContenderFailedError", "clean_environment", "run_contender"]

HOME = Path(__file__).parents[1]
_START_SECONDS = 60
# The slowest contender needs 0.1 ms an event, on a machine that is busy with something else.
_SECONDS_PER_EVENT = 0.002


class ContenderFailedError(Exception):
    """Say which contender failed and how it ended."""


def clean_environment(**more: str) -> dict[str, str]:
    """Give this process's environment without the user's settings of the pipeline.

    Nor without bytecode: an installed package has it, a checkout gets it with the first start.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("LOGPIPE_") and name != "PYTHONDONTWRITEBYTECODE"
    }
    return {**kept, **more}


def run_contender(task: Task, python: str = sys.executable) -> Usage:
    """Run a task to its end, on this Python or another that has the package's dependencies.

    Raises ContenderFailedError when the process fails or takes far too long; it is gone then.
    """
    timeout = _START_SECONDS + task.events * _SECONDS_PER_EVENT
    with subprocess.Popen(
        [python, "-m", "benchmarks.contenders", json.dumps(asdict(task))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=HOME,
        env=clean_environment(),
    ) as process:
        try:
            # Not `communicate`: it would close the child's standard input, its sign that we live.
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise ContenderFailedError(f"{task.contender} was not done after {timeout:.0f} s") from None
        finally:
            process.kill()
        assert process.stdout  # noqa: S101 - for the type checker
        if status != 0:
            raise ContenderFailedError(f"{task.contender} ended with exit code {status}")
        return Usage(**json.loads(process.stdout.readlines()[-1]))
