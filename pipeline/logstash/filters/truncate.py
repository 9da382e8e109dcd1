"""`truncate`: texts are cut to a number of bytes, never within a character."""

from collections.abc import Mapping
from typing import Any, Final

from pipeline.logstash.fields import Event, get, set_field
from pipeline.logstash.options import Given, Option
from pipeline.logstash.plugin import Change, Origin, Site

__all__ = ["OPTIONS", "build"]

OPTIONS: Final[Mapping[str, Option]] = {
    "fields": Option("array"),
    "length_bytes": Option("number", required=True),
}
_SPECIAL: Final = {"@metadata", "@timestamp", "@version", "tags"}


def build(given: Given, site: Site) -> Change:
    """Cut some fields, or all texts; an object among the named fields raises TypeError."""
    limit = int(given["length_bytes"])
    if limit < 0:
        raise given.place("length_bytes").error("`truncate`: `length_bytes` is negative.")
    paths = None
    if given["fields"] is not None:
        paths = [site.path(name, given.place("fields")) for name in given.texts("fields")]

    def run(event: Event, _origin: Origin) -> bool:
        changed = False
        if paths is None:
            for name in [name for name in event if name not in _SPECIAL]:
                value = event[name]
                event[name] = cut(value, limit, deep=True)
                changed = changed or event[name] != value
            return changed
        for path in paths:
            value = get(event, path)
            if value.__class__ is dict:
                raise TypeError("an object cannot be truncated: name its fields")
            short = cut(value, limit, deep=False)
            if short != value:
                set_field(event, path, short)
                changed = True
        return changed

    return Change(run)


def cut(value: Any, limit: int, *, deep: bool) -> Any:
    """Cut a text, the texts of a list, and with `deep` those of an object."""
    if value.__class__ is str:
        data = value.encode("utf-8", "surrogatepass")
        return value if len(data) <= limit else data[:limit].decode("utf-8", "ignore")
    if value.__class__ is list:
        return [cut(inner, limit, deep=deep) if deep or inner.__class__ is str else inner for inner in value]
    if deep and value.__class__ is dict:
        return {name: cut(inner, limit, deep=True) for name, inner in value.items()}
    return value
