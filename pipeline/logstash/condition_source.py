"""Conditions written as Python expressions."""

from dataclasses import dataclass
from typing import Final

from pipeline.logstash.plugin import Site
from pipeline.logstash.source import Source
from pipeline.logstash.syntax import (
    Array,
    Boolean,
    Compare,
    Condition,
    Field,
    Match,
    Member,
    Negation,
    Number,
    Regexp,
    Rvalue,
    Text,
    Truth,
)

__all__ = ["Written", "write_condition"]

_ORDER: Final = {"<": "less", ">": "greater", "<=": "at_most", ">=": "at_least"}
_INLINE: Final = {"<": "<", ">": ">", "<=": "<=", ">=": ">="}


@dataclass(frozen=True, slots=True)
class Written:
    """An expression, and whether running it can raise."""

    text: str
    raises: bool = False


def write_condition(condition: Condition, source: Source, site: Site) -> Written:
    """Write a condition as an expression over `event`; raises LogstashError for what cannot be one."""
    if isinstance(condition, Truth):
        return Written(_truth(condition, source, site))
    if isinstance(condition, Negation):
        inner = write_condition(condition.condition, source, site)
        return Written(f"(not {inner.text})", inner.raises)
    if isinstance(condition, Boolean):
        return _boolean(condition, source, site)
    if isinstance(condition, Match):
        return _match(condition, source, site)
    if isinstance(condition, Member):
        return _member(condition, source, site)
    return _compare(condition, source, site)


def _field(value: Field, source: Source, site: Site, missing: str = "None") -> str:
    return source.get(site.path(value.reference, value.position), missing)


def _truth(condition: Truth, source: Source, site: Site) -> str:
    if not isinstance(condition.value, Field):
        raise condition.position.error(
            "A constant is no condition.", "Name a field, [a], or compare something."
        )
    value = source.fresh("v")
    read = _field(condition.value, source, site)
    return (
        f"(({value} := {read}) is not None and {value} is not False and {value} != '' and {value} != 'false')"
    )


def _boolean(condition: Boolean, source: Source, site: Site) -> Written:
    left = write_condition(condition.left, source, site)
    right = write_condition(condition.right, source, site)
    raises = left.raises or right.raises
    if condition.operator == "xor":
        return Written(f"({left.text} is not {right.text})", raises)
    if condition.operator == "nand":
        return Written(f"(not ({left.text} and {right.text}))", raises)
    return Written(f"({left.text} {condition.operator} {right.text})", raises)


def _match(condition: Match, source: Source, site: Site) -> Written:
    if not isinstance(condition.left, (Field, Text)):
        raise condition.position.error("A regular expression is matched against a field.")
    pattern = site.pattern(condition.pattern.source, condition.pattern.position)
    search = source.constant(pattern.search, "search")
    value = source.fresh("v")
    read = (
        repr(condition.left.value)
        if isinstance(condition.left, Text)
        else _field(condition.left, source, site)
    )
    text = f"(({value} := {read}).__class__ is str and {search}({value}) is not None)"
    return Written(f"(not {text})" if condition.negated else text, raises=True)


def _compare(condition: Compare, source: Source, site: Site) -> Written:
    left, right, operator = condition.left, condition.right, condition.operator
    for side in (left, right):
        if isinstance(side, (Array, Regexp)):
            raise side.position.error(
                "A list or a regular expression cannot be compared.", "Use `in` or `=~`."
            )
    if operator in {"==", "!="}:
        equal = _equality(left, right, source, site)
        return Written(f"(not {equal})" if operator == "!=" else equal)
    compare = _ORDER[operator]
    if isinstance(left, Field) and isinstance(right, Number):
        value = source.fresh("v")
        read = _field(left, source, site, "MISSING")
        number = _literal(right)
        inline = f"{value} {_INLINE[operator]} {number}"
        return Written(
            f"({inline} if ({value} := {read}).__class__ is int else {compare}({value}, {number}))",
            raises=True,
        )
    return Written(f"{compare}({_operand(left, source, site)}, {_operand(right, source, site)})", raises=True)


def _operand(value: Rvalue, source: Source, site: Site) -> str:
    return _field(value, source, site, "MISSING") if isinstance(value, Field) else _literal(value)


def _literal(value: Rvalue) -> str:
    if isinstance(value, (Text, Number)):
        return repr(value.value)
    raise value.position.error("Only a text or a number can stand here.")


def _equality(left: Rvalue, right: Rvalue, source: Source, site: Site) -> str:
    if isinstance(left, Field) and isinstance(right, Field):
        return f"same({_field(left, source, site, 'MISSING')}, {_field(right, source, site, 'MISSING')})"
    if isinstance(right, Field):
        left, right = right, left
    if not isinstance(left, Field):
        return f"same({_literal(left)}, {_literal(right)})"
    read = _field(left, source, site)
    if isinstance(right, Number):
        value = source.fresh("v")
        return (
            f"(({value} := {read}).__class__ is {type(right.value).__name__} and {value} == {right.value!r})"
        )
    return f"({read} == {_literal(right)})"


def _member(condition: Member, source: Source, site: Site) -> Written:
    left, right = condition.left, condition.right
    written = _plain_member(left, right, source, site)
    if written is None:
        raise condition.position.error(
            "This `in` is none that Logstash knows.",
            "It takes a field or a text in a field, a list or a text.",
        )
    return Written(f"(not {written.text})", written.raises) if condition.negated else written


def _plain_member(left: Rvalue, right: Rvalue, source: Source, site: Site) -> Written | None:
    if isinstance(right, Array):
        texts = frozenset(_member_text(inner) for inner in right.values)
        if isinstance(left, Field):
            return Written(f"in_literals({_field(left, source, site)}, {source.constant(texts, 'texts')})")
        if isinstance(left, (Text, Number)):
            return Written("False")  # as Logstash has it: two constants are held against each other whole
        return None
    if isinstance(right, Field):
        if isinstance(left, Field):
            return Written(
                f"member({_field(left, source, site, 'MISSING')}, {_field(right, source, site, 'MISSING')})",
                raises=True,
            )
        if isinstance(left, (Text, Number)):
            return Written(f"member_of({left.value!r}, {_field(right, source, site)})")
        return None
    if isinstance(left, Field) and isinstance(right, (Text, Number)):
        return Written(f"part_of({_field(left, source, site)}, {_member_text(right)!r})")
    if isinstance(left, (Text, Number)) and isinstance(right, (Text, Number)):
        return Written(repr(type(left.value) is type(right.value) and left.value == right.value))
    return None


def _member_text(value: object) -> str:
    if isinstance(value, Text):
        return value.value
    if isinstance(value, Number):
        return value.text
    if isinstance(value, Array):
        return "[" + ", ".join(_member_text(inner) for inner in value.values) + "]"
    return str(value)
