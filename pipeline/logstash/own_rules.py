"""Filters that only say what the pipeline's own rules do anyway: the guide's filter section, and parts of it.

Where those rules follow (`events.normalise`), such filters are left to them: the time of `timestamp`, the tag `error`,
the field `service_name`, and the payload of our own service's envelope.
"""

from collections.abc import Sequence
from typing import Any, Final

from pipeline.logstash.options import plain
from pipeline.logstash.syntax import Branch, Compare, Field, Plugin, Statement, Text
from pipeline.logstash.touching import drops_only, fields_of

__all__ = ["without_own_rules"]

# What those filters set or take away, so that another filter could see the difference.
_SET_BY_RULES: Final = {"timestamp", "@timestamp", "tags", "service_name", "@version", "@metadata", "event"}
_TIMESTAMP: Final = ["timestamp"]
_TAGGED: Final = [("mutate", {"add_tag": ["error"]})]
_LISTS: Final = {"match", "remove_field", "add_tag"}


def without_own_rules(statements: Sequence[Statement], service: str) -> Sequence[Statement]:
    """Give what is to be done beside the pipeline's own rules; all of it where the two cannot be told apart.

    `service` is our own, by whose name the rules know its envelopes.
    """
    left = _others(statements, service)
    if len(left) == len(statements):
        return statements
    unpacks = any(isinstance(statement, Branch) and _unpacks(statement) for statement in statements)
    if left and (unpacks or not drops_only(left) or not all(map(_is_independent, left))):
        return statements
    return left


def _others(statements: Sequence[Statement], service: str) -> list[Statement]:
    """Leave out what the rules do; they take `timestamp` away only once it has been read."""
    left: list[Statement] = []
    has_time = False
    for statement in statements:
        if isinstance(statement, Plugin) and _is_own_time(statement):
            has_time = True
        elif not _is_own(statement, service, has_time=has_time):
            left.append(statement)
    return left


def _is_own(statement: Statement, service: str, *, has_time: bool) -> bool:
    if isinstance(statement, Plugin):
        return _is_own_fields(statement, service, has_time=has_time)
    if len(statement.arms) != 1:
        return False
    ((condition, arm),) = statement.arms
    if not isinstance(condition, Compare) or condition.operator != "==":
        return False
    if not isinstance(condition.left, Field) or not isinstance(condition.right, Text):
        return False
    if (condition.left.reference, condition.right.value) == ("[level]", "ERROR"):
        return [_options(inner) for inner in arm] == _TAGGED
    if (condition.left.reference, condition.right.value) != ("[fields][service]", service):
        return False
    return _unpacks(statement) and not _others(arm[1:], service)


def _unpacks(branch: Branch) -> bool:
    """Say whether what a branch does first is to read the payload."""
    arm = branch.arms[0][1]
    return bool(arm) and _options(arm[0]) == ("json", {"source": "message"})


def _is_own_time(plugin: Plugin) -> bool:
    name, options = _options(plugin)
    usual = {"target": "@timestamp", "remove_field": _TIMESTAMP}
    return name == "date" and {**usual, **options} == {**usual, "match": ["timestamp", "ISO8601"]}


def _is_own_fields(plugin: Plugin, service: str, *, has_time: bool) -> bool:
    name, options = _options(plugin)
    own: dict[str, Any] = {"add_field": {"service_name": service}}
    if has_time:
        own["remove_field"] = _TIMESTAMP
    return name == "mutate" and bool(options) and all(own.get(key) == value for key, value in options.items())


def _options(statement: Statement) -> tuple[str, dict[str, Any]]:
    """Give a plugin's options, those that stand there once."""
    if not isinstance(statement, Plugin):
        return "if", {}
    names = [option.name for option in statement.attributes]
    options: dict[str, Any] = {}
    for option in statement.attributes:
        value = plain(option.value)
        name = option.name if names.count(option.name) == 1 else f"{option.name}, twice"
        options[name] = [value] if option.name in _LISTS and isinstance(value, str) else value
    return statement.name, options


def _is_independent(statement: Statement) -> bool:
    """Say whether a condition looks at nothing that the rules set."""
    return isinstance(statement, Branch) and not any(
        field.reference.strip("[]").split("][")[0] in _SET_BY_RULES
        for condition, _arm in statement.arms
        for field in fields_of(condition)
    )
