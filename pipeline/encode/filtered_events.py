"""What filters have left of an event → the event that the pipeline's own rules go on with."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from pipeline.encode.json_values import plain
from pipeline.events.canonical import Window
from pipeline.events.document import DocumentBuilder
from pipeline.events.event import Event as OurEvent, unparsable
from pipeline.logstash.fields import Event, copy_value

__all__ = ["Before", "FilteredEvents"]

_FAILED_TIME_TAG = "_timestampparsefailure"
# Of JSON, also quoted, and of rsyslog's cookie.
_BEGINNINGS = frozenset('{"@')


class Before(NamedTuple):
    """The events of a record as their codec has made them."""

    raw: bytes
    events: Mapping[int, Event]
    """Copies, by the identity of the event that filters change."""
    instants: frozenset[int]
    """Identities of their times: any other time is one that a filter has set."""

    def same(self, event: Event) -> bool:
        """Say whether an event is as its codec has made it."""
        before = self.events.get(id(event))
        return before is not None and not self.has_set_time(event) and event == before

    def has_set_time(self, event: Event) -> bool:
        """Say whether a filter has set an event's time."""
        instant = event.get("@timestamp")
        return instant is not None and id(instant) not in self.instants


class FilteredEvents:
    """Read events that have been through filters."""

    def __init__(self, builder: DocumentBuilder) -> None:
        self._builder = builder
        self._payloads = {
            path.partition(".")[0] for each in builder.formats.by_name.values() for path in each.unwrap
        }

    def read(self, event: Event, before: Before, topic: str, window: Window) -> list[OurEvent]:
        """Read what the filters have left of an event as what its logger and shipper have made of it."""
        try:
            fields, aside = _fields(event, before)
            first = before.events.get(id(event))
            unpack = before.same(event)
            if first is not None and not unpack and self._keeps_payload(event, first):
                # A payload that no filter has looked at is unpacked; what filters have set stays as they have set it.
                was, _aside = _fields(first, before)
                (*others, inner) = self._builder.read_fields(copy_value(was), topic, window)
                if not others and ">" in inner.format:
                    return [_with_changes(inner, was, fields, aside)]
            events = self._builder.read_fields(fields, topic, window, unwrap=unpack)
        except RecursionError:
            return [unparsable(before.raw)]
        return [_with_aside(each, aside) for each in events] if aside else events

    def _keeps_payload(self, event: Event, first: Event) -> bool:
        """Say whether what may be a payload is as it was."""
        return any(
            _may_be_payload(first.get(name)) and event.get(name) == first[name] for name in self._payloads
        )


def _may_be_payload(value: Any) -> bool:
    if type(value) is str:
        return value.lstrip()[:1] in _BEGINNINGS
    return type(value) is dict


def _with_changes(
    inner: OurEvent, was: Mapping[str, Any], now: Mapping[str, Any], aside: Mapping[str, Any]
) -> OurEvent:
    """Put what filters have changed of an envelope on top of what was unpacked from it."""
    fields = {name: value for name, value in inner.fields.items() if name in now or name not in was}
    fields.update({name: value for name, value in now.items() if name not in was or was[name] != value})
    return _with_aside(inner._replace(fields=fields), aside)


def _with_aside(event: OurEvent, aside: Mapping[str, Any]) -> OurEvent:
    return event._replace(aside={**(event.aside or {}), **aside})


def _fields(event: Event, before: Before) -> tuple[dict[str, Any], dict[str, Any]]:
    """Take from an event what its codec has added; gives the rest, and what has no place under its name any more."""
    fields: dict[str, Any] = plain(event)
    aside: dict[str, Any] = {}
    raw = before.raw
    if before.has_set_time(event):
        stamp = fields.get("timestamp")
        if stamp is not None and stamp != fields["@timestamp"]:
            aside["timestamp"] = orjson.dumps(stamp).decode() if type(stamp) in (dict, list) else stamp
        # Under both names: formats are known by the one, and the other is the event's own time.
        fields["timestamp"] = fields["@timestamp"]
    elif "_@timestamp" in fields:
        fields["@timestamp"] = fields.pop("_@timestamp")
        fields["tags"] = [tag for tag in fields.get("tags", []) if tag != _FAILED_TIME_TAG]
    elif b'"@timestamp"' not in raw:
        fields.pop("@timestamp", None)
    for name, value in (("@version", "1"), ("@metadata", fields.get("@metadata"))):
        if fields.get(name) == value and b'"%b"' % name.encode() not in raw:
            fields.pop(name, None)
    original = fields.get("event")
    if type(original) is dict and type(original.get("original")) is str and b'"original"' not in raw:
        fields["event"] = {name: value for name, value in original.items() if name != "original"}
        if not fields["event"]:
            del fields["event"]
    return fields, aside
