"""`json`: a text becomes fields."""

from collections.abc import Mapping
from typing import Any, Final

from pipeline.logstash.fields import Event, FieldError, get, parse_reference, set_field, tag_failure
from pipeline.logstash.json_reader import JsonError, read_whole
from pipeline.logstash.options import Given, Option
from pipeline.logstash.plugin import Change, Origin, Site
from pipeline.logstash.ruby import to_s
from pipeline.logstash.timestamp import parse_timestamp

__all__ = ["OPTIONS", "build"]

OPTIONS: Final[Mapping[str, Option]] = {
    "source": Option("string", required=True),
    "target": Option("string"),
    "skip_on_invalid_json": Option("boolean", False),
    "tag_on_failure": Option("array", ["_jsonparsefailure"]),
    "ecs_compatibility": Option("string", choices=("disabled", "v1", "v8")),
}


def build(given: Given, site: Site) -> Change:
    """Parse `source` into `target`, or into the event's own fields."""
    source = site.path(given["source"], given.place("source"))
    target = site.path(given["target"], given.place("target")) if given["target"] else None
    skip = given["skip_on_invalid_json"]
    tags = given.texts("tag_on_failure")

    def fail(event: Event) -> bool:
        for tag in tags:
            tag_failure(event, tag)
        return False

    def run(event: Event, origin: Origin) -> bool:
        text = get(event, source)
        if text is None:
            return False
        if text.__class__ is not str:
            return False if skip else fail(event)
        try:
            value = read_whole(text) if text.strip() else None
        except JsonError:
            return False if skip else fail(event)
        if target is not None:
            set_field(event, target, value)
            return True
        if value.__class__ is not dict:
            return fail(event)
        try:
            merge(event, value, origin)
        except FieldError:
            return fail(event)
        return True

    return Change(run)


def merge(event: Event, value: dict[str, Any], origin: Origin) -> None:
    """Set each name of an object as a field; `@timestamp` has to be a time."""
    given = value.pop("@timestamp", None)
    for name, inner in value.items():
        if name[:1] in {"[", "@"} or name == "tags" or "]" in name or "[" in name:
            set_field(event, parse_reference(name), inner)
        else:
            event[name] = inner
    if given is None:
        return
    instant = parse_timestamp(given) if isinstance(given, str) else None
    event["@timestamp"] = instant or origin.now
    if instant is None:
        tag_failure(event, "_timestampparsefailure")
        event["_@timestamp"] = to_s(given)
