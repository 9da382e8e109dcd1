"""From a record's value to events, as the codecs `plain` and `json` of a Kafka input make them."""

from typing import Any, Final

from pipeline.logstash.fields import MISSING, Event, FieldError, find, set_field, tag_failure, valid_tags
from pipeline.logstash.json_reader import JsonError, read_first
from pipeline.logstash.timestamp import Timestamp, parse_timestamp

__all__ = ["decode_json", "decode_plain", "new_event"]

_ORIGINAL: Final = ("event", "original")


def new_event(data: dict[str, Any], now: Timestamp) -> Event:
    """Make an event of an object: `@timestamp`, `@version` and `tags` become what they have to be.

    Raises FieldError for an `@metadata` that is no object.
    """
    given = data.get("@timestamp")
    instant = (
        parse_timestamp(given) if isinstance(given, str) else given if isinstance(given, Timestamp) else None
    )
    data["@timestamp"] = instant or now
    data.setdefault("@version", "1")
    if not isinstance(data.get("@metadata", {}), dict):
        raise FieldError("@metadata is no object")
    if "tags" in data and not valid_tags(data["tags"]):
        data["_tags"] = [data["tags"]]
        data["tags"] = ["_tagsparsefailure"]
    if instant is None and given is not None:
        tag_failure(data, "_timestampparsefailure")
        data["_@timestamp"] = given
    return data


def decode_plain(text: str, now: Timestamp, *, ecs: bool) -> list[Event]:
    """Put the whole text into `message`."""
    event: Event = {"message": text, "@timestamp": now, "@version": "1"}
    if ecs:
        event["event"] = {"original": text}
    return [event]


def decode_json(
    text: str, now: Timestamp, *, ecs: bool, target: tuple[str, ...] | None = None
) -> list[Event]:
    """Read an object, or a list of objects; a blank text gives no event, anything else a tagged one."""
    if not text.strip():
        return []
    try:
        value = read_first(text)
        objects = value if value.__class__ is list else [value]
        if not all(inner.__class__ is dict for inner in objects):
            return _failed(text, now)
        events = []
        for inner in objects:
            if target is not None:
                event = new_event({}, now)
                set_field(event, target, inner)
            else:
                event = new_event(inner, now)
            events.append(event)
        if ecs and len(events) == 1 and find(events[0], _ORIGINAL) is MISSING:
            set_field(events[0], _ORIGINAL, text)
    except (JsonError, FieldError):
        return _failed(text, now)
    return events


def _failed(text: str, now: Timestamp) -> list[Event]:
    return [{"message": text, "@timestamp": now, "@version": "1", "tags": ["_jsonparsefailure"]}]
