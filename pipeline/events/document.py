"""Event → document: the order of the steps stands here, readable from top to bottom.

`fast_path.py` does the same for the common shape of an event in a quarter of the time; what these functions
give is the definition, and the tests hold the two against each other.
"""

import string
from typing import Any, NamedTuple

import orjson

from pipeline.events.decode import Event, decode, unparsable
from pipeline.events.field_names import (
    ASIDE_FIELD,
    KAFKA_FIELD,
    all_taken,
    is_below_own_object,
    set_aside,
    take_all,
    take_refused,
)
from pipeline.events.fingerprints import FINGERPRINT_FIELD, fingerprint
from pipeline.events.indices import Indices, is_plausible
from pipeline.events.levels import normalise_level
from pipeline.events.timestamps import Timestamp, from_epoch_ms, parse_timestamp
from pipeline.settings import Events, Index

__all__ = [
    "DATE_FAILURE_TAG",
    "ERROR_TAG",
    "IMPLAUSIBLE_TAG",
    "JSON_FAILURE_TAG",
    "OUT_OF_RANGE_TAG",
    "OVERFLOW_TAG",
    "TAGS_FAILURE_TAG",
    "TIMESTAMP_FAILURE_TAG",
    "Coordinates",
    "Document",
    "DocumentBuilder",
    "normalise_trace_id",
]

ERROR_TAG = "error"
# The names Logstash gives to the same failures.
JSON_FAILURE_TAG = "_jsonparsefailure"
DATE_FAILURE_TAG = "_dateparsefailure"
TAGS_FAILURE_TAG = "_tagsparsefailure"
TIMESTAMP_FAILURE_TAG = "_timestampparsefailure"
OUT_OF_RANGE_TAG = "_timestampoutofrange"
IMPLAUSIBLE_TAG = "_kafkatimestampimplausible"
OVERFLOW_TAG = "_indexoverflow"

_LEVEL_FIELD = "log.level"
# Fields that this pipeline or its mapping fills, and the objects that they may be spelt as a part of; an
# application's own values are moved aside.
_OWN_FIELDS = {FINGERPRINT_FIELD: "error", "message.keyword": "message"}
_CONTAINERS = (dict, list)

_HEX = frozenset(string.hexdigits)
_TRACE_ID_LENGTHS = (16, 32)


class Coordinates(NamedTuple):
    """Where Kafka keeps a record, and its timestamp in milliseconds since 1970."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


class Document(NamedTuple):
    """One document as it is indexed: `source` is its JSON without a newline, of `fields`."""

    index_name: str
    id: str
    source: bytes
    fields: dict[str, Any]


class DocumentBuilder:
    """Make documents from records: a pure function of the record, the time of reading, and the settings.

    That time, `now_ms`, decides whether Kafka's timestamp can be true, and which days may be written to; see
    `indices.py`. It stands in a document only when neither the event nor Kafka has a time that can be.
    """

    def __init__(self, events: Events, index: Index) -> None:
        self.events = events
        self.indices = Indices(index, events)

    def documents(self, value: bytes | None, record: Coordinates, now_ms: int) -> list[Document]:
        """Make at least one document of any bytes; `now_ms` is the time of reading."""
        decoded = decode(value, service=self.events.service, max_array_events=self.events.max_array_events)
        try:
            return self._documents(decoded, record, now_ms, len(value or b""))
        except (TypeError, RecursionError):
            # Nested deeper than orjson encodes (254 levels): nobody queries that, it is kept as text.
            return self._documents([unparsable(value or b"")], record, now_ms, 0)

    def _documents(self, decoded: list[Event], record: Coordinates, now_ms: int, size: int) -> list[Document]:
        if len(decoded) == 1:
            return [self._document(decoded[0], record, now_ms, document_id(record), size)]
        return [
            self._document(event, record, now_ms, f"{document_id(record)}.{number}", size)
            for number, event in enumerate(decoded)
        ]

    def _document(
        self, event: Event, record: Coordinates, now_ms: int, identifier: str, size: int
    ) -> Document:
        aside: dict[str, Any] = {}
        fields = event.fields if all_taken(event.fields, size) else take_refused(event.fields, aside)
        _make_room(fields, aside)
        tags = _take_tags(fields, aside)
        if event.failed:
            _add_tag(tags, JSON_FAILURE_TAG)
        own_time = self._take_time(fields, tags, aside, ours=event.ours)
        if event.ours:
            _add_service_name(fields, self.events.service)
            if _normalise_level(fields, aside, syslog_numbers=self.events.syslog_levels) == "ERROR":
                _add_tag(tags, ERROR_TAG)
                if self.events.fingerprints:
                    fields[FINGERPRINT_FIELD] = fingerprint(fields)
            _normalise_ids(fields)
        plausible = is_plausible(record.timestamp_ms, now_ms)
        time = own_time or from_epoch_ms(record.timestamp_ms if plausible else now_ms)
        index = self.indices.choose(own_time and own_time.epoch_ms, record.timestamp_ms, now_ms)
        if not index.in_range:
            _add_tag(tags, OUT_OF_RANGE_TAG)
        if not plausible:
            _add_tag(tags, IMPLAUSIBLE_TAG)
        if index.overflow:
            _add_tag(tags, OVERFLOW_TAG)
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
        return Document(index.name, identifier, orjson.dumps(fields), fields)

    def _take_time(
        self, fields: dict[str, Any], tags: list[str], aside: dict[str, Any], *, ours: bool
    ) -> Timestamp | None:
        """Take the event's time out of its fields: `timestamp`, else its own `@timestamp`; None is for Kafka's."""
        own = fields.pop("@timestamp", None)
        parsed_own = parse_timestamp(own, self.events.zone) if isinstance(own, str) else None
        if own is not None and parsed_own is None:
            set_aside(aside, "@timestamp", own)
            _add_tag(tags, TIMESTAMP_FAILURE_TAG)
        if not ours:
            return parsed_own
        stamp = fields.pop("timestamp", None)
        if stamp is None:
            return parsed_own
        parsed = parse_timestamp(stamp, self.events.zone)
        if parsed is None:
            fields["timestamp"] = stamp
            _add_tag(tags, DATE_FAILURE_TAG)
        return parsed


def document_id(record: Coordinates) -> str:
    """Name a record for ever: the timestamp tells a topic from one of the same name created later.

    At most 249 + 3 + 10 + 19 + 20 characters, within Elasticsearch's 512 bytes.
    """
    return f"{record.topic}-{record.partition}-{record.offset:012d}-{record.timestamp_ms}"


def normalise_trace_id(value: str) -> str:
    """Trim an id; lower-case it when it has the form of a W3C trace-id or parent-id (32 or 16 hex digits).

    Source: W3C Trace Context, which requires lower case. Other ids, such as UUIDs with dashes, keep theirs.
    """
    trimmed = value.strip()
    if len(trimmed) in _TRACE_ID_LENGTHS and _HEX.issuperset(trimmed):
        return trimmed.lower()
    return trimmed


def _make_room(fields: dict[str, Any], aside: dict[str, Any]) -> None:
    """Move aside what is spelt like a field of the pipeline's own, or has a shape that its mapping refuses.

    `@metadata` is the shipper's word to the pipeline and no part of the document, as in Logstash.
    """
    fields.pop("@metadata", None)
    for name in (KAFKA_FIELD, ASIDE_FIELD):
        if name in fields:
            set_aside(aside, name, fields.pop(name))
    for name in [name for name in fields if is_below_own_object(name)]:
        set_aside(aside, name, fields.pop(name))
    for path, root in _OWN_FIELDS.items():
        if path in fields or type(fields.get(root)) in _CONTAINERS:
            for value in take_all(fields, path):
                set_aside(aside, path, value)
    if _LEVEL_FIELD in fields:
        first, *others = take_all(fields, _LEVEL_FIELD)
        fields[_LEVEL_FIELD] = first
        for value in others:
            set_aside(aside, _LEVEL_FIELD, value)
    context = fields.get("context")
    if context is not None and not isinstance(context, dict):
        fields["context"] = {"value": context}


def _take_tags(fields: dict[str, Any], aside: dict[str, Any]) -> list[str]:
    """Take the tags as a list; anything but a string or strings is moved aside, as Logstash does."""
    tags = fields.pop("tags", None)
    if tags is None:
        return []
    if isinstance(tags, str):
        return [tags]
    if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
        return tags
    set_aside(aside, "tags", tags)
    return [TAGS_FAILURE_TAG]


def _add_tag(tags: list[str], tag: str) -> None:
    if tag not in tags:
        tags.append(tag)


def _add_service_name(fields: dict[str, Any], service: str) -> None:
    """Add the guide's constant; beside a value that is there already, as Logstash's `add_field` does."""
    present = fields.get("service_name")
    if present is None or present == service:
        fields["service_name"] = service
    elif not isinstance(present, list):
        fields["service_name"] = [present, service]
    elif service not in present:
        fields["service_name"] = [*present, service]


def _normalise_level(fields: dict[str, Any], aside: dict[str, Any], *, syslog_numbers: bool) -> str | None:
    """Normalise `level`; keep what was logged in `log.level` when it differs."""
    logged = fields.get("level")
    level = normalise_level(logged, syslog_numbers=syslog_numbers)
    if level is None or level == logged:
        return level
    fields["level"] = level
    log = fields.get("log")
    if log is not None and not isinstance(log, dict):
        set_aside(aside, "log", log)
        log = None
    for value in take_all(fields, _LEVEL_FIELD):
        set_aside(aside, _LEVEL_FIELD, value)
    fields["log"] = {**(log or {}), "level": logged}
    return level


def _normalise_ids(fields: dict[str, Any]) -> None:
    for name in ("trace_id", "span_id"):
        value = fields.get(name)
        if isinstance(value, str):
            fields[name] = normalise_trace_id(value)
