"""`${NAME}` and `${NAME:default}` in a configuration, filled in from the environment."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from pipeline.logstash.syntax import (
    Array,
    Attribute,
    Boolean,
    Branch,
    Compare,
    Condition,
    Configuration,
    Hash,
    Match,
    Member,
    Negation,
    Plugin,
    Position,
    Regexp,
    Rvalue,
    Statement,
    Text,
    Truth,
    Value,
)

__all__ = ["fill_in"]

_VARIABLE: Final = re.compile(r"\$\{(?P<name>[A-Za-z_.][A-Za-z0-9_.]*)(?::(?P<default>[^}]*))?\}")


def fill_in(configuration: Configuration, environment: Mapping[str, str]) -> Configuration:
    """Fill in variables in all texts; raises LogstashError for one that is not set and has no default."""
    return _Filler(environment).configuration(configuration)


class _Filler:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def configuration(self, configuration: Configuration) -> Configuration:
        sections = tuple(
            replace(section, statements=tuple(self._statement(s) for s in section.statements))
            for section in configuration.sections
        )
        return Configuration(sections)

    def _text(self, text: str, position: Position) -> str:
        if "${" not in text:
            return text

        def value(found: re.Match[str]) -> str:
            known = self._environment.get(found["name"], found["default"])
            if known is None:
                raise position.error(
                    f"The variable `{found['name']}` is not set.",
                    f"Set it, or give a default: ${{{found['name']}:default}}.",
                )
            return known

        return _VARIABLE.sub(value, text)

    def _statement(self, statement: Statement) -> Statement:
        if isinstance(statement, Plugin):
            return self._plugin(statement)
        arms = tuple(
            (
                None if condition is None else self._condition(condition),
                tuple(self._statement(s) for s in statements),
            )
            for condition, statements in statement.arms
        )
        return Branch(arms, statement.position)

    def _plugin(self, plugin: Plugin) -> Plugin:
        return replace(
            plugin,
            attributes=tuple(Attribute(a.name, self._value(a.value), a.position) for a in plugin.attributes),
        )

    def _value(self, value: Value) -> Value:
        if isinstance(value, Text):
            return replace(value, value=self._text(value.value, value.position))
        if isinstance(value, Array):
            return replace(value, values=tuple(self._value(inner) for inner in value.values))
        if isinstance(value, Hash):
            return replace(value, entries=tuple((name, self._value(inner)) for name, inner in value.entries))
        return self._plugin(value) if isinstance(value, Plugin) else value

    def _rvalue(self, value: Rvalue) -> Rvalue:
        if isinstance(value, Text):
            return replace(value, value=self._text(value.value, value.position))
        if isinstance(value, Array):
            return replace(value, values=tuple(self._value(inner) for inner in value.values))
        return value

    def _condition(self, condition: Condition) -> Condition:
        if isinstance(condition, Truth):
            return replace(condition, value=self._rvalue(condition.value))
        if isinstance(condition, (Compare, Member)):
            return replace(condition, left=self._rvalue(condition.left), right=self._rvalue(condition.right))
        if isinstance(condition, Match):
            pattern = Regexp(
                self._text(condition.pattern.source, condition.position), condition.pattern.position
            )
            return replace(condition, left=self._rvalue(condition.left), pattern=pattern)
        if isinstance(condition, Negation):
            return replace(condition, condition=self._condition(condition.condition))
        return self._boolean(condition)

    def _boolean(self, condition: Boolean) -> Boolean:
        return replace(
            condition, left=self._condition(condition.left), right=self._condition(condition.right)
        )
