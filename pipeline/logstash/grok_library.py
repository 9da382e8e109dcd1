"""The named patterns of grok: the two sets that come with it, and those of a configuration, put into each other."""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

__all__ = ["GrokError", "expand", "patterns_of_file", "standard_patterns"]

_REFERENCE: Final = re.compile(
    r"%\{(?P<pattern>[A-Za-z0-9_]+)(?::(?P<name>[@\[\]A-Za-z0-9_:.?-]+))?(?:=(?P<definition>(?:[^{}\\]+|\\.+)+))?[^}]*\}"
)
_MAX_LENGTH: Final = 200_000
_MAX_DEPTH: Final = 100


class GrokError(ValueError):
    """A pattern is not known, refers to itself, or grows too long."""


@cache
def standard_patterns(*, ecs: bool) -> Mapping[str, str]:
    """Give the set that Logstash takes with or without the Elastic Common Schema."""
    folder = resources.files("pipeline.logstash.grok_patterns").joinpath("ecs-v1" if ecs else "legacy")
    patterns: dict[str, str] = {}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        patterns.update(patterns_of_text(file.read_text(encoding="utf-8")))
    return patterns


def patterns_of_file(path: Path) -> dict[str, str]:
    """Read a file of patterns: a name, a space, the expression."""
    return patterns_of_text(path.read_text(encoding="utf-8", errors="replace"))


def patterns_of_text(text: str) -> dict[str, str]:
    """Read patterns, one a line; blank lines and comments are passed over."""
    patterns: dict[str, str] = {}
    for line in text.splitlines():
        name, _space, expression = line.strip("\r\n").partition(" ")
        if name and expression and not name.startswith("#"):
            patterns[name] = expression.lstrip(" ")
    return patterns


def expand(pattern: str, patterns: Mapping[str, str], *, named_only: bool = True) -> str:
    """Put the patterns into each other until nothing is left to put in; raises GrokError.

    A capture becomes a named group `(?<name:type>…)`.
    """
    return _expanded(pattern, patterns, named_only, 0, {})


def _expanded(
    pattern: str, patterns: Mapping[str, str], named_only: bool, depth: int, known: dict[str, str]
) -> str:
    if depth > _MAX_DEPTH:
        raise GrokError("a pattern that refers to itself")

    def put_in(found: re.Match[str]) -> str:
        name, capture, definition = found["pattern"], found["name"], found["definition"]
        if definition is None and name not in patterns:
            raise GrokError(f"pattern %{{{name}}} is not defined")
        if definition is not None or name not in known:
            inner = _expanded(definition or patterns[name], patterns, named_only, depth + 1, known)
            if definition is None:
                known[name] = inner
        else:
            inner = known[name]
        if capture:
            return f"(?<{capture}>{inner})"
        return f"(?:{inner})" if named_only else f"(?<{name}>{inner})"

    expanded = _REFERENCE.sub(put_in, pattern)
    if len(expanded) > _MAX_LENGTH:
        raise GrokError(f"longer than {_MAX_LENGTH} characters when expanded")
    return expanded
