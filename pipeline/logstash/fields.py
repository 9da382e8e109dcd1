"""Field references and what they do to an event: read, set, remove; and the rules of `tags` and `@timestamp`.

An event is a plain dictionary. `@timestamp` holds a Timestamp, `@metadata` a dictionary that no output writes.
"""

import re
from functools import lru_cache
from typing import Any, Final, TypeAlias

from pipeline.logstash.timestamp import Timestamp

__all__ = [
    "MISSING",
    "Event",
    "FieldError",
    "Path",
    "add_tag",
    "get",
    "has",
    "parse_reference",
    "remove",
    "set_field",
    "tag_failure",
]

Event: TypeAlias = dict[str, Any]
Path: TypeAlias = tuple[str, ...]

_BRACKETED: Final = re.compile(r"(?:\[[^\[\],]+\])+\Z")
_INDEX: Final = re.compile(r"-?\d{1,9}\Z")


class _Missing:
    """Stands for a field that is not there, where null is another thing."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()


class FieldError(Exception):
    """A reference is none, or a value cannot be put where it should go."""


@lru_cache(4096)
def parse_reference(reference: str) -> Path:
    """Take `[a][b]` or `a` apart; raises FieldError for what Logstash refuses, such as `[a` or `a]b`."""
    if "[" not in reference and "]" not in reference:
        return (reference,)
    if not _BRACKETED.match(reference):
        raise FieldError(f"`{reference}` is no field reference")
    return tuple(reference[1:-1].split("]["))


def get(event: Event, path: Path) -> Any:
    """Read a field, or None."""
    value: Any = event
    for name in path:
        if value.__class__ is dict:
            value = value.get(name)
        elif value.__class__ is list and _INDEX.match(name):
            index = int(name)
            value = value[index] if -len(value) <= index < len(value) else None
        else:
            return None
    return value


def find(event: Event, path: Path) -> Any:
    """Read a field, or MISSING."""
    value: Any = event
    for name in path:
        if value.__class__ is dict:
            value = value.get(name, MISSING)
        elif value.__class__ is list and _INDEX.match(name):
            index = int(name)
            value = value[index] if -len(value) <= index < len(value) else MISSING
        else:
            return MISSING
    return value


def has(event: Event, path: Path) -> bool:
    """Say whether a field is there, if only as null."""
    return find(event, path) is not MISSING


def set_field(event: Event, path: Path, value: Any) -> None:
    """Set a field and make the objects on the way; raises FieldError where something else is in the way.

    A name that is no number, of a list, is passed over in silence, as Logstash does.
    """
    if len(path) == 1:
        name = path[0]
        if name[:1] in {"@", "t"}:
            _check(name, value)
        event[name] = value
        return
    holder: Any = event
    for depth, name in enumerate(path[:-1]):
        inner: Any
        if holder.__class__ is dict:
            inner = holder.get(name)
            if inner is None:
                inner = holder[name] = {}
        else:
            if not _INDEX.match(name):
                return
            inner = _list_item(holder, int(name))
        if inner.__class__ is not dict and inner.__class__ is not list:
            raise FieldError(
                f"[{']['.join(path[: depth + 1])}] is no object, so [{']['.join(path)}] cannot be set"
            )
        holder = inner
    if holder.__class__ is dict:
        holder[path[-1]] = value
    elif _INDEX.match(path[-1]):
        _set_list_item(holder, int(path[-1]), value)


def _list_item(items: list[Any], index: int) -> Any:
    if -len(items) <= index < len(items) and items[index] is not None:
        return items[index]
    made: Event = {}
    _set_list_item(items, index, made)
    return made


def _set_list_item(items: list[Any], index: int, value: Any) -> None:
    if index < -len(items) or index > len(items) + 10_000:
        raise FieldError(f"a list of {len(items)} has no place {index}")
    if index < len(items):
        items[index] = value
    else:
        items.extend([None] * (index - len(items)))
        items.append(value)


def _check(name: str, value: Any) -> None:
    if name == "@timestamp" and not isinstance(value, Timestamp):
        raise FieldError(f"@timestamp takes a time, not {type(value).__name__}")
    if name == "@metadata" and not isinstance(value, dict):
        raise FieldError(f"@metadata takes an object, not {type(value).__name__}")
    if name == "tags" and not valid_tags(value):
        raise FieldError("tags takes a text or a list of texts")


def valid_tags(value: Any) -> bool:
    """Say whether a value may stand in `tags`."""
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(tag, str) for tag in value))


def remove(event: Event, path: Path) -> Any:
    """Remove a field and give what it was, or MISSING."""
    if len(path) == 1:
        return event.pop(path[0], MISSING)
    holder = get(event, path[:-1])
    name = path[-1]
    if holder.__class__ is dict:
        return holder.pop(name, MISSING)
    if holder.__class__ is list and _INDEX.match(name) and -len(holder) <= int(name) < len(holder):
        return holder.pop(int(name))
    return MISSING


def add_tag(event: Event, tag: str) -> None:
    """Add a tag, if it is there already a second time: the option `add_tag`."""
    tags = event.get("tags")
    if tags.__class__ is list:
        tags.append(tag)
    else:
        event["tags"] = [tag] if tags is None else [tags, tag]


def tag_failure(event: Event, tag: str) -> None:
    """Add a tag unless it is there: the tags of failures."""
    tags = event.get("tags")
    if tags.__class__ is list:
        if tag not in tags:
            tags.append(tag)
    elif tags != tag:
        event["tags"] = [tag] if tags is None else [tags, tag]


def remove_tag(event: Event, tag: str) -> None:
    """Remove a tag wherever it stands."""
    tags = event.get("tags")
    if tags is None:
        return
    event["tags"] = [kept for kept in (tags if tags.__class__ is list else [tags]) if kept != tag]


def add_field(event: Event, path: Path, value: Any) -> None:
    """Add a value to a field, which becomes a list when it is there already: the option `add_field`."""
    present = find(event, path)
    if present is MISSING:
        set_field(event, path, value)
    elif present.__class__ is list:
        set_field(event, path, [*present, value])
    elif present.__class__ is dict:
        set_field(event, path, [*([name, inner] for name, inner in present.items()), value])
    else:
        set_field(event, path, [value] if present is None else [present, value])


def copy_value(value: Any) -> Any:
    """Copy a value with all that is in it."""
    if value.__class__ is dict:
        return {name: copy_value(inner) for name, inner in value.items()}
    if value.__class__ is list:
        return [copy_value(inner) for inner in value]
    return value
