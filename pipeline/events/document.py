"""Event → document: the order of the steps stands here, readable from top to bottom.

`fast_path.py` does the same for the common shape of an event in a quarter of the time; what these functions
give is the definition, and the tests hold the two against each other. What a step does to
one field is in `own_fields.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from pipeline.events.canonical import Window
from pipeline.events.decode import decode
from pipeline.events.event import Event, unparsable
from pipeline.events.field_names import (
    ASIDE_FIELD,
    KAFKA_FIELD,
    all_taken,
    set_aside,
    take_refused,
)
from pipeline.events.field_paths import ABSENT
from pipeline.events.fingerprints import FINGERPRINT_FIELD, fingerprint
from pipeline.events.formats import load_formats
from pipeline.events.ids import Coordinates, DocumentIds, document_id, routing_of
from pipeline.events.indices import Indices, is_plausible
from pipeline.events.inputs import Inputs
from pipeline.events.own_fields import (
    add_service_name,
    keep_logged_level,
    make_room,
    normalise_ids,
    normalise_level_field,
    take_tags,
)
from pipeline.events.reading import EventReader
from pipeline.events.runtime_times import is_no_time, read_time
from pipeline.events.timestamps import Timestamp, from_epoch_ms
from pipeline.events.trace_ids import of_headers
from pipeline.settings import Events, Index, Input

__all__ = [
    "DATE_FAILURE_TAG",
    "ERROR_TAG",
    "IMPLAUSIBLE_TAG",
    "JSON_FAILURE_TAG",
    "LOGSTASH_FORMAT",
    "NO_TIME_TAG",
    "OUT_OF_RANGE_TAG",
    "OVERFLOW_TAG",
    "TIMESTAMP_FAILURE_TAG",
    "Coordinates",
    "Document",
    "DocumentBuilder",
    "Target",
    "add_ids",
    "document_id",
]

ERROR_TAG = "error"
# The names Logstash gives to the same failures.
JSON_FAILURE_TAG = "_jsonparsefailure"
DATE_FAILURE_TAG = "_dateparsefailure"
TIMESTAMP_FAILURE_TAG = "_timestampparsefailure"
OUT_OF_RANGE_TAG = "_timestampoutofrange"
# A time that programs write when they have none, such as the year 1.
NO_TIME_TAG = "_timestampmeansnone"
IMPLAUSIBLE_TAG = "_kafkatimestampimplausible"
OVERFLOW_TAG = "_indexoverflow"

LOGSTASH_FORMAT = "logstash"
"""Stands for the format of a document that is as Logstash would send it."""

_NO_IDS = (None, None)


class Target(NamedTuple):
    """What is done with a document that is not simply created under the id of its record."""

    action: str = "create"
    """Of a bulk request: create, index, update, delete."""
    pipeline: str | None = None
    routing: str | None = None
    doc_as_upsert: bool = False
    upsert: str | None = None
    """JSON of the document that an update makes where there is none."""
    own_id: bool = False
    """Whether the id is the configuration's, and says nothing of the record."""


class Document(NamedTuple):
    """One document as it is indexed: `source` is its JSON without a newline, of `fields`."""

    index_name: str
    id: str
    source: bytes
    fields: dict[str, Any]
    format: str = "guide"
    """What the event was recognised as, outermost first: `filebeat>pino`."""
    taken: tuple[tuple[str, str], ...] = ()
    """Fields that the event has under another name, and the paths that they were taken from."""
    unreadable: str = ""
    """Why this is not indexed but a dead letter, for nothing of it can be read; empty for all others."""
    target: Target | None = None
    routing: str = ""
    """What chooses its shard, see `ids.routing_of`; empty for its id."""
    refused: tuple[str, str] | None = None
    """Why it is not sent but becomes a dead letter: a type of error, and the reason."""

    @property
    def is_normalised(self) -> bool:
        """Whether the rules of this module have been applied, so that its fields are what they are said to be."""
        return self.format != LOGSTASH_FORMAT


class DocumentBuilder:
    """Make documents from records: a pure function of the record, the time of reading, and the settings.

    That time, `now_ms`, decides whether Kafka's timestamp can be true, and which days may be written to; see
    `indices.py`. It stands in a document only when neither the event nor Kafka has a time that can be.
    """

    def __init__(self, events: Events, index: Index, inputs: Mapping[str, Input] | None = None) -> None:
        self.events = events
        self.indices = Indices(index, events)
        self.ids = DocumentIds(index)
        self.formats = load_formats(events.formats_file)
        self.inputs = Inputs(inputs or {}, self.formats.by_name)
        self.reader = EventReader(
            self.formats,
            service=events.service,
            max_array_events=events.max_array_events,
            syslog_levels=events.syslog_levels,
        )

    def documents(
        self,
        value: bytes | None,
        record: Coordinates,
        now_ms: int,
        headers: Sequence[tuple[str, bytes | None]] = (),
    ) -> list[Document]:
        """Make at least one document of any bytes; `now_ms` is the time of reading.

        `headers` are the record's: an event without a trace id gets that which they name, unless the topic's format
        is `guide`.
        """
        window = self.window(record.timestamp_ms, now_ms)
        named = self.ids_of(record.topic, headers) if headers else _NO_IDS
        try:
            return self._documents(
                self._read(value, record.topic, window), record, now_ms, len(value or b""), named
            )
        except (TypeError, RecursionError):
            # Nested deeper than orjson encodes (254 levels): nobody queries that, it is kept as text.
            return self._documents([unparsable(value or b"")], record, now_ms, 0, named)

    def ids_of(
        self, topic: str, headers: Sequence[tuple[str, bytes | None]]
    ) -> tuple[str | None, str | None]:
        """Give the trace and span that a record's headers name for events of this topic."""
        return _NO_IDS if self.inputs.of(topic).format == "guide" else of_headers(headers)

    def window(self, record_ms: int, now_ms: int) -> Window:
        """Give the bounds within which a time counts that is not under its canonical name."""
        around_ms = record_ms if is_plausible(record_ms, now_ms) else now_ms
        return Window(
            around_ms + self.indices.oldest_ms, around_ms + self.indices.newest_ms, self.events.zone
        )

    def _read(self, value: bytes | None, topic: str, window: Window) -> list[Event]:
        wanted = self.inputs.of(topic)
        if wanted.format == "guide":
            return decode(value, service=self.events.service, max_array_events=self.events.max_array_events)
        return _of_service(self.reader.read(value, window, wanted.format), wanted.service)

    def read_fields(
        self, fields: dict[str, Any], topic: str, window: Window, *, unwrap: bool = True
    ) -> list[Event]:
        """Read an object that is no record's any more, such as what filters have made of one.

        Without `unwrap` no payload is unpacked: somebody else has had the last word on the fields.
        """
        wanted = self.inputs.of(topic)
        if wanted.format == "guide":
            return [Event(fields)]
        events = self.reader.read_object(fields, window, wanted.format, unwrap=unwrap)
        return _of_service(events, wanted.service)

    def _documents(
        self,
        decoded: list[Event],
        record: Coordinates,
        now_ms: int,
        size: int,
        named: tuple[str | None, str | None],
    ) -> list[Document]:
        if len(decoded) == 1:
            return [self.document(decoded[0], record, now_ms, document_id(record), size, named)]
        return [
            self.document(event, record, now_ms, f"{document_id(record)}.{number}", size, named)
            for number, event in enumerate(decoded)
        ]

    def document(
        self,
        event: Event,
        record: Coordinates,
        now_ms: int,
        identifier: str,
        size: int,
        named: tuple[str | None, str | None] = _NO_IDS,
    ) -> Document:
        """Make the document of an event, which is changed; `size` is that of the record's value, if it is known.

        Raises TypeError and RecursionError for nesting that cannot be encoded.
        """
        aside: dict[str, Any] = dict(event.aside or {})
        fields = event.fields if all_taken(event.fields, size) else take_refused(event.fields, aside)
        make_room(fields, aside)
        tags = take_tags(fields, aside)
        for tag in (JSON_FAILURE_TAG, *event.tags) if event.failed else event.tags:
            _add_tag(tags, tag)
        window = self.window(record.timestamp_ms, now_ms)
        own_time = self._take_time(fields, window, tags, aside, ours=event.ours)
        if event.ours:
            add_service_name(fields, self.events.service)
            if event.logged is not ABSENT:
                keep_logged_level(fields, aside, event.logged)
            if normalise_level_field(fields, aside, syslog_numbers=self.events.syslog_levels) == "ERROR":
                _add_tag(tags, ERROR_TAG)
                if self.events.fingerprints:
                    fields[FINGERPRINT_FIELD] = fingerprint(fields)
            normalise_ids(fields, aside)
            add_ids(fields, named)
        plausible = is_plausible(record.timestamp_ms, now_ms)
        time = own_time or from_epoch_ms(record.timestamp_ms if plausible else now_ms)
        index = self.indices.choose(own_time and own_time.epoch_ms, record.timestamp_ms, now_ms)
        for tag, wanted in (
            (OUT_OF_RANGE_TAG, not index.in_range),
            (IMPLAUSIBLE_TAG, not plausible),
            (OVERFLOW_TAG, index.overflow),
        ):
            if wanted:
                _add_tag(tags, tag)
        fields["@timestamp"] = time.text
        fields[KAFKA_FIELD] = {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
        }
        if tags:
            fields["tags"] = tags
        if aside:
            fields[ASIDE_FIELD] = aside
        return Document(
            index.name,
            identifier,
            orjson.dumps(fields),
            fields,
            event.format,
            event.taken,
            event.unreadable,
            routing=routing_of(record),
        )

    def _take_time(
        self, fields: dict[str, Any], window: Window, tags: list[str], aside: dict[str, Any], *, ours: bool
    ) -> Timestamp | None:
        """Take the event's time out of its fields: `timestamp`, else its own `@timestamp`; None is for Kafka's."""
        own = fields.pop("@timestamp", None)
        parsed_own = self._read_own_time(own, window)
        if own is not None and parsed_own is None:
            set_aside(aside, "@timestamp", own)
            none = type(own) is str and read_time(own, self.events.zone) is not None
            _add_tag(tags, NO_TIME_TAG if none else TIMESTAMP_FAILURE_TAG)
        if not ours:
            return parsed_own
        stamp = fields.pop("timestamp", None)
        if stamp is None:
            return parsed_own
        parsed = read_time(stamp, self.events.zone)
        if parsed is None:
            fields["timestamp"] = stamp
            _add_tag(tags, DATE_FAILURE_TAG)
        elif is_no_time(stamp, parsed):
            fields["timestamp"] = stamp
            _add_tag(tags, NO_TIME_TAG)
            parsed = None
        return parsed

    def _read_own_time(self, own: Any, window: Window) -> Timestamp | None:
        """Read `@timestamp`: a text is a time, anything else within the window is one too."""
        if isinstance(own, str):
            parsed = read_time(own, self.events.zone)
            return parsed if parsed is not None and not is_no_time(own, parsed) else None
        return window.time(own)


def _of_service(events: list[Event], service: str | None) -> list[Event]:
    """Give events that name no service the one of their topic."""
    if service is not None:
        for event in events:
            if event.ours and event.fields.get("service") is None:
                event.fields["service"] = service
    return events


def _add_tag(tags: list[str], tag: str) -> None:
    if tag not in tags:
        tags.append(tag)


def add_ids(fields: dict[str, Any], named: tuple[str | None, str | None]) -> None:
    """Give an event without a trace id the trace and span that its record's headers name."""
    trace, span = named
    if trace is not None and fields.get("trace_id") is None:
        fields["trace_id"] = trace
        if span is not None and fields.get("span_id") is None:
            fields["span_id"] = span
