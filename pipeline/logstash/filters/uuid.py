"""`uuid`: an id, made of where the record stands and of the event, so that a replay gives the same."""

import hashlib
from collections.abc import Mapping
from typing import Final
from uuid import UUID

from pipeline.logstash.fields import MISSING, Event, find, set_field
from pipeline.logstash.options import Given, Option
from pipeline.logstash.plugin import Change, Origin, Site
from pipeline.logstash.ruby import json_text

__all__ = ["OPTIONS", "build", "uuid_of"]

OPTIONS: Final[Mapping[str, Option]] = {
    "target": Option(
        "string",
        required=True,
        status="differs",
        note="The id is made of topic, partition, offset, timestamp and event: a replay gives the same.",
    ),
    "overwrite": Option("boolean", False),
    "ecs_compatibility": Option("string", choices=("disabled", "v1", "v8")),
}


def build(given: Given, site: Site) -> Change:
    """Set an id, unless the field is there."""
    target = site.path(given["target"], given.place("target"))
    overwrite = given["overwrite"]

    def run(event: Event, origin: Origin) -> bool:
        if overwrite or find(event, target) is MISSING:
            set_field(event, target, uuid_of(event, origin, site.label))
        return True

    return Change(run)


def uuid_of(event: Event, origin: Origin, label: str) -> str:
    """Make a UUID of a record's coordinates, of the filter, and of the event, which tells parts of a record apart."""
    place = f"{origin.topic}/{origin.partition}/{origin.offset}/{origin.timestamp_ms}/{label}/"
    content = (place + json_text(event)).encode("utf-8", "surrogatepass")
    return str(UUID(bytes=hashlib.blake2b(content, digest_size=16).digest(), version=4))
