"""The guide's way of reading, strictly: JSON, arrays, the Filebeat envelope of ours, and what cannot be parsed.

It is that of a topic with `format = "guide"`; `reading.py` is that of all others.
"""

from typing import Any

import orjson

from pipeline.events.event import Event, unparsable

__all__ = ["decode"]


def decode(value: bytes | None, *, service: str, max_array_events: int) -> list[Event]:
    """Decode a record's value into at least one event; never raises.

    `service` is the `fields.service` of the envelopes that are unpacked. A value that is no JSON object and
    no array of objects becomes one event that carries the text.
    """
    if value is None:
        return [unparsable(b"")]
    try:
        decoded = orjson.loads(value)
    except orjson.JSONDecodeError:
        return [unparsable(value)]
    if isinstance(decoded, dict):
        return [_unpack(decoded, service)]
    if (
        isinstance(decoded, list)
        and 0 < len(decoded) <= max_array_events
        and all(isinstance(element, dict) for element in decoded)
    ):
        return [_unpack(element, service) for element in decoded]
    return [unparsable(value)]


def _unpack(event: dict[str, Any], service: str) -> Event:
    """Put the inner object of our own Filebeat envelope at the root, as Logstash's `json` filter does.

    Inner fields overwrite those of the envelope one by one. A message that is no JSON object stays, with the
    failure tag; an envelope without a message stays without one.
    """
    envelope_fields = event.get("fields")
    sender = envelope_fields.get("service") if isinstance(envelope_fields, dict) else None
    if sender is None:
        sender = event.get("fields.service")
    if sender is None:
        return Event(event)
    if sender != service:
        return Event(event, ours=False)
    message = event.get("message")
    if message is None:
        return Event(event)
    try:
        inner = orjson.loads(message) if isinstance(message, str) else None
    except orjson.JSONDecodeError:
        inner = None
    if not isinstance(inner, dict):
        return Event(event, failed=True)
    event.update(inner)
    return Event(event)
