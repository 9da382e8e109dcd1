"""Which events a filter section can touch at all, told by their fields: the others need not go through it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from pipeline.logstash.compiler import Context, runtime
from pipeline.logstash.condition_source import write_condition
from pipeline.logstash.fields import Event, parse_reference
from pipeline.logstash.plugin import Site
from pipeline.logstash.source import Source
from pipeline.logstash.syntax import (
    Array,
    Boolean,
    Branch,
    Compare,
    Condition,
    Field,
    Match,
    Member,
    Negation,
    Plugin,
    Statement,
    Text,
    Truth,
)

__all__ = ["Touched", "drops_only", "fields_of", "touched_by"]

Touched = Callable[[Sequence[Event]], list[int]]
"""Gives the positions of events that filters may change or drop; raises AttributeError for what is no object."""

# What a codec adds to a record's own fields, or makes of them: a condition on these has to see the event itself.
_OF_THE_CODEC: Final = {"@timestamp", "@version", "@metadata", "tags", "_tags", "_@timestamp", "event"}


def touched_by(statements: Sequence[Statement], context: Context) -> Touched | None:
    """Write the conditions of a section as one look at each event; None where every event may be touched."""
    if not statements:
        return _none_touched
    if not all(isinstance(statement, Branch) and _is_closed(statement) for statement in statements):
        return None
    conditions = [
        condition
        for statement in statements
        if isinstance(statement, Branch)
        for condition, _arm in statement.arms
        if condition is not None
    ]
    if not conditions or not all(map(_looks_at_own_fields, conditions)):
        return None
    source = Source()
    written = []
    for condition in conditions:
        site = Site(condition.position, "if", context.ecs, context.timeout)
        found = write_condition(condition, source, site)
        if found.raises:
            return None
        written.append(found.text)
    with source.function("def touched(events):"):
        source.line(f"return [at for at, event in enumerate(events) if {' or '.join(written)}]")
    namespace = runtime(source)
    exec(compile(source.text_of_module(), "<logstash conditions>", "exec"), namespace)  # noqa: S102 - our own source
    touched: Touched = namespace["touched"]
    return touched


def _none_touched(_events: Sequence[Event]) -> list[int]:
    return []


def drops_only(statements: Sequence[Statement]) -> bool:
    """Say whether all that a section does is to drop, by conditions."""
    return all(
        isinstance(statement, Branch)
        and all(
            len(arm) == 1 and isinstance(arm[0], Plugin) and arm[0].name == "drop" and not arm[0].attributes
            for _condition, arm in statement.arms
        )
        for statement in statements
    )


def _is_closed(branch: Branch) -> bool:
    """Say whether a branch has no `else`, which would touch what no condition does."""
    return all(condition is not None for condition, _arm in branch.arms)


def _looks_at_own_fields(condition: Condition) -> bool:
    """Say whether a condition looks at a record's own fields alone, and as texts: numbers are read otherwise here."""
    if not all(parse_reference(field.reference)[0] not in _OF_THE_CODEC for field in fields_of(condition)):
        return False
    if isinstance(condition, Boolean):
        return _looks_at_own_fields(condition.left) and _looks_at_own_fields(condition.right)
    if isinstance(condition, Negation):
        return _looks_at_own_fields(condition.condition)
    if isinstance(condition, Compare):
        return {type(condition.left), type(condition.right)} == {Field, Text}
    if isinstance(condition, Member):
        right = condition.right
        return isinstance(condition.left, (Field, Text)) and (
            isinstance(right, (Field, Text))
            or (isinstance(right, Array) and all(isinstance(value, Text) for value in right.values))
        )
    return isinstance(condition, (Truth, Match))


def fields_of(value: Any) -> Iterator[Field]:
    """Give the fields that a condition looks at."""
    if isinstance(value, Field):
        yield value
    for name in ("left", "right", "value", "condition"):
        inner = getattr(value, name, None)
        if inner is not None and not isinstance(inner, (str, int, float)):
            yield from fields_of(inner)
