"""A format's fields → the canonical ones: which value counts, where it goes, and what stays where it was.

The rules, for each field by itself:

1. A canonical name whose value is of the right type wins: `level` a level, `timestamp` a time, the others text.
2. Else the format's own paths are tried in their order, then the aliases; the first with a value of the right type
   counts. A time counts only within the window around Kafka's timestamp: `time: 12.5` is a duration.
3. What was taken leaves its old place, unless the conversion lost something of it. All else stays where it is.
4. A value of the wrong type that is in the way is kept in `log.level` (a level), or moved aside.
"""

from collections.abc import Callable
from datetime import tzinfo
from typing import Any, NamedTuple

from pipeline.events.field_names import set_aside
from pipeline.events.field_paths import ABSENT, find, take
from pipeline.events.formats import CANONICAL, Format, Formats, Source
from pipeline.events.levels import normalise_level
from pipeline.events.runtime_times import is_no_time, read_time
from pipeline.events.timestamps import Timestamp
from pipeline.events.trace_ids import is_none

__all__ = ["KNOWN_LEVELS", "RIGHT", "Canonical", "Window", "make_canonical", "move"]

KNOWN_LEVELS = frozenset({"ERROR", "WARN", "INFO", "DEBUG"})
_CREATED = "event.created"


class Window(NamedTuple):
    """Bounds within which a time that is not under its canonical name is taken for one, in milliseconds since 1970."""

    earliest_ms: int
    latest_ms: int
    zone: tzinfo

    def time(self, value: Any) -> Timestamp | None:
        """Read a candidate; None for what is no time, and for one that is too far away."""
        time = read_time(value, self.zone)
        if time is None or not self.earliest_ms <= time.epoch_ms <= self.latest_ms or is_no_time(value, time):
            return None
        return time


class Canonical(NamedTuple):
    """What was found out beside the fields themselves."""

    logged: Any = ABSENT
    """The level as it was logged, where `level` had to be converted."""
    taken: tuple[tuple[str, str], ...] = ()
    """Fields, and the paths that they were taken from."""


def make_canonical(
    event: dict[str, Any],
    of: Format,
    formats: Formats,
    window: Window,
    aside: dict[str, Any],
    *,
    syslog_numbers: bool = False,
) -> Canonical:
    """Give an event of a format the canonical fields that it has under other names; changes it in place."""
    logged: Any = ABSENT
    taken: list[tuple[str, str]] = []
    for name, sources in formats.sources(of, frozenset(event)):
        if not sources or _is_there(event, name, of, window, syslog_numbers=syslog_numbers):
            continue
        for source in sources:
            found = find(event, source.path)
            if found is ABSENT:
                continue
            value = found if source.converter is None else source.converter(found, event)
            if value is None or not RIGHT[name](value, window):
                continue
            if name == "level" and not source.lossless:
                logged = found
            move(event, name, source, value, aside)
            taken.append((name, source.path))
            break
    for name, value in of.missing.items():
        event.setdefault(name, value)
    return Canonical(logged, tuple(taken))


def _is_there(event: dict[str, Any], name: str, of: Format, window: Window, *, syslog_numbers: bool) -> bool:
    """Tell whether the event has the field under its canonical name already."""
    if name == "host":
        return event.get("host") is not None or "host.name" in event
    if name.startswith("error."):
        return type(find(event, name)) is str
    value = event.get(name)
    if value is None:
        return False
    if name == "timestamp":
        return name not in of.shipper_time and read_time(value, window.zone) is not None
    if name == "level":
        return normalise_level(value, syslog_numbers=syslog_numbers) is not None
    if name in ("trace_id", "span_id"):
        return type(value) in (int, float) or (type(value) is str and not is_none(value))
    return type(value) is str


def move(event: dict[str, Any], name: str, source: Source, value: Any, aside: dict[str, Any]) -> None:
    """Put a value under its canonical name, and make room for it."""
    if source.lossless:
        take(event, source.path)
    if name == "host":
        event["host.name"] = value
        return
    if name.startswith("error."):
        error = event.get("error")
        if type(error) is dict:
            error[name.removeprefix("error.")] = value
        else:
            event[name] = value
        return
    there = event.pop(name, None)
    if type(there) is dict and source.path.startswith(f"{name}."):
        for inner, rest in there.items():
            event[f"{name}.{inner}"] = rest
    elif there is not None and name == "timestamp":
        event[_CREATED] = there
    elif there is not None and source.path != name:
        set_aside(aside, name, there)
    event[name] = value


def _is_level(value: Any, _window: Window | None) -> bool:
    return normalise_level(value) is not None


def _is_text(value: Any, _window: Window | None) -> bool:
    return type(value) is str and bool(value)


def _is_message(value: Any, _window: Window | None) -> bool:
    return type(value) is str


def _is_id(value: Any, _window: Window | None) -> bool:
    return type(value) is int or (type(value) is str and not is_none(value))


def _is_time(value: Any, window: Window | None) -> bool:
    return window is not None and window.time(value) is not None


RIGHT: dict[str, Callable[[Any, Window | None], bool]] = {
    **dict.fromkeys(CANONICAL, _is_text),
    "timestamp": _is_time,
    "level": _is_level,
    "message": _is_message,
    "trace_id": _is_id,
    "span_id": _is_id,
}
