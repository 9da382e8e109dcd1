"""Other formats than the guide's on the hot path: events of one shape are recognised once, and read by a plan.

A shape is the names at the root, in their order. Its plan is what `pipeline.events.reading` and `canonical` would do to
any event of these names: which formats it may be of, and for each field only the sources that can be there
(`field_steps.py`). Where a value is not what the plan takes it for, the event is left to document.py. An event whose
names are no trigger costs nothing but its part in one set operation of the chunk. Part of the hot path, and so one
file: what stands here runs for each event of another format.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from itertools import compress, repeat
from operator import not_
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
from pipeline.encode.line_templates import are_canonical
from pipeline.encode.record_chunk import GUIDE_NAMES, RecordChunk, UncommonError
from pipeline.encode.record_parts import split_records
from pipeline.encode.shape_groups import EventGroup, by_shape
from pipeline.events.document import DocumentBuilder
from pipeline.events.field_names import ASIDE_FIELD, is_taken
from pipeline.events.field_paths import ABSENT
from pipeline.events.formats import Format, Source, Test
from pipeline.events.indices import is_plausible
from pipeline.events.reading import MOST_UNWRAPPED, REPLACED, both_objects
from pipeline.events.repair import may_hold_large
from pipeline.events.runtime_times import is_no_time
from pipeline.events.timestamps import parse_timestamp

__all__ = ["ShapePlans"]

_MOST_PLANS = 4096
_LONGEST_SHAPE = 64
# Fewer are read one by one: to make columns of them is dearer.
_LEAST_COLUMN = 4
_HOUR_LENGTH = len("2024-01-15T10")
_HOUR_MS = 3_600_000
_CREATED = "event.created"
_MOMENT_LENGTH = 19
_TEXT = {str}
_OBJECT = {dict}
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


def _by_format(
    chunk: RecordChunk, known: Mapping[int, tuple[Format, str]], free: Sequence[bool]
) -> Iterable[tuple[tuple[Format, str] | None, list[int]]]:
    """Group the events that have other names than the guide's by the format that is known; `free` are of none."""
    groups: dict[str, tuple[tuple[Format, str] | None, list[int]]] = {}
    for position, is_free in zip(chunk.odd, free, strict=True):
        of = known.get(position)
        if of is not None:
            groups.setdefault(of[1] + of[0].name, (of, []))[1].append(position)
        elif not is_free:
            groups.setdefault("", (None, []))[1].append(position)
        elif may_hold_large(chunk.events[position]):
            chunk.leave(position)
    return groups.values()


class _Some(NamedTuple):
    """Some events: what has no place in each any more, and Kafka's times of their records."""

    events: Sequence[dict[str, Any]]
    asides: Sequence[dict[str, Any]]
    times: Sequence[int]

    def at(self, numbers: Sequence[int]) -> "_Some":
        """Choose some of them."""
        return _Some._make([column[number] for number in numbers] for column in self)


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
        self._times = (0, 0)

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
        self._now_ms = chunk.now_ms
        self._times = chunk.first_ms, chunk.last_ms
        usual = map(GUIDE_NAMES.issuperset, events)
        odd = [at for at, guides in enumerate(usual) if not guides or at in known]
        if set(map(type, events)) != {dict}:
            for position in odd:
                if type(events[position]) is not dict:
                    chunk.leave(position)
            odd = [position for position in odd if position not in chunk.uncommon]
        chunk.odd = odd
        triggers = (_SENDERS if strictly else self._triggers).intersection(names)
        free = list(map(triggers.isdisjoint, map(events.__getitem__, odd)))
        if strictly:
            for position in compress(odd, map(not_, free)):
                chunk.leave(position)
        elif known or any(free):
            for of, positions in _by_format(chunk, known, free):
                self._read_some(chunk, positions, of)
        else:
            self._read_some(chunk, odd, None)

    def _read_some(
        self, chunk: RecordChunk, positions: Sequence[int], known: tuple[Format, str] | None
    ) -> None:
        """Read the events at these positions, of which the format is known or is not."""
        events = [chunk.events[position] for position in positions]
        times = [chunk.times[position] for position in positions]
        asides: list[dict[str, Any]] = [{} for _ in positions]
        reads = self._read_all(_Some(events, asides, times), 0, known and known[0])
        for position, aside, read in zip(positions, asides, reads, strict=True):
            if read is None:
                chunk.leave(position)
                continue
            fields, logged, name, refused = read
            try:
                if "@timestamp" in fields:
                    _take_own_time(fields)
                for each in refused:
                    if each in fields:
                        put_aside(aside, each, fields.pop(each))
            except UncommonError:
                chunk.leave(position)
                continue
            chunk.events[position] = fields
            chunk.formats[position] = known[1] + name if known else name
            if logged is not ABSENT:
                chunk.logged[position] = logged
            if aside:
                chunk.envelopes[position] = {ASIDE_FIELD: aside}

    # --- many at once -------------------------------------------------------------------------------------

    def _read_all(self, some: _Some, unwrapped: int, known: Format | None = None) -> list[_Read | None]:
        """Read events, those of a shape together; None for each that is left to document.py."""
        reads: list[_Read | None] = [None] * len(some.events)
        for shape, numbers in by_shape(some.events):
            chosen = some if len(numbers) == len(some.events) else some.at(numbers)
            for number, read in zip(numbers, self._read_shape(shape, chosen, unwrapped, known), strict=True):
                reads[number] = read
        return reads

    def _read_shape(
        self, shape: tuple[str, ...], some: _Some, unwrapped: int, known: Format | None
    ) -> Sequence[_Read | None]:
        """Read events of a shape: as columns, where they are enough and all alike, else one by one."""
        events = some.events
        plans: Sequence[_Plan] = ()
        with suppress(UncommonError):
            plans = (
                (self._known_plan(known, events[0]),)
                if known
                else self._plans.get(shape) or self._learn(shape)
            )
        if not plans:
            return [None] * len(events)
        if len(events) >= _LEAST_COLUMN and (known is None or known.split is None):
            group = EventGroup(shape, events, some.asides)
            group.fail_large()
            plan = plans[0]
            if (known or plan.test is None or group.all_hold(plan.test, plan.tested)) and (
                read := self._read_group(plan, group, some, unwrapped)
            ):
                return read
        return [
            None
            if may_hold_large(event)
            else self._try(plans, event, aside, record_ms, unwrapped, known=bool(known))
            for event, aside, record_ms in zip(*some, strict=True)
        ]

    def _read_group(
        self, plan: _Plan, group: EventGroup, some: _Some, unwrapped: int
    ) -> Sequence[_Read | None] | None:
        """Read events of a shape by a plan; None, and nothing changed, where they are not alike."""
        if plan.uncommon:
            return [None] * len(group.events)
        ours = self._are_ours(plan, group)
        if ours is None or (ours and "message" not in plan.unwrap):
            return None
        inner: Sequence[_Read | None] | None = None
        for path in plan.unwrap if unwrapped < MOST_UNWRAPPED else ():
            payloads = group.column(path)
            fields = _payloads(payloads)
            if fields is None or (ours and not fields):
                return None
            if fields:
                for event in group.events:
                    del event[path]
                group.forget(path)
                inner = self._read_payloads(payloads, some._replace(events=fields), unwrapped)
                break
        _take_what_is_aside(plan, group)
        group.take(plan.steps)
        if inner is not None and (group.timed or plan.stamped):
            self._see_times(group, inner, some.times, plan)
        _add_what_is_missing(plan, group)
        return self._joined(plan, group, inner)

    def _read_payloads(self, payloads: Sequence[Any], some: _Some, unwrapped: int) -> list[_Read | None]:
        inner = self._read_all(some, unwrapped + 1)
        for number, (read, payload) in enumerate(zip(inner, payloads, strict=True)):
            if read is None:
                continue
            fields = read[0]
            if "@timestamp" in fields:
                try:
                    _take_own_time(fields)
                except UncommonError:
                    inner[number] = None
            if "message" not in fields and type(payload) is str:
                fields["message"] = payload
        return inner

    def _see_times(
        self, group: EventGroup, inner: Sequence[_Read | None], times: Sequence[int], plan: _Plan
    ) -> None:
        """See that the envelopes' times are times, where they give way to those of their payloads."""
        stamps = group.column("timestamp")
        timed = group.timed
        if timed is True and self._are_within(stamps):
            return
        for at, (read, stamp) in enumerate(zip(inner, stamps, strict=True)):
            taken = timed if type(timed) is bool else timed[at]
            if read is not None and "timestamp" in read[0] and (taken or plan.stamped):
                self._record_ms = times[at]
                try:
                    self._see_time(stamp, within=taken)
                except UncommonError:
                    group.failed.add(at)

    def _are_within(self, stamps: Sequence[Any]) -> bool:
        """Tell whether all are canonical times of hours that are within the window of each record."""
        first, last = self._times
        if set(map(type, stamps)) != {str} or not are_canonical(stamps):
            return False
        earliest = self._builder.window(last, self._now_ms).earliest_ms
        latest = self._builder.window(first, self._now_ms).latest_ms
        if earliest <= 0 or not (is_plausible(first, self._now_ms) and is_plausible(last, self._now_ms)):
            return False
        for hour in {stamp[:_HOUR_LENGTH] for stamp in stamps}:
            time = parse_timestamp(f"{hour}:00:00.000Z")
            if time is None or not earliest <= time.epoch_ms <= latest - _HOUR_MS:
                return False
        return True

    def _joined(
        self,
        plan: _Plan,
        group: EventGroup,
        inner: Sequence[_Read | None] | None,
    ) -> list[_Read | None]:
        name, refused, failed = plan.name, plan.refused, group.failed
        logged = group.logged or repeat(ABSENT, len(group.events))
        reads: list[_Read | None]
        if inner is None:
            reads = [(event, level, name, refused) for event, level in zip(group.events, logged, strict=True)]
        else:
            reads = []
            for event, level, read, aside in zip(group.events, logged, inner, group.asides, strict=True):
                try:
                    reads.append(None if read is None else _join((event, level, name, refused), read, aside))
                except UncommonError:
                    reads.append(None)
        for at in failed:
            reads[at] = None
        return reads

    # --- one by one ---------------------------------------------------------------------------------------

    def _try(
        self,
        plans: Sequence[_Plan],
        event: dict[str, Any],
        aside: dict[str, Any],
        record_ms: int,
        unwrapped: int,
        *,
        known: bool,
    ) -> _Read | None:
        self._record_ms = record_ms
        try:
            if known:
                return self._read_by(plans[0], event, aside, unwrapped)
            return self._read(event, aside, unwrapped)
        except (UncommonError, RecursionError):
            return None

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
            if type(payload) is str and may_hold_large(fields):
                raise UncommonError
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

    def _are_ours(self, plan: _Plan, group: EventGroup) -> bool | None:
        """Tell whether a shipper names our service in all events, or in none; None where one has to look at each."""
        if not plan.has_sender:
            return False
        fields = group.column("fields")
        if set(map(type, fields)) != {dict}:
            return None
        senders = [each.get("service") for each in fields]
        if all(sender == self._service for sender in senders):
            return True
        if any(sender is not None and (plan.of_beat or sender == self._service) for sender in senders):
            return None
        return False

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


def _take_what_is_aside(plan: _Plan, group: EventGroup) -> None:
    """Leave pieces of lines to document.py, and move aside what a format says."""
    for place, piece in plan.partial:
        group.failed.update(at for at, event in enumerate(group.events) if look(event, place) == piece)
    for name in plan.aside:
        for at, (event, aside) in enumerate(zip(group.events, group.asides, strict=True)):
            try:
                put_aside(aside, name, event.pop(name))
            except UncommonError:
                group.failed.add(at)
        group.forget(name)


def _add_what_is_missing(plan: _Plan, group: EventGroup) -> None:
    for name, value in plan.missing:
        for event in group.events:
            event.setdefault(name, value)
    if plan.has_metadata:
        for event in group.events:
            event.pop("@metadata", None)


def _payloads(values: Sequence[Any]) -> list[dict[str, Any]] | None:
    """Give what the payloads of events are, nothing where none of them is one; None where they differ."""
    if set(map(type, values)) == _TEXT:
        with suppress(orjson.JSONDecodeError, UnicodeEncodeError):
            # Mostly all are JSON objects.
            objects = list(map(orjson.loads, values))
            if all(objects) and set(map(type, objects)) == _OBJECT:
                return objects
    try:
        fields = list(map(_payload, values))
    except UncommonError:
        return None
    usual = [each for each in fields if each]
    if not usual and {} not in fields:
        return []
    return usual if len(usual) == len(fields) else None


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
    return into, logged, _path(outer_name, name), (*outer_refused, *refused) if refused else outer_refused


@lru_cache(_MOST_PLANS)
def _path(outer: str, inner: str) -> str:
    """Name the formats that an event came through, from the outside in."""
    return f"{outer}>{inner}"
