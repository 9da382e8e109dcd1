"""`kv`: `key=value` pairs of a text become fields."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from pipeline.logstash.fields import Event, FieldError, get, parse_reference, set_field, tag_failure
from pipeline.logstash.interpolation import interpolate
from pipeline.logstash.options import Given, Option, scalar_text
from pipeline.logstash.patterns import Pattern, PatternTimeout
from pipeline.logstash.plugin import Change, Origin, Site

__all__ = ["OPTIONS", "build"]

_CHANGES: Final = ("lowercase", "uppercase", "capitalize")
OPTIONS: Final[Mapping[str, Option]] = {
    "source": Option("string", "message"),
    "target": Option("string"),
    "prefix": Option("string", ""),
    "field_split": Option("string", " "),
    "field_split_pattern": Option("string"),
    "value_split": Option("string", "="),
    "value_split_pattern": Option("string"),
    "trim_key": Option("string"),
    "trim_value": Option("string"),
    "remove_char_key": Option("string"),
    "remove_char_value": Option("string"),
    "transform_key": Option("string", choices=_CHANGES),
    "transform_value": Option("string", choices=_CHANGES),
    "include_keys": Option("array", []),
    "exclude_keys": Option("array", []),
    "default_keys": Option("hash", {}),
    "allow_duplicate_values": Option("boolean", True),
    "allow_empty_values": Option("boolean", False),
    "include_brackets": Option("boolean", True),
    "recursive": Option("boolean", False),
    "whitespace": Option("string", "lenient", choices=("lenient", "strict")),
    "tag_on_failure": Option("array", ["_kv_filter_error"]),
    "tag_on_timeout": Option("string", "_kv_filter_timeout"),
    "timeout_millis": Option(
        "number",
        30_000,
        status="differs",
        note="The time is the processor's, and `filters.regex_timeout` is the most.",
    ),
    "ecs_compatibility": Option("string", choices=("disabled", "v1", "v8")),
}
_MAX_DEPTH: Final = 50


def build(given: Given, site: Site) -> Change:
    """Split a text into pairs."""
    source = site.path(given["source"], given.place("source"))
    target = site.path(given["target"], given.place("target")) if given["target"] else None
    defaults = {name: scalar_text(value) for name, value in given.pairs("default_keys")}
    pairs = _Pairs(given, site)
    tags = given.texts("tag_on_failure")

    def run(event: Event, _origin: Origin) -> bool:
        value = get(event, source)
        found: dict[str, Any] = {}
        try:
            for text in value if value.__class__ is list else [value]:
                if text.__class__ is str:
                    pairs.add(text, event, found, 0)
            found = {**defaults, **found}
            if not found:
                return False
            if target is not None:
                set_field(event, target, found)
            else:
                for name, inner in found.items():
                    set_field(event, parse_reference(name), inner)
        except PatternTimeout:
            tag_failure(event, given["tag_on_timeout"])
            return False
        except FieldError:
            for tag in tags:
                tag_failure(event, tag)
            return False
        return True

    return Change(run)


class _Pairs:
    """Finds the pairs of a text by one expression, which is Logstash's."""

    def __init__(self, given: Given, site: Site) -> None:
        self._given = given
        self._site = site
        for name in ("value_split", "field_split_pattern", "value_split_pattern"):
            if given[name] == "":
                raise given.place(name).error(f"`kv`: `{name}` is empty.")
        fields = given["field_split_pattern"] or f"[{given['field_split']}]"
        values = given["value_split_pattern"] or f"[{given['value_split']}]"
        if given["whitespace"] == "lenient":
            values = f" *(?:{values}) *"
        if given["field_split_pattern"] or given["value_split_pattern"]:
            key = _until(f"(?:{values})|(?:{fields})")
        else:
            key = rf"((?:\\.|[^{given['value_split']}{given['field_split']}])+)"
        quoted = [r'"((?:\\.|[^"])+)?"', r"'((?:\\.|[^'])+)?'"]
        if given["include_brackets"]:
            quoted += [r"\(((?:\\.|[^\)])+)?\)", r"\[((?:\\.|[^\]])+)?\]", r"<((?:\\.|[^>])+)?>"]
        plain = _until(fields) if given["field_split_pattern"] else rf"((?:\\.|[^{given['field_split']}])+)"
        place = given.position
        limit = given["timeout_millis"] / 1000
        self._splitter = site.pattern(values, place, limit)
        self._scan = site.pattern(
            f"{key}(?:{values})(?:{'|'.join([*quoted, plain])})?(?:(?:{fields})|$)", place, limit
        )
        self._key = self._cleaner("key")
        self._value = self._cleaner("value")
        self._include = given.texts("include_keys")
        self._exclude = given.texts("exclude_keys")

    def _cleaner(self, kind: str) -> list[Callable[[str], str]]:
        """Give what is done to each key or value, in order."""
        given, steps = self._given, []
        trim, removed, change = (
            given[f"trim_{kind}"],
            given[f"remove_char_{kind}"],
            given[f"transform_{kind}"],
        )
        if trim:
            steps.append(_deleter(self._site.pattern(f"^[{trim}]+|[{trim}]+$", given.place(f"trim_{kind}"))))
        if removed:
            steps.append(_deleter(self._site.pattern(f"[{removed}]", given.place(f"remove_char_{kind}"))))
        if change:
            steps.append(
                {"lowercase": str.lower, "uppercase": str.upper, "capitalize": str.capitalize}[change]
            )
        return steps

    def add(self, text: str, event: Event, found: dict[str, Any], depth: int) -> None:
        """Add the pairs of a text to those found before."""
        if self._splitter.search(text) is None:
            return
        given = self._given
        include = [interpolate(event, name) for name in self._include]
        exclude = [interpolate(event, name) for name in self._exclude]
        prefix = interpolate(event, given["prefix"])
        for match in self._scan.scan(text):
            key, *candidates = match.groups()
            value: Any = next((candidate for candidate in candidates if candidate is not None), "")
            if not value and not given["allow_empty_values"]:
                continue
            for step in self._key:
                key = step(key)
            if (include and key not in include) or key in exclude:
                continue
            key = prefix + key
            for step in self._value:
                value = step(value)
            if not given["allow_duplicate_values"] and value in found.get(key, ()):
                continue
            if given["recursive"] and depth < _MAX_DEPTH:
                inner: dict[str, Any] = {}
                self.add(value, event, inner, depth + 1)
                value = inner or value
            if key not in found:
                found[key] = value
            elif found[key].__class__ is list:
                found[key].append(value)
            else:
                found[key] = [found[key], value]


def _until(pattern: str) -> str:
    return rf"((?:\\.|(?!{pattern}).)+)"


def _deleter(pattern: Pattern) -> Callable[[str], str]:
    return lambda text: pattern.substitute(lambda _match: "", text)
