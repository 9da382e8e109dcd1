"""What `mutate` makes of values: conversions, merges, joins, replacements, each as Logstash does it."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final, TypeAlias

from pipeline.logstash.fields import MISSING, Event, Path, get, parse_reference, remove, set_field
from pipeline.logstash.patterns import Pattern
from pipeline.logstash.replacement import Replacement
from pipeline.logstash.ruby import to_i, to_s

__all__ = [
    "CONVERTERS",
    "Converter",
    "converted",
    "join",
    "merge",
    "rename",
    "strip",
    "substituted",
    "texts_changed",
    "to_boolean",
    "to_float",
    "to_integer",
]

Converter: TypeAlias = Callable[[Any], Any]
_TRUE: Final = re.compile(r"(?:true|t|yes|y|1|1\.0)\Z", re.IGNORECASE)
_FALSE: Final = re.compile(r"(?:false|f|no|n|0|0\.0)\Z", re.IGNORECASE)
_HEX: Final = re.compile(r"[+-]?0x[0-9a-f]+(?:_[0-9a-f]+)*\Z", re.IGNORECASE)
_FLOAT: Final = re.compile(
    r"[+-]?(?:\d+(?:_\d+)*(?:\.\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:[eE][+-]?\d+)?\Z", re.ASCII
)
# "1e999999999" is no number that anyone wants written out.
_MOST_DIGITS: Final = 400
BLANK: Final = "\0\t\n\v\f\r "


def rename(event: Event, old: Path, new: str) -> None:
    """Move a field; where it cannot be put it is lost, as in Logstash."""
    value = remove(event, old)
    if value is not MISSING:
        set_field(event, parse_reference(new), value)


def merge(event: Event, target: Path, sources: tuple[Path, ...]) -> None:
    """Merge lists and scalars to a list, or objects to an object; the two do not mix."""
    present = get(event, target)
    for source in sources:
        added = get(event, source)
        if (present.__class__ is dict) != (added.__class__ is dict):
            continue
        if present.__class__ is dict:
            present.update(added)
            set_field(event, target, present)
        elif present.__class__ is list:
            present.extend(_as_list(added))
            set_field(event, target, present)
        else:
            set_field(event, target, [*_as_list(present), *_as_list(added)])


def _as_list(value: Any) -> list[Any]:
    if value.__class__ is list:
        return list(value)
    return [] if value is None else [value]


def join(values: list[Any], separator: str) -> str:
    """Join as Ruby does: lists inside are joined too."""
    return separator.join(
        join(value, separator) if value.__class__ is list else to_s(value) for value in values
    )


def substituted(pattern: Pattern, template: str, value: Any) -> Any:
    """Replace in a text, or in the texts of a list."""
    replacement = template if "\\" not in template else _replacement(template, pattern.names)
    if value.__class__ is str:
        return pattern.substitute(replacement, value)
    return [pattern.substitute(replacement, inner) if inner.__class__ is str else inner for inner in value]


@lru_cache(1024)
def _replacement(template: str, names: tuple[str, ...]) -> Replacement:
    return Replacement(template, names)


def texts_changed(change: Callable[[str], str]) -> Converter:
    """Make a function that changes a text, or the texts of a list, and leaves all else."""

    def changed(value: Any) -> Any:
        if value.__class__ is str:
            return change(value)
        if value.__class__ is list:
            return [change(inner) if inner.__class__ is str else inner for inner in value]
        return value

    return changed


def strip(value: Any) -> Any:
    """Strip white space and NUL; in a list all have to be texts."""
    if value.__class__ is list:
        return [inner.strip(BLANK) for inner in value]
    return value.strip(BLANK) if value.__class__ is str else value


def converted(convert: Converter) -> Converter:
    """Make a function that converts a value, or each of a list; an object is left."""

    def change(value: Any) -> Any:
        if value.__class__ is list:
            return [None if inner is None else convert(inner) for inner in value]
        return value if value.__class__ is dict else convert(value)

    return change


def to_integer(value: Any) -> int:
    """Convert as Logstash does since 8.14; raises ValueError or TypeError."""
    if value.__class__ is not str:
        if value.__class__ in {bool, int, float}:
            return int(value)
        raise TypeError(type(value).__name__)
    if value.isascii() and value.isdigit():
        return int(value)
    text = value.strip(BLANK).replace(",", "")
    if text[:3].lower().lstrip("+-").startswith("0x"):
        return _from_hex(text)
    if "e" in text:
        try:
            number = Decimal(text)
        except InvalidOperation:
            raise ValueError(text) from None
        if not number.is_finite() or number.adjusted() > _MOST_DIGITS:
            raise ValueError(text)
        return int(number)
    return to_i(text)


def to_float(value: Any) -> float:
    """Convert as Logstash does since 8.14; raises ValueError or TypeError."""
    if value.__class__ is not str:
        if value.__class__ in {bool, int, float}:
            return float(value)
        raise TypeError(type(value).__name__)
    text = value.strip(BLANK).replace(",", "")
    if text[:3].lower().lstrip("+-").startswith("0x"):
        return float(_from_hex(text))
    if not _FLOAT.match(text):
        raise ValueError(text)
    return float(text)


def _from_hex(text: str) -> int:
    if not _HEX.match(text):
        raise ValueError(text)
    return int(text, 16)


def _european(value: Any) -> Any:
    return value.translate({44: 46, 46: 44}) if value.__class__ is str else value


def to_boolean(value: Any) -> Any:
    """Convert what reads as true or false; the rest is left as it is."""
    text = to_s(value)
    if _TRUE.match(text):
        return True
    return False if not text or _FALSE.match(text) else value


CONVERTERS: Final[Mapping[str, Converter]] = {
    "string": to_s,
    "integer": to_integer,
    "float": to_float,
    "boolean": to_boolean,
    "integer_eu": lambda value: to_integer(_european(value)),
    "float_eu": lambda value: to_float(_european(value)),
}
