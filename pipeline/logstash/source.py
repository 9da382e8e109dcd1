"""The Python that a configuration becomes, while it is written.

Lines, the constants they name, and how fields and texts look in them.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pipeline.logstash.fields import MISSING, Path, parse_reference
from pipeline.logstash.interpolation import is_dynamic, parts_of, time_writer

__all__ = ["Source"]

_INDEX: Final = re.compile(r"-?\d{1,9}\Z")
_SPECIAL: Final = {"@timestamp", "@metadata", "tags"}


class Source:
    """Lines of one module. Every value that is not plain text comes in as a constant with a name."""

    def __init__(self) -> None:
        self.constants: dict[str, Any] = {"MISSING": MISSING}
        self._lines: list[str] = []
        self._functions: list[list[str]] = []
        self._level = 0
        self._numbers: dict[str, int] = {}
        self._known: dict[tuple[str, Any], str] = {}

    def text_of_module(self) -> str:
        """Give the whole source, functions first that others call."""
        return "\n\n\n".join("\n".join(lines) for lines in self._functions) + "\n"

    def line(self, text: str = "") -> None:
        """Write one statement at the present depth."""
        self._lines.append("    " * self._level + text if text else "")

    @contextmanager
    def block(self, header: str) -> Iterator[None]:
        """Write a compound statement; an empty body becomes `pass`."""
        self.line(header)
        self._level += 1
        before = len(self._lines)
        yield
        if all(not line or line.lstrip().startswith("#") for line in self._lines[before:]):
            self.line("pass")
        self._level -= 1

    @contextmanager
    def function(self, header: str) -> Iterator[None]:
        """Write a function of its own, before what is being written."""
        outer, self._lines = self._lines, []
        level, self._level = self._level, 0
        with self.block(header):
            yield
        self._functions.append(self._lines)
        self._lines, self._level = outer, level

    def fresh(self, hint: str) -> str:
        """Make a name that is not used yet."""
        number = self._numbers[hint] = self._numbers.get(hint, 0) + 1
        return f"{hint}_{number}"

    def constant(self, value: Any, hint: str) -> str:
        """Name a value; an equal one that can be hashed keeps its name."""
        key: tuple[str, Any] | None = (hint, value)
        try:
            if key in self._known:
                return self._known[key]
        except TypeError:
            key = None
        name = self.fresh(re.sub(r"\W", "_", hint).upper())
        self.constants[name] = value
        if key is not None:
            self._known[key] = name
        return name

    def get(self, path: Path, missing: str = "None") -> str:
        """Write the reading of a field; `missing` is what stands for one that is not there."""
        if any(_INDEX.match(name) for name in path[1:]):
            return f"{'get' if missing == 'None' else 'find'}(event, {path!r})"
        default = "" if missing == "None" else f", {missing}"
        expression = f"event.get({path[0]!r}{default})"
        for name in path[1:]:
            inner = self.fresh("v")
            is_object = f"({inner} := {expression}).__class__ is dict"
            expression = f"({inner}.get({name!r}{default}) if {is_object} else {missing})"
        return expression

    def text(self, template: str) -> str:
        """Write the filling in of a template."""
        if not is_dynamic(template):
            return repr(template)
        pieces: list[str] = []
        for part in parts_of(template):
            if part.kind == "literal":
                pieces.append(repr(part.text))
            elif part.kind == "field":
                value = self.fresh("v")
                read = self.get(part.path)
                otherwise = "%{" + part.text + "}"
                pieces.append(
                    f"({value} if ({value} := {read}).__class__ is str else as_text({value}, {otherwise!r}))"
                )
            elif part.kind == "epoch":
                pieces.append("epoch_text(event.get('@timestamp'))")
            elif part.kind == "now":
                pieces.append("str(origin.now)")
            else:
                write = self.constant(time_writer(part.kind, part.text), f"write {part.text[:20]}")
                pieces.append(f"written_at({write}, event.get('@timestamp'))")
        return " + ".join(pieces) if len(pieces) < 5 else f"''.join(({', '.join(pieces)}))"

    def path(self, template: str) -> str:
        """Write a field's path, which may have to be filled in first."""
        if is_dynamic(template):
            return f"parse_reference({self.text(template)})"
        try:
            return repr(parse_reference(template))
        except Exception:  # noqa: BLE001 - refused again when it runs, as Logstash does
            return f"parse_reference({template!r})"

    def plain_name(self, template: str) -> str | None:
        """Give the name of a field of the first level whose setting needs no check, else None."""
        if is_dynamic(template) or template in _SPECIAL:
            return None
        try:
            path = parse_reference(template)
        except Exception:  # noqa: BLE001 - as above
            return None
        return path[0] if len(path) == 1 and path[0] not in _SPECIAL else None

    def set(self, template: str, expression: str) -> None:
        """Write the setting of a field."""
        name = self.plain_name(template)
        if name is not None:
            self.line(f"event[{name!r}] = {expression}")
        else:
            self.line(f"set_field(event, {self.path(template)}, {expression})")

    def remove(self, template: str) -> None:
        """Write the removal of a field."""
        name = self.plain_name(template)
        if name is not None:
            self.line(f"event.pop({name!r}, None)")
        else:
            self.line(f"remove(event, {self.path(template)})")
