"""What Ruby and Java make of values where Logstash shows it: texts of numbers, lists and objects, numbers of texts."""

import json
import re
from decimal import Decimal
from typing import Any, Final

from pipeline.logstash.timestamp import Timestamp

__all__ = ["inspect", "java_text", "json_text", "to_f", "to_i", "to_s"]

_INTEGER: Final = re.compile(r"\s*([+-]?\d+(?:_\d+)*)", re.ASCII)
_FLOAT: Final = re.compile(r"\s*([+-]?\d+(?:_\d+)*(?:\.\d+(?:_\d+)*)?(?:[eE][+-]?\d+)?)", re.ASCII)
_UNESCAPED: Final = {
    '"': '\\"',
    "\\": "\\\\",
    "\n": "\\n",
    "\t": "\\t",
    "\r": "\\r",
    "\f": "\\f",
    "\v": "\\v",
    "\b": "\\b",
    "\a": "\\a",
    "\x1b": "\\e",
    "#": "#",
}


def _digits(value: float) -> tuple[str, str, int]:
    """Give sign, significant digits and the exponent of the first of them."""
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text = "".join(map(str, digits))
    return "-" if sign else "", text, len(text) - 1 + int(exponent)


def _decimal(sign: str, digits: str, exponent: int) -> str:
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    return f"{sign}{whole}.{digits[exponent + 1 :] or '0'}"


def java_double(value: float) -> str:
    """Write a number as Java's Double.toString: 1.0E21, 1.0E-4."""
    if value == 0:
        return "-0.0" if str(value).startswith("-") else "0.0"
    if value != value or value in {float("inf"), float("-inf")}:  # noqa: PLR0124 - NaN
        return "NaN" if value != value else f"{'-' if value < 0 else ''}Infinity"  # noqa: PLR0124
    sign, digits, exponent = _digits(value)
    if -3 <= exponent < 7:
        return _decimal(sign, digits, exponent)
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{exponent}"


def ruby_float(value: float) -> str:
    """Write a number as Ruby's Float#to_s: 1.0e+21, 0.0001."""
    if value == 0 or value != value or value in {float("inf"), float("-inf")}:  # noqa: PLR0124
        return java_double(value)
    sign, digits, exponent = _digits(value)
    if -4 <= exponent < 16:
        return _decimal(sign, digits, exponent)
    return f"{sign}{digits[0]}.{digits[1:] or '0'}e{exponent:+03d}"


def java_text(value: Any) -> str:
    """Write a value as Java's toString does, which sprintf shows; an object in a list is `{k=v}`."""
    if value.__class__ is str:
        return str(value)
    if value is None:
        return "null"
    if value.__class__ is bool:
        return "true" if value else "false"
    if value.__class__ is float:
        return java_double(value)
    if value.__class__ is list:
        return f"[{', '.join(map(java_text, value))}]"
    if value.__class__ is dict:
        return "{" + ", ".join(f"{name}={java_text(inner)}" for name, inner in value.items()) + "}"
    return str(value)


def joined(values: list[Any]) -> str:
    """Join a list by commas as sprintf does: null is empty, a list inside is joined too."""
    return ",".join(
        "" if value is None else joined(value) if value.__class__ is list else java_text(value)
        for value in values
    )


def json_text(value: Any) -> str:
    """Write a value as compact JSON with sorted names and Java's numbers, as sprintf writes an object."""
    if value.__class__ is dict:
        inner = (f"{json.dumps(name, ensure_ascii=False)}:{json_text(value[name])}" for name in sorted(value))
        return "{" + ",".join(inner) + "}"
    if value.__class__ is list:
        return f"[{','.join(map(json_text, value))}]"
    if value is None or value.__class__ in {bool, int, float}:
        return java_text(value)
    return json.dumps(str(value), ensure_ascii=False)


def to_s(value: Any) -> str:
    """Write a value as Ruby's to_s."""
    if value.__class__ is str:
        return str(value)
    if value is None:
        return ""
    if value.__class__ is bool:
        return "true" if value else "false"
    if value.__class__ is float:
        return ruby_float(value)
    if value.__class__ is list or value.__class__ is dict:
        return inspect(value)
    return str(value)


def inspect(value: Any) -> str:
    """Write a value as Ruby's inspect: `{"a"=>[1, nil]}`."""
    if value is None:
        return "nil"
    if value.__class__ is str:
        return '"' + "".join(_inspected(letter) for letter in value) + '"'
    if value.__class__ is list:
        return f"[{', '.join(map(inspect, value))}]"
    if value.__class__ is dict:
        return "{" + ", ".join(f"{inspect(name)}=>{inspect(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, Timestamp):
        return str(value)
    return to_s(value)


def _inspected(letter: str) -> str:
    if letter in _UNESCAPED:
        return _UNESCAPED[letter]
    return (
        letter
        if letter.isprintable()
        else f"\\u{ord(letter):04X}"
        if ord(letter) > 0x7F
        else f"\\x{ord(letter):02X}"
    )


def to_i(value: Any) -> int:
    """Read a number as Ruby's to_i: the digits at the start, else 0."""
    if isinstance(value, str):
        found = _INTEGER.match(value)
        return int(found[1]) if found else 0
    return int(value or 0)


def to_f(value: Any) -> float:
    """Read a number as Ruby's to_f: what stands at the start, else 0.0."""
    if isinstance(value, str):
        found = _FLOAT.match(value)
        return float(found[1]) if found else 0.0
    return float(value or 0)


def split(text: str, separator: str) -> list[str]:
    """Split as Ruby does: empty texts at the end are dropped; a single space is any white space."""
    if separator == " ":
        return text.split()
    parts = list(text) if not separator else text.split(separator)
    while parts and not parts[-1]:
        parts.pop()
    return parts


def hash_order(names: list[str]) -> list[str]:
    """Sort names as Java's HashMap hands them out, which is the order in which Logstash sees a hash of options."""
    size = 16
    while len(names) > size * 0.75:
        size *= 2
    return sorted(names, key=lambda name: _java_hash(name) & (size - 1))


def _java_hash(name: str) -> int:
    value = 0
    units = name.encode("utf-16-le")
    for index in range(0, len(units), 2):
        value = (31 * value + units[index] + (units[index + 1] << 8)) & 0xFFFFFFFF
    return value ^ (value >> 16)
