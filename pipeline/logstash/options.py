"""The options of a plugin: what it declares, what a configuration gives, and the check of one against the other."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from pipeline.logstash.syntax import Array, Attribute, Hash, Number, Plugin, Position, Text, Value

__all__ = ["COMMON", "Given", "Option", "check_options", "plain"]

Kind: TypeAlias = Literal["string", "array", "hash", "number", "boolean", "any"]


class Option(NamedTuple):
    """One option: its kind, and how it is met.

    `status` is "done", "differs" (`note` says how), "ignored" (`note` says why that changes nothing) or "refused"
    (`note` says what to do instead).
    """

    kind: Kind
    default: Any = None
    required: bool = False
    choices: tuple[str, ...] = ()
    status: Literal["done", "differs", "ignored", "refused"] = "done"
    note: str = ""


COMMON: Final[Mapping[str, Option]] = {
    "add_field": Option("hash", {}),
    "add_tag": Option("array", []),
    "remove_field": Option("array", []),
    "remove_tag": Option("array", []),
    "id": Option("string"),
    "enable_metric": Option("boolean", True, status="ignored", note="Every filter is counted."),
    "periodic_flush": Option("boolean", False, status="ignored", note="No filter here holds events back."),
}


@dataclass(slots=True)
class Given:
    """The checked options of one plugin of a configuration."""

    plugin: str
    position: Position
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, Position] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def given(self, name: str) -> bool:
        """Say whether the configuration names this option."""
        return name in self.places

    def place(self, name: str) -> Position:
        """Give where an option stands, or else the plugin."""
        return self.places.get(name, self.position)

    def texts(self, name: str) -> list[str]:
        """Give a list option as texts."""
        return [scalar_text(value) for value in self.values[name] or ()]

    def pairs(self, name: str) -> list[tuple[str, Any]]:
        """Give a hash option as pairs, in the order in which Logstash goes through them."""
        return list((self.values[name] or {}).items())


def check_options(plugin: Plugin, options: Mapping[str, Option]) -> Given:
    """Hold a plugin's attributes against its table; raises LogstashError with the place of what is wrong."""
    given = Given(plugin.name, plugin.position)
    attributes: dict[str, list[Attribute]] = {}
    for attribute in plugin.attributes:
        attributes.setdefault(attribute.name, []).append(attribute)
    for name, several in attributes.items():
        option = options.get(name)
        if option is None:
            raise several[0].position.error(
                f"`{plugin.name}` has no option `{name}`.", f"It has: {', '.join(sorted(options))}."
            )
        if option.status == "refused":
            raise several[0].position.error(f"`{plugin.name}`: `{name}` is not supported.", option.note)
        given.places[name] = several[0].position
        given.values[name] = _checked(plugin.name, name, option, several)
    for name, option in options.items():
        if name not in given.values:
            if option.required:
                raise plugin.position.error(f"`{plugin.name}` needs the option `{name}`.")
            given.values[name] = option.default
    return given


def _checked(plugin: str, name: str, option: Option, several: list[Attribute]) -> Any:
    values = [plain(attribute.value) for attribute in several]
    value = values[0]
    for other in values[1:]:
        value = _merged(value, other)
    try:
        converted = _converted(option.kind, value)
    except ValueError:
        raise several[0].position.error(
            f"`{plugin}`: `{name}` takes {_KINDS[option.kind]}, not {_shown(several[0].value)}."
        ) from None
    if option.choices:
        for choice in converted if isinstance(converted, list) else [converted]:
            if choice not in option.choices:
                raise several[0].position.error(
                    f"`{plugin}`: `{name}` cannot be `{choice}`.",
                    f"It is one of {', '.join(option.choices)}.",
                )
    return converted


_KINDS: Final = {
    "string": "a text",
    "array": "a list",
    "hash": "a hash { name => value }",
    "number": "a number",
    "boolean": "true or false",
    "any": "a value",
}


def _shown(value: Value) -> str:
    return {Text: "a text", Number: "a number", Array: "a list", Hash: "a hash", Plugin: "a plugin"}[
        type(value)
    ]


def plain(value: Value) -> Any:
    """Make a Python value of a value of the syntax tree; numbers stay numbers, a plugin stays one."""
    if isinstance(value, Text):
        return value.value
    if isinstance(value, Number):
        return value.value
    if isinstance(value, Array):
        return [plain(inner) for inner in value.values]
    if isinstance(value, Hash):
        return {name.value: plain(inner) for name, inner in value.entries}
    return value


def _merged(first: Any, second: Any) -> Any:
    """Merge an option that stands twice, as Logstash does: contents add up."""
    if isinstance(first, dict) and isinstance(second, dict):
        merged = dict(first)
        for name, value in second.items():
            merged[name] = [*_as_list(merged[name]), *_as_list(value)] if name in merged else value
        return merged
    return [*_as_list(first), *_as_list(second)]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def scalar_text(value: Any) -> str:
    """Write a scalar of a configuration as a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _converted(kind: Kind, value: Any) -> Any:  # noqa: PLR0912 - one branch a kind
    if kind == "any":
        return value
    if kind == "array":
        return value if isinstance(value, list) else [value]
    if kind == "hash":
        if isinstance(value, dict):
            return value
        if (
            isinstance(value, list)
            and len(value) % 2 == 0
            and not any(isinstance(v, (dict, Plugin)) for v in value[::2])
        ):
            return {scalar_text(name): inner for name, inner in zip(value[::2], value[1::2], strict=True)}
        raise ValueError(kind)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, (list, dict, Plugin)):
        raise ValueError(kind)  # noqa: TRY004 - one answer to all that does not fit
    if kind == "string":
        return scalar_text(value)
    if kind == "boolean":
        if value in {"true", "false"}:
            return value == "true"
        raise ValueError(kind)
    if isinstance(value, (int, float)):
        return value
    if re.fullmatch(r"-?\d+", value):
        return int(value)
    if re.fullmatch(r"-?\d+\.\d+", value):
        return float(value)
    raise ValueError(kind)
