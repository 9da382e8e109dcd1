"""Keep what was fetched or recorded in a folder that processes share."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import SandboxError

__all__ = ["CACHE_VARIABLE", "cache_directory", "exclusive"]

CACHE_VARIABLE = "LOGPIPE_SANDBOX_CACHE"
"""The environment variable that moves the cache."""


def cache_directory(cache: Path | None = None) -> Path:
    """Return the cache: the argument, or `$LOGPIPE_SANDBOX_CACHE`, or a folder in `~/.cache`."""
    if cache is not None:
        return cache.absolute()
    if configured := os.environ.get(CACHE_VARIABLE):
        return Path(configured).expanduser().absolute()
    return Path.home() / ".cache" / "kafka-log-pipeline"


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Make a folder of the cache and hold it for the block; wait for the process or thread that holds it now.

    Raises SandboxError when the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise SandboxError(
            f"the sandbox cannot keep files in {folder}: {error}; name another place with {CACHE_VARIABLE}"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file is closed, even by a kill -9
        yield
