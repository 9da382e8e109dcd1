"""Filters run over the events of a chunk as they are, which then go on through the columns of the hot path.

For records that are JSON objects in the guide's form, and filters that make one event of one, or none. What comes out
in any other form is given back: `filtering.py` does it once more, by the definition. So nothing is counted here but
events that are dropped.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from pipeline.encode.record_chunk import RecordChunk
from pipeline.events.document import ERROR_TAG, DocumentBuilder
from pipeline.events.indices import is_plausible
from pipeline.logstash.compiler import Compiled
from pipeline.logstash.configuration import Pipeline
from pipeline.logstash.fields import Event
from pipeline.logstash.inputs import plugins_in
from pipeline.logstash.plugin import Origin, Outcomes
from pipeline.logstash.syntax import Statement
from pipeline.logstash.timestamp import Timestamp, parse_timestamp

__all__ = ["FiltersInColumns", "all_objects", "can_run_in_columns"]

# They make one event of one, at most a few times as large, and look at nothing in it that is not there.
_FILTERS: Final = frozenset(
    {
        "cidr",
        "csv",
        "date",
        "de_dot",
        "dissect",
        "drop",
        "geoip",
        "grok",
        "json",
        "kv",
        "mutate",
        "syslog_pri",
        "translate",
        "truncate",
        "urldecode",
        "useragent",
    }
)
# What the codec adds to an event, and is not added here.
_NOT_THERE: Final = re.compile(r"original|\[event\]|'event'")
# Fields of a record's own that the codec would change, or whose place in an event is the codec's.
_OF_THE_CODEC: Final = frozenset({"@timestamp", "@version", "@metadata", "tags", "_@timestamp", "_tags"})
# Beside what formats are known by: what says whose an event is.
_SENDERS: Final = frozenset({"fields", "fields.service", "agent", "@metadata"})
_CANONICAL: Final = len("2024-01-15T10:30:00.123Z")
_MILLISECOND: Final = 1_000_000
# An integer of so many digits may be one beyond 64 bits, which the codec reads exactly.
_LONG_NUMBER: Final = re.compile(rb"\d{19}")


def can_run_in_columns(pipeline: Pipeline, filters: Sequence[Statement]) -> bool:
    """Say whether filters, and the outputs of their configuration, can run over the events of a chunk."""
    if not all(plugin.name in _FILTERS for plugin in plugins_in(filters)):
        return False
    text = repr((filters, pipeline.configuration.statements("output")))
    decorated = any(known.decorate != "none" for known in pipeline.inputs)
    return not _NOT_THERE.search(text) and not (decorated and "@metadata" in text)


def all_objects(events: Sequence[Event]) -> list[int]:
    """Give the positions of all events; raises AttributeError for what is no object, as conditions do."""
    for event in events:
        event.get  # noqa: B018 - it is the look that counts
    return list(range(len(events)))


Route = Callable[[Event, Timestamp, Origin], str | None]
"""Gives the index for an event of a time; None where more has to be said than an index."""


class FiltersInColumns:
    """Run filters over events of a chunk."""

    def __init__(self, filters: Compiled, builder: DocumentBuilder, route: Route | None) -> None:
        """`route` says which index an event goes to, by the outputs; None where they have no say."""
        self._filters = filters
        self._route = route
        self._builder = builder
        self._service = builder.events.service
        self._triggers = (builder.formats.triggers | _SENDERS) - {"@timestamp"}

    def run(
        self,
        chunk: RecordChunk,
        positions: Sequence[int],
        values: Sequence[bytes | None],
        dropped: Any,
    ) -> list[int]:
        """Run events at some positions through the filters; gives the positions of those to be left to the definition.

        What is dropped is out of the chunk then, and counted in `dropped`.
        """
        events = chunk.events
        suited = [
            position
            for position in positions
            if _OF_THE_CODEC.isdisjoint(events[position]) and not _LONG_NUMBER.search(values[position] or b"")
        ]
        instants = [Timestamp.of_milliseconds(chunk.times[position]) for position in suited]
        for position, instant in zip(suited, instants, strict=True):
            event = events[position]
            event["@timestamp"] = instant
            event["@version"] = "1"
        origins = [_origin(chunk, position) for position in suited]
        outcomes = Outcomes()
        kept, _origins = self._filters.run([events[position] for position in suited], origins, outcomes)
        if outcomes.exceptions:
            return list(positions)
        there = frozenset(map(id, kept))
        gone = [position for position in suited if id(events[position]) not in there]
        left = set(positions).difference(suited)
        indices: dict[int, str] = {}
        for position, instant, origin in zip(suited, instants, origins, strict=True):
            event = events[position]
            if id(event) not in there:
                continue
            index = "" if self._route is None else self._index_of(event, instant, origin, chunk.now_ms)
            if index is None or not self._made_common(event, instant):
                left.add(position)
            elif index:
                indices[position] = index
        if not gone:
            chunk.indices = indices
            return sorted(left)
        dropped.add(outcomes)
        for position in left:
            chunk.leave(position)
        was = chunk.drop(gone)
        chunk.indices = {at: indices[position] for at, position in enumerate(was) if position in indices}
        return []

    def _index_of(self, event: Event, instant: Timestamp, origin: Origin, now_ms: int) -> str | None:
        """Say which index an event goes to; None where that is for the definition to say."""
        time = event.get("@timestamp")
        if time is instant or time is None:
            # The event's own; the record's, or another form of a time, is looked at by the definition.
            own = event.get("timestamp")
            if type(own) is not str or len(own) != _CANONICAL or (time := parse_timestamp(own)) is None:
                return None
        event_ms = time.nanoseconds // _MILLISECOND
        choice = self._builder.indices.choose(event_ms, origin.timestamp_ms, now_ms)
        if not choice.in_range or choice.overflow or not is_plausible(origin.timestamp_ms, now_ms):
            return None
        return self._route(event, time, origin) if self._route is not None else None

    def _made_common(self, event: Event, instant: Timestamp) -> bool:
        """Take out what the codec has added, and what the pipeline's own rules add; False for an uncommon event."""
        found = event.pop("@timestamp", None)
        if found is None or event.pop("@version", None) != "1":
            return False
        if found is not instant:
            text = str(found)
            if event.setdefault("timestamp", text) != text:
                return False
        if "tags" in event and (event.pop("tags") != [ERROR_TAG] or event.get("level") != "ERROR"):
            return False
        if event.pop("service_name", self._service) != self._service:
            return False
        event.pop("@metadata", None)
        return self._triggers.isdisjoint(event)


def _origin(chunk: RecordChunk, position: int) -> Origin:
    record = chunk.records[position]
    return Origin(
        chunk.cache.topic,
        chunk.cache.number,
        chunk.offsets[position],
        chunk.times[position],
        getattr(record, "key", None),
        tuple(getattr(record, "headers", ())),
    )
