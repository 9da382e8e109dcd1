"""`dissect`: a text is cut at literal delimiters."""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

from pipeline.logstash.fields import Event, Path, get, parse_reference, set_field, tag_failure
from pipeline.logstash.options import Given, Option, scalar_text
from pipeline.logstash.plugin import Change, Origin, Site
from pipeline.logstash.ruby import hash_order, java_text, json_text

__all__ = ["OPTIONS", "build"]

OPTIONS: Final[Mapping[str, Option]] = {
    "mapping": Option("hash", {}),
    "convert_datatype": Option("hash", {}),
    "tag_on_failure": Option("array", ["_dissectfailure"]),
}
_FIELD: Final = re.compile(r"%\{([^}]*)\}")
_MOST_DIGITS: Final = 400
_ORDER: Final = re.compile(r"(.*?)/(\d+)\Z", re.DOTALL)


class _Piece(NamedTuple):
    """One `%{…}`: what is done with its text, the delimiters around it, and whether the one after may repeat."""

    kind: str
    name: str
    order: int
    before: str
    delimiter: str
    padded: bool


def build(given: Given, site: Site) -> Change:
    """Cut each field of `mapping`, then convert."""
    mappings = [
        (
            site.path(field, given.place("mapping")),
            *_pieces(scalar_text(given["mapping"][field]), given, site),
        )
        for field in hash_order(list(given["mapping"]))
    ]
    conversions = [
        (
            name,
            site.path(name, given.place("convert_datatype")),
            _kind(given["convert_datatype"][name], given),
        )
        for name in hash_order(list(given["convert_datatype"]))
    ]
    tags = given.texts("tag_on_failure")

    def run(event: Event, _origin: Origin) -> bool:
        matched = not mappings
        for field, leading, pieces in mappings:
            value = get(event, field)
            if value is None:
                continue
            text = value if value.__class__ is str else _text_of(value)
            found = _cut(text, leading, pieces)
            if found is None:
                for tag in tags:
                    tag_failure(event, tag)
                continue
            matched = True
            for name, part in _fields(pieces, found):
                set_field(event, parse_reference(name), part)
        for name, path, kind in conversions:
            _convert(event, name, path, kind)
        return matched

    return Change(run)


def _text_of(value: Any) -> str:
    return json_text(value) if value.__class__ in {list, dict} else java_text(value)


def _kind(value: Any, given: Given) -> str:
    if value not in ("int", "float"):
        raise given.place("convert_datatype").error(
            f"`dissect` cannot convert to `{value}`.", "Known: int, float."
        )
    return str(value)


def _pieces(pattern: str, given: Given, site: Site) -> tuple[str, tuple[_Piece, ...]]:
    """Take a pattern apart into the text before the first field, and the fields."""
    found = list(_FIELD.finditer(pattern))
    place = given.place("mapping")
    if not found:
        raise place.error(f"`{pattern}` has no field.", "A field is written %{name}.")
    pieces: list[_Piece] = []
    before = ""
    for index, match in enumerate(found):
        end = found[index + 1].start() if index + 1 < len(found) else len(pattern)
        delimiter = pattern[match.end() : end]
        name, padded = match[1], match[1].endswith("->")
        name = name.removesuffix("->")
        kind = name[:1] if name[:1] in {"+", "?", "&"} else "" if name else "?"
        name = name.removeprefix(kind) if kind != "?" or match[1].startswith("?") else name
        order = index
        if kind == "+" and (numbered := _ORDER.match(name)):
            name, order = numbered[1], int(numbered[2])
        if kind in {"", "+"} and name:
            site.path(name, place)
        pieces.append(_Piece(kind, name, order, before, delimiter, padded))
        before = delimiter
    return pattern[: found[0].start()], tuple(pieces)


def _cut(text: str, leading: str, pieces: tuple[_Piece, ...]) -> list[str] | None:
    """Cut a text; None where a delimiter is missing.

    A delimiter at the very start of the text is found again for the next field, as Logstash has it.
    """
    if not text or not text.startswith(leading):
        return None
    left = len(leading)
    parts: list[str] = []
    last = len(pieces) - 1
    for index, piece in enumerate(pieces):
        if index == last and not piece.delimiter:
            parts.append(text[left:])
            break
        if not piece.delimiter:
            return None
        found = text.find(piece.delimiter, left)
        if found < 0:
            return None
        parts.append(text[left:found])
        if found == 0:
            continue
        left = found + len(piece.delimiter)
        while piece.padded and text.startswith(piece.delimiter, left):
            left += len(piece.delimiter)
    return parts


def _fields(pieces: tuple[_Piece, ...], parts: list[str]) -> list[tuple[str, str]]:
    """Give what is set: plain fields, appended ones, and those whose name is the text of another."""
    known = {piece.name: part for piece, part in zip(pieces, parts, strict=True) if piece.kind in {"", "?"}}
    fields: dict[str, str] = {}
    appended = sorted(
        ((piece, part) for piece, part in zip(pieces, parts, strict=True) if piece.kind == "+"),
        key=lambda pair: pair[0].order,
    )
    for piece, part in zip(pieces, parts, strict=True):
        if piece.kind == "" and piece.name:
            fields[piece.name] = part
        elif piece.kind == "&" and known.get(piece.name):
            fields[known[piece.name]] = part
    for piece, part in appended:
        fields[piece.name] = f"{fields[piece.name]}{piece.before}{part}" if piece.name in fields else part
    return list(fields.items())


def _convert(event: Event, name: str, path: Path, kind: str) -> None:
    value = get(event, path)
    if value is None:
        tag_failure(event, f"_dataconversionnullvalue_{name}_{kind}")
        return
    try:
        if value.__class__ not in {str, int, float}:
            raise ValueError(kind)
        number = Decimal(value if value.__class__ is str else repr(value))
        if not number.is_finite() or abs(number.adjusted()) > _MOST_DIGITS:
            raise ValueError(kind)
        set_field(event, path, int(number) if kind == "int" else float(number))
    except (InvalidOperation, ValueError, OverflowError):
        tag_failure(event, f"_dataconversionuncoercible_{name}_{kind}")
