"""Which version this is."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version as installed_version

__all__ = ["version"]


# Looking it up reads files: half a millisecond.
@cache
def version() -> str:
    """Give the version of the installed distribution; `0+unknown` when it runs without being installed."""
    try:
        return installed_version("kafka-log-pipeline")
    except PackageNotFoundError:
        return "0+unknown"
