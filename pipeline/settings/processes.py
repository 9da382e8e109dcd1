"""Settings of the processes: the workers, their end, and their HTTP server."""

from pydantic import Field

from pipeline.settings.group import Group

__all__ = ["Http", "Run", "Shutdown"]


class Http(Group):
    """The worker's own HTTP server."""

    host: str = "127.0.0.1"
    """Address of `/metrics` and `/health`; loopback unless it must be scraped from elsewhere."""
    port: int = Field(default=9600, ge=0, le=65_535)
    """Port of `/metrics` and `/health`; 0 takes any free one."""


class Run(Group):
    """The workers of `logpipe run`."""

    workers: int = Field(default=0, ge=0, le=256)
    """Worker processes; 0 is one per core this process may use. More than partitions are idle."""
    restart_initial_seconds: float = Field(default=1.0, gt=0, le=60)
    """Wait before a worker that has ended is started again; doubles until one lives for a minute."""
    restart_max_seconds: float = Field(default=30.0, gt=0, le=600)
    """Longest such wait."""


class Shutdown(Group):
    """How a worker ends."""

    timeout_seconds: float = Field(default=30.0, gt=0, le=3600)
    """How long SIGTERM waits for what is in flight; what is left is read again after the next start."""
