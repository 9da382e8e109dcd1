"""`clone`: copies of an event, each under a name; the common options apply to the copies."""

from collections.abc import Mapping
from typing import Final

from pipeline.logstash.fields import Event, add_tag, copy_value
from pipeline.logstash.options import Given, Option
from pipeline.logstash.plugin import Origin, Site, Spread

__all__ = ["OPTIONS", "build"]

OPTIONS: Final[Mapping[str, Option]] = {
    "clones": Option("array", [], required=True),
    "ecs_compatibility": Option("string", choices=("disabled", "v1", "v8")),
}


def build(given: Given, site: Site) -> Spread:
    """Copy the event once for each name, which becomes the copy's `type`, or with ECS a tag."""
    ecs = (given["ecs_compatibility"] or site.ecs) != "disabled"
    names = given.texts("clones")

    def run(event: Event, _origin: Origin) -> list[tuple[Event, bool]]:
        events = [(event, False)]
        for name in names:
            copied = copy_value(event)
            if ecs:
                add_tag(copied, name)
            else:
                copied["type"] = name
            events.append((copied, True))
        return events

    return Spread(run)
