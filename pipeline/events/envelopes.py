"""What an envelope says: the payload in it, the service that it is sent to, and whether it is a Beat's."""

from typing import Any, NamedTuple

import orjson

from pipeline.events.field_paths import ABSENT, find
from pipeline.events.repair import INTEGER_TAG, big_integers_as_text, may_hold_large

__all__ = ["Payload", "is_of_a_beat", "is_sent_to", "payload_of"]


class Payload(NamedTuple):
    """The object that an envelope carries, and the tags that reading it has given."""

    fields: dict[str, Any]
    tags: tuple[str, ...] = ()


def payload_of(value: Any) -> Payload | None:
    """Give the object that a payload is: itself, or text that is JSON, once more quoted or behind rsyslog's cookie."""
    if type(value) is dict:
        return Payload(value) if value else None
    for _ in range(2):
        if type(value) is not str:
            return None
        text = value.strip()
        if text.startswith("@cee:"):
            text = text[len("@cee:") :].strip()
        if text[:1] not in ("{", '"'):
            return None
        try:
            value = orjson.loads(text)
        except (orjson.JSONDecodeError, UnicodeEncodeError):
            return None
        if type(value) is dict:
            if may_hold_large(value) and (exact := big_integers_as_text(text.encode())) is not None:
                return Payload(orjson.loads(exact), (INTEGER_TAG,))
            return Payload(value)
    return None


def is_sent_to(fields: dict[str, Any], service: str) -> bool:
    """Tell whether a shipper has named our service in `fields.service`."""
    return bool(find(fields, "fields.service") == service)


def is_of_a_beat(fields: dict[str, Any]) -> bool:
    """Tell whether a Beat has sent it: it names its agent, or itself in `@metadata`."""
    return isinstance(fields.get("agent"), dict) or find(fields, "@metadata.beat") is not ABSENT
