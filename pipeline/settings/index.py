"""Settings of the indices: their names, and how they roll."""

import re
from datetime import UTC, datetime
from typing import Literal

from pydantic import Field, field_validator

from pipeline.settings.group import Group

__all__ = ["Index"]


class Index(Group):
    """How the indices are named and rolled."""

    prefix: str = Field(default="claude-code-bot", min_length=1, max_length=200)
    """Name before `-YYYY.MM.dd`; also the name of the template, the policy's prefix and the alias."""
    roll: Literal["day", "ilm"] = "day"
    """`day`: an index per event day, replays are no-ops. `ilm`: one alias that ILM rolls over by size and
    age; a replay across a rollover indexes a second copy."""

    max_open_days: int = Field(default=100, ge=1, le=40_000)
    """The most indices of days that can come into being within 24 hours, whatever is sent: those of the newest
    days. Events of an older day go to `<prefix>-overflow`. At least the sum of `events.retention_days`,
    `events.max_future_seconds` in days, and 3."""

    shards: int = Field(default=3, ge=1, le=1024)
    """Primary shards of an index of logs, which `logpipe setup` writes into the template. One is enough for 40 GB a day
    or less; a shard should not grow above 50 GB."""
    storage: Literal["standard", "logsdb"] = "standard"
    """`logsdb`: Elasticsearch's index mode for logs, written into the template by `logpipe setup`. It takes a quarter
    less room with a licence for synthetic `_source`, hardly any less without, and a quarter more CPU either way."""
    id: Literal["topic_id", "record_time"] = "topic_id"
    """What tells a document from that of a topic of the same name created later. `topic_id`: Kafka's id of the topic;
    `record_time`: the record's timestamp, the former form, which takes 11 bytes a document more, and 25 more again on
    three shards. Kafka before 2.8 has no topic ids: there it is always the latter."""
    id_since: datetime | None = None
    """With `id = topic_id`: records with an earlier Kafka timestamp keep the former form. For an upgrade with indices
    that are there: a moment after its end; then whatever is read again finds its document. UTC unless it says so."""

    @property
    def id_since_ms(self) -> int | None:
        """The same in milliseconds since 1970."""
        return None if self.id_since is None else round(self.id_since.timestamp() * 1000)

    @field_validator("id_since")
    @classmethod
    def _since_has_a_zone(cls, since: datetime | None) -> datetime | None:
        return since if since is None or since.tzinfo is not None else since.replace(tzinfo=UTC)

    @field_validator("prefix")
    @classmethod
    def _prefix_is_legal(cls, prefix: str) -> str:
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", prefix):
            raise ValueError(f"{prefix!r} is not an index name (lower-case letters, digits, '.', '_', '-')")
        return prefix
