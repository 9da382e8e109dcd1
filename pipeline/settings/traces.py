"""Settings of the trace stories: the summaries that `logpipe traces` writes."""

from pathlib import Path

from pydantic import Field

from pipeline.settings.group import Group

__all__ = ["Traces"]


class Traces(Group):
    """One summary for each trace id in the logs (see docs/traces.md)."""

    enabled: bool = False
    """Whether the workers emit trace events, and `logpipe run` starts a correlator beside them."""
    flows_file: Path | None = None
    """TOML file of the flows, instead of those that the pipeline brings along."""
    idle_seconds: float = Field(default=30.0, ge=0.1, le=86_400)
    """How long a trace has to be quiet until it is closed; a flow may say otherwise."""
    show_open_seconds: float = Field(default=30.0, ge=0.1, le=86_400)
    """A trace that is open for this long is written as it is, and again each time so much has passed."""
    max_open: int = Field(default=100_000, ge=1, le=10_000_000)
    """Open traces of one partition of the trace events; the quietest are closed early beyond that."""
    max_open_bytes: int = Field(default=256 << 20, ge=1 << 20, le=64 << 30)
    """Bytes of events held for open traces at which a correlator writes them early, and waits."""
    max_events: int = Field(default=500, ge=10, le=10_000)
    """Events of a trace that its summary keeps; what is beyond is counted."""
