"""Ruby code → one token after the other, for the reader of `ruby_code.py`."""

import re
from typing import Final

__all__ = ["KEYWORDS", "Tokens", "UnreadableError"]


class UnreadableError(ValueError):
    """Code that goes beyond what is read here."""


_TOKEN: Final = re.compile(
    r"""[ \t]*(?:(?P<newline>[\n;]|\#[^\n]*)|(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_]\w*[?!]?)"""
    r"""|(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\#]|\\.|\#(?!\{)|\#\{[^{}"]*\})*")|(?P<regex>/(?:[^/\\\n]|\\.)+/i?)"""
    r"""|(?P<sign>&&|\|\||==|!=|<=|>=|=~|=>|\*\*|::|[-+*/%<>!=().,\[\]{}|?:]))"""
)
KEYWORDS: Final = {
    "if",
    "unless",
    "elsif",
    "else",
    "end",
    "then",
    "do",
    "and",
    "or",
    "not",
    "nil",
    "true",
    "false",
}


class Tokens:
    """The tokens of a text: `kind` and `text` are those of the one that is looked at."""

    def __init__(self, code: str) -> None:
        self._code = code
        self._place = 0
        self.kind = ""
        self.text = ""
        self._next()

    def _next(self) -> None:
        rest = self._code[self._place :]
        if not rest.strip(" \t\r"):
            self.kind, self.text = "end", ""
            return
        found = _TOKEN.match(self._code.replace("\r", " "), self._place)
        if not found or not found.lastgroup:
            raise UnreadableError(f"`{rest.strip()[:20]}` cannot be read")
        if (
            found.lastgroup == "regex"
            and self.kind in {"number", "name", "text"}
            and self.text not in KEYWORDS
        ):
            found = re.compile(r"[ \t]*(?P<sign>/)").match(self._code, self._place)
            if not found:
                raise UnreadableError(f"`{rest.strip()[:20]}` cannot be read")
        self._place = found.end()
        self.kind, self.text = str(found.lastgroup), found[str(found.lastgroup)]

    def _takes(self, *texts: str) -> bool:
        if self.kind in {"sign", "name"} and self.text in texts:
            self._next()
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._takes(text):
            raise UnreadableError(f"`{self.text or 'the end'}` stands where `{text}` should")

    def _lines(self) -> None:
        while self.kind == "newline":
            self._next()
