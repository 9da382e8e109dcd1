"""`de_dot`: dots in names become another separator, or levels."""

from collections.abc import Mapping
from typing import Any, Final

from pipeline.logstash.fields import MISSING, Event, Path, remove, set_field
from pipeline.logstash.options import Given, Option
from pipeline.logstash.plugin import Change, Origin, Site

__all__ = ["OPTIONS", "build"]

OPTIONS: Final[Mapping[str, Option]] = {
    "separator": Option("string", "_"),
    "nested": Option("boolean", False),
    "fields": Option("array"),
    "recursive": Option("boolean", False),
}
_MAX_DEPTH: Final = 100


def build(given: Given, site: Site) -> Change:
    """Rename the named fields, or all of the first level that have a dot."""
    separator, nested, recursive = given["separator"], given["nested"], given["recursive"]
    if not nested and any(letter in separator for letter in "[]."):
        raise given.place("separator").error("`de_dot`: a separator has no dot and no bracket.")
    paths = None
    if given["fields"] is not None:
        paths = [site.path(name, given.place("fields")) for name in given.texts("fields")]

    def new_path(path: Path) -> Path:
        if nested:
            return tuple(part for name in path for part in name.split("."))
        return tuple(name.replace(".", separator) for name in path)

    def run(event: Event, _origin: Origin) -> bool:
        names: list[Path] = paths if paths is not None else [(name,) for name in event]
        for path in names:
            if any("." in name for name in path):
                value = remove(event, path)
                if value is not MISSING:
                    set_field(event, new_path(path), value)
        if recursive:
            for name in [name for name in event if not name.startswith("@")]:
                event[name] = _renamed(event[name], separator, nested, 0)
        return True

    return Change(run)


def _renamed(value: Any, separator: str, nested: bool, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        return value
    if value.__class__ is list:
        return [_renamed(inner, separator, nested, depth + 1) for inner in value]
    if value.__class__ is not dict:
        return value
    renamed: Event = {}
    for name, inner in value.items():
        changed = _renamed(inner, separator, nested, depth + 1)
        set_field(renamed, tuple(name.split(".")) if nested else (name.replace(".", separator),), changed)
    return renamed
