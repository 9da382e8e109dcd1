"""Methods and operators of Ruby's values, as far as `ruby_code` reads them."""

import math
import re
from collections.abc import Callable
from typing import Any, Final

from pipeline.logstash.patterns import Pattern
from pipeline.logstash.replacement import Replacement
from pipeline.logstash.ruby import split, to_f, to_i, to_s
from pipeline.logstash.timestamp import MILLISECOND, SECOND, Timestamp

__all__ = ["METHODS", "RubyError", "operate", "truthy"]


class RubyError(Exception):
    """What would have been an exception in Ruby."""


def truthy(value: Any) -> bool:
    """All but nil and false is true."""
    return value is not None and value is not False


def operate(operator: str, left: Any, right: Any) -> Any:
    """Do arithmetic and comparisons; raises RubyError for what does not go together."""
    if operator == "=~":
        return _match(left, right)
    if operator in {"==", "!="}:
        equal = left.__class__ is not bool and right.__class__ is not bool and left == right
        same = equal if left.__class__ is not bool else left is right
        return same if operator == "==" else not same
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in (left, right))
    if isinstance(left, Timestamp) and isinstance(right, Timestamp) and operator == "-":
        return (left.nanoseconds - right.nanoseconds) / SECOND
    texts = isinstance(left, str) and isinstance(right, str)
    lists = isinstance(left, list) and isinstance(right, list)
    if not (
        numbers
        or (texts and operator in {"+", "<", ">", "<=", ">="})
        or (lists and operator in {"+", "-"})
        or (isinstance(left, str) and isinstance(right, int) and operator == "*")
    ):
        raise RubyError(f"`{operator}` of {type(left).__name__} and {type(right).__name__}")
    if lists and operator == "-":
        return [value for value in left if value not in right]
    try:
        return _OPERATORS[operator](left, right)
    except (ZeroDivisionError, OverflowError, MemoryError) as error:
        raise RubyError(str(error)) from None


def _divide(left: Any, right: Any) -> Any:
    return left // right if isinstance(left, int) and isinstance(right, int) else left / right


def _times(left: Any, right: Any) -> Any:
    if isinstance(left, str) and len(left) * right > 1_000_000:
        raise RubyError("a text that is too long")
    return left * right


_OPERATORS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": _times,
    "/": _divide,
    "%": lambda left, right: left % right,
    "<": lambda left, right: left < right,
    ">": lambda left, right: left > right,
    "<=": lambda left, right: left <= right,
    ">=": lambda left, right: left >= right,
}


def _match(left: Any, right: Any) -> Any:
    if not isinstance(right, Pattern):
        raise RubyError("=~ takes a regular expression")
    found = right.search(left) if isinstance(left, str) else None
    return None if found is None else found.start()


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise RubyError(f"undefined method for {type(value).__name__}")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise RubyError(f"undefined method for {type(value).__name__}")
    return value


def _substitute(value: Any, pattern: Any, replacement: Any) -> str:
    text = _text(value)
    if isinstance(pattern, Pattern):
        return pattern.substitute(Replacement(_text(replacement), pattern.names), text)
    return text.replace(_text(pattern), _text(replacement))


def _substitute_once(value: Any, pattern: Any, replacement: Any) -> str:
    text = _text(value)
    if isinstance(pattern, Pattern):
        found = pattern.search(text)
        if found is None:
            return text
        return (
            text[: found.start()]
            + Replacement(_text(replacement), pattern.names)(found)
            + text[found.end() :]
        )
    return text.replace(_text(pattern), _text(replacement), 1)


def _to_i(value: Any, base: int = 10) -> int:
    if isinstance(value, Timestamp):
        return value.nanoseconds // SECOND
    if base != 10 and isinstance(value, str):
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[:base]
        found = re.match(rf"\s*([+-]?)(?:0x)?([{digits}]+)", value.lower())
        return int(found[1] + found[2], base) if found else 0
    if isinstance(value, (str, int, float)) or value is None:
        return to_i(value)
    raise RubyError(f"undefined method `to_i` for {type(value).__name__}")


def _to_f(value: Any) -> float:
    if isinstance(value, Timestamp):
        return value.nanoseconds // MILLISECOND / 1000
    if isinstance(value, (str, int, float)) or value is None:
        return to_f(value)
    raise RubyError(f"undefined method `to_f` for {type(value).__name__}")


def _unique(value: Any) -> list[Any]:
    found: list[Any] = []
    for inner in _list(value):
        if inner not in found:
            found.append(inner)
    return found


def _flatten(value: Any) -> list[Any]:
    return [
        part for inner in _list(value) for part in (_flatten(inner) if isinstance(inner, list) else [inner])
    ]


def _join(value: Any, separator: str = "") -> str:
    return separator.join(to_s(inner) for inner in _flatten(value))


def _index(value: Any, index: Any) -> Any:
    if isinstance(value, dict):
        return value.get(index)
    if isinstance(value, (list, str)) and isinstance(index, int):
        return value[index] if -len(value) <= index < len(value) else None
    raise RubyError(f"undefined method `[]` for {type(value).__name__}")


def _includes(value: Any, wanted: Any) -> bool:
    if isinstance(value, (str, list, dict)):
        return wanted in value
    raise RubyError(f"undefined method `include?` for {type(value).__name__}")


def _length(value: Any) -> int:
    if isinstance(value, (str, list, dict)):
        return len(value)
    raise RubyError(f"undefined method `length` for {type(value).__name__}")


def _round(value: Any, digits: int = 0) -> Any:
    if digits > 0:
        return round(float(value), digits)
    return math.floor(abs(value) + 0.5) * (1 if value >= 0 else -1)


METHODS: Final[dict[str, Callable[..., Any]]] = {
    "[]": _index,
    "abs": abs,
    "capitalize": lambda value: _text(value).capitalize(),
    "ceil": math.ceil,
    "chomp": lambda value: re.sub(r"\r?\n\Z", "", _text(value)),
    "compact": lambda value: [inner for inner in _list(value) if inner is not None],
    "downcase": lambda value: _text(value).lower(),
    "empty?": lambda value: _length(value) == 0,
    "end_with?": lambda value, end: _text(value).endswith(_text(end)),
    "first": lambda value: _list(value)[0] if value else None,
    "flatten": _flatten,
    "floor": math.floor,
    "gsub": _substitute,
    "hex": lambda value: _to_i(_text(value), 16),
    "include?": _includes,
    "join": _join,
    "keys": lambda value: list(value.keys()),
    "last": lambda value: _list(value)[-1] if value else None,
    "length": _length,
    "lstrip": lambda value: _text(value).lstrip(),
    "nil?": lambda value: value is None,
    "regexp": Pattern,
    "reverse": lambda value: value[::-1],
    "round": _round,
    "rstrip": lambda value: _text(value).rstrip(),
    "size": _length,
    "sort": lambda value: sorted(_list(value)),
    "split": lambda value, separator=" ": split(_text(value), _text(separator)),
    "start_with?": lambda value, start: _text(value).startswith(_text(start)),
    "strip": lambda value: _text(value).strip("\0\t\n\v\f\r "),
    "sub": _substitute_once,
    "to_f": _to_f,
    "to_h": dict,
    "to_hash": dict,
    "to_i": _to_i,
    "to_s": to_s,
    "uniq": _unique,
    "upcase": lambda value: _text(value).upper(),
    "values": lambda value: list(value.values()),
}
