"""The command as a user starts it: a process of its own, with settings in its environment."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

__all__ = ["logpipe", "running"]

COMMAND = [sys.executable, "-m", "pipeline"]


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Our surroundings without any setting of ours, and these settings."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("LOGPIPE_")}
    return {**bare, "NO_COLOR": "1", "COLUMNS": "200", **settings}


def logpipe(
    *arguments: str,
    stdin: bytes = b"",
    settings: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> "subprocess.CompletedProcess[bytes]":
    """Run a command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        env=environment(settings or {}),
        cwd=directory,
        timeout=100,
        check=False,
    )


@contextmanager
def running(*arguments: str, settings: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a command; it is killed at the latest when the block is left."""
    process = subprocess.Popen(
        [*COMMAND, *arguments], env=environment(settings), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()
