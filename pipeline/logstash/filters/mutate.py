"""`mutate`: its operations run in Logstash's order, whatever the order in the text.

What fails leaves what was done before it, and a tag; the rest of the block and its common options are skipped.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from pipeline.logstash.common_source import write_common
from pipeline.logstash.mutations import (
    CONVERTERS,
    Converter,
    converted,
    join,
    merge,
    rename,
    strip,
    substituted,
    texts_changed,
)
from pipeline.logstash.options import Given, Option, scalar_text
from pipeline.logstash.patterns import Pattern
from pipeline.logstash.plugin import Inline, Site
from pipeline.logstash.ruby import hash_order, split
from pipeline.logstash.syntax import Position

if TYPE_CHECKING:
    from pipeline.logstash.source import Source

__all__ = ["OPTIONS", "build"]

OPTIONS: Final[Mapping[str, Option]] = {
    "coerce": Option("hash", {}),
    "rename": Option("hash", {}),
    "update": Option("hash", {}),
    "replace": Option("hash", {}),
    "convert": Option("hash", {}),
    "gsub": Option("array", []),
    "uppercase": Option("array", []),
    "capitalize": Option("array", []),
    "lowercase": Option("array", []),
    "strip": Option("array", []),
    "split": Option("hash", {}),
    "join": Option("hash", {}),
    "merge": Option("hash", {}),
    "copy": Option("hash", {}),
    "tag_on_failure": Option("string", "_mutate_error"),
}

_LONGEST_DYNAMIC: Final = 2000


def build(given: Given, site: Site) -> Inline:
    """Write the operations as Python."""
    _check(given, site)

    def emit(source: "Source") -> None:
        with source.block("try:"):
            for operation in _OPERATIONS:
                _OPERATIONS[operation](given, site, source)
            write_common(source, given)
        with source.block("except Exception:"):
            source.line(f"tag_failure(event, {given['tag_on_failure']!r})")

    return Inline(emit, handles_common=True)


def _check(given: Given, site: Site) -> None:
    for name in _OPERATIONS:
        if name in {"convert", "gsub"}:
            continue
        value = given[name]
        for parts in value.items() if isinstance(value, dict) else [value]:
            for part in parts:
                for text in part if isinstance(part, list) else [part]:
                    site.template(scalar_text(text), given.place(name))
    for field, kind in given.pairs("convert"):
        site.template(field, given.place("convert"))
        if not isinstance(kind, str) or kind not in CONVERTERS:
            raise given.place("convert").error(
                f"`mutate` cannot convert `{field}` to `{kind}`.", f"It converts to {', '.join(CONVERTERS)}."
            )
    if len(given["gsub"]) % 3:
        raise given.place("gsub").error("`gsub` takes threes: a field, an expression, a replacement.")
    for field in given.texts("gsub")[::3]:
        site.template(field, given.place("gsub"))


def _pairs(given: Given, name: str) -> list[tuple[str, Any]]:
    return [(field, given[name][field]) for field in hash_order(list(given[name]))]


def _value(source: "Source", value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(source.text(scalar_text(inner)) for inner in value)}]"
    return source.text(scalar_text(value))


def _coerce(given: Given, _site: Site, source: "Source") -> None:
    for field, value in _pairs(given, "coerce"):
        path = source.path(field)
        with source.block(f"if find(event, {path}) is None:"):
            source.set(field, _value(source, value))


def _rename(given: Given, _site: Site, source: "Source") -> None:
    for old, new in _pairs(given, "rename"):
        plain = source.plain_name(old)
        if plain is not None:
            with source.block(f"if {plain!r} in event:"):
                moved = source.fresh("moved")
                source.line(f"{moved} = event.pop({plain!r})")
                source.set(scalar_text(new), moved)
        else:
            source.line(
                f"{source.constant(rename, 'rename')}(event, {source.path(old)}, {source.text(scalar_text(new))})"
            )


def _update(given: Given, _site: Site, source: "Source") -> None:
    for field, value in _pairs(given, "update"):
        with source.block(f"if has(event, {source.path(field)}):"):
            source.set(field, _value(source, value))


def _replace(given: Given, _site: Site, source: "Source") -> None:
    for field, value in _pairs(given, "replace"):
        source.set(field, _value(source, value))


def _convert(given: Given, _site: Site, source: "Source") -> None:
    for field, kind in _pairs(given, "convert"):
        convert_value = source.constant(converted(CONVERTERS[kind]), f"to {kind}")
        _changed(source, field, convert_value)


def _changed(source: "Source", field: str, function: str) -> None:
    """Write `event[field] = function(event[field])` for a field that is there and not null."""
    value = source.fresh("v")
    plain = source.plain_name(field)
    read = f"event.get({plain!r})" if plain is not None else f"get(event, {source.path(field)})"
    with source.block(f"if ({value} := {read}) is not None:"):
        source.set(field, f"{function}({value})")


def _gsub(given: Given, site: Site, source: "Source") -> None:
    texts = given.texts("gsub")
    place = given.place("gsub")
    for field, expression, replacement in zip(texts[::3], texts[1::3], texts[2::3], strict=True):
        site.template(replacement, place)
        if "%{" in expression:
            pattern = f"{source.constant(_dynamic(site, place), 'pattern')}({source.text(expression)})"
        else:
            pattern = source.constant(site.pattern(expression, place), "pattern")
        value = source.fresh("v")
        with source.block(f"if ({value} := {source.get(site.path(field, place))}).__class__ in (str, list):"):
            filled = source.text(replacement)
            source.set(field, f"{source.constant(substituted, 'substituted')}({pattern}, {filled}, {value})")


def _dynamic(site: Site, place: Position) -> Callable[[str], Pattern]:
    """Make the function that compiles an expression of an event, which has to be short."""

    def compiled(text: str) -> Pattern:
        if len(text) > _LONGEST_DYNAMIC:
            raise ValueError("a regular expression of an event is too long")
        return site.pattern(text, place)

    return compiled


def _each(name: str, function: Converter) -> Callable[[Given, Site, "Source"], None]:
    def write(given: Given, _site: Site, source: "Source") -> None:
        for field in given.texts(name):
            _changed(source, field, source.constant(function, name))

    return write


def _split(given: Given, _site: Site, source: "Source") -> None:
    for field, separator in _pairs(given, "split"):
        value = source.fresh("v")
        with source.block(f"if ({value} := get(event, {source.path(field)})).__class__ is str:"):
            source.set(field, f"{source.constant(split, 'split')}({value}, {scalar_text(separator)!r})")


def _join(given: Given, _site: Site, source: "Source") -> None:
    for field, separator in _pairs(given, "join"):
        value = source.fresh("v")
        with source.block(f"if ({value} := get(event, {source.path(field)})).__class__ is list:"):
            source.set(field, f"{source.constant(join, 'join')}({value}, {scalar_text(separator)!r})")


def _merge(given: Given, site: Site, source: "Source") -> None:
    for target, added in _pairs(given, "merge"):
        names = [scalar_text(name) for name in (added if isinstance(added, list) else [added])]
        paths = tuple(site.path(name, given.place("merge")) for name in names)
        source.line(f"{source.constant(merge, 'merge')}(event, {source.path(target)}, {paths!r})")


def _copy(given: Given, _site: Site, source: "Source") -> None:
    for old, new in _pairs(given, "copy"):
        value = source.fresh("v")
        with source.block(f"if ({value} := get(event, {source.path(old)})) is not None:"):
            source.set(scalar_text(new), f"copy_value({value})")


_OPERATIONS: Final[Mapping[str, Callable[[Given, Site, "Source"], None]]] = {
    "coerce": _coerce,
    "rename": _rename,
    "update": _update,
    "replace": _replace,
    "convert": _convert,
    "gsub": _gsub,
    "uppercase": _each("uppercase", texts_changed(str.upper)),
    "capitalize": _each("capitalize", texts_changed(str.capitalize)),
    "lowercase": _each("lowercase", texts_changed(str.lower)),
    "strip": _each("strip", strip),
    "split": _split,
    "join": _join,
    "merge": _merge,
    "copy": _copy,
}
