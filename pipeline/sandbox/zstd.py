"""Find a libzstd that Elasticsearch can load: its own is in no package registry."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["find_libzstd"]

_FUNCTIONS = ("ZSTD_compress", "ZSTD_compressBound", "ZSTD_decompress", "ZSTD_getErrorName", "ZSTD_isError")
"""What Elasticsearch calls (its class JdkZstdLibrary)."""

_FOLDERS = (
    "/usr/lib/*-linux-gnu*",
    "/lib/*-linux-gnu*",
    "/usr/lib64",
    "/lib64",
    "/usr/lib",
    "/lib",
    "/usr/local/lib",
    "/opt/homebrew/lib",
)


def find_libzstd() -> Path | None:
    """Return a loadable libzstd, or None if this machine has none.

    Debian and Ubuntu have one as soon as they have dpkg, Fedora as soon as it has rpm. Failing that, a wheel
    that brings one (pillow does) will do. Those that Kafka's and Python's codecs carry (zstd-jni, cramjam)
    are linked in without their names, so nothing else can call them.
    """
    for candidate in _candidates():
        with suppress(OSError):  # of another architecture, or something it needs is missing
            library = ctypes.CDLL(str(candidate))
            if all(hasattr(library, function) for function in _FUNCTIONS):
                return candidate.resolve()
    return None


def _candidates() -> Iterator[Path]:
    for pattern in _FOLDERS:
        for folder in sorted(Path("/").glob(pattern.removeprefix("/"))):
            yield from sorted(folder.glob("libzstd.so.1*"))
            yield from sorted(folder.glob("libzstd.1.dylib"))
    for entry in sys.path:
        yield from sorted(Path(entry).glob("*.libs/libzstd*.so*"))
