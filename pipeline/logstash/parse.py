"""From the text of a configuration to its syntax tree, or to an error with its place.

A method for each rule of the grammar, so one file.
"""

import re
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Any, Final, Literal, cast

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken, VisitError
from lark.tree import Meta

from pipeline.errors import LogstashError
from pipeline.logstash.syntax import (
    Array,
    Attribute,
    Boolean,
    Branch,
    Compare,
    Condition,
    Configuration,
    Field,
    Hash,
    Match,
    Member,
    Negation,
    Number,
    Plugin,
    Position,
    Regexp,
    Section,
    Statement,
    Text,
    Truth,
)

__all__ = ["parse"]

MAX_DEPTH: Final = 60
_BAREWORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]+\Z")
_ESCAPE: Final = re.compile(r"""\\([\\"'nrt0])""")
_ESCAPED: Final = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}
_LONG: Final = 1 << 63
_EXPECTED: Final = {
    "LBRACE": "{",
    "RBRACE": "}",
    "LSQB": "[",
    "RSQB": "]",
    "LPAR": "(",
    "RPAR": ")",
    "COMMA": ",",
    "BANG": "!",
    "__ANON_0": "=>",
    "_IF": "if",
    "_ELSE": "else",
    "_IN": "in",
    "_NOT_IN": "not in",
    "SECTION": "input, filter or output",
    "BOOLEAN": "and, or, xor or nand",
    "COMPARE": "a comparison",
    "MATCH": "=~ or !~",
    "SELECTOR": "a field such as [a][b]",
    "NUMBER": "a number",
    "WORD": "a name",
    "STRING": "a quoted text",
    "REGEXP": "a regular expression /…/",
}


def parse(text: str, file: str = "", *, support_escapes: bool = False) -> Configuration:
    """Parse one file; `support_escapes` is Logstash's `config.support_escapes`.

    Raises LogstashError with line and column.
    """
    depth = _depth(text)
    if depth is not None:
        raise Position(file, *depth).error(
            "This is nested too deep.", f"At most {MAX_DEPTH} levels are read."
        )
    try:
        tree = _grammar().parse(text)
        return cast("Configuration", _Builder(file, support_escapes).transform(tree))
    except VisitError as error:
        if isinstance(error.orig_exc, LogstashError):
            raise error.orig_exc from None
        raise
    except RecursionError:
        raise Position(file, 1, 1).error("The configuration is nested too deep to be read.") from None
    except UnexpectedInput as error:
        raise _syntax_error(error, text, file) from None


@cache
def _grammar() -> Lark:
    source = resources.files("pipeline.logstash").joinpath("grammar.lark").read_text(encoding="utf-8")
    return Lark(
        source, parser="lalr", start="configuration", propagate_positions=True, maybe_placeholders=False
    )


def _depth(text: str) -> tuple[int, int] | None:
    """Find the first bracket that opens too many levels; quoted ones count, which real texts do not reach."""
    level = 0
    for index, letter in enumerate(text):
        if letter in "{[(":
            level += 1
            if level > MAX_DEPTH * 4:
                return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)
        elif letter in ")]}":
            level = max(0, level - 1)
    return None


def _syntax_error(error: UnexpectedInput, text: str, file: str) -> LogstashError:
    expected: Iterable[str] = ()
    if isinstance(error, UnexpectedEOF):
        expected = error.expected
    elif isinstance(error, UnexpectedCharacters):
        expected = error.allowed or ()
    elif isinstance(error, UnexpectedToken):
        expected = error.accepts or error.expected
    names = sorted({_EXPECTED.get(name, name) for name in expected} - {"COMMENT", "WHITESPACE", "$END"})
    end = isinstance(error, UnexpectedEOF) or (
        isinstance(error, UnexpectedToken) and error.token.type == "$END"
    )
    if end:
        line, column = text.count("\n") + 1, len(text) - (text.rfind("\n") + 1) + 1
        problem = "The text ends too early."
    else:
        line, column = error.line, error.column
        found = text.splitlines()[line - 1][column - 1 :][:20] if line <= len(text.splitlines()) else ""
        problem = f"`{found.strip()}` cannot stand here."
    advice = f"Expected {' or '.join(names)}." if names else ""
    if not end and text[error.pos_in_stream or 0 :].startswith(("<%", "{{", "{%")):
        advice = "This looks like a template (ERB or Jinja): render it first."
    return LogstashError(problem, file=file, line=line, column=column, advice=advice)


@v_args(meta=True)
class _Builder(Transformer[Token, Any]):
    """Builds the tree's values from what the grammar found."""

    def __init__(self, file: str, support_escapes: bool) -> None:
        super().__init__()
        self._file = file
        self._support_escapes = support_escapes

    def _at(self, place: Meta | Token) -> Position:
        return Position(self._file, getattr(place, "line", 1) or 1, getattr(place, "column", 1) or 1)

    def _text(self, token: Token) -> str:
        inner = str(token)[1:-1]
        if not self._support_escapes:
            return inner
        return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), inner)

    def _name(self, token: Token) -> str:
        return self._text(token) if token.type == "STRING" else str(token)

    def configuration(self, _meta: Meta, sections: list[Section]) -> Configuration:
        return Configuration(tuple(sections))

    def section(self, _meta: Meta, parts: list[Any]) -> Section:
        kind = cast("Literal['input', 'filter', 'output']", str(parts[0]))
        return Section(kind, tuple(parts[1:]), self._at(parts[0]))

    def block(self, _meta: Meta, statements: list[Statement]) -> tuple[Statement, ...]:
        return tuple(statements)

    def branch(self, meta: Meta, parts: list[Any]) -> Branch:
        arms = [(parts[0], parts[1])]
        for part in parts[2:]:
            arms.extend(part)
        return Branch(tuple(arms), self._at(meta))

    def else_if(self, _meta: Meta, parts: list[Any]) -> list[Any]:
        return [(parts[0], parts[1])]

    def else_(self, _meta: Meta, parts: list[Any]) -> list[Any]:
        return [(None, parts[0])]

    def plugin(self, meta: Meta, parts: list[Any]) -> Plugin:
        return Plugin(parts[0], tuple(parts[1:]), self._at(meta))

    def nested_plugin(self, meta: Meta, parts: list[Any]) -> Plugin:
        return Plugin(str(parts[0]), tuple(parts[1:]), self._at(meta))

    def attribute(self, meta: Meta, parts: list[Any]) -> Attribute:
        return Attribute(parts[0], parts[1], self._at(meta))

    def name(self, _meta: Meta, parts: list[Token]) -> str:
        return self._name(parts[0])

    def bareword(self, _meta: Meta, parts: list[Token]) -> Text:
        word = str(parts[0])
        if not _BAREWORD.match(word):
            raise self._at(parts[0]).error(
                f"`{word}` is no value.", "Put it in quotes: a bare word has two letters or more."
            )
        return Text(word, self._at(parts[0]))

    def number(self, _meta: Meta, parts: list[Token]) -> Number:
        text = str(parts[0])
        value = float(text) if "." in text else int(text)
        if isinstance(value, int) and not -_LONG <= value < _LONG:
            raise self._at(parts[0]).error(
                f"The number {text} is too large.", "Logstash's numbers have 64 bits."
            )
        return Number(value, text, self._at(parts[0]))

    def string(self, _meta: Meta, parts: list[Token]) -> Text:
        return Text(self._text(parts[0]), self._at(parts[0]))

    def array(self, meta: Meta, parts: list[Any]) -> Array:
        return Array(tuple(parts), self._at(meta))

    text = string
    amount = number
    literals = array

    def key(self, _meta: Meta, parts: list[Token]) -> Text:
        token = parts[0]
        if token.type == "WORD" and not _BAREWORD.match(str(token)):
            raise self._at(token).error(
                f"`{token}` is no name here.", "Put it in quotes: a bare word has two letters or more."
            )
        return Text(self._name(token), self._at(token))

    def entry(self, _meta: Meta, parts: list[Any]) -> tuple[Text, Any]:
        return parts[0], parts[1]

    def hash(self, meta: Meta, parts: list[tuple[Text, Any]]) -> Hash:
        seen: set[str] = set()
        for name, _value in parts:
            if name.value in seen:
                raise name.position.error(
                    f"The name `{name.value}` stands twice.", "Logstash refuses this too."
                )
            seen.add(name.value)
        return Hash(tuple(parts), self._at(meta))

    def field(self, _meta: Meta, parts: list[Token]) -> Field:
        return Field(str(parts[0]), self._at(parts[0]))

    def regexp(self, _meta: Meta, parts: list[Token]) -> Regexp:
        return Regexp(str(parts[0])[1:-1], self._at(parts[0]))

    def pattern(self, _meta: Meta, parts: list[Token]) -> Regexp:
        token = parts[0]
        return Regexp(self._text(token) if token.type == "STRING" else str(token)[1:-1], self._at(token))

    def truth(self, meta: Meta, parts: list[Any]) -> Truth:
        return Truth(parts[0], self._at(meta))

    def group(self, _meta: Meta, parts: list[Condition]) -> Condition:
        return parts[0]

    def negated_group(self, meta: Meta, parts: list[Condition]) -> Negation:
        return Negation(parts[0], self._at(meta))

    def negated_field(self, meta: Meta, parts: list[Token]) -> Negation:
        field = Field(str(parts[0]), self._at(parts[0]))
        return Negation(Truth(field, field.position), self._at(meta))

    def compare(self, meta: Meta, parts: list[Any]) -> Compare:
        return Compare(cast("Any", str(parts[1])), parts[0], parts[2], self._at(meta))

    def match(self, meta: Meta, parts: list[Any]) -> Match:
        return Match(parts[0], parts[2], str(parts[1]) == "!~", self._at(meta))

    def member(self, meta: Meta, parts: list[Any]) -> Member:
        return Member(parts[0], parts[1], negated=False, position=self._at(meta))

    def not_member(self, meta: Meta, parts: list[Any]) -> Member:
        return Member(parts[0], parts[1], negated=True, position=self._at(meta))

    def condition(self, _meta: Meta, parts: list[Any]) -> Condition:
        return self._joined(parts[::2], parts[1::2])

    def _joined(self, conditions: list[Condition], operators: list[Token]) -> Condition:
        """`and` binds tighter than `or`; `xor` and `nand` stand alone, as in Logstash."""
        if not operators:
            return conditions[0]
        names = [str(operator) for operator in operators]
        for operator, name in zip(operators, names, strict=True):
            if name in {"xor", "nand"} and len(names) > 1:
                raise self._at(operator).error(
                    f"`{name}` stands beside another operator.",
                    "Put parentheses around it: Logstash asks for them.",
                )
        if names[0] in {"xor", "nand"}:
            joiner = cast("Literal['xor', 'nand']", names[0])
            return Boolean(joiner, conditions[0], conditions[1], self._at(operators[0]))
        terms: list[list[Condition]] = [[conditions[0]]]
        for name, right in zip(names, conditions[1:], strict=True):
            if name == "or":
                terms.append([right])
            else:
                terms[-1].append(right)
        place = self._at(operators[0])
        return _balanced("or", [_balanced("and", term, place) for term in terms], place)


def _balanced(operator: Literal["and", "or"], conditions: list[Condition], place: Position) -> Condition:
    """Join conditions in their order, as a tree that is as flat as can be: some chains are long."""
    if len(conditions) == 1:
        return conditions[0]
    middle = len(conditions) // 2
    left, right = (_balanced(operator, half, place) for half in (conditions[:middle], conditions[middle:]))
    return Boolean(operator, left, right, place)


# The rule is named `else`, which is no name for a method.
setattr(_Builder, "else", _Builder.else_)
