"""Two documents held against each other, field by field: pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from pipeline.logstash.timestamp import parse_timestamp

__all__ = ["MISSING", "Difference", "Kind", "Written", "differences", "flattened", "is_ignored"]

Kind = Literal["changed", "only here", "only there"]
MISSING: Final = object()
"""The value of a field that one of the documents does not have."""

# Elasticsearch takes a list's members in any order, and nobody reads an order into these.
_SETS: Final = {"tags"}
_STREAM: Final = re.compile(r"\.ds-(?P<name>.+)-\d{4}\.\d\d\.\d\d-\d{6,}")
_ROLLED: Final = re.compile(r"-(?:\d{4}\.\d\d\.\d\d-)?\d{6,}")


class Written(NamedTuple):
    """A document and where it is, or would be. Index and id are None where they are not to be compared."""

    document: Mapping[str, Any]
    index_name: str | None = None
    id: str | None = None


class Difference(NamedTuple):
    """One field that is not the same; a value is `MISSING` where its document does not have the field."""

    field: str
    here: Any
    there: Any

    @property
    def kind(self) -> Kind:
        """Say in which way it differs."""
        if self.there is MISSING:
            return "only here"
        return "only there" if self.here is MISSING else "changed"


def flattened(document: Mapping[str, Any]) -> dict[str, Any]:
    """Give the leaves by their dotted paths, as Elasticsearch names fields: `a.b` and `a: {b}` are the same.

    Lists and empty objects are leaves. Where a path is spelt in two ways, its values stand in a list.
    """
    leaves: dict[str, Any] = {}
    for path, value in _leaves("", document):
        leaves[path] = [leaves[path], value] if path in leaves else value
    return leaves


def _leaves(prefix: str, value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    waiting: list[tuple[str, Any]] = [
        (f"{prefix}{name}", inner) for name, inner in reversed(list(value.items()))
    ]
    while waiting:
        path, inner = waiting.pop()
        if isinstance(inner, Mapping) and inner:
            waiting.extend((f"{path}.{name}", each) for name, each in reversed(list(inner.items())))
        else:
            yield path, inner


def is_ignored(path: str, ignored: Iterable[str]) -> bool:
    """Say whether a field is left out of the comparison, by its own name or that of an object that it is in."""
    return any(path == name or path.startswith(f"{name}.") for name in ignored)


def differences(here: Written, there: Written, ignored: Iterable[str] = ()) -> list[Difference]:
    """Give the fields that differ, by name; `_index` and `_id` where ours say which they would have."""
    left_out = tuple(ignored)
    ours, theirs = flattened(here.document), flattened(there.document)
    found = [
        Difference(path, ours.get(path, MISSING), theirs.get(path, MISSING))
        for path in sorted(ours.keys() | theirs.keys())
        if not is_ignored(path, left_out)
        and not (path in ours and path in theirs and _is_same(path, ours[path], theirs[path]))
    ]
    if (
        here.index_name is not None
        and there.index_name is not None
        and not _is_same_index(here.index_name, there.index_name)
    ):
        found.append(Difference("_index", here.index_name, there.index_name))
    if here.id is not None and here.id != there.id:
        found.append(Difference("_id", here.id, there.id))
    return found


def _is_same(path: str, here: Any, there: Any) -> bool:
    if path == "@timestamp" and isinstance(here, str) and isinstance(there, str):
        ours, theirs = parse_timestamp(here), parse_timestamp(there)
        return here == there if ours is None or theirs is None else ours == theirs
    if path in _SETS:
        return sorted(map(repr, _as_list(here))) == sorted(map(repr, _as_list(there)))
    return _is_equal(here, there)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_equal(here: Any, there: Any) -> bool:
    """Compare as JSON: `1` and `1.0` are one number, `1` and `true` are not the same."""
    if isinstance(here, bool) or isinstance(there, bool):
        return here is there
    if isinstance(here, Mapping) and isinstance(there, Mapping):
        return here.keys() == there.keys() and all(
            _is_equal(value, there[name]) for name, value in here.items()
        )
    if isinstance(here, list) and isinstance(there, list):
        return len(here) == len(there) and all(map(_is_equal, here, there))
    return bool(here == there)


def _is_same_index(here: str, there: str) -> bool:
    """Compare names of indices; a data stream or an alias is the same as the index behind it."""
    if here == there:
        return True
    if (stream := _STREAM.fullmatch(there)) is not None:
        return here == stream["name"]
    return there.startswith(here) and _ROLLED.fullmatch(there[len(here) :]) is not None
