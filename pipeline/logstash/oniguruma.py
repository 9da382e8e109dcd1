r"""From Ruby's regular expressions (Oniguruma) to Python's.

What means the same is kept, what is written otherwise is rewritten, what Python's `re` cannot do but the library
`regex` can (Unicode properties, POSIX classes of letters, look-behind of any length) is marked for that, and the rest
is refused. `\w`, `\d`, `\s` and `\h` are ASCII, `\b` is Unicode, `^` and `$` are the bounds of lines, `(?m)` lets
`.` match a newline.
"""

import re
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Translated", "UntranslatableError", "translate"]

_CLASSES: Final = {
    "d": "0-9",
    "w": "a-zA-Z0-9_",
    "s": " \\t\\r\\n\\f\\v",
    "h": "0-9a-fA-F",
    "D": "\\x00-/:-\\U0010ffff",
    "W": "\\x00-/:-@\\[-\\^`{-\\U0010ffff",
    "S": "\\x00-\\x08\\x0e-\\x1f!-\\U0010ffff",
    "H": "\\x00-/:-@G-`g-\\U0010ffff",
}
_LETTERS: Final = {"n": "\\n", "t": "\\t", "r": "\\r", "f": "\\f", "v": "\\v", "a": "\\a", "e": "\\x1b"}
_PLACES: Final = {"A": "\\A", "z": "\\Z", "Z": "(?=\\n?\\Z)", "b": "\\b", "B": "\\B"}
_LINE_BREAK: Final = "(?>\\r\\n|[\\n\\v\\f\\r\\x85\\u2028\\u2029])"
_POSIX: Final = {
    "digit": "\\d",
    "xdigit": "0-9a-fA-F",
    "space": "\\s",
    "word": "\\w",
    "blank": " \\t",
    "cntrl": "\\x00-\\x1f\\x7f",
    "ascii": "\\x00-\\x7f",
}
_POSIX_OF_LIBRARY: Final = {"alpha", "alnum", "upper", "lower", "punct", "graph", "print"}
_QUANTIFIER: Final = re.compile(r"[*+?]|\{(?:\d+(?:,\d*)?|,\d+)\}")
_FLAGS: Final = re.compile(r"\(\?([imx]*)(?:-([imx]*))?([:)])")
_NAME: Final = re.compile(r"\(\?<([^>=!][^>]*)>|\(\?'([^']+)'")
_PROPERTY: Final = re.compile(r"[pP]\{\^?[A-Za-z_]+\}")
_POSIX_CLASS: Final = re.compile(r"\[:(\^?)([a-z]+):\]")
_GROUP_STARTS: Final = ("(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>")
MAX_LENGTH: Final = 200_000


class UntranslatableError(ValueError):
    """A regular expression that is none, or that Python cannot run; `place` is the offset in it."""

    def __init__(self, problem: str, place: int) -> None:
        super().__init__(problem)
        self.place = place


@dataclass(slots=True)
class Translated:
    """A pattern for Python. `names` tells, by Python's name of a group, how the pattern calls it."""

    source: str
    names: dict[str, str] = field(default_factory=dict)
    needs_library: bool = False


def translate(pattern: str) -> Translated:
    """Translate one expression; raises UntranslatableError."""
    if len(pattern) > MAX_LENGTH:
        raise UntranslatableError(f"longer than {MAX_LENGTH} characters", 0)
    return _Translator(pattern).run()


class _Translator:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._place = 0
        self._out: list[str] = []
        self._result = Translated("")
        self._by_name: dict[str, str] = {}
        self._has_names = _NAME.search(re.sub(r"\\.", "..", pattern)) is not None
        self._depth = 0

    def run(self) -> Translated:
        self._alternatives()
        if self._place < len(self._pattern):
            raise UntranslatableError("a `)` that closes nothing", self._place)
        self._result.source = "".join(self._out)
        return self._result

    def _at(self, text: str) -> bool:
        return self._pattern.startswith(text, self._place)

    def _alternatives(self) -> None:
        """Translate up to the `)` that ends this group, or the end."""
        self._depth += 1
        if self._depth > 100:
            raise UntranslatableError("nested deeper than 100 groups", self._place)
        closes = 0
        while self._place < len(self._pattern) and not self._at(")"):
            if self._at("|"):
                self._out.append("|")
                self._place += 1
                continue
            flags = _FLAGS.match(self._pattern, self._place)
            if flags and flags[3] == ")":
                self._out.append(f"(?{_python_flags(flags[1], flags[2])}:")
                self._place = flags.end()
                closes += 1
                continue
            start = len(self._out)
            self._atom(flags)
            self._quantifiers(start)
        self._out.append(")" * closes)
        self._depth -= 1

    def _atom(self, flags: re.Match[str] | None) -> None:
        letter = self._pattern[self._place]
        if letter == "(":
            self._group(flags)
        elif letter == "[":
            self._out.append(self._class())
        elif letter == "\\":
            self._escape()
        elif letter in ".^$":
            self._take(letter)
        elif _QUANTIFIER.match(self._pattern, self._place):
            raise UntranslatableError(f"nothing before `{letter}` to repeat", self._place)
        else:
            self._take(letter if letter in "#& ~-" or letter.isspace() else re.escape(letter))

    def _take(self, text: str, length: int = 1) -> None:
        self._out.append(text)
        self._place += length

    def _group(self, flags: re.Match[str] | None) -> None:
        opened = self._place
        if self._at("(?#"):
            end = self._pattern.find(")", self._place)
            if end < 0:
                raise UntranslatableError("a comment without end", opened)
            self._place = end + 1
            return
        named = _NAME.match(self._pattern, self._place)
        start = next((start for start in _GROUP_STARTS if self._at(start)), None)
        if flags:
            self._take(f"(?{_python_flags(flags[1], flags[2])}:", flags.end() - opened)
        elif start:
            self._take(start, len(start))
        elif named:
            name = f"n{len(self._result.names)}"
            self._by_name[named[1] or named[2]] = name
            self._result.names[name] = named[1] or named[2]
            self._take(f"(?P<{name}>", named.end() - opened)
        elif self._at("(?"):
            raise UntranslatableError(f"`{self._pattern[opened : opened + 4]}` is not supported", opened)
        else:
            self._take("(?:" if self._has_names else "(")
        self._alternatives()
        if self._place >= len(self._pattern):
            raise UntranslatableError("a `(` without its `)`", opened)
        self._take(")")

    def _quantifiers(self, start: int) -> None:
        """Translate what repeats the atom that begins at `start` of the output; a second one repeats the first."""
        first = True
        while found := _QUANTIFIER.match(self._pattern, self._place):
            if not first:
                self._out.insert(start, "(?:")
                self._out.append(")")
            text = found[0]
            self._place = found.end()
            if text.startswith("{,"):
                text = "{0" + text[1:]
            if self._at("?") or (self._at("+") and text[0] != "{"):
                text += self._pattern[self._place]
                self._place += 1
            self._out.append(text)
            first = False

    def _escape(self) -> None:
        place = self._place
        if place + 1 >= len(self._pattern):
            raise UntranslatableError("a backslash at the end", place)
        letter = self._pattern[place + 1]
        if letter in _CLASSES:
            self._take(f"[{_CLASSES[letter]}]", 2)
        elif letter in _PLACES:
            self._take(_PLACES[letter], 2)
        elif letter == "R":
            self._take(_LINE_BREAK, 2)
        elif letter in "GKXgyY":
            raise UntranslatableError(f"`\\{letter}` is not supported", place)
        elif letter == "k":
            self._named_reference()
        elif letter in "123456789":
            digits = re.compile(r"\d+").match(self._pattern, place + 1)
            number = digits[0] if digits else letter
            if self._has_names:
                raise UntranslatableError("a numbered reference beside named groups", place)
            self._take(f"(?:\\{number})", 1 + len(number))
        else:
            self._out.append(self._character())

    def _named_reference(self) -> None:
        found = re.compile(r"\\k(?:<([^>]+)>|'([^']+)')").match(self._pattern, self._place)
        name = (found[1] or found[2]) if found else ""
        if not found or (name not in self._by_name and not name.isdigit()):
            raise UntranslatableError(f"a reference to a group `{name}` that is not there", self._place)
        python = f"(?P={self._by_name[name]})" if name in self._by_name else f"(?:\\{name})"
        self._take(python, found.end() - self._place)

    def _character(self) -> str:
        """Translate an escape that stands for one character, here or in a class."""
        place = self._place
        letter = self._pattern[place + 1]
        if letter in _LETTERS:
            self._place += 2
            return _LETTERS[letter]
        if letter in "pP":
            found = _PROPERTY.match(self._pattern, place + 1)
            if not found:
                raise UntranslatableError("a property without its name in braces", place)
            self._result.needs_library = True
            self._place = found.end()
            return "\\" + found[0]
        for form in (
            r"\\x([0-9a-fA-F]{1,2})",
            r"\\x\{([0-9a-fA-F]+)\}",
            r"\\u([0-9a-fA-F]{4})",
            r"\\u\{([0-9a-fA-F]+)\}",
        ):
            if found := re.compile(form).match(self._pattern, place):
                number = int(found[1], 16)
                if number > 0x10FFFF:
                    raise UntranslatableError("a character that does not exist", place)
                self._place = found.end()
                return f"\\U{number:08x}"
        if found := re.compile(r"\\(0[0-7]{0,2})").match(self._pattern, place):
            self._place = found.end()
            return f"\\x{int(found[1], 8):02x}"
        if letter in "cCMxu":
            raise UntranslatableError(f"`\\{letter}` is not supported", place)
        self._place += 2
        return re.escape(letter)

    def _class(self) -> str:
        opened = self._place
        self._place += 1
        negated = self._at("^")
        if negated:
            self._place += 1
        parts = self._class_members(opened)
        self._place += 1
        if "_" in parts and "[:alnum:]" in parts:
            parts[parts.index("[:alnum:]")] = "\\w"  # which it is, beside `_`
        if any(part.startswith("[:") for part in parts):
            self._result.needs_library = True
        return f"[{'^' if negated else ''}{''.join(parts)}]"

    def _class_members(self, opened: int) -> list[str]:
        """Translate up to the `]`, which is left."""
        parts: list[str] = []
        first = True
        while first or not self._at("]"):
            if self._place >= len(self._pattern):
                raise UntranslatableError("a `[` without its `]`", opened)
            first = False
            posix = _POSIX_CLASS.match(self._pattern, self._place)
            letter = self._pattern[self._place]
            if posix:
                if posix[1] or (posix[2] not in _POSIX and posix[2] not in _POSIX_OF_LIBRARY):
                    raise UntranslatableError(f"`{posix[0]}` is not supported", self._place)
                parts.append(_POSIX.get(posix[2], posix[0]))
                self._place = posix.end()
            elif letter == "[":
                inner_opened = self._place
                self._place += 1
                if self._at("^"):
                    raise UntranslatableError("a negated class in a class", self._place)
                parts.extend(self._class_members(inner_opened))
                self._place += 1
            elif self._at("&&"):
                raise UntranslatableError("an intersection of classes", self._place)
            elif letter == "\\" and self._place + 1 < len(self._pattern):
                escaped = self._pattern[self._place + 1]
                if escaped in _CLASSES:
                    parts.append(_CLASSES[escaped])
                    self._place += 2
                elif escaped == "b":
                    parts.append("\\x08")
                    self._place += 2
                else:
                    parts.append(self._character())
            else:
                parts.append(f"\\{letter}" if letter in "[]\\^&~|" else letter)
                self._place += 1
        return parts


def _python_flags(on: str | None, off: str | None) -> str:
    wanted = (on or "").replace("m", "s")
    unwanted = (off or "").replace("m", "s")
    return wanted + (f"-{unwanted}" if unwanted else "")
