"""Record bytes → event dictionaries: JSON, arrays, the Filebeat envelope, and what cannot be parsed."""

from typing import Any, NamedTuple

import orjson

__all__ = [
    "Event",
    "decode",
    "unparsable",
]


class Event(NamedTuple):
    """What an application logged.

    `ours` is false for the events of other services, which pass through as they are. `failed` is true when
    the text could not be parsed, or the message inside an envelope of ours could not.
    """

    fields: dict[str, Any]
    ours: bool = True
    failed: bool = False


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


def unparsable(value: bytes) -> Event:
    """Keep a value that cannot be parsed as text, bad UTF-8 replaced by U+FFFD."""
    return Event({"message": value.decode("utf-8", "replace")}, failed=True)


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
