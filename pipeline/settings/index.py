"""Settings of the indices: their names, and how they roll."""

import re
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

    @field_validator("prefix")
    @classmethod
    def _prefix_is_legal(cls, prefix: str) -> str:
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", prefix):
            raise ValueError(f"{prefix!r} is not an index name (lower-case letters, digits, '.', '_', '-')")
        return prefix
