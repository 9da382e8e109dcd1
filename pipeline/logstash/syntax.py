"""The syntax tree of a Logstash configuration: immutable values, each with its place in the text."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pipeline.errors import LogstashError

__all__ = [
    "Array",
    "Attribute",
    "Boolean",
    "Branch",
    "Compare",
    "Condition",
    "Configuration",
    "Field",
    "Hash",
    "Match",
    "Member",
    "Negation",
    "Number",
    "Plugin",
    "Position",
    "Regexp",
    "Rvalue",
    "Section",
    "Statement",
    "Text",
    "Truth",
    "Value",
]


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def error(self, problem: str, advice: str = "") -> LogstashError:
        """Make the error that says what is wrong here, and what to do."""
        return LogstashError(problem, file=self.file, line=self.line, column=self.column, advice=advice)


@dataclass(frozen=True, slots=True)
class Text:
    """A quoted text, or a bare word."""

    value: str
    position: Position


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number or one with a fraction; `text` is how it was written."""

    value: int | float
    text: str
    position: Position


@dataclass(frozen=True, slots=True)
class Array:
    """A list of values."""

    values: "tuple[Value, ...]"
    position: Position


@dataclass(frozen=True, slots=True)
class Hash:
    """Names with their values, in the order of the text."""

    entries: "tuple[tuple[Text, Value], ...]"
    position: Position


@dataclass(frozen=True, slots=True)
class Attribute:
    """An option of a plugin: `name => value`."""

    name: str
    value: "Value"
    position: Position


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin with its options; as a value, a codec."""

    name: str
    attributes: tuple[Attribute, ...]
    position: Position


@dataclass(frozen=True, slots=True)
class Field:
    """A field in a condition: `[a][b]`."""

    reference: str
    position: Position


@dataclass(frozen=True, slots=True)
class Regexp:
    """A regular expression in a condition, in Ruby's syntax."""

    source: str
    position: Position


@dataclass(frozen=True, slots=True)
class Truth:
    """Whether a value is neither missing, null, false, empty nor the text `false`."""

    value: "Rvalue"
    position: Position


@dataclass(frozen=True, slots=True)
class Compare:
    """`left operator right`."""

    operator: Literal["==", "!=", "<", ">", "<=", ">="]
    left: "Rvalue"
    right: "Rvalue"
    position: Position


@dataclass(frozen=True, slots=True)
class Match:
    """`left =~ pattern`, or `!~` when negated."""

    left: "Rvalue"
    pattern: Regexp
    negated: bool
    position: Position


@dataclass(frozen=True, slots=True)
class Member:
    """`left in right`, or `not in` when negated."""

    left: "Rvalue"
    right: "Rvalue"
    negated: bool
    position: Position


@dataclass(frozen=True, slots=True)
class Negation:
    """`!` before a field or a group."""

    condition: "Condition"
    position: Position


@dataclass(frozen=True, slots=True)
class Boolean:
    """Two conditions, joined."""

    operator: Literal["and", "or", "xor", "nand"]
    left: "Condition"
    right: "Condition"
    position: Position


@dataclass(frozen=True, slots=True)
class Branch:
    """`if`, `else if`, `else`: the arms in order; the condition of `else` is None."""

    arms: "tuple[tuple[Condition | None, tuple[Statement, ...]], ...]"
    position: Position


@dataclass(frozen=True, slots=True)
class Section:
    """`input`, `filter` or `output` with what it holds."""

    kind: Literal["input", "filter", "output"]
    statements: "tuple[Statement, ...]"
    position: Position


@dataclass(frozen=True, slots=True)
class Configuration:
    """All sections of all files, in order."""

    sections: tuple[Section, ...]

    def statements(self, kind: Literal["input", "filter", "output"]) -> "tuple[Statement, ...]":
        """Give what all sections of one kind hold, in order."""
        return tuple(s for section in self.sections if section.kind == kind for s in section.statements)


Value: TypeAlias = Text | Number | Array | Hash | Plugin
Rvalue: TypeAlias = Text | Number | Field | Array | Regexp
Condition: TypeAlias = Truth | Compare | Match | Member | Negation | Boolean
Statement: TypeAlias = Plugin | Branch
