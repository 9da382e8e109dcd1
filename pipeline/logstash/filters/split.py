"""`split`: an event for each member of a list, or for each part of a text."""

from collections.abc import Mapping
from typing import Any, Final

from pipeline.logstash.fields import Event, copy_value, get, set_field, tag_failure
from pipeline.logstash.options import Given, Option
from pipeline.logstash.plugin import Origin, Site, Spread

__all__ = ["OPTIONS", "build"]

OPTIONS: Final[Mapping[str, Option]] = {
    "field": Option("string", "message"),
    "target": Option("string"),
    "terminator": Option("string", "\n"),
    "ecs_compatibility": Option("string", choices=("disabled", "v1", "v8")),
}


class EmptySplitError(ValueError):
    """There is nothing to make events of; Logstash loses the event."""


def build(given: Given, site: Site) -> Spread:
    """Copy the event for each part; empty parts vanish."""
    field = site.path(given["field"], given.place("field"))
    target = site.path(given["target"], given.place("target")) if given["target"] else field
    terminator = given["terminator"]
    if not terminator:
        raise given.place("terminator").error("`split`: `terminator` is empty.")

    def run(event: Event, _origin: Origin) -> list[tuple[Event, bool]] | None:
        value = get(event, field)
        if value.__class__ is str:
            parts: list[Any] = value.split(terminator)
            if len(parts) == 1 and value:
                return None
        elif value.__class__ is list:
            parts = value
        else:
            tag_failure(event, "_split_type_failure")
            return None
        kept = [part for part in parts if not _is_empty(part)]
        if not kept:
            raise EmptySplitError("nothing to split: Logstash would lose this event")
        # The list need not be copied for each event when each puts its part in its place.
        if target == field:
            set_field(event, field, None)
        events = []
        for part in kept:
            made = copy_value(event)
            set_field(made, target, copy_value(part))
            events.append((made, True))
        return events

    return Spread(run)


def _is_empty(part: Any) -> bool:
    return part is None or (part.__class__ in {str, list, dict} and not part)
