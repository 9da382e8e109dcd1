"""What pieces of Ruby code do: each is a function of what the code sees, made by the reader in `ruby_code`."""

import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from pipeline.logstash.fields import MISSING, Event, get, parse_reference, remove, set_field, tag_failure
from pipeline.logstash.plugin import Origin
from pipeline.logstash.ruby_methods import METHODS, RubyError, operate, truthy
from pipeline.logstash.timestamp import Timestamp

__all__ = ["EVENT", "Cancelled", "Node", "Scope", "binary", "constant", "each_of", "method", "unquoted"]


class Cancelled(Exception):  # noqa: N818 - reads as what happened
    """`event.cancel`: the event is dropped."""


class Scope:
    """What code sees: the event, the record, and its own variables."""

    __slots__ = ("event", "names", "origin", "steps")

    def __init__(self, event: Event, origin: Origin) -> None:
        self.event = event
        self.origin = origin
        self.names: dict[str, Any] = {}
        self.steps = 0


Node: TypeAlias = Callable[[Scope], Any]
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "e": "\x1b"}


def constant(value: Any) -> Node:
    """Give a value whatever the code sees."""
    return lambda _scope: value


def unquoted(text: str) -> str:
    """Take quotes and escapes off a text."""
    inner = text[1:-1]
    if text[0] == "'":
        return re.sub(r"\\([\\'])", r"\1", inner)
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), inner)


def binary(operator: str, left: Node, right: Node) -> Node:
    """Join two pieces by an operator; `&&` and `||` look at the right one only if they have to."""
    if operator in {"&&", "and"}:
        return lambda scope: right(scope) if truthy(value := left(scope)) else value
    if operator in {"||", "or"}:
        return lambda scope: value if truthy(value := left(scope)) else right(scope)
    return lambda scope: operate(operator, left(scope), right(scope))


def method(node: Node, name: str, arguments: list[Node]) -> Node:
    """Call one of METHODS; what it cannot do raises RubyError."""
    function = METHODS[name]

    def call(scope: Scope) -> Any:
        values = [argument(scope) for argument in arguments]
        try:
            return function(node(scope), *values)
        except (TypeError, AttributeError, ValueError, ZeroDivisionError, OverflowError) as error:
            raise RubyError(f"`{name}`: {error}") from None

    return call


def each_of(node: Node, name: str, names: list[str], body: Node) -> Node:
    """Run a block for each member of a list or an object, as `each`, `map`, `select` or `reject`."""

    def run(scope: Scope) -> Any:
        values = node(scope)
        if values.__class__ is dict:
            items: list[Any] = list(values.items())
        elif values.__class__ is list:
            items = list(values)
        else:
            raise RubyError(f"undefined method `{name}`")
        results = []
        for item in items:
            if len(names) > 1 and isinstance(item, (tuple, list)):
                scope.names.update(zip(names, item, strict=False))
            else:
                scope.names[names[0]] = item
            results.append(body(scope))
        if name in {"map", "collect"}:
            return results
        if name in {"select", "reject"}:
            kept = [
                item
                for item, result in zip(items, results, strict=True)
                if truthy(result) is (name == "select")
            ]
            return dict(kept) if values.__class__ is dict else kept
        return values

    return run


def _path(value: Any) -> tuple[str, ...]:
    if not isinstance(value, str):
        raise RubyError("a field's name is a text")
    return parse_reference(value)


def _cancel(_arguments: list[Node]) -> Node:
    def cancel(_scope: Scope) -> Any:
        raise Cancelled

    return cancel


def _set(arguments: list[Node]) -> Node:
    def run(scope: Scope) -> Any:
        value = arguments[1](scope)
        if value.__class__ not in {str, int, float, bool, list, dict, type(None), Timestamp}:
            raise RubyError(f"a {type(value).__name__} cannot be set")
        set_field(scope.event, _path(arguments[0](scope)), value)
        return value

    return run


def _remove(arguments: list[Node]) -> Node:
    def run(scope: Scope) -> Any:
        value = remove(scope.event, _path(arguments[0](scope)))
        return None if value is MISSING else value

    return run


EVENT: Final[dict[str, Callable[[list[Node]], Node]]] = {
    "get": lambda arguments: lambda scope: get(scope.event, _path(arguments[0](scope))),
    "set": _set,
    "remove": _remove,
    "tag": lambda arguments: lambda scope: tag_failure(scope.event, str(arguments[0](scope))),
    "cancel": _cancel,
    "include?": lambda arguments: lambda scope: get(scope.event, _path(arguments[0](scope))) is not None,
    "to_hash": lambda _arguments: lambda scope: {k: v for k, v in scope.event.items() if k != "@metadata"},
}
