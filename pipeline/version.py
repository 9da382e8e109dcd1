"""Which version this is."""

from importlib.metadata import PackageNotFoundError, version as installed_version

__all__ = ["version"]


def version() -> str:
    """Give the version of the installed distribution; `0+unknown` when it runs without being installed."""
    try:
        return installed_version("kafka-log-pipeline")
    except PackageNotFoundError:
        return "0+unknown"
