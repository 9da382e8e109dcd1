"""Settings of the events: how one is read."""

import zoneinfo
from datetime import UTC, tzinfo
from functools import cached_property
from pathlib import Path

from pydantic import Field, field_validator

from pipeline.settings.group import Group

__all__ = ["Events"]


class Events(Group):
    """How an event is read."""

    service: str = Field(default="claude-code-bot", min_length=1)
    """Our service: the value of `fields.service` whose events are parsed, and of `service_name`."""
    default_timezone: str = "UTC"
    """IANA name of the zone of timestamps that carry none."""
    retention_days: int = Field(default=90, ge=1, le=36_500)
    """Events older than this against Kafka's timestamp go into the index of Kafka's day."""
    max_future_seconds: int = Field(default=86_400, ge=0, le=31_536_000)
    """Events further ahead of Kafka's timestamp than this go into the index of Kafka's day."""
    syslog_levels: bool = False
    """Read the numbers 0 to 7 in `level` as syslog severities."""
    fingerprints: bool = True
    """Give events of level ERROR the field `error.fingerprint`, the same for every occurrence of one fault."""
    max_array_events: int = Field(default=10_000, ge=1, le=1_000_000)
    """A record holding a longer array is kept whole, as a record that cannot be parsed."""
    normalise: bool = True
    """Whether the pipeline's own rules (time, level, ids, fingerprints, formats) are applied to what the filters give.
    `false`: the document is what Logstash would send, its `@version` included. Of no meaning without filters."""
    formats_file: Path | None = None
    """TOML file of formats of your own, beside or instead of those that come along; docs/formats.md says how."""

    @field_validator("default_timezone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        try:
            zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(
                f"{name!r} is not a time zone of the IANA database, such as Europe/Berlin"
            ) from error
        return name

    @cached_property
    def zone(self) -> tzinfo:
        """The zone of timestamps that carry none."""
        return UTC if self.default_timezone == "UTC" else zoneinfo.ZoneInfo(self.default_timezone)
