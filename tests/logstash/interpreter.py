"""A slow, plain interpreter of filter sections: what compiled ones are held against.

It walks the syntax tree for each event, with the readable functions of `fields`, `conditions` and `interpolation`;
nothing of how Python is written is shared. Filters other than `mutate` and `drop` are run as they are built.
"""

from collections.abc import Sequence
from typing import Any, Final

from pipeline.logstash import conditions
from pipeline.logstash.fields import (
    MISSING,
    Event,
    add_field,
    add_tag,
    copy_value,
    find,
    get,
    has,
    parse_reference,
    remove,
    remove_tag,
    set_field,
    tag_failure,
)
from pipeline.logstash.filters import FILTERS
from pipeline.logstash.interpolation import interpolate
from pipeline.logstash.mutations import merge, strip, texts_changed, to_boolean, to_float, to_integer
from pipeline.logstash.options import COMMON, Given, check_options, scalar_text
from pipeline.logstash.patterns import Pattern
from pipeline.logstash.plugin import Change, Origin, Site, Spread
from pipeline.logstash.ruby import hash_order, java_text, split, to_s
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
    Number,
    Plugin,
    Rvalue,
    Statement,
    Text,
    Truth,
)

FILTER_EXCEPTION: Final = "_filterexception"


def interpret(statements: Sequence[Statement], events: list[Event], origin: Origin) -> list[Event]:
    """Run the events through the statements, one statement after the other."""
    for statement in statements:
        left: list[Event] = []
        for event in events:
            if isinstance(statement, Branch):
                left += _branch(statement, event, origin)
            else:
                left += _plugin(statement, event, origin)
        events = left
    return events


def _branch(branch: Branch, event: Event, origin: Origin) -> list[Event]:
    for condition, statements in branch.arms:
        try:
            taken = condition is None or holds(condition, event)
        except conditions.IncomparableError:
            tag_failure(event, FILTER_EXCEPTION)
            taken = False
        if taken:
            return interpret(statements, [event], origin)
    return [event]


def holds(condition: Condition, event: Event) -> bool:  # noqa: C901 - a rule each
    if isinstance(condition, Truth):
        value = _value(condition.value, event)
        return value is not MISSING and conditions.truth(value)
    if isinstance(condition, Negation):
        return not holds(condition.condition, event)
    if isinstance(condition, Boolean):
        left = holds(condition.left, event)
        match condition.operator:
            case "and":
                return left and holds(condition.right, event)
            case "or":
                return left or holds(condition.right, event)
            case "xor":
                return left != holds(condition.right, event)
            case "nand":
                return not (left and holds(condition.right, event))
    if isinstance(condition, Match):
        value = _value(condition.left, event)
        found = isinstance(value, str) and Pattern(condition.pattern.source).search(value) is not None
        return found != condition.negated
    if isinstance(condition, Member):
        return _member(condition.left, condition.right, event) != condition.negated
    assert isinstance(condition, Compare)
    left_value, right_value = _value(condition.left, event), _value(condition.right, event)
    compare = {
        "<": conditions.less,
        ">": conditions.greater,
        "<=": conditions.at_most,
        ">=": conditions.at_least,
    }
    if condition.operator in compare:
        return compare[condition.operator](left_value, right_value)
    return conditions.same(left_value, right_value) == (condition.operator == "==")


def _member(left: Rvalue, right: Rvalue, event: Event) -> bool:
    value = _value(left, event)
    if isinstance(right, Array):
        texts = [java_text(inner) if isinstance(inner, (int, float)) else inner for inner in _literals(right)]
        return isinstance(left, Field) and value not in (None, MISSING) and java_text(value) in texts
    if isinstance(right, Field):
        container = _value(right, event)
        if isinstance(left, Field):
            return conditions.member(value, container)
        return conditions.member_of(value, container)
    if isinstance(left, Field):
        return isinstance(value, str) and value in str(_value(right, event))
    return conditions.same(value, _value(right, event))


def _literals(values: Array) -> list[Any]:
    return [
        inner.value if isinstance(inner, Text) else inner.text
        for inner in values.values
        if isinstance(inner, (Text, Number))
    ]


def _value(value: Rvalue, event: Event) -> Any:
    if isinstance(value, Field):
        return find(event, parse_reference(value.reference))
    assert isinstance(value, (Text, Number))
    return value.value


def _plugin(plugin: Plugin, event: Event, origin: Origin) -> list[Event]:
    module = FILTERS[plugin.name]
    given = check_options(plugin, {**COMMON, **module.OPTIONS})
    if plugin.name == "drop":
        return []
    if plugin.name == "mutate":
        try:
            _mutate(given, event)
            _common(given, event)
        except Exception:  # noqa: BLE001 - as the filter: whatever it is, it is one tag
            tag_failure(event, given["tag_on_failure"])
        return [event]
    step = module.build(given, Site(plugin.position, f"{plugin.name}, line {plugin.position.line}"))
    try:
        if isinstance(step, Change):
            if step.run(event, origin):
                _common(given, event)
            return [event]
        assert isinstance(step, Spread)
        parts = step.run(event, origin)
    except Exception:  # noqa: BLE001 - as the compiled pipeline does
        tag_failure(event, FILTER_EXCEPTION)
        return [event]
    for made, applies in parts or []:
        if applies:
            try:
                _common(given, made)
            except Exception:  # noqa: BLE001 - as the compiled pipeline does
                tag_failure(made, FILTER_EXCEPTION)
    return [event] if parts is None else [made for made, _applies in parts]


def _common(given: Given, event: Event) -> None:
    for name in hash_order(list(given["add_field"])):
        value = given["add_field"][name]
        for text in value if isinstance(value, list) else [value]:
            add_field(event, parse_reference(interpolate(event, name)), interpolate(event, scalar_text(text)))
    for name in given.texts("remove_field"):
        remove(event, parse_reference(interpolate(event, name)))
    for tag in given.texts("add_tag"):
        add_tag(event, interpolate(event, tag))
    for tag in given.texts("remove_tag"):
        remove_tag(event, interpolate(event, tag))


def _mutate(given: Given, event: Event) -> None:  # noqa: C901, PLR0912 - one operation after the other
    def pairs(name: str) -> list[tuple[str, Any]]:
        return [(field, given[name][field]) for field in hash_order(list(given[name]))]

    for old, new in pairs("rename"):
        value = remove(event, parse_reference(interpolate(event, old)))
        if value is not MISSING:
            set_field(event, parse_reference(interpolate(event, new)), value)
    for field, text in pairs("update"):
        path = parse_reference(interpolate(event, field))
        if has(event, path):
            set_field(event, path, interpolate(event, text))
    for field, text in pairs("replace"):
        set_field(event, parse_reference(interpolate(event, field)), interpolate(event, text))
    for field, kind in pairs("convert"):
        _change(
            event,
            field,
            {"integer": to_integer, "float": to_float, "boolean": to_boolean, "string": to_s}[kind],
        )
    for field in given.texts("uppercase"):
        _change_whole(event, field, texts_changed(str.upper))
    for field in given.texts("lowercase"):
        _change_whole(event, field, texts_changed(str.lower))
    for field in given.texts("strip"):
        _change_whole(event, field, strip)
    for field, separator in pairs("split"):
        value = get(event, parse_reference(field))
        if isinstance(value, str):
            set_field(event, parse_reference(field), split(value, separator))
    for target, added in pairs("merge"):
        merge(event, parse_reference(target), (parse_reference(added),))
    for old, new in pairs("copy"):
        value = get(event, parse_reference(interpolate(event, old)))
        if value is not None:
            set_field(event, parse_reference(interpolate(event, new)), copy_value(value))


def _change(event: Event, field: str, convert: Any) -> None:
    value = get(event, parse_reference(field))
    if value is None or isinstance(value, dict):
        return
    if isinstance(value, list):
        set_field(
            event, parse_reference(field), [None if inner is None else convert(inner) for inner in value]
        )
    else:
        set_field(event, parse_reference(field), convert(value))


def _change_whole(event: Event, field: str, change: Any) -> None:
    value = get(event, parse_reference(field))
    if value is not None:
        set_field(event, parse_reference(field), change(value))
