"""`python`: a function of the user's own, over a plain dictionary.

`def enrich(event: Event) -> Event | list[Event] | None`: the event it gives goes on, several go on in its place, None
drops it. It has to be pure: a replay calls it again. Whatever it raises tags the event `_pythonexception`, which then
goes on as it was.
"""

import importlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from pipeline.logstash.fields import Event, copy_value, valid_tags
from pipeline.logstash.options import Given, Option
from pipeline.logstash.plugin import Origin, Site, Spread
from pipeline.logstash.timestamp import SECOND, Timestamp, parse_timestamp

__all__ = ["OPTIONS", "PYTHON_EXCEPTION", "build"]

PYTHON_EXCEPTION: Final = "_pythonexception"
# Elasticsearch takes 100 levels of objects, and nobody queries that.
_DEEPEST: Final = 100
_SCALARS: Final = (str, bool, int, float, Timestamp)
OPTIONS: Final[Mapping[str, Option]] = {
    "function": Option("string", required=True),
    "tag_on_exception": Option("string", PYTHON_EXCEPTION),
}


class UnusableResultError(TypeError):
    """A function gave something that is no event, no list of events and not None."""


def build(given: Given, site: Site) -> Spread:
    """Find the function `module:name` and call it for each event."""
    name = given["function"]
    function = find_function(name, given, site)
    if site.wrap is not None:
        function = site.wrap(name, function)

    def run(event: Event, _origin: Origin) -> list[tuple[Event, bool]]:
        before = copy_value(event)
        try:
            result = function(event)
            if result is None:
                return []
            events = result if isinstance(result, list) else [result]
            return [(checked(made), True) for made in events]
        except BaseException:
            event.clear()
            event.update(before)
            raise

    return Spread(run, may_drop=True, tag_on_exception=given["tag_on_exception"])


def find_function(name: str, given: Given, site: Site) -> Callable[[Event], Any]:
    """Import what `module:name` names; raises LogstashError."""
    if name in site.functions:
        return site.functions[name]
    module_name, colon, attribute = name.partition(":")
    place = given.place("function")
    if not colon or not attribute:
        raise place.error(f"`{name}` names no function.", "Write it as module:name.")
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:  # noqa: BLE001 - a user's module may raise anything when it is imported
        raise place.error(
            f"The function `{name}` cannot be imported: {type(error).__name__}: {error}.",
            "Is its folder on PYTHONPATH?",
        ) from None
    if not callable(found):
        raise place.error(f"`{name}` is no function.")
    return found  # type: ignore[no-any-return]


def checked(event: Any) -> Event:
    """Hold what a function gave against what an event may be; raises UnusableResultError."""
    if event.__class__ is not dict or any(name.__class__ is not str for name in event):
        raise UnusableResultError(f"a function gave {type(event).__name__}, which is no event")
    instant = event.get("@timestamp")
    if isinstance(instant, str):
        instant = parse_timestamp(instant)
    elif isinstance(instant, datetime):
        instant = Timestamp(int(instant.timestamp()) * SECOND + instant.microsecond * 1000)
    if "@timestamp" in event:
        if not isinstance(instant, Timestamp):
            raise UnusableResultError("a function gave an event whose @timestamp is no time")
        event["@timestamp"] = instant
    if "tags" in event and not valid_tags(event["tags"]):
        raise UnusableResultError("a function gave an event whose tags are no texts")
    for value in event.values():
        _check_value(value, 0)
    return event


def _check_value(value: Any, depth: int) -> None:
    """See that a value is one that JSON can hold, or a time; raises UnusableResultError."""
    kind = value.__class__
    if value is None or kind in _SCALARS:
        return
    if depth > _DEEPEST:
        raise UnusableResultError("a function gave an event that is nested without end, or too deep")
    if kind is dict:
        for name, inner in value.items():
            if name.__class__ is not str:
                kind = type(name)
                raise UnusableResultError(
                    f"a function gave an object with a name of the type {kind.__name__}"
                )
            _check_value(inner, depth + 1)
    elif kind is list:
        for inner in value:
            _check_value(inner, depth + 1)
    else:
        raise UnusableResultError(f"a function gave a value of the type {kind.__name__}")
