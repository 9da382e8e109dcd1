"""What `pipeline.events.canonical` does to an event, worked out once for all events of a shape.

A step finds one canonical field. Of its sources only those are kept that can be in an event of these names, and of each
it is known where it is: under a name at the root, or inside one object there. Part of the hot path: this runs for each
event of another format than the guide's.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from pipeline.encode.record_chunk import UncommonError
from pipeline.events.canonical import move
from pipeline.events.converters import Converter
from pipeline.events.field_names import set_aside
from pipeline.events.field_paths import ABSENT, find
from pipeline.events.formats import CANONICAL, Format, Source, Test
from pipeline.events.levels import normalise_level
from pipeline.events.trace_ids import is_none

__all__ = [
    "TIMES",
    "Place",
    "Step",
    "Where",
    "holds",
    "look",
    "place_of",
    "put_aside",
    "step_of",
    "take_steps",
]

TIMES = frozenset({str, int, float})
"""Types of what may be a time; whether it is one is seen when it is read."""
_MOST_LEVELS = 1024
_LONGEST_LEVEL = 64
# With `events.syslog_levels` more numbers are levels: that is for document.py.
_LEAST_LEVEL = 10


class Place(NamedTuple):
    """Where a path leads in events of a shape."""

    path: str
    root: str | None
    """The one name at the root that the path can begin with; None where there are several."""
    rest: str = ""
    """What is left of the path inside of it; empty where it is the root's name."""
    heads: frozenset[str] = frozenset()
    """The names that `rest` can begin with."""


class Where(NamedTuple):
    """One source of a field."""

    source: Source
    place: Place
    root: str | None
    rest: str
    convert: Converter | None
    lossless: bool


class Step(NamedTuple):
    """How one field is found."""

    name: str
    target: str
    there: bool
    """Whether the canonical name is there, so that its value has to be looked at first, or room be made for it."""
    counts: Callable[[Any], bool]
    """Whether a value is of the right type."""
    sources: tuple[Where, ...]


def place_of(path: str, names: frozenset[str]) -> Place:
    """Say where a path leads in events of these names."""
    heads = [head for head in _heads(path) if head in names]
    if len(heads) != 1:
        return Place(path, None)
    rest = path[len(heads[0]) + 1 :]
    return Place(path, heads[0], rest, frozenset(_heads(rest)) if "." in rest else frozenset())


def _heads(path: str) -> Iterable[str]:
    """Give `a`, `a.b`, `a.b.c`."""
    parts = path.split(".")
    return [".".join(parts[: number + 1]) for number in range(len(parts))]


def look(event: dict[str, Any], place: Place) -> Any:
    """Give the value at a place, None where there is none."""
    path, root, rest, heads = place
    if root is None:
        found = find(event, path)
        return None if found is ABSENT else found
    value = event.get(root)
    if not rest or value is None:
        return value
    if type(value) is dict:
        found = value.get(rest)
        if found is not None or heads.isdisjoint(value):
            return found
    found = find(value, rest)
    return None if found is ABSENT else found


def holds(test: Test, place: Place, event: dict[str, Any]) -> bool:
    """Tell what `Test.holds` does."""
    value = look(event, place)
    if value is None:
        return False
    return type(value) in test.types if test.types else bool(value == test.equals)


def step_of(name: str, sources: Iterable[Source], names: frozenset[str], of: Format) -> Step | None:
    """Make the step of a field; None where there is nothing to do."""
    there = name in names
    if name == "timestamp" and there and name not in of.shipper_time:
        return None  # whether it is a time is seen when it is read
    target = name
    if name == "host":
        if "host.name" in names:
            return None
        target, there = "host.name", "host" in names
    elif name.startswith("error."):
        there = there or "error" in names
    places = [(source, _place_of(source, name, names)) for source in sources]
    return Step(
        name,
        target,
        there,
        _COUNTS[name],
        tuple(
            Where(source, place, place.root, place.rest, source.converter, source.lossless)
            for source, place in places
        ),
    )


def _place_of(source: Source, name: str, names: frozenset[str]) -> Place:
    place = place_of(source.path, names)
    # What an object of a canonical name held stands beside it, once that has got its value.
    moved = place.root in CANONICAL and place.root != name and place.rest
    return Place(source.path, None) if moved else place


def take_steps(steps: Iterable[Step], event: dict[str, Any], aside: dict[str, Any]) -> tuple[Any, bool]:
    """Take each field from where it is.

    Gives the level as it was logged, if that is not what `level` is now, and whether a time was taken. Raises
    UncommonError where that cannot be told without a closer look.
    """
    logged: Any = ABSENT
    timed = False
    for name, target, there, counts, sources in steps:
        if there and _is_right(event, name):
            continue
        for source, place, root, rest, convert, lossless in sources:
            found = event.get(root) if root is not None and not rest else look(event, place)
            if found is None:
                continue
            value = found if convert is None else convert(found, event)
            if value is None or not counts(value):
                continue
            if there or rest or root is None:
                _move(event, name, source, value, aside)
            else:
                if lossless:
                    del event[root]
                event[target] = value
            if name == "timestamp":
                timed = True
            elif name == "level" and not lossless:
                logged = found
            break
    return logged, timed


def _move(event: dict[str, Any], name: str, source: Source, value: Any, aside: dict[str, Any]) -> None:
    moved: dict[str, Any] = {}
    move(event, name, source, value, moved)
    for path, other in moved.items():
        put_aside(aside, path, other)


def _may_be_time(value: Any) -> bool:
    if type(value) not in TIMES:
        raise UncommonError
    return True


def _is_message(value: Any) -> bool:
    return type(value) is str


def _is_text(value: Any) -> bool:
    return type(value) is str and bool(value)


def _is_id(value: Any) -> bool:
    return type(value) is int or (type(value) is str and not is_none(value))


def _is_level(value: Any) -> bool:
    if type(value) is str:
        return _is_known_level(value) if len(value) <= _LONGEST_LEVEL else normalise_level(value) is not None
    return type(value) in TIMES and _is_known_level(value)


@lru_cache(_MOST_LEVELS)
def _is_known_level(value: Any) -> bool:
    return normalise_level(value) is not None


def _is_right(event: dict[str, Any], name: str) -> bool:
    if name == "host":
        return event.get("host") is not None
    if name.startswith("error."):
        return type(find(event, name)) is str
    value = event.get(name)
    if value is None:
        return False
    kind = type(value)
    if name == "level":
        return _is_level(value) and not (kind is int and value < _LEAST_LEVEL)
    if name in ("trace_id", "span_id") and kind is not str:
        raise UncommonError
    return kind is str and name != "timestamp"


def put_aside(aside: dict[str, Any], path: str, value: Any) -> None:
    """Move a value aside; raises UncommonError for the second at a path, whose name depends on the order."""
    if path in aside:
        raise UncommonError
    set_aside(aside, path, value)


_COUNTS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(CANONICAL, _is_text),
    "timestamp": _may_be_time,
    "level": _is_level,
    "message": _is_message,
    "trace_id": _is_id,
    "span_id": _is_id,
}
"""Whether a value is of the right type, as `canonical.RIGHT` says."""
