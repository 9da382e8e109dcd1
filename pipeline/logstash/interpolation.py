"""Logstash's sprintf: a text with `%{field}`, `%{[a][b]}`, `%{+YYYY.MM.dd}`, `%{{yyyy}}` taken apart, ready to fill in.

`interpolate` fills in while a filter runs; the compiler writes the same parts out as Python instead.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

from pipeline.logstash.fields import Event, FieldError, Path, get, parse_reference
from pipeline.logstash.ruby import java_text, joined, json_text
from pipeline.logstash.time_formats import PatternError, java_format, joda_format
from pipeline.logstash.timestamp import SECOND, Timestamp

__all__ = [
    "Part",
    "PatternError",
    "as_text",
    "checked",
    "epoch_text",
    "interpolate",
    "is_dynamic",
    "parts_of",
    "time_writer",
    "written_at",
]


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a text: a literal, a field, or a form of `@timestamp`."""

    kind: Literal["literal", "field", "joda", "java", "epoch", "now"]
    text: str
    path: Path = ()


_NOW: Final = "TIME_NOW"


@lru_cache(1024)
def parts_of(template: str) -> tuple[Part, ...]:
    """Take a template apart; raises PatternError for a date pattern that is none."""
    parts: list[Part] = []
    place = 0
    while True:
        begin = template.find("%{", place)
        end = template.find("}", begin) if begin >= 0 else -1
        if begin < 0 or end < 0:
            break
        if begin > place:
            parts.append(Part("literal", template[place:begin]))
        inner = template[begin + 2 : end]
        if "+%s".startswith(inner):
            parts.append(Part("epoch", ""))
        elif inner.startswith("{") and template[end + 1 : end + 2] == "}":
            end += 1
            parts.append(Part("now", "") if inner[1:] == _NOW else Part("java", inner[1:]))
        elif inner.startswith("+"):
            parts.append(Part("joda", inner[1:]))
        else:
            parts.append(_field(inner))
        place = end + 1
    if place < len(template) or not parts:
        parts.append(Part("literal", template[place:]))
    for part in parts:
        if part.kind in {"joda", "java"}:
            time_writer(part.kind, part.text)
    return tuple(parts)


def _field(name: str) -> Part:
    try:
        return Part("field", name, parse_reference(name))
    except FieldError:
        return Part("literal", "%{" + name + "}")


def is_dynamic(template: str) -> bool:
    """Say whether a text has anything to fill in."""
    return "%{" in template and any(part.kind != "literal" for part in parts_of(template))


@lru_cache(1024)
def time_writer(kind: str, pattern: str) -> Callable[[Timestamp], str]:
    """Give the function that writes an instant by a pattern."""
    return joda_format(pattern) if kind == "joda" else java_format(pattern)


def as_text(value: Any, otherwise: str) -> str:
    """Write a field's value into a text; null and missing leave the template as it was."""
    if value.__class__ is str:
        return str(value)
    if value is None:
        return otherwise
    if value.__class__ is list:
        return joined(value)
    if value.__class__ is dict:
        return json_text(value)
    return java_text(value)


def written_at(write: Callable[[Timestamp], str], instant: Any) -> str:
    """Write `@timestamp` by a pattern; an event without it gets an empty text."""
    return write(instant) if isinstance(instant, Timestamp) else ""


def epoch_text(instant: Any) -> str:
    """Write `@timestamp` as whole seconds since 1970."""
    return str(instant.nanoseconds // SECOND) if isinstance(instant, Timestamp) else ""


def interpolate(event: Event, template: str, now: Timestamp | None = None) -> str:
    """Fill a template in."""
    if "%{" not in template:
        return template
    filled: list[str] = []
    for part in parts_of(template):
        if part.kind == "literal":
            filled.append(part.text)
        elif part.kind == "field":
            filled.append(as_text(get(event, part.path), "%{" + part.text + "}"))
        elif part.kind == "epoch":
            filled.append(epoch_text(event.get("@timestamp")))
        elif part.kind == "now":
            filled.append(str(now or ""))
        else:
            filled.append(written_at(time_writer(part.kind, part.text), event.get("@timestamp")))
    return "".join(filled)


def checked(template: str) -> str:
    """Give the template back when its date patterns are right; raises PatternError."""
    parts_of(template)
    return template
