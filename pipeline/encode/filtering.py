"""Records through a Logstash configuration to documents: what the filters of a run do to each record.

It is the definition: a pure function of the record, the configuration and the time of reading, so that a replay and
`audit` do it again. The hot path asks it which records it need not give here (`leave_to_filters`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.encode.columns import decode_values
from pipeline.encode.filtered_events import Before, FilteredEvents
from pipeline.encode.filters_in_columns import FiltersInColumns, all_objects, can_run_in_columns
from pipeline.encode.json_values import encoded
from pipeline.encode.record_chunk import STAND_IN, RecordChunk
from pipeline.encode.routing import Router, Targets
from pipeline.events.document import LOGSTASH_FORMAT, Coordinates, Document, DocumentBuilder, document_id
from pipeline.events.event import unparsable
from pipeline.events.ids import routing_of
from pipeline.events.indices import DAY_MS
from pipeline.logstash.compiler import Context, compile_filters
from pipeline.logstash.configuration import Pipeline
from pipeline.logstash.fields import Event, copy_value
from pipeline.logstash.outputs import Action
from pipeline.logstash.own_rules import without_own_rules
from pipeline.logstash.plugin import Origin, Outcomes
from pipeline.logstash.timestamp import Timestamp
from pipeline.logstash.touching import Touched, drops_only, touched_by
from pipeline.settings import Settings

__all__ = ["DROPPED_BY_CODEC", "DROPPED_BY_OUTPUT", "Filtered", "Filtering"]

DROPPED_BY_CODEC = "codec"
"""Stands for a filter where a record is no event: an empty one, read as JSON."""
DROPPED_BY_OUTPUT = "output"
"""Stands for a filter where no output takes an event."""
_TOO_MANY = "too_many_events"
_TOO_MANY_INDICES = "too_many_indices"
_TOO_LARGE = "document_too_large"
_UNREADABLE_TAG = "_filterexception"

Headers = Sequence[tuple[str, bytes | None]]


@dataclass(slots=True)
class Filtered:
    """What the filters have done besides changing events, for the counters."""

    dropped: Counter[str] = field(default_factory=Counter)
    """Events by the filter that has dropped them."""
    failed: Counter[str] = field(default_factory=Counter)
    """Exceptions, by filter or condition."""
    samples: dict[str, str] = field(default_factory=dict)
    """What the first of them was."""

    def add(self, outcomes: Outcomes) -> None:
        """Take in what happened to some events."""
        if outcomes.dropped:
            self.dropped.update([step for _origin, step in outcomes.dropped])
        if outcomes.exceptions:
            self.failed.update(outcomes.exceptions)
            for step, sample in outcomes.samples.items():
                self.samples.setdefault(step, sample)


class Filtering:
    """Make documents of records by a configuration; keeps nothing from one record to the next but counts."""

    def __init__(self, pipeline: Pipeline, builder: DocumentBuilder, settings: Settings) -> None:
        self._pipeline = pipeline
        self._builder = builder
        self._normalise = settings.events.normalise
        self._most = settings.events.max_array_events
        self._group_id = settings.kafka.group_id
        self._most_bytes = settings.filters.max_document_bytes
        self._most_indices = settings.filters.max_indices
        self._names: set[str] = set()
        """Of the indices that have been written to this day."""
        self._day = 0
        self._router = Router(pipeline, builder.indices, settings)
        self._touched: dict[str, Touched | None] = {}
        self._context = Context(ecs=pipeline.ecs, timeout=settings.filters.regex_timeout)
        self._section = written = pipeline.configuration.statements("filter")
        self._filters = pipeline.filters
        if self._normalise and not self._router.routes:
            self._section = tuple(without_own_rules(written, settings.events.service))
        if self._section != written:
            self._filters = compile_filters(self._section, self._context)
        self._drops_only = drops_only(self._section)
        self._in_columns = None
        if can_run_in_columns(pipeline, self._section):
            route = self._known_index if self._router.routes else None
            self._in_columns = FiltersInColumns(self._filters, builder, route)
        self._rules = FilteredEvents(builder)
        self.filtered = Filtered()
        """Counted since it was last taken."""

    @property
    def targets(self) -> Targets:
        """Where documents go, beside the indices of the pipeline itself."""
        return self._router.targets

    def take(self) -> Filtered:
        """Give what has been counted, and begin anew."""
        filtered, self.filtered = self.filtered, Filtered()
        return filtered

    # --- the hot path's part ------------------------------------------------------------------------------

    def leave_to_filters(self, chunk: RecordChunk, values: Sequence[bytes | None], longest: int) -> None:
        """Decode a chunk, and leave to `documents` what the filters may touch; drop at once what they only drop."""
        touched = self._touched_of(chunk.cache.topic)
        if touched is None:
            chunk.events = [STAND_IN] * len(values)
            chunk.uncommon.update(range(len(values)))
            return
        decode_values(chunk, values, longest)
        events = chunk.events
        try:
            positions = touched(events)
        except AttributeError:
            for position, event in enumerate(events):
                if type(event) is not dict:
                    chunk.leave(position)
            positions = touched(events)
        if chunk.uncommon:
            positions = [position for position in positions if position not in chunk.uncommon]
        if not positions:
            return
        if self._drops_only and touched is not all_objects:
            outcomes = Outcomes()
            self._filters.run([events[position] for position in positions], positions, outcomes)
            self.filtered.add(outcomes)
            chunk.drop(positions)
            return
        if self._in_columns is not None:
            positions = self._in_columns.run(chunk, positions, values, self.filtered)
        for position in positions:
            chunk.leave(position)

    def _touched_of(self, topic: str) -> Touched | None:
        """Find out which events of a topic the filters touch; None is for all, to be left to `documents`."""
        if topic not in self._touched:
            known = self._pipeline.input_of(topic)
            adds = known.constants or known.tags or known.type is not None
            whole = known.codec != "json" or known.codec_target is not None or adds
            touched = None
            if self._normalise and not whole:
                if not self._router.routes:
                    touched = touched_by(self._section, self._context)
                if touched is None and self._in_columns is not None:
                    touched = all_objects
            self._touched[topic] = touched
        return self._touched[topic]

    def documents_at(
        self, chunk: RecordChunk, position: int, record: Coordinates, value: bytes | None
    ) -> list[Document]:
        """Make the documents of one record of a chunk; what is for an index too many is refused."""
        source = chunk.records[position]
        # Not part of the protocol of records: without filters nobody asks.
        key, headers = getattr(source, "key", None), getattr(source, "headers", ())
        documents = self.documents(value, record, chunk.now_ms, key, headers)
        if self._router.routes:
            return [self._bounded(document, chunk.now_ms) for document in documents]
        return documents

    def _known_index(self, event: Event, time: Timestamp, origin: Origin) -> str | None:
        """Say which index an event goes to, if it is the only thing that its output says, and one that is known."""
        index = self._router.only_index(event, time, origin)
        return index if index in self._names else None

    def _bounded(self, document: Document, now_ms: int) -> Document:
        """Refuse a document for an index that would be one too many today: events say which there are."""
        day = now_ms // DAY_MS
        if day != self._day:
            self._day = day
            self._names.clear()
        if document.refused is not None or document.index_name in self._names:
            return document
        if len(self._names) >= self._most_indices:
            reason = f"{self._most_indices} other indices have been written to today (filters.max_indices)"
            return document._replace(refused=(_TOO_MANY_INDICES, reason))
        self._names.add(document.index_name)
        return document

    # --- the definition -----------------------------------------------------------------------------------

    def documents(
        self,
        value: bytes | None,
        record: Coordinates,
        now_ms: int,
        key: bytes | None = None,
        headers: Headers = (),
    ) -> list[Document]:
        """Make the documents of a record, in their order; none where all its events are dropped.

        What is wrong with one is in its `refused`: it becomes a dead letter.
        """
        try:
            return self._documents(value, record, now_ms, key, headers)
        except RecursionError:
            # Nested so deep that it cannot even be copied: kept as text.
            if self._normalise and not self._router.routes:
                return self._built_in(value, record, now_ms, headers)
            text = (value or b"").decode("utf-8", "replace")
            event: Event = {"message": text, "tags": [_UNREADABLE_TAG]}
            origin = Origin(*record[:4], key=key, headers=tuple(headers))
            event["@timestamp"], event["@version"] = origin.now, "1"
            if not self._normalise:
                return self._plain([event], b"", record, now_ms, origin)
            return self._normalised(
                [event], Before(b"", {}, frozenset([id(event["@timestamp"])])), record, now_ms, origin
            )

    def _documents(
        self,
        value: bytes | None,
        record: Coordinates,
        now_ms: int,
        key: bytes | None,
        headers: Headers,
    ) -> list[Document]:
        raw = value or b""
        origin = Origin(*record[:4], key=key, headers=tuple(headers))
        events = self._pipeline.events(raw, origin, self._group_id)
        if not events and not self._normalise:
            self.filtered.dropped[DROPPED_BY_CODEC] += 1
            return []
        if not events or len(events) > self._most:
            return self._built_in(value, record, now_ms, headers)
        before = Before(
            raw,
            {id(event): copy_value(event) for event in events},
            frozenset(id(event["@timestamp"]) for event in events),
        )
        outcomes = Outcomes()
        left, _origins = self._filters.run(list(events), [origin] * len(events), outcomes)
        self.filtered.add(outcomes)
        if len(left) > self._most:
            reason = (
                f"the filters make {len(left)} events of one record; events.max_array_events = {self._most}"
            )
            return [Document("", document_id(record), b"", {}, refused=(_TOO_MANY, reason))]
        if not self._normalise:
            return self._plain(left, raw, record, now_ms, origin)
        untouched = len(left) == len(events) and all(map(before.same, left))
        codec = self._pipeline.input_of(record.topic).codec
        if untouched and codec == "json" and not self._router.routes:
            return self._built_in(value, record, now_ms, headers)
        return self._normalised(left, before, record, now_ms, origin)

    def _built_in(
        self, value: bytes | None, record: Coordinates, now_ms: int, headers: Headers
    ) -> list[Document]:
        """Make the documents of a record that the filters leave as it is."""
        return self._builder.documents(value, record, now_ms, headers)

    def _normalised(
        self, left: Sequence[Event], before: Before, record: Coordinates, now_ms: int, origin: Origin
    ) -> list[Document]:
        """Apply the pipeline's own rules to what the filters have left."""
        window = self._builder.window(record.timestamp_ms, now_ms)
        named = self._builder.ids_of(record.topic, origin.headers) if origin.headers else (None, None)
        made: list[tuple[Document, Action | None]] = []
        identifier = document_id(record)
        for event in left:
            for ours in self._rules.read(event, before, record.topic, window):
                try:
                    document = self._builder.document(
                        ours, record, now_ms, identifier, len(before.raw), named
                    )
                except (TypeError, RecursionError):
                    # Nested deeper than can be encoded: kept as text, as a record is.
                    kept = unparsable(before.raw)
                    document = self._builder.document(kept, record, now_ms, identifier, 0, named)
                if not self._router.routes:
                    made.append((document, None))
                    continue
                outcomes = Outcomes()
                actions = self._router.of_normalised(event, document, origin, outcomes)
                self._note(actions, outcomes)
                made += [(document, action) for action in actions]
        return self._finished(made, identifier)

    def _note(self, actions: Sequence[Action], outcomes: Outcomes) -> None:
        self.filtered.add(outcomes)
        if not actions:
            self.filtered.dropped[DROPPED_BY_OUTPUT] += 1

    def _plain(
        self, left: Sequence[Event], raw: bytes, record: Coordinates, now_ms: int, origin: Origin
    ) -> list[Document]:
        """Make the documents that Logstash would send."""
        made: list[tuple[Document, Action | None]] = []
        identifier, routing = document_id(record), routing_of(record)
        for event in left:
            outcomes = Outcomes()
            actions = self._router.of_plain(event, origin, now_ms, outcomes)
            self._note(actions, outcomes)
            for action in actions:
                try:
                    fields, source = encoded(action.document)
                except (TypeError, ValueError, RecursionError):
                    text = raw.decode("utf-8", "replace")
                    at = str(event.get("@timestamp", origin.now))
                    fields, source = encoded(
                        {"message": text, "@timestamp": at, "@version": "1", "tags": [_UNREADABLE_TAG]}
                    )
                made.append(
                    (Document("", identifier, source, fields, LOGSTASH_FORMAT, routing=routing), action)
                )
        return self._finished(made, identifier)

    def _finished(self, made: Sequence[tuple[Document, Action | None]], identifier: str) -> list[Document]:
        """Give documents their ids, and the places that they go to."""
        documents = []
        for number, (document, action) in enumerate(made):
            own = identifier if len(made) == 1 else f"{identifier}.{number}"
            placed = document._replace(id=own)
            if action is not None:
                placed = self._router.placed(placed, action)
            if len(placed.source) > self._most_bytes and placed.refused is None:
                reason = (
                    f"the filters make a document of {len(placed.source)} bytes; filters.max_document_bytes"
                )
                placed = placed._replace(
                    source=b"", fields={}, refused=(_TOO_LARGE, f"{reason} = {self._most_bytes}")
                )
            documents.append(placed)
        return documents
