"""Which fields of an event Elasticsearch would refuse or mix with ours, and where their values go instead."""

from itertools import count
from typing import Any

import orjson

__all__ = [
    "ASIDE_FIELD",
    "KAFKA_FIELD",
    "LONGEST_NAME",
    "OBJECT_FIELDS",
    "all_taken",
    "as_object",
    "is_below_own_object",
    "is_taken",
    "set_aside",
    "take_all",
    "take_below",
    "take_refused",
]

# One flattened field takes every value that cannot stay under its own name.
ASIDE_FIELD = "unmapped"
KAFKA_FIELD = "kafka"
"""Where Kafka keeps the record of a document."""
_BELOW_OWN_OBJECTS = (f"{KAFKA_FIELD}.", f"{ASIDE_FIELD}.")

# Lucene refuses dotted paths above 32,766 bytes in some places; UTF-8 takes at most four for a character.
LONGEST_NAME = 8000
_LONGEST_PATH = 200

OBJECT_FIELDS = ("context", "attributes", "fields", "labels", "mdc", "resource")
"""Fields at the root that the mapping takes as objects only."""


def is_taken(name: str) -> bool:
    """Tell whether Elasticsearch takes a field of this name at the root of a document.

    It refuses empty and blank names, and those of its metadata, which begin with `_`; below the root nothing
    but the length matters (observed on 9.1 under our mapping, see tests/install/test_mapping.py).
    """
    return not name.startswith("_") and len(name) <= LONGEST_NAME and bool(name.strip())


def is_below_own_object(name: str) -> bool:
    """Tell whether a name at the root is that of a field inside an object of ours: `kafka.offset`, `unmapped.x`."""
    return name.startswith(_BELOW_OWN_OBJECTS)


def all_taken(event: dict[str, Any], size: int) -> bool:
    """Tell whether every name in an event of so many bytes would be taken: nearly always so."""
    return all(map(is_taken, event)) and (size <= LONGEST_NAME or _no_long_path(event))


def _no_long_path(event: dict[str, Any]) -> bool:
    """Look at every path of names, level by level; lists add nothing to a path."""
    level: list[tuple[int, Any]] = [(-1, event)]
    while level:
        inner: list[tuple[int, Any]] = []
        for length, container in level:
            if type(container) is dict:
                children = [(length + 1 + len(name), child) for name, child in container.items()]
                if any(path > LONGEST_NAME for path, _ in children):
                    return False
            else:
                children = [(length, child) for child in container]
            inner += [each for each in children if type(each[1]) is dict or type(each[1]) is list]
        level = inner
    return True


def as_object(value: Any) -> Any:
    """Give what the mapping of an object field takes: objects, one or several, as they are; else `value` in one."""
    if isinstance(value, dict) or (isinstance(value, list) and all(isinstance(each, dict) for each in value)):
        return value
    return {"value": value}


def set_aside(aside: dict[str, Any], path: str, value: Any) -> None:
    """Put a value under its path into `aside`: numbers and text as they are, the rest as JSON text."""
    key = free = path.replace("\0", "\ufffd")[:_LONGEST_PATH] or "(empty)"
    for number in count(len(aside)):
        if free not in aside:
            break
        free = f"{key[: _LONGEST_PATH - 8]}#{number}"
    aside[free] = orjson.dumps(value).decode() if isinstance(value, dict | list) else value


def take_all(fields: dict[str, Any], path: str) -> list[Any]:
    """Take all values out that Elasticsearch would put into the field of this path, however it is spelt.

    `a.b.c` is also `{"a": {"b": {"c": …}}}`, `{"a.b": {"c": …}}` and `{"a": [{"b.c": …}, …]}`: objects in a list
    are no different. An object that has lost its last field stays, empty. Raises RecursionError for lists
    nested deeper than can be encoded either.
    """
    taken: list[Any] = []
    _take_below(fields, path, taken)
    return taken


def _take_below(value: Any, path: str, taken: list[Any]) -> None:
    if type(value) is list:
        for each in value:
            _take_below(each, path, taken)
    elif type(value) is dict:
        if path in value:
            taken.append(value.pop(path))
        position = path.find(".")
        while position != -1:
            if (inner := value.get(path[:position])) is not None:
                _take_below(inner, path[position + 1 :], taken)
            position = path.find(".", position + 1)


def take_below(fields: dict[str, Any], path: str) -> list[tuple[str, Any]]:
    """Take all out that is spelt as a part of this path, but for what is at it; gives the paths and values.

    `a.b.c` is below `a.b` as `{"a.b.c": …}`, `{"a": {"b.c": …}}` or `{"a": [{"b.c": …}, …]}`.
    """
    taken: list[tuple[str, Any]] = []
    _take_longer(fields, "", path, taken)
    return taken


def _take_longer(value: Any, before: str, path: str, taken: list[tuple[str, Any]]) -> None:
    if type(value) is list:
        for each in value:
            _take_longer(each, before, path, taken)
    elif type(value) is dict:
        longer = [name for name in value if name.startswith(f"{path}.")]
        taken.extend((before + name, value.pop(name)) for name in longer)
        position = path.find(".")
        while position != -1:
            if (inner := value.get(path[:position])) is not None:
                _take_longer(inner, f"{before}{path[: position + 1]}", path[position + 1 :], taken)
            position = path.find(".", position + 1)


def take_refused(event: dict[str, Any], aside: dict[str, Any]) -> dict[str, Any]:
    """Return the event without the fields that would be refused; their values go into `aside`.

    Raises RecursionError for nesting that cannot be encoded either.
    """
    kept = {}
    for name, value in event.items():
        if is_taken(name):
            kept[name] = _without_long_paths(value, name, aside)
        else:
            set_aside(aside, name, value)
    return kept


def _without_long_paths(value: Any, path: str, aside: dict[str, Any]) -> Any:
    if type(value) is dict:
        kept = {}
        for name, child in value.items():
            below = f"{path}.{name}"
            if len(below) <= LONGEST_NAME:
                kept[name] = _without_long_paths(child, below, aside)
            else:
                set_aside(aside, below, child)
        return kept
    if type(value) is list:
        return [_without_long_paths(child, path, aside) for child in value]
    return value
