"""What a mapping will do with each field of a document: pure, by Elasticsearch's rules for types and dynamic fields."""

import ipaddress
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal, NamedTuple

from pipeline.events.timestamps import parse_timestamp

__all__ = ["Verdict", "verdicts"]

Outcome = Literal["searchable", "kept", "new", "conflict"]

_INTEGERS = {
    "long": (-(1 << 63), (1 << 63) - 1),
    "integer": (-(1 << 31), (1 << 31) - 1),
    "short": (-(1 << 15), (1 << 15) - 1),
    "byte": (-(1 << 7), (1 << 7) - 1),
    "unsigned_long": (0, (1 << 64) - 1),
}
_FLOATS = frozenset({"double", "float", "half_float", "scaled_float"})
_TEXTS = frozenset({"keyword", "text", "wildcard", "match_only_text", "constant_keyword", "version"})
_OBJECTS = frozenset({"object", "nested", "flattened"})


class Verdict(NamedTuple):
    """What becomes of one field."""

    field: str
    outcome: Outcome
    """`kept` is in the document and cannot be searched; `conflict` is refused, and the field is moved aside."""
    type: str
    """As it is mapped, or would be; empty where it is not."""
    why: str
    unfit: bool = False
    """Whether the value is not what the mapping wants, so that it is refused or cannot be searched."""


def verdicts(
    document: Mapping[str, Any], mapping: Mapping[str, Any], *, ignore_malformed: bool = False
) -> list[Verdict]:
    """Judge each leaf of a document.

    mapping -- what `GET <index>/_mapping` has under `mappings`
    ignore_malformed -- the index's setting `index.mapping.ignore_malformed`
    """
    known = dict(_flat(mapping, ""))
    return list(_judged(document, "", known, mapping, ignore_malformed))


def _flat(mapping: Mapping[str, Any], before: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give the definition of each path; with `subobjects: false` the names have dots already."""
    for name, definition in mapping.get("properties", {}).items():
        path = f"{before}{name}"
        yield path, definition
        yield from _flat(definition, f"{path}.")


def _judged(
    values: Mapping[str, Any],
    before: str,
    known: Mapping[str, Mapping[str, Any]],
    mapping: Mapping[str, Any],
    lenient: bool,
) -> Iterator[Verdict]:
    for name, value in values.items():
        path = f"{before}{name}"
        definition = known.get(path)
        inner = value if isinstance(value, dict) else None
        if inner is not None and definition is not None and definition.get("enabled") is False:
            yield Verdict(path, "kept", "object", "the mapping switches this object off")
        elif inner is not None and (definition is None or _kind(definition) in {"object", "nested"}):
            yield from _judged(inner, f"{path}.", known, mapping, lenient)
        elif value is None or value == []:
            yield Verdict(path, "kept", _kind(definition) if definition else "", "it has no value")
        elif definition is not None:
            yield _mapped(path, value, definition, lenient)
        else:
            yield _unmapped(path, value, known, mapping, lenient)


def _kind(definition: Mapping[str, Any]) -> str:
    return str(definition.get("type", "object"))


def _mapped(path: str, value: Any, definition: Mapping[str, Any], lenient: bool) -> Verdict:
    kind = _kind(definition)
    values = value if isinstance(value, list) else [value]
    wrong = next((one for one in values if not _fits(one, kind)), None)
    if wrong is not None:
        shown = f"{wrong!r:.60} is no {kind}"
        if (
            definition.get("ignore_malformed", lenient)
            and kind not in _OBJECTS
            and not isinstance(wrong, dict)
        ):
            return Verdict(path, "kept", kind, f"{shown}: not searchable (ignore_malformed)", unfit=True)
        return Verdict(path, "conflict", kind, f"{shown}: moved to unmapped.{path}", unfit=True)
    above = definition.get("ignore_above")
    if above is not None and kind == "keyword" and any(len(str(one)) > above for one in values):
        return Verdict(path, "kept", kind, f"longer than ignore_above = {above}: not searchable", unfit=True)
    if definition.get("index") is False:
        if definition.get("doc_values", True) and kind != "text":
            return Verdict(path, "searchable", kind, "by doc values alone: slower to search")
        return Verdict(path, "kept", kind, "the mapping does not index it")
    return Verdict(path, "searchable", kind, "")


def _fits(value: Any, kind: str) -> bool:
    if isinstance(value, list):
        return all(_fits(one, kind) for one in value)
    if value is None:
        return True
    if kind in _OBJECTS:
        return isinstance(value, dict)
    if isinstance(value, dict):
        return False
    if kind in _TEXTS:
        return True
    if kind == "boolean":
        return isinstance(value, bool) or value in ("true", "false", "")
    if kind == "date":
        return not isinstance(value, bool) and parse_timestamp(value) is not None
    if kind == "ip":
        return _is_address(value)
    if kind in _INTEGERS or kind in _FLOATS:
        return _is_number(value, kind)
    return True  # a type that is not judged here


def _is_number(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return False
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    if number != number or number in (float("inf"), float("-inf")):  # noqa: PLR0124 - that is how one knows NaN
        return False
    if kind in _FLOATS:
        return True
    low, high = _INTEGERS[kind]
    return low <= (value if isinstance(value, int) else number) <= high


def _is_address(value: Any) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return isinstance(value, str)


def _unmapped(
    path: str,
    value: Any,
    known: Mapping[str, Mapping[str, Any]],
    mapping: Mapping[str, Any],
    lenient: bool,
) -> Verdict:
    """Judge a field that the mapping does not have: the nearest object above it says what is done with those."""
    dynamic = str(mapping.get("dynamic", "true")).lower()
    parts = path.split(".")
    for length in range(1, len(parts)):
        above = known.get(".".join(parts[:length]))
        if above is None:
            continue
        kind = _kind(above)
        if kind == "flattened":
            return Verdict(path, "searchable", kind, "as a keyword")
        if kind not in {"object", "nested"}:
            whole = ".".join(parts[:length])
            if mapping.get("subobjects") is False:
                continue  # names have dots, and `a` beside `a.b` is no conflict
            return Verdict(
                path, "conflict", kind, f"{whole} is a {kind}, no object: moved to unmapped.{path}"
            )
        dynamic = str(above.get("dynamic", dynamic)).lower()
    if dynamic == "false":
        return Verdict(path, "kept", "", "the mapping does not have it: not searchable (dynamic: false)")
    if dynamic == "strict":
        return Verdict(path, "conflict", "", f"the mapping takes no new fields: moved to unmapped.{path}")
    if dynamic == "runtime":
        return Verdict(path, "searchable", "runtime", "a new field, read from the document at each search")
    kind = _guessed(path, value, mapping)
    if not _fits(value, kind):  # a dynamic template by name, and a value that is not of its type
        return _mapped(path, value, {"type": kind}, lenient)
    return Verdict(path, "new", kind, "a new field, while the index has fewer than its limit")


def _guessed(path: str, value: Any, mapping: Mapping[str, Any]) -> str:
    """Give the type of a new field, by the dynamic templates and then by Elasticsearch's own defaults."""
    one = next(iter(value), None) if isinstance(value, list) else value
    json_type, default = (
        ("boolean", "boolean")
        if isinstance(one, bool)
        else ("long", "long")
        if isinstance(one, int)
        else ("double", "float")
        if isinstance(one, float)
        else ("object", "object")
        if isinstance(one, dict)
        else ("string", "text")
    )
    for template in mapping.get("dynamic_templates", ()):
        (rule,) = template.values()
        if _template_matches(rule, path, json_type):
            return str(rule.get("mapping", {}).get("type", default)).replace("{dynamic_type}", default)
    return default


def _template_matches(rule: Mapping[str, Any], path: str, json_type: str) -> bool:
    types = _listed(rule.get("match_mapping_type"))
    if types and "*" not in types and json_type not in types:
        return False
    name = path.rpartition(".")[2]
    for key, text in (("match", name), ("path_match", path)):
        wanted = _listed(rule.get(key))
        if wanted and not any(fnmatchcase(text, pattern) for pattern in wanted):
            return False
        if any(fnmatchcase(text, pattern) for pattern in _listed(rule.get(key.replace("match", "unmatch")))):
            return False
    return True


def _listed(value: Any) -> list[str]:
    return [] if value is None else value if isinstance(value, list) else [value]
