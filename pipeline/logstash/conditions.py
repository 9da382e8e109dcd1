"""What conditions mean where Python's own operators do not: comparisons and membership by Logstash's rules."""

from typing import Any

from pipeline.logstash.fields import MISSING
from pipeline.logstash.ruby import java_text
from pipeline.logstash.timestamp import Timestamp

__all__ = [
    "IncomparableError",
    "at_least",
    "at_most",
    "greater",
    "less",
    "member",
    "member_of",
    "same",
    "truth",
]


class IncomparableError(Exception):
    """A comparison of a missing field, of a list or an object, or of a number with a text.

    Logstash loses the event. Here the condition is false, and the event is tagged and counted.
    """


def truth(value: Any) -> bool:
    """Say whether a value counts as true: all but missing, null, false, the empty text and the text `false`."""
    return value is not None and value is not False and value not in ("", "false")


def same(left: Any, right: Any) -> bool:
    """Say whether two values are equal without conversion: 1, 1.0 and "1" differ, so do null and missing."""
    if left.__class__ is not right.__class__:
        return False
    if left.__class__ is list:
        return len(left) == len(right) and all(map(same, left, right))
    if left.__class__ is dict:
        return left.keys() == right.keys() and all(same(value, right[name]) for name, value in left.items())
    return bool(left == right)


def _order(left: Any, right: Any) -> int:
    """Compare; null, booleans and times count as equal to anything."""
    if left is MISSING or right is MISSING:
        raise IncomparableError("a missing field has no order")
    kinds = [_kind(left), _kind(right)]
    if "other" in kinds:
        raise IncomparableError("a list or an object has no order")
    if "neutral" in kinds:
        return 0
    if kinds[0] != kinds[1]:
        raise IncomparableError("a number and a text have no order")
    if kinds[0] == "text":
        left, right = left.encode("utf-8", "surrogatepass"), right.encode("utf-8", "surrogatepass")
    return int(left > right) - int(left < right)


def _kind(value: Any) -> str:
    if value is None or value.__class__ is bool or isinstance(value, Timestamp):
        return "neutral"
    if isinstance(value, str):
        return "text"
    return "number" if isinstance(value, (int, float)) else "other"


def less(left: Any, right: Any) -> bool:
    """`<`; raises IncomparableError."""
    return _order(left, right) < 0


def greater(left: Any, right: Any) -> bool:
    """`>`; raises IncomparableError."""
    return _order(left, right) > 0


def at_most(left: Any, right: Any) -> bool:
    """`<=`; raises IncomparableError."""
    return _order(left, right) <= 0


def at_least(left: Any, right: Any) -> bool:
    """`>=`; raises IncomparableError."""
    return _order(left, right) >= 0


def in_literals(value: Any, texts: frozenset[str]) -> bool:
    """`[field] in ["a", "b"]`: compared as texts."""
    if value.__class__ is str:
        return value in texts
    if value is None:
        return False
    return java_text(value) in texts


def member_of(literal: Any, value: Any) -> bool:
    """`"literal" in [field]`: part of a text, or member of a list."""
    if value.__class__ is str:
        return literal.__class__ is str and literal in value
    return value.__class__ is list and any(same(literal, inner) for inner in value)


def part_of(value: Any, literal: str) -> bool:
    """`[field] in "literal"`: part of the text."""
    return value.__class__ is str and value in literal


def member(left: Any, right: Any) -> bool:
    """`[field] in [field]`; raises IncomparableError where a missing field is looked for in a list."""
    if left.__class__ is list or left.__class__ is dict:
        return False
    if left.__class__ is str and right.__class__ is str:
        return left in right
    if right.__class__ is list:
        if left is MISSING:
            raise IncomparableError("a missing field is looked for in a list")
        return any(same(left, inner) for inner in right)
    return left is not MISSING and left is not None and same(left, right)
