"""Other formats than the guide's on the hot path: events of one shape are recognised once, and read by a plan.

A shape is the names at the root, in their order. Its plan is what `pipeline.events.reading` and `canonical` would do to
any event of these names: which formats it may be of, and for each field only the sources that can be there
(`field_steps.py`). Where a value is not what the plan takes it for, the event is left to document.py. An event whose
names are no trigger costs nothing but its part in one set operation of the chunk. Part of the hot path, and so one
file: what stands here runs for each event of another format.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from pipeline.encode.field_steps import (
    TIMES,
    Place,
    Step,
    holds,
    look,
    place_of,
    put_aside,
    step_of,
    take_steps,
)
from pipeline.encode.record_chunk import GUIDE_NAMES, RecordChunk, UncommonError
from pipeline.encode.record_parts import split_records
from pipeline.events.document import DocumentBuilder
from pipeline.events.field_names import ASIDE_FIELD, is_taken
from pipeline.events.field_paths import ABSENT
from pipeline.events.formats import Format, Source, Test
from pipeline.events.reading import MOST_UNWRAPPED, REPLACED, both_objects
from pipeline.events.repair import may_hold_large
from pipeline.events.runtime_times import is_no_time
from pipeline.events.timestamps import parse_timestamp

__all__ = ["ShapePlans"]

_MOST_PLANS = 4096
_LONGEST_SHAPE = 64
_CREATED = "event.created"
_MOMENT_LENGTH = 19
_NO_YEARS = ("0001", "1601", "1970")
# Beside those of the formats: what says whose an event is.
_BEATS = frozenset({"agent", "@metadata"})
_SENDERS = frozenset({"fields", "fields.service", "agent", "@metadata"})


class _Plan(NamedTuple):
    """How events of a shape and a format are read."""

    name: str
    test: Test | None
    tested: Place | None = None
    steps: tuple[Step, ...] = ()
    unwrap: tuple[str, ...] = ()
    missing: tuple[tuple[str, Any], ...] = ()
    partial: tuple[tuple[Place, Any], ...] = ()
    aside: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    stamped: bool = False
    """Whether there is a `timestamp` that has to be a time, for something else would be taken otherwise."""
    has_sender: bool = False
    of_beat: bool = False
    has_metadata: bool = False
    uncommon: bool = False


_Read = tuple[dict[str, Any], Any, str, tuple[str, ...]]
"""An event as it is now, the level as it was logged, its format, and names that Elasticsearch would refuse."""


def _add_service(chunk: RecordChunk, service: str) -> None:
    for position, event in enumerate(chunk.events):
        if position not in chunk.uncommon and type(event) is dict and event.get("service") is None:
            event["service"] = service


class ShapePlans:
    """Read events by the plans of their shapes; plans are made as shapes come, and bounded in number."""

    def __init__(self, builder: DocumentBuilder) -> None:
        self._builder = builder
        self._formats = builder.formats
        self._service = builder.events.service
        self._most_parts = builder.events.max_array_events
        self._zone = builder.events.zone
        self._triggers = builder.formats.triggers | _SENDERS
        self._plans: dict[tuple[str, ...], tuple[_Plan, ...]] = {}
        self._part_plans: dict[tuple[str, ...], _Plan] = {}
        # Of the record that is being read.
        self._record_ms = self._now_ms = 0

    def apply(self, chunk: RecordChunk) -> None:
        """Bring the events of a chunk into the guide's form, or leave them to document.py."""
        wanted = self._builder.inputs.of(chunk.cache.topic)
        strictly = wanted.format == "guide"
        known: Mapping[int, tuple[Format, str]] = {}
        try:
            names: set[str] = set().union(*chunk.events)
            splitting = not strictly and not self._formats.splitting.isdisjoint(names)
        except TypeError:  # a list, a number, …
            splitting = True
        if wanted.format not in ("auto", "guide"):
            for position in range(len(chunk.events)):
                chunk.leave(position)
            return
        if splitting:
            known = split_records(chunk, self._formats, self._most_parts, arrays_only=strictly)
            names = set().union(*chunk.events)
        if known or not GUIDE_NAMES.issuperset(names):
            self._read_odd(chunk, known, names, strictly=strictly)
        if wanted.service is not None:
            _add_service(chunk, wanted.service)

    def _read_odd(
        self, chunk: RecordChunk, known: Mapping[int, tuple[Format, str]], names: set[str], *, strictly: bool
    ) -> None:
        """Read the events that have other names than the guide's; one that no name is a trigger of is the guide's."""
        events = chunk.events
        usual = map(GUIDE_NAMES.issuperset, events)
        chunk.odd = [at for at, guides in enumerate(usual) if not guides or at in known]
        triggers = (_SENDERS if strictly else self._triggers).intersection(names)
        self._now_ms = chunk.now_ms
        for position in chunk.odd:
            event = events[position]
            if type(event) is not dict or may_hold_large(event):
                chunk.leave(position)
            elif position in known or not triggers.isdisjoint(event):
                if strictly:
                    chunk.leave(position)
                else:
                    self._apply_to(chunk, position, event, known.get(position))

    def _apply_to(
        self, chunk: RecordChunk, position: int, event: dict[str, Any], known: tuple[Format, str] | None
    ) -> None:
        aside: dict[str, Any] = {}
        self._record_ms = chunk.times[position]
        try:
            if known is None:
                fields, logged, name, refused = self._read(event, aside, 0)
            else:
                fields, logged, name, refused = self._read_by(
                    self._known_plan(known[0], event), event, aside, 0
                )
                name = known[1] + name
            if "@timestamp" in fields:
                _take_own_time(fields)
            for each in refused:
                if each in fields:
                    put_aside(aside, each, fields.pop(each))
        except (UncommonError, RecursionError):
            chunk.leave(position)
            return
        chunk.events[position] = fields
        chunk.formats[position] = name
        if logged is not ABSENT:
            chunk.logged[position] = logged
        if aside:
            chunk.envelopes[position] = {ASIDE_FIELD: aside}

    def _known_plan(self, of: Format, event: dict[str, Any]) -> _Plan:
        shape = (of.name, *event)
        plan = self._part_plans.get(shape)
        if plan is None:
            if len(self._part_plans) >= _MOST_PLANS:
                self._part_plans.clear()
            if len(shape) > _LONGEST_SHAPE:
                raise UncommonError
            plan = self._part_plans[shape] = self._plan(replace(of, split=None), frozenset(event))
        return plan

    def _read(self, event: dict[str, Any], aside: dict[str, Any], unwrapped: int) -> _Read:
        shape = tuple(event)
        plans = self._plans.get(shape)
        if plans is None:
            plans = self._learn(shape)
        for plan in plans:
            if plan.test is None or (plan.tested is not None and holds(plan.test, plan.tested, event)):
                return self._read_by(plan, event, aside, unwrapped)
        raise UncommonError

    def _read_by(self, plan: _Plan, event: dict[str, Any], aside: dict[str, Any], unwrapped: int) -> _Read:
        if plan.uncommon:
            raise UncommonError
        inner = (
            self._unwrap(plan, event, aside, unwrapped)
            if plan.has_sender or (plan.unwrap and unwrapped < MOST_UNWRAPPED)
            else None
        )
        if any(look(event, place) == piece for place, piece in plan.partial):
            raise UncommonError
        for name in plan.aside:
            put_aside(aside, name, event.pop(name))
        logged, timed = take_steps(plan.steps, event, aside)
        if inner is not None and "timestamp" in inner[0] and (timed or plan.stamped):
            # It gives way to the payload's; whether it was one at all decides where it is kept.
            self._see_time(event["timestamp"], within=timed)
        for name, value in plan.missing:
            event.setdefault(name, value)
        if plan.has_metadata:
            event.pop("@metadata", None)
        if inner is None:
            return event, logged, plan.name, plan.refused
        return _join((event, logged, plan.name, plan.refused), inner, aside)

    def _unwrap(
        self, plan: _Plan, event: dict[str, Any], aside: dict[str, Any], unwrapped: int
    ) -> _Read | None:
        """Take the payload out, and read it."""
        ours = plan.has_sender and self._is_ours(event, of_beat=plan.of_beat)
        if ours and "message" not in plan.unwrap:
            raise UncommonError
        for path in plan.unwrap if unwrapped < MOST_UNWRAPPED else ():
            payload = event[path]
            if (fields := _payload(payload)) is None:
                if payload is not None and ours:
                    raise UncommonError
                continue
            del event[path]
            inner = self._read(fields, aside, unwrapped + 1)
            read = inner[0]
            if "@timestamp" in read:
                _take_own_time(read)
            if type(payload) is str and "message" not in read:
                read["message"] = payload
            return inner
        return None

    def _see_time(self, value: Any, *, within: bool) -> None:
        """See that a time is one, and within the window."""
        time = parse_timestamp(value, self._zone)
        if time is not None and not within:
            return
        window = self._builder.window(self._record_ms, self._now_ms)
        if (
            time is None
            or not window.earliest_ms <= time.epoch_ms <= window.latest_ms
            or (
                (type(value) is not str or value[4:5] != "-" or window.earliest_ms <= 0)
                and is_no_time(value, time)
            )
        ):
            raise UncommonError

    def _is_ours(self, event: dict[str, Any], *, of_beat: bool) -> bool:
        """Tell whether a shipper names our service; whose event it is that names another is for document.py."""
        fields = event.get("fields")
        sender = fields.get("service") if type(fields) is dict else fields
        if sender is None:
            return False
        if sender != self._service:
            if of_beat:
                raise UncommonError
            return False
        return True

    # --- making plans -------------------------------------------------------------------------------------

    def _learn(self, shape: tuple[str, ...]) -> tuple[_Plan, ...]:
        if len(self._plans) >= _MOST_PLANS:
            self._plans.clear()
        names = frozenset(shape)
        if len(shape) > _LONGEST_SHAPE:
            raise UncommonError
        candidates = self._formats.candidates(names)
        plans = [self._plan(each, names) for each in candidates]
        if not candidates or candidates[-1].test is not None:
            # Known by nothing but perhaps an alias.
            known = not self._formats.triggers.isdisjoint(names)
            plans.append(self._plan(self._formats.aliases, names) if known else self._guide(names))
        found = self._plans[shape] = tuple(plans)
        return found

    def _guide(self, names: frozenset[str]) -> _Plan:
        return _Plan(
            "guide",
            None,
            has_sender="fields" in names,
            of_beat=not names.isdisjoint(_BEATS),
            has_metadata="@metadata" in names,
            uncommon="fields.service" in names,
        )

    def _plan(self, of: Format, names: frozenset[str]) -> _Plan:
        steps = []
        stamped = False
        for name, sources in self._formats.sources(of, names):
            if sources and (step := step_of(name, sources, names, of)) is not None:
                steps.append(step)
            stamped = stamped or (bool(sources) and name == "timestamp" and name in names)
        unwrap = [path for path in of.unwrap if Source(path).may_be_in(names)]
        return _Plan(
            of.name,
            of.test,
            None if of.test is None else place_of(of.test.path, names),
            tuple(steps),
            tuple(unwrap),
            tuple(of.missing.items()),
            tuple(
                (place_of(path, names), piece) for path, piece in of.partial if Source(path).may_be_in(names)
            ),
            tuple(name for name in of.aside if name in names),
            tuple(name for name in names if not is_taken(name)),
            stamped=stamped and "timestamp" not in of.shipper_time,
            has_sender="fields" in names,
            of_beat=not names.isdisjoint(_BEATS),
            has_metadata="@metadata" in names,
            uncommon="fields.service" in names or of.split is not None or not names.issuperset(unwrap),
        )


# --- reading by a plan ----------------------------------------------------------------------------------------


def _payload(value: Any) -> dict[str, Any] | None:
    if type(value) is dict:
        return value or None
    if type(value) is not str:
        return None
    first = value[:1]
    if first != "{" and (first := value.lstrip()[:1]) != "{":
        if first and first in '"@':
            raise UncommonError
        return None
    try:
        fields = orjson.loads(value)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return None
    return fields if type(fields) is dict else None


def _take_own_time(event: dict[str, Any]) -> None:
    """Make `@timestamp` the time where there is no `timestamp`; where there is, it only has to be one."""
    own = event.pop("@timestamp")
    if "timestamp" not in event:
        if type(own) not in TIMES:
            raise UncommonError
        event["timestamp"] = own
    elif (
        type(own) is not str
        or len(own) < _MOMENT_LENGTH
        or own[4] != "-"
        or own.startswith(_NO_YEARS)
        or parse_timestamp(own) is None
    ):
        raise UncommonError


def _join(outer: _Read, inner: _Read, aside: dict[str, Any]) -> _Read:
    """Put the inner event into what stands around it, as `reading.joined` does."""
    fields, inner_logged, name, refused = inner
    into, logged, outer_name, outer_refused = outer
    if "timestamp" in fields:
        if fields["timestamp"] is None:
            raise UncommonError
        shippers = into.pop("timestamp", None)
        into.pop("@timestamp", None)
        if shippers is not None and _CREATED not in into:
            into[_CREATED] = shippers
    if not into.keys().isdisjoint(fields):
        for both in into.keys() & fields.keys():
            there, value = into[both], fields[both]
            if type(there) is dict and type(value) is dict:
                fields[both] = both_objects(there, value)
            elif there is not None and there != value and both not in REPLACED:
                put_aside(aside, f"envelope.{both}", there)
    into.update(fields)
    if fields.get("level") is not None:
        logged = inner_logged
    return into, logged, f"{outer_name}>{name}", (*outer_refused, *refused) if refused else outer_refused
