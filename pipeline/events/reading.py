"""Record bytes → events, whatever logger and shipper they are of.

A value is JSON, or a framing around it (`binary.py`), or a line with a prefix (`line_prefixes.py`), or damaged JSON
(`repair.py`), or text. A JSON object is recognised by its names (`formats.py`), unpacked at most twice, and given the
canonical fields (`canonical.py`). Inner fields beat those of the envelope, which are kept.
"""

import base64
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import orjson

from pipeline.events.binary import CONFLUENT_HEADER, unpack
from pipeline.events.canonical import Window, make_canonical
from pipeline.events.envelopes import Payload, is_of_a_beat, is_sent_to, payload_of
from pipeline.events.event import Event, unparsable
from pipeline.events.field_names import set_aside
from pipeline.events.field_paths import ABSENT, find, take
from pipeline.events.formats import Format, Formats
from pipeline.events.line_prefixes import PARTIAL_TAG, Framed, unframe
from pipeline.events.otlp import OtlpUnavailableError, is_log_request, split_json, split_protobuf
from pipeline.events.repair import INTEGER_TAG, big_integers_as_text, may_hold_large, repair
from pipeline.events.runtime_times import read_time
from pipeline.events.timestamps import from_epoch_ms

__all__ = [
    "BINARY_TAG",
    "DAMAGE_FIELD",
    "MOST_UNWRAPPED",
    "REPAIRED_TAG",
    "REPLACED",
    "EventReader",
    "both_objects",
]

REPAIRED_TAG = "_jsonrepaired"
BINARY_TAG = "_binary"
DAMAGE_FIELD = "event.original_bytes_damaged"
_ORIGINAL_FIELD = "event.original"
_CREATED_FIELD = "event.created"
MOST_UNWRAPPED = 2
"""So many payloads are unpacked one out of the other."""
_LONGEST_ORIGINAL = 32_000
REPLACED = frozenset({"@metadata", "message", "@timestamp", "timestamp", "level", "log.level", "@version"})
"""Fields of an envelope that are no loss where the payload has them too, as in Logstash."""


class EventReader:
    """Read records; a pure function of the bytes and the window of times."""

    def __init__(
        self, formats: Formats, *, service: str, max_array_events: int, syslog_levels: bool = False
    ) -> None:
        self.formats = formats
        self._service = service
        self._most = max_array_events
        self._syslog_levels = syslog_levels

    def read(self, value: bytes | None, window: Window, wanted: str = "auto") -> list[Event]:
        """Read a record's value into at least one event.

        `wanted` is a format that the topic is known to have: `text`, `syslog`, `otlp_proto`, `confluent_json`, or a
        name of `formats.toml`; `auto` finds out. Raises RecursionError for nesting that cannot be encoded either.
        """
        if value is None:
            return [unparsable(b"")]
        if wanted == "text":
            return [Event({"message": value.decode("utf-8", "replace")}, format="text")]
        if wanted == "otlp_proto":
            return self._otlp(value, window) or [_binary(value, "it is not OTLP")]
        if wanted == "confluent_json" and value[:1] == b"\0":
            value = value[CONFLUENT_HEADER:]
        known = self.formats.by_name.get(wanted)
        try:
            decoded = orjson.loads(value)
        except orjson.JSONDecodeError:
            return self._not_json(value, window, known, depth=0)
        return self._json(decoded, value, window, known)

    def read_object(
        self, fields: dict[str, Any], window: Window, wanted: str = "auto", *, unwrap: bool = True
    ) -> list[Event]:
        """Read an object as `read` does one that a record holds; on request no payload is unpacked."""
        known = self.formats.by_name.get(wanted)
        if unwrap:
            return self._object(fields, window, known)
        sender = find(fields, "fields.service")
        if sender is not ABSENT and sender != self._service and is_of_a_beat(fields):
            return [Event(fields, ours=False, format="other_service")]
        return self._object(fields, window, known, MOST_UNWRAPPED)

    # --- what is JSON -------------------------------------------------------------------------------------

    def _json(self, decoded: Any, value: bytes, window: Window, known: Format | None) -> list[Event]:
        tags: tuple[str, ...] = ()
        if self._may_hold_large(decoded, known) and (exact := big_integers_as_text(value)) is not None:
            decoded, tags = orjson.loads(exact), (INTEGER_TAG,)
        if type(decoded) is dict:
            return _tagged(self._object(decoded, window, known), tags)
        if (
            type(decoded) is list
            and 0 < len(decoded) <= self._most
            and any(type(one) is dict for one in decoded)
        ):
            return _tagged(self._elements(decoded, window, known), tags)
        if type(decoded) is str:
            return self._text(decoded, window, known)
        return [unparsable(value)]

    def _may_hold_large(self, decoded: Any, known: Format | None) -> bool:
        """Tell whether a value may hold an integer beyond 64 bits; of OTLP only what its events have counts."""
        elements: Iterable[Any] = decoded if type(decoded) is list else [decoded]
        if type(decoded) is dict and not self.formats.splitting.isdisjoint(decoded):
            of = known or self.formats.recognise(decoded)
            if of is not None and of.split == "otlp":
                elements = split_json(decoded)
        return any(may_hold_large(each) for each in elements if type(each) is dict)

    def _elements(self, values: Iterable[Any], window: Window, known: Format | None) -> list[Event]:
        return [
            event
            for each in values
            for event in (
                self._object(each, window, known) if type(each) is dict else [unparsable(orjson.dumps(each))]
            )
        ]

    def _object(
        self, fields: dict[str, Any], window: Window, known: Format | None = None, unwrapped: int = 0
    ) -> list[Event]:
        """Read an object as what it is recognised as."""
        sender = find(fields, "fields.service")
        if unwrapped == 0 and sender is not ABSENT and sender != self._service and is_of_a_beat(fields):
            return [Event(fields, ours=False, format="other_service")]
        of = known or self.formats.recognise(fields)
        if unwrapped == 0 and sender == self._service and (of is None or "message" not in of.unwrap):
            of = replace(of or Format("guide_envelope"), unwrap=("message",))
        if of is None:
            if self.formats.triggers.isdisjoint(fields):
                return [Event(fields)]
            of = self.formats.aliases
        if of.split == "otlp":
            then = self.formats.by_name[of.then or of.name]
            records = list(split_json(fields))
            if not 0 < len(records) <= self._most:
                return [Event(fields, format=of.name)]
            return _named(self._each(records, then, window, unwrapped), of.name)
        if of.split is not None and type(elements := fields.get(of.split)) is list and elements:
            if len(elements) > self._most or not all(type(each) is dict for each in elements):
                return [Event(fields, format=of.name)]
            rest = {name: value for name, value in fields.items() if name != of.split}
            return self._each([{**rest, **each} for each in elements], of, window, unwrapped)
        return self._unwrap(fields, of, window, unwrapped)

    def _each(self, records: list[dict[str, Any]], of: Format, window: Window, unwrapped: int) -> list[Event]:
        return [event for each in records for event in self._unwrap(each, of, window, unwrapped)]

    def _unwrap(self, fields: dict[str, Any], of: Format, window: Window, unwrapped: int) -> list[Event]:
        """Unpack the payload, if it is one, and join it with what stands around it."""
        ours = is_sent_to(fields, self._service)
        inner: list[Event] | None = None
        failed = False
        for path in of.unwrap if unwrapped < MOST_UNWRAPPED else ():
            payload = find(fields, path)
            if payload is ABSENT or (found_payload := payload_of(payload)) is None:
                continue
            take(fields, path)
            inner = self._payload(found_payload, window, unwrapped + 1)
            if type(payload) is str:
                # As Logstash's json filter leaves it, where the payload has no message of its own.
                for each in inner:
                    each.fields.setdefault("message", payload)
            break
        if inner is None and ours and unwrapped == 0 and of.unwrap[:1] == ("message",):
            failed = fields.get("message") is not None
        aside: dict[str, Any] = {}
        for name in of.aside:
            if name in fields:
                set_aside(aside, name, fields.pop(name))
        tags = (PARTIAL_TAG,) if any(find(fields, path) == piece for path, piece in of.partial) else ()
        found = make_canonical(fields, of, self.formats, window, aside, syslog_numbers=self._syslog_levels)
        outer = Event(
            fields,
            failed=failed,
            tags=tags,
            aside=aside,
            logged=found.logged,
            format=of.name,
            taken=found.taken,
        )
        if inner is None:
            return [outer]
        return [_joined(outer, each, window) for each in inner]

    def _payload(
        self, payload: Payload, window: Window, unwrapped: int, known: Format | None = None
    ) -> list[Event]:
        return _tagged(self._object(payload.fields, window, known, unwrapped), payload.tags)

    # --- what is not ----------------------------------------------------------------------------------------

    def _not_json(self, value: bytes, window: Window, known: Format | None, depth: int) -> list[Event]:
        if (unpacked := unpack(value)) is not None:
            if unpacked.payload is None:
                event = _binary(value, unpacked.reason)
                return [event._replace(unreadable=unpacked.reason if unpacked.name == "confluent" else "")]
            if depth == 0:
                try:
                    decoded = orjson.loads(unpacked.payload)
                except orjson.JSONDecodeError:
                    return self._not_json(unpacked.payload, window, known, 1)
                return self._json(decoded, unpacked.payload, window, known)
        if is_log_request(value) and (events := self._otlp(value, window)):
            return events
        repaired = repair(value, self._most)
        if repaired is not None and any(type(each) is dict for each in repaired.values):
            values = [one for each in repaired.values for one in (each if type(each) is list else [each])]
            if len(values) <= self._most:
                events = self._elements(values, window, known)
                return _damaged(events, repaired.damage) if repaired.damage else events
        try:
            text = value.decode()
        except UnicodeDecodeError:
            return [unparsable(value)]
        framed = unframe(text, lambda month, day: _year(month, day, window))
        return self._framed(framed, window) if framed is not None else [unparsable(value)]

    def _text(self, text: str, window: Window, known: Format | None) -> list[Event]:
        """Read a JSON value that is a text: JSON in it, a line with a prefix, or just a message."""
        if (inner := payload_of(text)) is not None:
            return _named(self._payload(inner, window, 1, known), "json_text")
        framed = unframe(text, lambda month, day: _year(month, day, window))
        if framed is not None:
            return self._framed(framed, window)
        return [Event({"message": text}, format="json_text")]

    def _framed(self, framed: Framed, window: Window) -> list[Event]:
        tags = (PARTIAL_TAG,) if framed.partial else ()
        payload = payload_of(framed.payload)
        if payload is None and (cookie := unframe(framed.payload, lambda *_: 0)) and cookie.name == "cee":
            payload = payload_of(cookie.payload)
        if payload is None:
            return [Event({**framed.fields, "message": framed.payload}, tags=tags, format=framed.name)]
        outer = Event(framed.fields, tags=tags, format=framed.name)
        return [_joined(outer, each, window) for each in self._payload(payload, window, 1)]

    def _otlp(self, value: bytes, window: Window) -> list[Event]:
        try:
            records = split_protobuf(value)
        except ValueError:
            return []
        except OtlpUnavailableError:
            return [
                _binary(value, "OTLP's protobuf needs the extra `otlp-logs` (package opentelemetry-proto)")
            ]
        if not 0 < len(records) <= self._most:
            return [_binary(value, f"{len(records)} log records in one")]
        return _named(self._each(records, self.formats.by_name["otlp_record"], window, 0), "otlp_proto")


def _joined(outer: Event, inner: Event, window: Window) -> Event:
    """Put an inner event into what stands around it: the inner one's fields win, the others are kept."""
    # Several events may come out of one envelope.
    fields = dict(outer.fields)
    aside = dict(inner.aside or {})
    for path, value in (outer.aside or {}).items():
        set_aside(aside, path, value)
    has_time = any(
        (value := inner.fields.get(name)) is not None and read_time(value, window.zone) is not None
        for name in ("timestamp", "@timestamp")
    )
    if has_time:
        shippers = fields.pop("timestamp", None)
        fields.pop("@timestamp", None)
        if shippers is not None and _CREATED_FIELD not in fields:
            fields[_CREATED_FIELD] = shippers
    for name, value in inner.fields.items():
        there = fields.get(name)
        if type(there) is dict and type(value) is dict:
            fields[name] = both_objects(there, value)
            continue
        if there is not None and there != value and name not in REPLACED:
            set_aside(aside, f"envelope.{name}", there)
        fields[name] = value
    has_level = inner.fields.get("level") is not None
    return Event(
        fields,
        inner.ours,
        inner.failed or outer.failed,
        (*outer.tags, *inner.tags),
        aside,
        inner.logged if has_level else outer.logged,
        f"{outer.format}>{inner.format}",
        (*[each for each in outer.taken if each[0] not in inner.fields], *inner.taken),
    )


def both_objects(outer: dict[str, Any], inner: dict[str, Any]) -> dict[str, Any]:
    """Join two objects; the inner one's values win."""
    joined = dict(outer)
    for name, value in inner.items():
        there = joined.get(name)
        joined[name] = both_objects(there, value) if type(there) is dict and type(value) is dict else value
    return joined


def _tagged(events: list[Event], tags: tuple[str, ...]) -> list[Event]:
    return [each._replace(tags=(*each.tags, *tags)) for each in events] if tags else events


def _named(events: list[Event], name: str) -> list[Event]:
    return [each._replace(format=f"{name}>{each.format}") for each in events]


def _damaged(events: list[Event], damage: str) -> list[Event]:
    for each in events:
        each.fields[DAMAGE_FIELD] = damage
    return _tagged(events, (REPAIRED_TAG,))


def _binary(value: bytes, reason: str) -> Event:
    """Keep bytes that cannot be read: base64, and what they are."""
    original = base64.b64encode(value[:_LONGEST_ORIGINAL]).decode()
    fields = {
        "message": f"a record of {len(value)} bytes that cannot be read: {reason}",
        _ORIGINAL_FIELD: original,
    }
    return Event(fields, tags=(BINARY_TAG,), format="binary")


def _year(month: int, day: int, window: Window) -> int:
    """Give the year that puts a date of BSD's syslog next to the end of the window, a day ahead at most."""
    newest = from_epoch_ms(window.latest_ms).text
    year = int(newest[:4])
    return year if (month, day) <= (int(newest[5:7]), int(newest[8:10])) else year - 1
