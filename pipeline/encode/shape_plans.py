"""Other formats than the guide's on the hot path: events of one shape are recognised once, and read by a plan.

A shape is the names at the root, in their order. Its plan is what `pipeline.events.reading` and `canonical` would do to
any event of these names: which formats it may be of, and for each field only the sources that can be there. Where a
value is not what the plan takes it for, the event is left to document.py. An event whose names are no trigger costs
nothing but its part in one set operation of the chunk. Part of the hot path, and so one file: what stands here runs
for each event of another format.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson

from pipeline.encode.record_chunk import RecordChunk
from pipeline.events.canonical import RIGHT, Window, move
from pipeline.events.document import DocumentBuilder
from pipeline.events.field_names import ASIDE_FIELD, is_taken, set_aside
from pipeline.events.field_paths import ABSENT, find
from pipeline.events.formats import Format, Source, Test
from pipeline.events.levels import normalise_level
from pipeline.events.otlp import split_json
from pipeline.events.reading import MOST_UNWRAPPED, REPLACED, both_objects
from pipeline.events.repair import may_hold_large
from pipeline.events.timestamps import parse_timestamp

__all__ = ["ShapePlans", "UncommonError"]

_MOST_PLANS = 4096
_LONGEST_SHAPE = 64
_CREATED = "event.created"
_SPLIT = frozenset({"resourceLogs", "resource_logs"})
_TIMES = (str, int, float)
_MOMENT_LENGTH = 19
_NO_YEARS = ("0001", "1601", "1970")
# Beside those of the formats: what says whose an event is.
_BEATS = frozenset({"agent", "@metadata"})
_SENDERS = frozenset({"fields", "fields.service", "agent", "@metadata"})


class UncommonError(Exception):
    """The event is not what its shape promises: document.py reads it."""


class _Step(NamedTuple):
    """How one field is found in events of a shape."""

    name: str
    target: str
    key: str | None
    """The one name at the root that can be meant, to be renamed; None where one has to look."""
    sources: tuple[Source, ...]
    there: bool
    """Whether the canonical name is there, so that its value has to be looked at first."""


class _Plan(NamedTuple):
    """How events of a shape and a format are read."""

    name: str
    test: Test | None
    steps: tuple[_Step, ...] = ()
    unwrap: tuple[str, ...] = ()
    missing: tuple[tuple[str, Any], ...] = ()
    partial: tuple[tuple[str, Any], ...] = ()
    aside: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    stamped: bool = False
    """Whether there is a `timestamp` that has to be a time, for something else would be taken otherwise."""
    has_sender: bool = False
    of_beat: bool = False
    uncommon: bool = False


class _Read(NamedTuple):
    fields: dict[str, Any]
    logged: Any
    name: str
    refused: tuple[str, ...]
    """Names that Elasticsearch would refuse."""


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
        self._triggers = builder.formats.triggers | _SENDERS
        self._plans: dict[tuple[str, ...], tuple[_Plan, ...]] = {}
        self._part_plans: dict[tuple[str, ...], _Plan] = {}
        # Of the record that is being read.
        self._times = (0, 0)
        self._window: Window | None = None

    def apply(self, chunk: RecordChunk) -> None:
        """Bring the events of a chunk into the guide's form, or leave them to document.py."""
        wanted = self._builder.inputs.of(chunk.cache.topic)
        triggers = _SENDERS if wanted.format == "guide" else self._triggers
        try:
            names: set[str] = set().union(*chunk.events)
        except TypeError:  # a list, a number, …
            for position, event in enumerate(chunk.events):
                if type(event) is not dict:
                    chunk.leave(position)
            names = set().union(*chunk.events)
        chunk.names = names
        if wanted.format in ("auto", "guide") and triggers.isdisjoint(names) and wanted.service is None:
            return
        chunk.names = None
        events = chunk.events
        if wanted.format not in ("auto", "guide"):
            for position in range(len(events)):
                chunk.leave(position)
        without = map(triggers.intersection(names).isdisjoint, events)
        for position in [at for at, guides in enumerate(without) if not guides]:
            self._apply_to(chunk, position, events[position], strictly=wanted.format == "guide")
        if wanted.service is not None:
            _add_service(chunk, wanted.service)

    def apply_to_parts(self, chunk: RecordChunk, of: str) -> None:
        """Bring the events that were one record's into the guide's form, all of a format that is known."""
        for position, event in enumerate(chunk.events):
            aside: dict[str, Any] = {}
            shape = (of, *event)
            plan = self._part_plans.get(shape)
            if plan is None:
                if len(self._part_plans) >= _MOST_PLANS:
                    self._part_plans.clear()
                plan = self._plan(self._formats.by_name[of], frozenset(event))
                self._part_plans[shape] = plan
            try:
                read = self._read_by(plan, event, aside, 0)
                _take_own_time(read.fields)
                if read.refused:
                    raise UncommonError
            except (UncommonError, RecursionError):
                chunk.leave(position)
                continue
            chunk.events[position] = read.fields
            chunk.formats[position] = read.name
            if read.logged is not ABSENT:
                chunk.logged[position] = read.logged
            if aside:
                chunk.envelopes[position] = {ASIDE_FIELD: aside}

    def _split(self, chunk: RecordChunk, position: int, event: dict[str, Any]) -> None:
        """Take the log records out of OTLP, and leave the record itself to document.py, should they be uncommon."""
        of = self._formats.recognise(event)
        if of is not None and of.split == "otlp" and "fields" not in event and not may_hold_large(event):
            records = list(split_json(event))
            if 0 < len(records) <= self._builder.events.max_array_events:
                chunk.splits[position] = records
                chunk.formats[position] = of.name
        chunk.leave(position)

    def _apply_to(self, chunk: RecordChunk, position: int, event: Any, *, strictly: bool) -> None:
        aside: dict[str, Any] = {}
        self._times, self._window = (chunk.times[position], chunk.now_ms), None
        if not strictly and type(event) is dict and not _SPLIT.isdisjoint(event):
            self._split(chunk, position, event)
            return
        try:
            if strictly or type(event) is not dict:
                raise UncommonError
            read = self._read(event, aside, 0)
            _take_own_time(read.fields)
            for name in read.refused:
                if name in read.fields:
                    _set_aside(aside, name, read.fields.pop(name))
        except (UncommonError, RecursionError):
            chunk.leave(position)
            return
        chunk.events[position] = read.fields
        chunk.formats[position] = read.name
        if read.logged is not ABSENT:
            chunk.logged[position] = read.logged
        if aside:
            chunk.envelopes[position] = {ASIDE_FIELD: aside}

    def _read(self, event: dict[str, Any], aside: dict[str, Any], unwrapped: int) -> _Read:
        shape = tuple(event)
        plans = self._plans.get(shape)
        if plans is None:
            plans = self._learn(shape)
        for plan in plans:
            if plan.test is None or plan.test.holds(event):
                return self._read_by(plan, event, aside, unwrapped)
        raise UncommonError

    def _read_by(self, plan: _Plan, event: dict[str, Any], aside: dict[str, Any], unwrapped: int) -> _Read:
        if plan.uncommon:
            raise UncommonError
        inner = self._unwrap(plan, event, aside, unwrapped)
        for path, piece in plan.partial:
            if find(event, path) == piece:
                raise UncommonError
        for name in plan.aside:
            _set_aside(aside, name, event.pop(name))
        logged, timed = _take_steps(plan.steps, event, aside)
        if inner is not None and "timestamp" in inner.fields:
            # It gives way to the payload's; whether it was one at all decides where it is kept.
            if timed:
                self._see_time(event["timestamp"])
            elif plan.stamped and parse_timestamp(event["timestamp"]) is None:
                raise UncommonError
        for name, value in plan.missing:
            event.setdefault(name, value)
        event.pop("@metadata", None)
        read = _Read(event, logged, plan.name, plan.refused)
        return read if inner is None else _join(read, inner, aside)

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
            _take_own_time(inner.fields)
            if type(payload) is str:
                inner.fields.setdefault("message", payload)
            return inner
        return None

    def _see_time(self, value: Any) -> None:
        if self._window is None:
            self._window = self._builder.window(*self._times)
        if self._window.time(value) is None:
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
            uncommon="fields.service" in names,
        )

    def _plan(self, of: Format, names: frozenset[str]) -> _Plan:
        steps = []
        stamped = False
        for name, sources in self._formats.sources(of, names):
            if sources and (step := _step(name, sources, names, of)) is not None:
                steps.append(step)
            stamped = stamped or (bool(sources) and name == "timestamp" and name in names)
        unwrap = [path for path in of.unwrap if Source(path).may_be_in(names)]
        return _Plan(
            of.name,
            of.test,
            tuple(steps),
            tuple(unwrap),
            tuple(of.missing.items()),
            tuple((path, piece) for path, piece in of.partial if Source(path).may_be_in(names)),
            tuple(name for name in of.aside if name in names),
            tuple(name for name in names if not is_taken(name)),
            stamped=stamped and "timestamp" not in of.shipper_time,
            has_sender="fields" in names,
            of_beat=not names.isdisjoint(_BEATS),
            uncommon="fields.service" in names or of.split is not None or not names.issuperset(unwrap),
        )


def _step(name: str, sources: tuple[Source, ...], names: frozenset[str], of: Format) -> _Step | None:
    target = "host.name" if name == "host" else name
    there = name in names
    if name == "timestamp" and there and name not in of.shipper_time:
        return None  # whether it is a time is seen when it is read
    if name == "host":
        if "host.name" in names:
            return None
        there = "host" in names
    elif name.startswith("error."):
        there = there or "error" in names
    (first, *others) = sources
    alone = first.converter is None and not others and first.path in names and not there
    if alone and not (name.startswith("error.") and first.path in ("error", "err", "exception")):
        return _Step(name, target, first.path, sources, there)
    return _Step(name, target, None, sources, there)


# --- reading by a plan ----------------------------------------------------------------------------------------


def _take_steps(steps: Iterable[_Step], event: dict[str, Any], aside: dict[str, Any]) -> tuple[Any, bool]:
    """Take each field from where it is.

    Gives the level as it was logged, if that is not what `level` is now, and whether a time was taken.
    """
    logged: Any = ABSENT
    timed = False
    for name, target, key, sources, there in steps:
        if key is not None:
            if key not in event:  # it was the payload
                continue
            value = event[key]
            if type(value) is not str and not (name in ("timestamp", "level") and type(value) in _TIMES):
                raise UncommonError
            if (not value and name != "message") or (name == "level" and normalise_level(value) is None):
                raise UncommonError
            event[target] = event.pop(key)
            timed = timed or name == "timestamp"
            continue
        if there and _is_right(event, name):
            continue
        source = _take_one(name, sources, event, aside)
        if source is None:
            continue
        timed = timed or name == "timestamp"
        if name == "level" and not source[0].lossless:
            logged = source[1]
    return logged, timed


def _take_one(
    name: str, sources: tuple[Source, ...], event: dict[str, Any], aside: dict[str, Any]
) -> tuple[Source, Any] | None:
    """Take a field from the first source that has it, as `make_canonical` does; gives that, and what was there."""
    for source in sources:
        found = find(event, source.path)
        if found is ABSENT:
            continue
        value = found if source.converter is None else source.converter(found, event)
        if value is None or (name != "timestamp" and not RIGHT[name](value, None)):
            continue
        if name == "timestamp" and type(value) not in _TIMES:
            raise UncommonError
        moved: dict[str, Any] = {}
        move(event, name, source, value, moved)
        for path, other in moved.items():
            _set_aside(aside, path, other)
        return source, found
    return None


def _is_right(event: dict[str, Any], name: str) -> bool:
    if name == "host":
        return event.get("host") is not None
    if name.startswith("error."):
        return type(find(event, name)) is str
    value = event.get(name)
    if value is None:
        return False
    if name == "level":
        # With `events.syslog_levels` more numbers are levels: that is for document.py.
        if type(value) is int and value < 10:  # noqa: PLR2004
            return False
        return normalise_level(value) is not None
    if name in ("trace_id", "span_id") and type(value) is not str:
        raise UncommonError
    return type(value) is str and name != "timestamp"


def _payload(value: Any) -> dict[str, Any] | None:
    if type(value) is dict:
        return value or None
    if type(value) is not str:
        return None
    text = value.lstrip()
    if text[:1] != "{":
        if text[:1] in ('"', "@"):
            raise UncommonError
        return None
    try:
        fields = orjson.loads(value)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return None
    return fields if type(fields) is dict else None


def _take_own_time(event: dict[str, Any]) -> None:
    """Make `@timestamp` the time where there is no `timestamp`; where there is, it only has to be one."""
    if "@timestamp" not in event:
        return
    own = event.pop("@timestamp")
    if "timestamp" not in event:
        if type(own) not in _TIMES:
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
    fields, into = inner.fields, outer.fields
    if "timestamp" in fields:
        if fields["timestamp"] is None:
            raise UncommonError
        shippers = into.pop("timestamp", None)
        into.pop("@timestamp", None)
        if shippers is not None and _CREATED not in into:
            into[_CREATED] = shippers
    if not into.keys().isdisjoint(fields):
        for name in into.keys() & fields.keys():
            there, value = into[name], fields[name]
            if type(there) is dict and type(value) is dict:
                fields[name] = both_objects(there, value)
            elif there is not None and there != value and name not in REPLACED:
                _set_aside(aside, f"envelope.{name}", there)
    into.update(fields)
    logged = inner.logged if fields.get("level") is not None else outer.logged
    return _Read(into, logged, f"{outer.name}>{inner.name}", (*outer.refused, *inner.refused))


def _set_aside(aside: dict[str, Any], path: str, value: Any) -> None:
    if path in aside:  # what the second is called depends on the order
        raise UncommonError
    set_aside(aside, path, value)
