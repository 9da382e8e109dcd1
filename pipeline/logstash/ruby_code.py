"""The shapes of Ruby code that Logstash configurations mostly hold, read and run: no Ruby, but what is common of it.

Read are: `event.get`, `set`, `remove`, `tag`, `cancel`, local variables, `if`/`unless` before and after a statement,
arithmetic and comparisons, the usual methods of texts, numbers, lists and objects, and `each` with a block. All else
is refused when the configuration is read. Code becomes a tree of functions; nothing of it reaches Python's compiler.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from pipeline.logstash.fields import Event
from pipeline.logstash.plugin import Origin
from pipeline.logstash.ruby import to_s
from pipeline.logstash.ruby_methods import METHODS, RubyError, operate, truthy
from pipeline.logstash.ruby_nodes import (
    EVENT,
    Cancelled,
    Node,
    Scope,
    binary,
    constant,
    each_of,
    method,
    unquoted,
)
from pipeline.logstash.ruby_tokens import KEYWORDS, Tokens, UnreadableError

__all__ = ["Cancelled", "RubyError", "UnreadableError", "read_ruby"]


_BINARY: Final = (
    ("||", "or"),
    ("&&", "and"),
    ("==", "!=", "=~"),
    ("<", ">", "<=", ">="),
    ("+", "-"),
    ("*", "/", "%"),
)
_INTERPOLATION: Final = re.compile(r"#\{([^{}]*)\}")
_MAX_STEPS: Final = 200_000


def read_ruby(code: str) -> Callable[[Event, Origin], None]:
    """Make a function of code; raises UnreadableError. The function raises Cancelled, and RubyError."""
    reader = _Reader(code)
    body = reader.statements(())
    if reader.kind != "end":
        raise UnreadableError(f"`{reader.text}` cannot be read")

    def run(event: Event, origin: Origin) -> None:
        body(Scope(event, origin))

    return run


class _Reader(Tokens):
    """A reader by recursive descent; each method reads one thing and gives the function that does it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self._depth = 0

    def statements(self, ends: tuple[str, ...]) -> Node:
        """Read statements up to one of these words, which is left."""
        self._depth += 1
        if self._depth > 40:
            raise UnreadableError("it is nested too deep")
        parts: list[Node] = []
        self._lines()
        while self.kind != "end" and self.text not in ends:
            parts.append(self._statement())
            if self.kind not in {"newline", "end"} and self.text not in ends:
                raise UnreadableError(f"`{self.text}` cannot be read")
            self._lines()
        self._depth -= 1

        def run(scope: Scope) -> Any:
            value = None
            for part in parts:
                scope.steps += 1
                if scope.steps > _MAX_STEPS:
                    raise RubyError("it runs too long")
                value = part(scope)
            return value

        return run

    def _statement(self) -> Node:
        node = self._condition() if self.text in {"if", "unless"} and self.kind == "name" else self._simple()
        while self.kind == "name" and self.text in {"if", "unless"}:
            node = self._guarded(node)
        return node

    def _guarded(self, node: Node) -> Node:
        wanted = self.text == "if"
        self._next()
        condition = self._expression()
        return lambda scope: node(scope) if truthy(condition(scope)) is wanted else None

    def _condition(self) -> Node:
        wanted = self.text == "if"
        self._next()
        arms: list[tuple[Node, Node]] = []
        while True:
            condition = self._expression()
            self._takes("then")
            arms.append((condition, self.statements(("elsif", "else", "end"))))
            if not self._takes("elsif"):
                break
        otherwise = self.statements(("end",)) if self._takes("else") else None
        self._expect("end")

        def run(scope: Scope) -> Any:
            for number, (condition, body) in enumerate(arms):
                if truthy(condition(scope)) is (wanted or number > 0):
                    return body(scope)
            return otherwise(scope) if otherwise else None

        return run

    def _simple(self) -> Node:
        if self.kind == "name" and self.text == "raise":
            self._next()
            message = (
                self._expression()
                if self.kind not in {"newline", "end"} and self.text not in KEYWORDS
                else None
            )

            def fail(scope: Scope) -> Any:
                raise RubyError(str(message(scope)) if message else "unhandled exception")

            return fail
        if (
            self.kind == "name"
            and self.text not in KEYWORDS
            and re.match(r"[ \t]*=(?![=~>])", self._code[self._place :])
        ):
            name = self.text
            if name == "event" or not name[0].islower():
                raise UnreadableError(f"`{name}` cannot be set")
            self._next()
            self._next()
            value = self._expression()

            def assign(scope: Scope) -> Any:
                scope.names[name] = value(scope)
                return scope.names[name]

            return assign
        return self._expression()

    def expression(self) -> Node:
        """Read an expression, and a choice `a ? b : c` after it."""
        condition = self._expression(0)
        if not self._takes("?"):
            return condition
        first = self.expression()
        self._expect(":")
        second = self.expression()
        return lambda scope: first(scope) if truthy(condition(scope)) else second(scope)

    def _expression(self, level: int | None = None) -> Node:
        if level is None:
            return self.expression()
        if level == len(_BINARY):
            return self._unary()
        left = self._expression(level + 1)
        while self.kind in {"sign", "name"} and self.text in _BINARY[level]:
            operator = self.text
            self._next()
            self._lines()
            left = binary(operator, left, self._expression(level + 1))
        return left

    def _unary(self) -> Node:
        if self._takes("!", "not"):
            inner = self._unary()
            return lambda scope: not truthy(inner(scope))
        if self._takes("-"):
            inner = self._unary()
            return lambda scope: operate("-", 0, inner(scope))
        return self._postfix(self._primary())

    def _postfix(self, node: Node) -> Node:
        while True:
            if self._takes("."):
                node = self._call(node)
            elif self.kind == "sign" and self.text == "[":
                self._next()
                index = self._expression()
                self._expect("]")
                node = method(node, "[]", [index])
            else:
                return node

    def _call(self, node: Node) -> Node:
        name = self.text
        if self.kind != "name":
            raise UnreadableError(f"`{name}` is no method")
        self._next()
        arguments = self._arguments()
        if name in {"each", "each_pair", "map", "collect", "select", "reject"} and self.text in {"{", "do"}:
            return self._block(node, name)
        if name not in METHODS:
            raise UnreadableError(f"the method `{name}` is not known")
        return method(node, name, arguments)

    def _arguments(self) -> list[Node]:
        arguments: list[Node] = []
        if self.kind == "sign" and self.text == "(":
            self._next()
            while not self._takes(")"):
                arguments.append(self._expression())
                if not self._takes(","):
                    self._expect(")")
                    break
        return arguments

    def _block(self, node: Node, name: str) -> Node:
        closing = "}" if self.text == "{" else "end"
        self._next()
        self._expect("|")
        names = [self.text]
        self._next()
        while self._takes(","):
            names.append(self.text)
            self._next()
        self._expect("|")
        body = self.statements((closing,))
        self._expect(closing)
        return each_of(node, name, names, body)

    def _primary(self) -> Node:
        kind, text = self.kind, self.text
        if kind == "number":
            self._next()
            number: int | float = float(text) if "." in text else int(text)
            return lambda _scope: number
        if kind == "text":
            self._next()
            return self._interpolated(text) if text[0] == '"' and "#{" in text else constant(unquoted(text))
        if kind == "regex":
            self._next()
            pattern = ("(?i)" if text.endswith("i") else "") + text.rstrip("i")[1:-1]
            return constant(METHODS["regexp"](pattern))
        if self._takes("("):
            inner = self._expression()
            self._expect(")")
            return inner
        if self._takes("["):
            parts: list[Node] = []
            while not self._takes("]"):
                parts.append(self._expression())
                if not self._takes(","):
                    self._expect("]")
                    break
            return lambda scope: [part(scope) for part in parts]
        if kind == "name":
            return self._named(text)
        raise UnreadableError(f"`{text or 'the end'}` cannot be read")

    def _interpolated(self, text: str) -> Node:
        """Read `"a #{b} c"`: texts and expressions in turn."""
        pieces = _INTERPOLATION.split(text[1:-1])
        nodes = [
            _inner(piece) if number % 2 else constant(unquoted(f'"{piece}"'))
            for number, piece in enumerate(pieces)
        ]
        return lambda scope: "".join(to_s(node(scope)) for node in nodes)

    def _named(self, text: str) -> Node:
        self._next()
        if text in {"nil", "true", "false"}:
            return constant({"nil": None, "true": True, "false": False}[text])
        if text == "event":
            return self._event()
        if text == "Time" and self._takes("."):
            self._expect("now")
            return lambda scope: scope.origin.now
        if text in KEYWORDS or not text[0].islower():
            raise UnreadableError(f"`{text}` cannot be read")

        def read(scope: Scope) -> Any:
            if text not in scope.names:
                raise RubyError(f"undefined local variable `{text}`")
            return scope.names[text]

        return read

    def _event(self) -> Node:
        self._expect(".")
        name = self.text
        self._next()
        arguments = self._arguments()
        counts = {"get": 1, "set": 2, "remove": 1, "tag": 1, "cancel": 0, "include?": 1, "to_hash": 0}
        if counts.get(name) != len(arguments):
            raise UnreadableError(f"`event.{name}` with {len(arguments)} arguments is not known")
        return EVENT[name](arguments)


def _inner(code: str) -> Node:
    reader = _Reader(code)
    node = reader.expression()
    if reader.kind != "end":
        raise UnreadableError(f"`{reader.text}` cannot be read")
    return node
