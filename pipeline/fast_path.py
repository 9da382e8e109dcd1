"""The hot path: a partition's records → lines of a bulk request, one decode and one encode per event.

An event of the common shape is handled in this one loop, without a function call of our own: each call
costs 0.05 to 0.1 µs of a budget of about 2 µs. Everything else (another timestamp format, tags, an envelope,
a name not seen before, …) goes to `document.py`, which defines the result; both give the same document.
Measured by `make bench` as `hot_path`.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import orjson

from pipeline.document import (
    ERROR_TAG,
    Coordinates,
    Document,
    DocumentBuilder,
    document_id,
    normalise_trace_id,
)
from pipeline.field_names import ASIDE_FIELD, LONGEST_NAME, is_taken
from pipeline.fingerprints import FINGERPRINT_FIELD, fingerprint
from pipeline.levels import normalise_level
from pipeline.log_errors import LogErrors
from pipeline.log_metrics import LogMetrics
from pipeline.timestamps import parse_timestamp

__all__ = ["BatchEncoder", "Payload", "Record", "bulk_lines"]

_HOUR_MS = 3_600_000
_MOST_CACHED_HOURS = 256
_MOST_KNOWN_NAMES = 10_000
_RECORDS_PER_PAYLOAD = 256
# What follows the hour in a canonical stamp.
_MINUTES_TO_ZONE = re.compile(r":[0-5]\d:[0-5]\d\.\d{3}Z", re.ASCII)

# Root fields that the common shape does not have: document.py looks at them one by one.
_SPECIAL_NAMES = frozenset(
    {
        "tags",
        "fields",
        "@timestamp",
        "@metadata",
        "kafka",
        ASIDE_FIELD,
        "service_name",
        "log",
        FINGERPRINT_FIELD,
    }
)

# Of these, an envelope may have as objects:
_ENVELOPE_NAMES = frozenset({"fields", "log"})

# Spellings of `level` worth a place in the loop; any other goes to document.py.
_COMMON_LEVELS = (
    "ERROR", "WARN", "INFO", "DEBUG", "error", "warn", "info", "debug",
    "WARNING", "warning", "CRITICAL", "critical", "FATAL", "fatal", "TRACE", "trace",
)  # fmt: skip


class _Uncommon(Exception):  # noqa: N818 - not an error: the event goes the careful way
    """The event does not have the common shape."""


class Record(Protocol):
    """What the loop reads of a Kafka record; aiokafka's records have it."""

    @property
    def offset(self) -> int:
        """Position in the partition."""

    @property
    def timestamp(self) -> int:
        """Milliseconds since 1970."""

    @property
    def value(self) -> bytes | None:
        """The payload; None for a tombstone."""


class Payload(NamedTuple):
    """Some documents as a piece of a bulk request's body: two lines each, each ending in a newline."""

    documents: int
    body: bytes
    event_ms: int | None = None
    """Time of its last event."""
    record_ms: int | None = None
    """Kafka's time of its first record."""
    record_bytes: int = 0
    """Size of its records' values."""


class _Hour(NamedTuple):
    """What events of one hour and partition have in common."""

    action: bytes
    """Their action lines up to the offset."""
    earliest_ms: int
    """Bounds of Kafka's time for which no moment of the hour is out of the window, see `Indices`."""
    latest_ms: int


class BatchEncoder:
    """Encode the records of one partition after another; keeps small caches that change no result."""

    def __init__(
        self, builder: DocumentBuilder, metrics: LogMetrics | None = None, errors: LogErrors | None = None
    ) -> None:
        self.builder = builder
        self._metrics = metrics
        self._errors = errors
        # One hour of the stamp's text → what its events have in common. By partition.
        self._hours: dict[tuple[str, int], dict[str, _Hour]] = {}
        self._root_names: set[str] = set()
        self._outer_names: set[str] = set()
        # What becomes of a level, None where nothing is to be done, and where its events are counted.
        self._levels = {
            name: (
                None if (normal := normalise_level(name)) == name and normal != "ERROR" else normal,
                {} if metrics is None or normal is None else metrics.cells[normal],
            )
            for name in _COMMON_LEVELS
        }

    def encode(self, topic: str, partition: int, records: Sequence[Record]) -> list[Payload]:
        """Encode records, each to at least one document, in their order.

        The pieces are small, so that the memory of one serves the next while it is still in the cache.
        """
        payloads = []
        for start in range(0, len(records), _RECORDS_PER_PAYLOAD):
            piece = records[start : start + _RECORDS_PER_PAYLOAD]
            values = [record.value for record in piece]
            sizes = _sizes(values)
            lines, stamp = self._lines(topic, partition, zip(values, piece, strict=True), max(sizes))
            time = parse_timestamp(stamp)
            body = b"".join(lines)
            payloads.append(
                Payload(len(lines) // 2, body, time and time.epoch_ms, piece[0].timestamp, sum(sizes))
            )
        if self._metrics is not None:
            self._metrics.saw(len(records))
        return payloads

    def _lines(  # noqa: C901, PLR0912, PLR0915 - one loop, see the module's docstring
        self, topic: str, partition: int, records: Iterable[tuple[bytes | None, Record]], longest: int
    ) -> tuple[list[bytes], str]:
        """Encode records and their values; gives the lines, and the stamp of the last event."""
        lines: list[bytes] = []
        stamp = ""
        append = lines.append
        loads = orjson.loads
        dumps = orjson.dumps
        known_root = self._root_names.issuperset
        is_canonical = _MINUTES_TO_ZONE.fullmatch
        levels = self._levels
        hours = self._hours.setdefault((topic, partition), {})
        metrics = self._metrics
        names_errors = self.builder.events.fingerprints
        no_context: dict[str, Any] = {}
        # Between the stamp and the offset; JSON would escape nothing in it, see _action.
        middle = b'","service_name":"%b","kafka":{"topic":"%b","partition":%d,"offset":' % (
            self.builder.events.service.encode(), topic.encode(), partition,
        )  # fmt: skip

        # A value that is longer may hold a name that is too long.
        may_be_long = longest > LONGEST_NAME
        for value, record in records:
            offset = record.offset
            record_ms = record.timestamp
            try:
                if may_be_long and len(value) > LONGEST_NAME:  # type: ignore[arg-type]
                    raise _Uncommon
                event = loads(value)  # type: ignore[arg-type]  # None raises, as any other bad value
                outer = None
                try:
                    stamp = event.pop("timestamp")
                except KeyError:
                    outer = self._open_envelope(event)
                    stamp = event.pop("timestamp")
                try:
                    action, earliest, latest = hours[stamp[:13]]
                except KeyError:
                    action, earliest, latest = self._learn_hour(hours, stamp, topic, partition)
                level = event["level"]
                normal, cells = levels[level]
                context = event.get("context", no_context)
                if type(context) is not dict:
                    raise _Uncommon
                if not known_root(event):
                    self._learn_root_names(event)
                if not earliest <= record_ms <= latest:
                    raise _Uncommon
                # Canonical form: 2024-01-15T10:30:00.123Z. The first 13 characters are known to be good.
                if not is_canonical(stamp, 13):
                    raise _Uncommon
                identifier = event.get("trace_id")
                if identifier is not None and identifier.lower().strip() != identifier:
                    event["trace_id"] = normalise_trace_id(identifier)
                identifier = event.get("span_id")
                if identifier is not None and identifier.lower().strip() != identifier:
                    event["span_id"] = normalise_trace_id(identifier)
                if normal is not None:
                    if normal != level:
                        if outer is not None and "log" in outer:
                            raise _Uncommon
                        event["level"] = normal
                        event["log"] = {"level": level}
                    if normal == "ERROR":
                        event["tags"] = [ERROR_TAG]
                        if names_errors:
                            event[FINGERPRINT_FIELD] = fingerprint(event)
                if metrics is not None:
                    try:
                        is_usual, key_of, number_of, groups, gather = cells[event["component"]][
                            event["service"]
                        ]
                    except KeyError:
                        is_usual, key_of, number_of, groups, gather = metrics.cell(normal or level, event)
                if outer is not None:
                    event.update(outer)
                # What the pipeline adds is written in front: as keys it would make the dictionary grow.
                source = dumps(event, option=orjson.OPT_APPEND_NEWLINE)
                append(
                    b'%b%012d-%d"}}\n{"@timestamp":"%b%b%d},'
                    % (action, offset, record_ms, stamp.encode(), middle, offset)
                )
                append(source[1:])
                if metrics is not None:
                    try:
                        if is_usual(context):
                            groups[key_of(context)].append(number_of(context))
                        else:
                            event["@timestamp"] = stamp
                            gather(event, context)
                    except (KeyError, TypeError):
                        event["@timestamp"] = stamp
                        gather(event, context)
                if normal == "ERROR" and self._errors is not None:
                    event["@timestamp"] = stamp
                    self._errors.count(event)
            except (_Uncommon, ValueError, TypeError, KeyError, AttributeError):
                documents = self.builder.documents(value, Coordinates(topic, partition, offset, record_ms))
                lines += bulk_lines(documents)
                self._count(documents)
                stamp = documents[-1].fields["@timestamp"]
        return lines, stamp

    def _count(self, documents: Iterable[Document]) -> None:
        for document in documents:
            if self._metrics is not None:
                self._metrics.count(document.fields)
            if self._errors is not None and FINGERPRINT_FIELD in document.fields:
                self._errors.count(document.fields)

    def _open_envelope(self, event: dict[str, Any]) -> dict[str, Any]:
        """Put the inner object of a Filebeat envelope in the place of its message.

        Takes the envelope's own objects (`host`, `agent`, `log`, …) out of the event and returns them: they
        must not be in the way of the inner fields.
        """
        fields = event["fields"]
        if fields.get("service") != self.builder.events.service:
            raise _Uncommon
        own_time = event.pop("@timestamp")
        if type(own_time) is not str or parse_timestamp(own_time) is None:
            raise _Uncommon
        event.pop("@metadata", None)
        outer = {name: value for name, value in event.items() if type(value) is dict or type(value) is list}
        if not self._outer_names.issuperset(outer):
            self._learn_outer_names(outer)
        inner = orjson.loads(event["message"])
        if type(inner) is not dict or not outer.keys().isdisjoint(inner):
            raise _Uncommon
        for name in outer:
            del event[name]
        event.update(inner)
        return outer

    def _learn_outer_names(self, outer: dict[str, Any]) -> None:
        for name in outer:
            if name not in _ENVELOPE_NAMES and (
                name == "context" or name in _SPECIAL_NAMES or not is_taken(name)
            ):
                raise _Uncommon
        _remember(self._outer_names, outer)

    def _learn_hour(self, hours: dict[str, "_Hour"], stamp: str, topic: str, partition: int) -> "_Hour":
        """Remember the hour of a canonical stamp."""
        parsed = parse_timestamp(stamp)
        if parsed is None or parsed.text != stamp:
            raise _Uncommon
        indices = self.builder.indices
        action = _action(indices.name(parsed.epoch_ms), document_id(Coordinates(topic, partition, 0, 0)))
        start_ms = parsed.epoch_ms // _HOUR_MS * _HOUR_MS
        hour = _Hour(
            action[: action.rindex(b"000000000000-0")],
            # The window is as wide as it is for every moment of the hour.
            start_ms + _HOUR_MS - indices.newest_ms,
            start_ms - indices.oldest_ms,
        )
        if len(hours) >= _MOST_CACHED_HOURS:
            hours.clear()
        hours[stamp[:13]] = hour
        return hour

    def _learn_root_names(self, event: dict[str, Any]) -> None:
        for name in event:
            if name in _SPECIAL_NAMES or not is_taken(name):
                raise _Uncommon
        _remember(self._root_names, event)


def bulk_lines(documents: Iterable[Document]) -> list[bytes]:
    """Write documents as the lines of a bulk request: action and source, each ending in a newline."""
    return [
        line
        for document in documents
        for line in (_action(document.index_name, document.id), document.source + b"\n")
    ]


def _sizes(values: Sequence[bytes | None]) -> list[int]:
    """Give the size of each value; without a Python frame an event while there is no tombstone among them."""
    try:
        return list(map(len, values))  # type: ignore[arg-type]
    except TypeError:
        return [len(value or b"") for value in values]


def _action(index: str, identifier: str) -> bytes:
    """Write the action line: `create`, so that a replay finds its document and changes nothing."""
    # Index names, topics and numbers hold nothing that JSON would escape: settings.py and Kafka see to it.
    return f'{{"create":{{"_index":"{index}","_id":"{identifier}"}}}}\n'.encode()


def _remember(names: set[str], more: Iterable[str]) -> None:
    if len(names) >= _MOST_KNOWN_NAMES:
        names.clear()
    names.update(more)
