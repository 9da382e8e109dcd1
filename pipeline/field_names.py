"""Which fields of an event Elasticsearch would refuse, and where their values go instead."""

from functools import lru_cache
from typing import Any

import orjson

__all__ = ["ASIDE_FIELD", "all_plain", "is_plain", "set_aside", "take_refused"]

# One flattened field takes every value that cannot stay under its own name.
ASIDE_FIELD = "unmapped"

# Lucene's limit is 32,766 bytes; long before that a name is data, not a name.
_LONGEST_NAME = 200


@lru_cache(maxsize=10_000)
def is_plain(name: str) -> bool:
    """Tell whether Elasticsearch takes a field of this name.

    It refuses empty names, blank ones, and empty or blank parts between dots (observed on 9.1). NUL would end
    a key of the flattened field.
    """
    return (
        len(name) <= _LONGEST_NAME
        and "\0" not in name
        and all(part and not part.isspace() for part in name.split("."))
    )


def all_plain(event: dict[str, Any]) -> bool:
    """Tell whether every name in the event, at any depth, would be taken: nearly always so."""
    if any(name.startswith("_") for name in event):
        return False
    level: list[Any] = [event]
    while level:
        inner = []
        for container in level:
            values = container
            if type(container) is dict:
                if not all(map(is_plain, container)):
                    return False
                values = container.values()
            inner += [value for value in values if type(value) is dict or type(value) is list]
        level = inner
    return True


def set_aside(aside: dict[str, Any], path: str, value: Any) -> None:
    """Put a value under its path into `aside`: numbers and text as they are, the rest as JSON text."""
    key = path.replace("\0", "\ufffd")[:_LONGEST_NAME] or "(empty)"
    while key in aside:
        key = f"{key[: _LONGEST_NAME - 8]}#{len(aside)}"
    aside[key] = orjson.dumps(value).decode() if isinstance(value, dict | list) else value


def take_refused(event: dict[str, Any], aside: dict[str, Any]) -> dict[str, Any]:
    """Return the event without the fields that would be refused; their values go into `aside`.

    Names beginning with `_` at the root belong to Elasticsearch's metadata. The depth of the event has been
    bounded by `decode`.
    """
    kept = {}
    for name, value in event.items():
        if name.startswith("_") or not is_plain(name):
            set_aside(aside, name, value)
        else:
            kept[name] = _without_refused(value, name, aside)
    return kept


def _without_refused(value: Any, path: str, aside: dict[str, Any]) -> Any:
    if type(value) is dict:
        kept = {}
        for name, child in value.items():
            if is_plain(name):
                kept[name] = _without_refused(child, f"{path}.{name}", aside)
            else:
                set_aside(aside, f"{path}.{name}", child)
        return kept
    if type(value) is list:
        return [_without_refused(child, path, aside) for child in value]
    return value
