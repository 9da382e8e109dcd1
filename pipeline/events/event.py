"""What an application logged, as the reading of a record gives it to `document.py`."""

from typing import Any, NamedTuple

from pipeline.events.field_paths import ABSENT

__all__ = ["Event", "unparsable"]


class Event(NamedTuple):
    """One event.

    `ours` is false for the events of other services, which pass through as they are. `failed` is true when
    the text could not be parsed, or the message inside an envelope of ours could not.
    """

    fields: dict[str, Any]
    ours: bool = True
    failed: bool = False
    tags: tuple[str, ...] = ()
    """What reading has to say of it."""
    aside: dict[str, Any] | None = None
    """What has no place under its own name any more."""
    logged: Any = ABSENT
    """The level as it was logged, where `level` is already a normal one."""
    format: str = "guide"
    """What it was recognised as, outermost first: `filebeat>pino`."""
    taken: tuple[tuple[str, str], ...] = ()
    """Fields, and the paths that they were taken from."""
    unreadable: str = ""
    """Why nothing of it can be read, which makes it a dead letter; empty for all others."""


def unparsable(value: bytes) -> Event:
    """Keep a value that cannot be parsed as text, bad UTF-8 replaced by U+FFFD."""
    return Event({"message": value.decode("utf-8", "replace")}, failed=True, format="text")
