"""Name the file that lets a server's JVM start with its classes loaded and linked: half the CPU of a start.

Java calls it an AOT cache (JEP 483 and 514). One fits the JVM, class path and options that it was recorded
with; a JVM that finds it does not fit says so and starts as usual. `training.py` records them.
"""

import hashlib
import os
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pipeline.sandbox.cache import cache_directory
from pipeline.sandbox.java import java_library

__all__ = ["aot_cache_file", "aot_cache_folder", "is_settled", "reading_options", "recording_options"]

# Classes and profiles only. Java 25 can keep machine code for method adapters as well, but mixes some up when
# it reads them; it notices, warns and makes them anew.
_NO_MACHINE_CODE = ("-XX:+UnlockDiagnosticVMOptions", "-XX:-AOTAdapterCaching", "-XX:-AOTStubCaching")

_TRY_AGAIN_SECONDS = 24 * 3600
_HEAP = ("-Xms", "-Xmx", "-XX:MaxDirectMemorySize")


def aot_cache_folder(cache: Path | None = None) -> Path:
    """Return the folder of all AOT caches."""
    return cache_directory(cache) / "aot"


def aot_cache_file(options: Iterable[str], home: Path, cache: Path | None = None) -> Path:
    """Return the file for a JVM with these options; heap sizes and paths below home do not matter."""
    library = java_library()
    key = [option for option in options if str(home) not in option and not option.startswith(_HEAP)]
    identity = "\n".join([sys.prefix, str(library), str(library.stat().st_mtime_ns), *_NO_MACHINE_CODE, *key])
    return aot_cache_folder(cache) / f"{hashlib.sha256(identity.encode()).hexdigest()[:16]}.aot"


def is_settled(file: Path) -> bool:
    """Tell whether there is nothing to record: it has been, or failed (an empty file) less than a day ago."""
    try:
        state = file.stat()
    except OSError:
        return False
    return state.st_size > 0 or time.time() - state.st_mtime < _TRY_AGAIN_SECONDS


def recording_options(file: Path) -> list[str]:
    """Return the JVM options that make the file when the JVM ends."""
    return [*_NO_MACHINE_CODE, f"-XX:AOTCacheOutput={file}"]


def reading_options(file: Path) -> list[str]:
    """Return the JVM options that use the file; none if it has not been recorded."""
    if not file.exists() or not file.stat().st_size:
        return []
    with suppress(OSError):
        os.utime(file)  # in use: see `training.py` about old ones
    return [*_NO_MACHINE_CODE, f"-XX:AOTCache={file}"]
