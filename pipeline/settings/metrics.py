"""Settings of the metrics that are derived from the events."""

from pathlib import Path

from pydantic import Field

from pipeline.settings.group import Group, StringList

__all__ = ["Metrics"]


class Metrics(Group):
    """The metrics derived from the logs."""

    from_logs: bool = True
    """Whether metrics are derived from the events at all."""
    rules_file: Path | None = None
    """TOML file of the rules, instead of those that the pipeline brings along (see docs/log-metrics.md)."""
    disabled: StringList = ()
    """Names of metrics that are not to be derived, because the application itself exposes them, say."""
    top_errors: int = Field(default=50, ge=1, le=1000)
    """Fingerprints of errors that are counted under their own name; the others are `other`."""
    new_errors: bool = True
    """Keep each fingerprint's first occurrence in the index `<prefix>.fingerprints`, and count new ones."""
