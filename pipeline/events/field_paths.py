"""Paths into events: the value that Elasticsearch would put into a field, however the path to it is spelt.

`a.b.c` is `{"a": {"b": {"c": …}}}` as well as `{"a.b": {"c": …}}` and `{"a.b.c": …}`. The longest name that is there
is tried first. Of the objects in a list the first that has the rest of the path counts.
"""

from typing import Any

__all__ = ["ABSENT", "find", "take"]

ABSENT: Any = object()
"""What is found where nothing is; JSON has no value like it."""


def find(value: Any, path: str) -> Any:
    """Give the value at a path, `ABSENT` where there is none; null is none."""
    if type(value) is list:
        for each in value:
            if type(each) is dict and (found := find(each, path)) is not ABSENT:
                return found
        return ABSENT
    if type(value) is not dict:
        return ABSENT
    found = value.get(path)
    if found is not None:
        return found
    end = path.rfind(".")
    while end > 0:
        inner = value.get(path[:end])
        if inner is not None and (found := find(inner, path[end + 1 :])) is not ABSENT:
            return found
        end = path.rfind(".", 0, end)
    return ABSENT


def take(value: dict[str, Any], path: str) -> None:
    """Remove the value that `find` gives, and the objects that are empty without it."""
    if value.get(path) is not None:
        del value[path]
        return
    end = path.rfind(".")
    while end > 0:
        name, rest = path[:end], path[end + 1 :]
        inner = value.get(name)
        if inner is not None and find(inner, rest) is not ABSENT:
            holder = inner if type(inner) is dict else _first_with(inner, rest)
            take(holder, rest)
            if not inner:
                del value[name]
            return
        end = path.rfind(".", 0, end)


def _first_with(values: list[Any], path: str) -> dict[str, Any]:
    return next(each for each in values if type(each) is dict and find(each, path) is not ABSENT)
