"""`date`: a field becomes a time, by the first of several formats that reads it."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, tzinfo
from decimal import Decimal
from typing import Any, Final, TypeAlias

from pipeline.logstash.date_names import ENGLISH, names_of
from pipeline.logstash.fields import Event, get, set_field, tag_failure
from pipeline.logstash.interpolation import interpolate, is_dynamic
from pipeline.logstash.iso8601 import iso_reader
from pipeline.logstash.joda import joda_reader
from pipeline.logstash.options import Given, Option
from pipeline.logstash.plugin import Change, Origin, Site
from pipeline.logstash.time_formats import PatternError
from pipeline.logstash.timestamp import MILLISECOND, SECOND, Timestamp, zone_of

__all__ = ["OPTIONS", "build"]

OPTIONS: Final[Mapping[str, Option]] = {
    "match": Option("array", required=True),
    "target": Option("string", "@timestamp"),
    "timezone": Option("string"),
    "locale": Option("string"),
    "tag_on_failure": Option("array", ["_dateparsefailure"]),
}
Reader: TypeAlias = Callable[[Any, tzinfo, int], Timestamp | None]
_SECONDS: Final = re.compile(r"-?\d{1,20}(?:\.\d+)?\Z", re.ASCII)
_NAMED: Final = re.compile("MMM|E|a")
_WHOLE: Final = re.compile(r"-?\d{1,20}\Z", re.ASCII)
_LAST_SECOND: Final = (1 << 31) - 1
_LAST_MILLISECOND: Final = 1 << 62
_TAI_START: Final = 1 << 62
_TAI_SECONDS: Final = 10
_DAY: Final = 86_400_000
_TAI: Final = re.compile(r"@?([0-9a-fA-F]{16})([0-9a-fA-F]{8})\Z")


def build(given: Given, site: Site) -> Change:
    """Read the field that `match` begins with by the formats that follow."""
    match = given.texts("match")
    if len(match) < 2:
        raise given.place("match").error("`match` needs a field and at least one format.")
    source = site.path(match[0], given.place("match"))
    target = site.path(given["target"], given.place("target"))
    readers = [_reader(form, given) for form in match[1:]]
    tags = given.texts("tag_on_failure")
    zone_name = given["timezone"]
    dynamic = zone_name is not None and is_dynamic(zone_name)
    fixed = UTC if zone_name is None or dynamic else zone_of(zone_name)
    if fixed is None:
        raise given.place("timezone").error(
            f"There is no time zone `{zone_name}`.",
            "Take a name such as Europe/Berlin, or an offset such as +02:00.",
        )
    plain = source[0] if len(source) == 1 else None
    at_root = given["target"] == "@timestamp"

    def run(event: Event, origin: Origin) -> bool:
        value = get(event, source) if plain is None else event.get(plain)
        if value is None:
            return False
        zone = zone_of(interpolate(event, zone_name)) if dynamic else fixed
        if zone is not None:
            today = origin.timestamp_ms // _DAY
            for read in readers:
                instant = read(value, zone, today)
                if instant is not None:
                    if at_root:
                        event["@timestamp"] = instant
                    else:
                        set_field(event, target, instant)
                    return True
        for tag in tags:
            tag_failure(event, tag)
        return False

    return Change(run)


def _reader(form: str, given: Given) -> Reader:
    plain: dict[str, Reader] = {"UNIX": read_unix, "UNIX_MS": read_unix_ms, "TAI64N": read_tai64n}
    if form in plain:
        return plain[form]
    if form == "ISO8601":
        return iso_reader
    names = names_of(given["locale"]) if given["locale"] else ENGLISH
    if names is None and not _NAMED.search(form):
        names = ENGLISH  # of which nothing is used
    if names is None:
        raise given.place("locale").error(
            f"The names of months in `{given['locale']}` are not known.", "Known: en, de, fr, es, it, pt, nl."
        )
    try:
        return joda_reader(form, names)
    except PatternError as error:
        raise given.place("match").error(
            f"`{form}`: {error}.", "See Joda's DateTimeFormat for its letters."
        ) from None


def read_unix(value: Any, _zone: tzinfo, _today: int) -> Timestamp | None:
    """Read seconds since 1970, to the millisecond; none after January 2038, as Logstash has it."""
    if value.__class__ is int:
        text = str(value)
    elif value.__class__ is float:
        text = f"{Decimal(repr(value)):f}"
    elif value.__class__ is str:
        text = value
    else:
        return None
    if not _SECONDS.match(text):
        return None
    whole, _dot, fraction = text.partition(".")
    if not -_LAST_SECOND - 1 <= int(whole) <= _LAST_SECOND:
        return None
    milliseconds = int(fraction[:3].ljust(3, "0"))
    return Timestamp(
        int(whole) * SECOND + (-milliseconds if text.startswith("-") else milliseconds) * MILLISECOND
    )


def read_unix_ms(value: Any, _zone: tzinfo, _today: int) -> Timestamp | None:
    """Read milliseconds since 1970; a fraction is cut."""
    if (value.__class__ is str and _WHOLE.match(value)) or value.__class__ in {int, float}:
        number = int(value)
    else:
        return None
    return Timestamp.of_milliseconds(number) if abs(number) < _LAST_MILLISECOND else None


def read_tai64n(value: Any, _zone: tzinfo, _today: int) -> Timestamp | None:
    """Read TAI64N, ten seconds off UTC; raises ValueError for what is none, where Logstash ends its pipeline."""
    if value.__class__ is not str:
        return None
    found = _TAI.match(value)
    if not found:
        raise ValueError(f"`{value[:40]}` is no TAI64N time")
    seconds = int(found[1], 16) - _TAI_START - _TAI_SECONDS
    return Timestamp(seconds * SECOND + int(found[2], 16) // MILLISECOND * MILLISECOND)
