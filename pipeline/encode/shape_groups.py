"""Events of one shape as columns: a step of a plan is taken for all of them at once, where all are alike.

What `field_steps.py` does to one event costs some calls and looks; here most of them are made once a column. Where the
events of a group differ in what a step is about, the step is taken one by one.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import Any

from pipeline.encode.field_steps import TIMES, Place, Step, Where, take_steps
from pipeline.encode.record_chunk import UncommonError
from pipeline.events.converters import CONVERTERS, Converter
from pipeline.events.field_paths import ABSENT
from pipeline.events.formats import Test
from pipeline.events.repair import GUIDE_TEXTS, LARGE, PLAIN, may_hold_large
from pipeline.events.trace_ids import is_none

__all__ = ["EventGroup", "by_shape"]

_DICTIONARY = {dict}
_TEXT = {str}
_NOTHING = {type(None)}
_HASHABLE = frozenset({str, int, float, bool})
_CONTAINERS = {dict, list}
# They look at nothing but the value.
_OF_LEVELS = frozenset(
    CONVERTERS[name] for name in ("level_name", "syslog_severity", "syslog_priority", "otel_severity")
)
_IDS = ("trace_id", "span_id")
# No word for none has more characters.
_SHORT_ID = 10


def by_shape(events: Sequence[dict[str, Any]]) -> Iterator[tuple[tuple[str, ...], Sequence[int]]]:
    """Give the shapes of events, and the positions of those that have it."""
    shapes = list(map(tuple, events))
    if len(set(shapes)) == 1:
        yield shapes[0], range(len(events))
        return
    groups: dict[tuple[str, ...], list[int]] = {}
    for position, shape in enumerate(shapes):
        groups.setdefault(shape, []).append(position)
    yield from groups.items()


class EventGroup:
    """Some events of one shape; `asides` are what has no place under its own name any more, of each."""

    def __init__(
        self, shape: Sequence[str], events: Sequence[dict[str, Any]], asides: Sequence[dict[str, Any]]
    ) -> None:
        self.events = events
        self.asides = asides
        self.failed: set[int] = set()
        """Numbers of events that are left to document.py."""
        self.logged: list[Any] | None = None
        """The levels as they were logged, where they have been converted."""
        self.timed: list[bool] | bool = False
        """Whether a time was taken."""
        self._columns: dict[str, Sequence[Any]] = dict(
            zip(shape, zip(*map(dict.values, events), strict=True), strict=True)
        )

    def column(self, name: str) -> Sequence[Any]:
        """Give the values under a name at the root, None where there is none."""
        found = self._columns.get(name)
        if found is None:
            found = self._columns[name] = list(map(dict.get, self.events, repeat(name)))
        return found

    def forget(self, *names: str) -> None:
        """Look at these names again when they are next asked for."""
        for name in names:
            self._columns.pop(name, None)

    def fail_large(self) -> None:
        """Leave events that may hold an integer beyond 64 bits."""
        for name, column in self._columns.items():
            if name in GUIDE_TEXTS or not _may_hold_large(column):
                continue
            self.failed.update(
                at
                for at, value in enumerate(column)
                if type(value) is not str and may_hold_large({name: value})
            )

    def all_hold(self, test: Test, place: Place | None) -> bool:
        """Tell whether all events pass a format's test; False also where one has to look at each."""
        if place is None or place.root is None:
            return False
        column = self.column(place.root)
        if place.rest:
            if set(map(type, column)) != _DICTIONARY:
                return False
            column = list(map(dict.get, column, repeat(place.rest)))
        if test.types:
            return set(map(type, column)).issubset(test.types)
        return all(value == test.equals for value in column)

    def take(self, steps: Iterable[Step]) -> None:
        """Take each field from where it is, as `take_steps` does."""
        for step in steps:
            if not self._is_right(step) and not self._take(step):
                self._take_one_by_one(step)

    def _take_one_by_one(self, step: Step) -> None:
        name = step.name
        for at, (event, aside) in enumerate(zip(self.events, self.asides, strict=True)):
            try:
                logged, timed = take_steps((step,), event, aside)
            except UncommonError:
                self.failed.add(at)
                continue
            if logged is not ABSENT:
                if self.logged is None:
                    self.logged = [ABSENT] * len(self.events)
                self.logged[at] = logged
            if name == "timestamp":
                if type(self.timed) is bool:
                    self.timed = [self.timed] * len(self.events)
                self.timed[at] = timed
        roots = [where.root for where in step.sources if where.root is not None]
        if len(roots) < len(step.sources):
            self._columns.clear()
        self.forget(name, step.target, "error", "event.created", *roots)

    def _is_right(self, step: Step) -> bool:
        """Tell whether all events have the field under its canonical name."""
        name = step.name
        if not step.there or name == "timestamp" or name.startswith("error."):
            return False
        column = self.column(name)
        kinds = set(map(type, column))
        if name == "host":
            return type(None) not in kinds
        if name != "level":
            return kinds == _TEXT
        return kinds <= TIMES and all(
            step.counts(level) and not (type(level) is int and level < _LEAST_LEVEL) for level in set(column)
        )

    def _take(self, step: Step) -> bool:
        """Take a field from the first source that all events have; False where they differ."""
        for where in step.sources:
            found = self._found(where)
            if found is None:
                return False
            kinds = set(map(type, found))
            if kinds == _NOTHING:
                continue
            values = (
                found if where.convert is None else self._converted(step.name, found, kinds, where.convert)
            )
            if set(map(type, values)) == _NOTHING:
                continue
            if not _all_count(step, values):
                return False
            return self._move(step, where, found, values)
        return True

    def _found(self, where: Where) -> Sequence[Any] | None:
        """Give what each event has at a source; None where one has to look at each."""
        if where.root is None:
            return None
        column = self.column(where.root)
        if not where.rest:
            return column
        kinds = set(map(type, column))
        if kinds.isdisjoint(_CONTAINERS):
            return (None,)
        if kinds != _DICTIONARY:
            return None
        found = list(map(dict.get, column, repeat(where.rest)))
        heads = where.place.heads
        if heads and set(map(type, found)) == _NOTHING and not all(map(heads.isdisjoint, column)):
            return None
        return found

    def _converted(
        self, name: str, found: Sequence[Any], kinds: set[type], convert: Converter
    ) -> Sequence[Any]:
        if name == "level" and kinds <= _HASHABLE and convert in _OF_LEVELS:
            known = {each: convert(each[1], {}) for each in set(zip(map(type, found), found, strict=True))}
            return [known[type(value), value] for value in found]
        return list(map(convert, found, self.events))

    def _move(self, step: Step, where: Where, found: Sequence[Any], values: Sequence[Any]) -> bool:
        """Put values under their canonical name; False where something is in the way."""
        name, target, root = step.name, step.target, where.root
        if root is None or (step.there and (where.rest or root != name)):
            return False
        if where.lossless:
            self._empty(root, where.rest, target)
        for event, value in zip(self.events, values, strict=True):
            event[target] = value
        self._columns[target] = values
        if name == "timestamp":
            self.timed = True
        elif name == "level" and not where.lossless:
            self.logged = list(found)
        return True

    def _empty(self, root: str, rest: str, target: str) -> None:
        """Remove what has been taken from its old place, and the objects that are empty without it."""
        if rest:
            holders = self.column(root)
            for holder in holders:
                del holder[rest]
            if all(holders):
                return
            for event in self.events:
                if not event[root]:
                    del event[root]
        elif root != target:
            for event in self.events:
                del event[root]
        self.forget(root)


# With `events.syslog_levels` more numbers are levels: that is for document.py.
_LEAST_LEVEL = 10


def _may_hold_large(values: Sequence[Any]) -> bool:
    """Tell whether there may be an integer beyond 64 bits among values, or in what they contain."""
    while not PLAIN.issuperset(kinds := set(map(type, values))):
        if float in kinds and not all(abs(value) < LARGE for value in values if type(value) is float):
            return True
        if kinds == _DICTIONARY:
            values = list(chain.from_iterable(map(dict.values, values)))
            continue
        inside = [value.values() for value in values if type(value) is dict] if dict in kinds else []
        lists = [value for value in values if type(value) is list] if list in kinds else []
        values = list(chain.from_iterable([*inside, *lists]))
    return False


def _all_count(step: Step, values: Sequence[Any]) -> bool:
    """Tell whether all values are of the right type."""
    name = step.name
    kinds = set(map(type, values))
    if name == "timestamp":
        return kinds <= TIMES
    if name == "level":
        return kinds <= TIMES and all(map(step.counts, set(values)))
    if kinds != _TEXT:
        return False
    if name in _IDS:
        doubtful = [
            value for value in values if len(value) < _SHORT_ID or value[0] <= "0" or not value.isascii()
        ]
        return not any(map(is_none, doubtful))
    return name == "message" or all(values)
