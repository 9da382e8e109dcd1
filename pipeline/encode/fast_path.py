"""The hot path: a partition's records → lines of a bulk request, one decode and one encode per event.

A chunk of some hundred records goes through one step after the other as columns: a column's step is one call
into C for all of the chunk, where a loop over events costs 0.02 to 0.1 µs for each look at each of them, of a
budget of 3. What is unusual in an event (another timestamp format, a level to rename, an envelope) is looked
at by itself, and what has not the common shape at all (names that Elasticsearch refuses, no JSON, …)
goes to `document.py`, which defines the result; both give the same document. Measured by `make bench` as
`hot_path`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain, repeat
from operator import itemgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.encode.chunks import chunks_of
from pipeline.encode.columns import (
    columns_of,
    decode_values,
    encode_events,
    filling,
    leave_large_integers,
    normalise_ids,
    sizes_of,
)
from pipeline.encode.line_templates import LineTemplates, in_other_indices
from pipeline.encode.lines import Alone, Lines, Unreadable, bulk_lines
from pipeline.encode.record_chunk import ABSENT, PartitionCache, Record, RecordChunk, headers_of
from pipeline.encode.shape_plans import ShapePlans
from pipeline.encode.trace_rows import part_rows, trace_row
from pipeline.events.document import (
    ERROR_TAG,
    Coordinates,
    DocumentBuilder,
    add_ids,
)
from pipeline.events.field_names import (
    ASIDE_FIELD,
    KAFKA_FIELD,
    OBJECT_FIELDS,
    is_below_own_object,
    is_taken,
)
from pipeline.events.fingerprints import FINGERPRINT_FIELD, fingerprint
from pipeline.events.indices import is_plausible
from pipeline.events.levels import normalise_level
from pipeline.log_metrics.errors import LogErrors
from pipeline.log_metrics.gather import EventColumns, LogMetrics
from pipeline.trace_stories.emission import TraceEvents, TraceRow, source_of

if TYPE_CHECKING:
    # Importing the compiler takes longer than all else: only a run that has filters does.
    from pipeline.encode.filtering import Filtered, Filtering

__all__ = ["BatchEncoder", "Payload", "Record", "Unreadable", "bulk_lines", "payload_of"]

_MOST_KNOWN_NAMES = 10_000
_MOST_KNOWN_LEVELS = 1000
_MOST_NUMBERED = 4096

# Root fields that the common shape does not have: document.py looks at them one by one.
_SPECIAL_NAMES = frozenset(
    {
        "fields.service",
        "@timestamp",
        "@metadata",
        KAFKA_FIELD,
        ASIDE_FIELD,
        "service_name",
        "log.level",
        FINGERPRINT_FIELD,
        "message.keyword",
    }
)

# Those that the mapping takes as objects only; of the context it is seen in its column.
_OBJECTS = frozenset(OBJECT_FIELDS) - {"context"}
_LOOKED_INTO = _OBJECTS | {"error"}
_EMPTY: dict[str, Any] = {}
_DICTIONARY = {dict}
_NO_TAGS: tuple[str, ...] = ()
_TEXT = {str}

# Levels that stay as they are, and need no tag.
_USUAL_LEVELS = frozenset({"WARN", "INFO", "DEBUG"})

_NO_FORMATS: Mapping[str, int] = MappingProxyType({})

_TRACES = list(ABSENT).index("trace_id")

_behind_brace = itemgetter(slice(1, None))


class _Uncommon(Exception):  # noqa: N818 - not an error: the event goes the careful way
    """The event does not have the common shape."""


class Payload(NamedTuple):
    """Some documents as a chunk of a bulk request's body: two lines each, each ending in a newline."""

    documents: int
    body: bytes
    last_stamp: str = ""
    """Time of its last event, as its document has it; empty where there is none."""
    record_ms: int | None = None
    """Kafka's time of its first record."""
    record_bytes: int = 0
    """Size of its records' values."""
    implausible: int = 0
    """How many of its records have a Kafka timestamp that cannot be true."""
    undated: int = 0
    overflow: int = 0
    """How many of its documents are in no index of a day, see `Indices`."""
    formats: Mapping[str, int] = _NO_FORMATS
    """How many of its events are of which format, but the guide's."""
    dead: Sequence[Unreadable] = ()
    """Events that are dead letters; they are not among its documents."""
    alone: Sequence[Alone] = ()
    """Documents beside those of the body, whose ids do not say which record they are of."""
    filtered: "Filtered | None" = None
    """What filters have done, if there are any."""

    @property
    def written(self) -> int:
        """How many documents there are, in the body and beside it."""
        return self.documents + sum([one.documents for one in self.alone])

    @property
    def outcomes(self) -> int:
        """How many events have to have an outcome."""
        dropped = self.filtered.dropped.total() if self.filtered is not None else 0
        return self.written + len(self.dead) + dropped


class _Others(NamedTuple):
    """What document.py has made of one record."""

    documents: int
    lines: bytes
    stamp: str
    """Time of the last."""
    undated: int
    overflow: int
    formats: list[str]
    dead: Sequence[Unreadable] = ()
    alone: Alone | None = None


_NOTHING = _Others(0, b"", "", 0, 0, [])


class BatchEncoder:
    """Encode the records of one partition after another; keeps small caches that change no result."""

    def __init__(
        self,
        builder: DocumentBuilder,
        metrics: LogMetrics | None = None,
        errors: LogErrors | None = None,
        filtering: "Filtering | None" = None,
    ) -> None:
        self.builder = builder
        self._filtering = filtering
        self._metrics = metrics
        self._errors = errors
        self.trace_events: TraceEvents | None = None
        """Where the trace events of what is encoded are collected, if they are wanted."""
        self._templates = LineTemplates(builder)
        self._caches: dict[tuple[str, int, bool], PartitionCache] = {}
        self._root_names: set[str] = {*ABSENT, "timestamp"}
        self._levels: dict[str | int | None, str | None] = {}
        self._plans = ShapePlans(builder)

    def encode(
        self,
        topic: str,
        partition: int,
        records: Sequence[Record],
        now_ms: int,
        topic_id: str | None = None,
    ) -> list[Payload]:
        """Encode records, each to at least one document, in their order; `now_ms` is the time of reading.

        `topic_id` is Kafka's id of their topic; None where it gives none, so that ids have the records' timestamps.
        """
        return [
            self._payload(self._cache(topic, partition, key), some, now_ms)
            for key, some in chunks_of(records, self.builder.ids, topic_id)
        ]

    def _cache(self, topic: str, partition: int, topic_key: str) -> PartitionCache:
        # One for each form of ids; a topic that is made anew takes the place of the former one.
        key = topic, partition, bool(topic_key)
        cache = self._caches.get(key)
        if cache is None or cache.topic_key != topic_key:
            cache = self._caches[key] = PartitionCache(topic, partition, topic_key)
        return cache

    def _payload(self, cache: PartitionCache, records: Sequence[Record], now_ms: int) -> Payload:
        """Take a chunk through all steps."""
        chunk = RecordChunk(cache, records, now_ms)
        values = [record.value for record in records]
        sizes = sizes_of(values)
        if self._filtering is None:
            decode_values(chunk, values, max(sizes))
        else:
            self._filtering.leave_to_filters(chunk, values, max(sizes))
            if len(chunk.records) < len(records):
                records = chunk.records
                values = [record.value for record in records]
                if not records:
                    return Payload(0, b"", record_bytes=sum(sizes), filtered=self._filtering.take())
        self._plans.apply(chunk)
        self._take_stamps(chunk)
        templates = self._templates.of(chunk)
        if chunk.indices:
            in_other_indices(templates, chunk.indices, self.builder.indices)
        self._look_at_names(chunk)
        columns = columns_of(chunk)
        if not all(columns[_TRACES]) and self._take_ids_of_headers(chunk, records, columns[_TRACES]):
            columns = columns_of(chunk)
        logged, components, services, contexts, traces, spans, _ = columns
        normalise_ids(chunk, traces, spans)
        levels, errors = self._normalise_levels(chunk, logged)
        _keep_logged_levels(chunk)
        tails = list(map(_behind_brace, encode_events(chunk)))
        leave_large_integers(chunk, values, contexts, tails)
        chunk.leave_whole_records()
        self._derive(
            chunk, EventColumns(levels, components, services, contexts, chunk.stamps, chunk.events), errors
        )
        traced: list[tuple[int, TraceRow]] = []
        others = self._build_uncommon(chunk, records, traced) if chunk.uncommon else {}
        if self.trace_events is not None and (traced or any(traces)):
            if chunk.owners is not None:
                traced += part_rows(chunk)
            self.trace_events.gather(
                source_of(cache.topic, cache.number),
                chunk.offsets,
                chunk.stamps,
                traces
                if not (chunk.normalised_ids or chunk.uncommon)
                else map(dict.get, chunk.events, repeat("trace_id")),
                chunk.events,
                [(position, chunk.events[position].get(FINGERPRINT_FIELD, "")) for position in errors],
                traced,
            )
        body = _body(chunk, templates, tails, others)
        last = len(chunk.events) - 1
        stamp = others[last].stamp if last in others else chunk.stamps[last]
        documents = len(chunk.events) + sum([some.documents - 1 for some in others.values()])
        record_ms = chunk.times[0]
        if self._filtering is None and not (others or chunk.formats or chunk.implausible):
            return Payload(documents, body, stamp, record_ms, sum(sizes))
        return Payload(
            documents,
            body,
            stamp,
            record_ms if not chunk.implausible or is_plausible(record_ms, chunk.now_ms) else None,
            sum(sizes),
            chunk.implausible,
            sum([some.undated for some in others.values()]),
            sum([some.overflow for some in others.values()]),
            _formats(chunk, others) if chunk.formats or others else _NO_FORMATS,
            [each for some in others.values() for each in some.dead],
            *(() if self._filtering is None else (_alone(others), self._filtering.take())),
        )

    def _take_stamps(self, chunk: RecordChunk) -> None:
        """Take each event's `timestamp` out of it; one without is left to document.py."""
        stamps = chunk.stamps
        for position in filling(
            stamps, map(dict.pop, chunk.events, repeat("timestamp")), KeyError, TypeError
        ):
            stamps.append(chunk.cache.last_stamp)
            if position not in chunk.uncommon:
                chunk.give_up(position)

    def _look_at_names(self, chunk: RecordChunk) -> None:
        """See that Elasticsearch takes the names at the root of each event."""
        known, events = self._root_names, chunk.events
        if chunk.odd:
            names = set().union(*map(events.__getitem__, chunk.odd))
            if "tags" in names:
                _look_at_tags(chunk)
            looks, learns = self._has_unusual_inside(chunk, names), not known.issuperset(names)
            for position in chunk.odd if looks or learns else ():
                event = events[position]
                if looks and not _LOOKED_INTO.isdisjoint(event) and not _is_usual_inside(event):
                    chunk.give_up(position)
                elif learns and not known.issuperset(event):
                    try:
                        self._learn_root_names(event)
                    except _Uncommon:
                        chunk.give_up(position)
        if not all(events):
            for position, event in enumerate(events):
                if not event:
                    chunk.give_up(position)

    @staticmethod
    def _has_unusual_inside(chunk: RecordChunk, names: Iterable[str]) -> bool:
        """Tell whether one of the odd events may not be as `_is_usual_inside` wants it."""
        looked_into = _LOOKED_INTO.intersection(names)
        if not looked_into or "error" in looked_into:
            return bool(looked_into)
        odd = list(map(chunk.events.__getitem__, chunk.odd))
        return any(
            set(map(type, map(dict.get, odd, repeat(name), repeat(_EMPTY)))) != _DICTIONARY
            for name in looked_into
        )

    def _take_ids_of_headers(
        self, chunk: RecordChunk, records: Sequence[Record], traces: Sequence[Any]
    ) -> bool:
        """Give events without a trace id that which their records' headers name; tells whether there was one."""
        found = False
        for position, trace in enumerate(traces):
            if trace is None and position not in chunk.uncommon:
                headers = headers_of(records[position if chunk.owners is None else chunk.owners[position]])
                if headers:
                    add_ids(chunk.events[position], self.builder.ids_of(chunk.cache.topic, headers))
                    found = True
        return found

    def _normalise_levels(self, chunk: RecordChunk, logged: Sequence[Any]) -> tuple[list[str], list[int]]:
        """Normalise the levels, tag errors; gives the levels as they are now, and the positions of errors."""
        levels = list(logged)
        errors = []
        try:
            unusual = [position for position, level in enumerate(levels) if level not in _USUAL_LEVELS]
        except TypeError:
            unusual = list(range(len(levels)))
        for position in unusual:
            level = levels[position]
            levels[position] = ""
            try:
                normal = self._normal_level(level)
            except _Uncommon:
                chunk.give_up(position)
                continue
            levels[position] = normal or (level if type(level) is str else "")
            if normal is None:
                continue
            event = chunk.events[position]
            if normal != level:
                if not _keep_logged_level(event, level):
                    chunk.give_up(position)
                    continue
                event["level"] = normal
            if normal == "ERROR":
                tags = event.get("tags", _NO_TAGS)
                event["tags"] = tags if ERROR_TAG in tags else [*tags, ERROR_TAG]
                if self.builder.events.fingerprints:
                    event[FINGERPRINT_FIELD] = fingerprint(event)
                    errors.append(position)
        return levels, errors

    def _normal_level(self, level: Any) -> str | None:
        """Give the normal form of a level, None where it is left as it is."""
        if level is not None and type(level) is not str and type(level) is not int:
            raise _Uncommon
        try:
            return self._levels[level]
        except KeyError:
            if len(self._levels) >= _MOST_KNOWN_LEVELS:
                self._levels.clear()
            normal = normalise_level(level, syslog_numbers=self.builder.events.syslog_levels)
            self._levels[level] = normal
            return normal

    def _build_uncommon(
        self,
        chunk: RecordChunk,
        records: Sequence[Record],
        traced: list[tuple[int, TraceRow]],
    ) -> dict[int, _Others]:
        """Let document.py do what has not the common shape, and count it; gives what came of it by position.

        Puts the trace events of it into `traced`.
        """
        cache, indices = chunk.cache, self.builder.indices
        dated = not indices.rolled_by_ilm
        others: dict[int, _Others] = {}
        built = -1
        for position in sorted(chunk.uncommon):
            owner = position if chunk.owners is None else chunk.owners[position]
            if owner == built:  # all of the record is in the place of its first event
                others[position] = _NOTHING._replace(stamp=others[position - 1].stamp)
                continue
            built = owner
            record = Coordinates(
                cache.topic, cache.number, chunk.offsets[position], chunk.times[position], cache.topic_key
            )
            if self._filtering is None:
                made = self.builder.documents(
                    records[owner].value, record, chunk.now_ms, headers_of(records[owner])
                )
            else:
                made = self._filtering.documents_at(chunk, owner, record, records[owner].value)
            lines = Lines(made, record.offset)
            documents = lines.documents
            for document in documents:
                if self._metrics is not None:
                    self._metrics.count(document.fields)
                if (
                    self._errors is not None
                    and FINGERPRINT_FIELD in document.fields
                    and document.is_normalised
                ):
                    self._errors.count(document.fields)
            names = [document.index_name for document in documents]
            if self.trace_events is not None:
                traced += [
                    (position, row)
                    for number, document in enumerate(documents)
                    if (row := trace_row(document, record, number, indices)) is not None
                ]
            # Not the documents themselves: a small record may be an array of thousands of events.
            others[position] = _Others(
                lines.number,
                lines.body,
                str(made[-1].fields.get("@timestamp", "")) if made else "",
                names.count(indices.undated) if dated else 0,
                names.count(indices.overflow) if dated else 0,
                [document.format for document in documents],
                lines.dead,
                lines.alone,
            )
        return others

    def _derive(self, chunk: RecordChunk, columns: EventColumns, errors: Iterable[int]) -> None:
        """Count the events of the common shape for the metrics derived from the logs."""
        if self._metrics is not None:
            self._metrics.gather(columns.without(chunk.uncommon))
        if self._errors is not None:
            for position in errors:
                if position not in chunk.uncommon:
                    event = chunk.events[position]
                    event["@timestamp"] = chunk.stamps[position]
                    self._errors.count(event)

    def _learn_root_names(self, event: dict[str, Any]) -> None:
        for name in event:
            if _is_special(name):
                raise _Uncommon
        _remember(self._root_names, event)


def _is_special(name: str) -> bool:
    """Tell whether document.py has to look at a field of this name at the root."""
    return name in _SPECIAL_NAMES or is_below_own_object(name) or not is_taken(name)


@lru_cache(_MOST_NUMBERED)
def _numbered(template: bytes, number: int) -> bytes:
    """Make the lines of the n-th event of a record: its id ends in the number."""
    return template.replace(b'"}}', b'.%d"}}' % number, 1)


def _formats(chunk: RecordChunk, others: dict[int, _Others]) -> Mapping[str, int]:
    """Count the events of each format."""
    found = Counter([name for position, name in chunk.formats.items() if position not in others])
    for some in others.values():
        found.update(some.formats)
    del found["guide"]
    return found


def _look_at_tags(chunk: RecordChunk) -> None:
    """Leave to document.py what has tags that are not just a list of texts."""
    for position in chunk.odd:
        tags = chunk.events[position].get("tags", _NO_TAGS)
        if tags is not _NO_TAGS and (type(tags) is not list or set(map(type, tags)) != _TEXT):
            chunk.give_up(position)


def _keep_logged_levels(chunk: RecordChunk) -> None:
    """Keep what was logged where a format's own levels have been converted."""
    for position, level in chunk.logged.items():
        if position not in chunk.uncommon and not _keep_logged_level(chunk.events[position], level):
            chunk.give_up(position)


def _keep_logged_level(event: dict[str, Any], logged: Any) -> bool:
    """Keep a level as it was logged in `log.level`; False where something else is in the way."""
    log = event.get("log")
    if log is None:
        event["log"] = {"level": logged}
        return True
    if type(log) is not dict or "level" in log:
        return False
    event["log"] = {**log, "level": logged}
    return True


def _is_usual_inside(event: dict[str, Any]) -> bool:
    """Tell whether what has to be an object is one, and has no fingerprint of its own inside `error`."""
    error = event.get("error")
    if type(error) is list or (type(error) is dict and "fingerprint" in error):
        return False
    return all(type(event[name]) is dict for name in _OBJECTS.intersection(event))


def _body(
    chunk: RecordChunk, templates: list[bytes], tails: Sequence[bytes], others: dict[int, _Others]
) -> bytes:
    """Write the lines of all events; `tails` are their JSON behind the brace that opens it."""
    if chunk.owners is not None:
        templates = [
            template if number is None else _numbered(template, number)
            for template, number in zip(templates, chunk.numbers, strict=True)
        ]
    stamps = "\n".join(chunk.stamps).encode().split(b"\n")
    offsets = chunk.offsets
    rows: Iterable[tuple[Any, ...]] = (
        zip(offsets, stamps, offsets, tails, strict=True)
        if chunk.cache.topic_key
        else zip(offsets, chunk.times, stamps, offsets, tails, strict=True)
    )
    if others:
        rows = list(rows)
        for position, some in others.items():
            templates[position] = b"%b"
            rows[position] = (some.lines,)
    return b"".join(templates) % tuple(chain.from_iterable(rows))


def _alone(others: Mapping[int, _Others]) -> list[Alone]:
    """Collect the documents that are in no body."""
    return [some.alone for some in others.values() if some.alone is not None]


def payload_of(lines: Sequence[Lines]) -> Payload:
    """Make a payload of the documents of some records, with those beside it that are dead letters."""
    return Payload(
        sum([some.number for some in lines]),
        b"".join([some.body for some in lines]),
        dead=[each for some in lines for each in some.dead],
        alone=[some.alone for some in lines if some.alone is not None],
    )


def _remember(names: set[str], more: Iterable[str]) -> None:
    if len(names) >= _MOST_KNOWN_NAMES:
        names.clear()
    names.update(more)
