"""The fields that the pipeline fills or puts right: room for them, tags, name of the service, level, ids."""

from typing import Any

from pipeline.events.field_names import (
    ASIDE_FIELD,
    KAFKA_FIELD,
    OBJECT_FIELDS,
    as_object,
    is_below_own_object,
    set_aside,
    take_all,
)
from pipeline.events.fingerprints import FINGERPRINT_FIELD
from pipeline.events.levels import normalise_level
from pipeline.events.trace_ids import is_none, normalise_trace_id

__all__ = [
    "TAGS_FAILURE_TAG",
    "add_service_name",
    "keep_logged_level",
    "make_room",
    "normalise_ids",
    "normalise_level_field",
    "take_tags",
]

# The name Logstash gives to the same failure.
TAGS_FAILURE_TAG = "_tagsparsefailure"

_LEVEL_FIELD = "log.level"
# Fields that this pipeline or its mapping fills, and the objects that they may be spelt as a part of; an
# application's own values are moved aside.
_OWN_FIELDS = {FINGERPRINT_FIELD: "error", "message.keyword": "message"}
_CONTAINERS = (dict, list)


def make_room(fields: dict[str, Any], aside: dict[str, Any]) -> None:
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
    _make_objects(fields)


def _make_objects(fields: dict[str, Any]) -> None:
    """Give the fields that the mapping takes as objects only a shape that it takes."""
    for name in OBJECT_FIELDS:
        value = fields.get(name)
        if value is not None and not isinstance(value, dict):
            fields[name] = {"value": value} if name == "context" else as_object(value)


def take_tags(fields: dict[str, Any], aside: dict[str, Any]) -> list[str]:
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


def add_service_name(fields: dict[str, Any], service: str) -> None:
    """Add the guide's constant; beside a value that is there already, as Logstash's `add_field` does."""
    present = fields.get("service_name")
    if present is None or present == service:
        fields["service_name"] = service
    elif not isinstance(present, list):
        fields["service_name"] = [present, service]
    elif service not in present:
        fields["service_name"] = [*present, service]


def normalise_level_field(
    fields: dict[str, Any], aside: dict[str, Any], *, syslog_numbers: bool
) -> str | None:
    """Normalise `level`; keep what was logged in `log.level` when it differs."""
    logged = fields.get("level")
    level = normalise_level(logged, syslog_numbers=syslog_numbers)
    if level is None or level == logged:
        return level
    fields["level"] = level
    keep_logged_level(fields, aside, logged)
    return level


def keep_logged_level(fields: dict[str, Any], aside: dict[str, Any], logged: Any) -> None:
    """Keep what was logged in `log.level`."""
    log = fields.get("log")
    if log is not None and not isinstance(log, dict):
        set_aside(aside, "log", log)
        log = None
    for value in take_all(fields, _LEVEL_FIELD):
        set_aside(aside, _LEVEL_FIELD, value)
    fields["log"] = {**(log or {}), "level": logged}


def normalise_ids(fields: dict[str, Any], aside: dict[str, Any]) -> None:
    """Normalise the ids of trace and span; one that says that there is none is moved aside."""
    for name in ("trace_id", "span_id"):
        value = fields.get(name)
        if isinstance(value, str):
            if is_none(value):
                set_aside(aside, name, fields.pop(name))
            else:
                fields[name] = normalise_trace_id(value)
