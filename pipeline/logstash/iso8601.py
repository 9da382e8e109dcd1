"""ISO 8601 as the date filter's `ISO8601` reads it: Joda's grammar, and a space for `T` before a comma or a point."""

import re
from datetime import UTC, tzinfo
from functools import lru_cache
from typing import Any, Final

from pipeline.logstash.joda import CACHED, OFFSET, named_zone, resolve
from pipeline.logstash.timestamp import MILLISECOND, SECOND, Timestamp

__all__ = ["iso_reader"]

_TIME: Final = (
    r"(?P<hour>\d{1,2}+)(?:(?P<hour_part>[.,]\d{1,9})|:(?P<minute>\d{1,2}+)"
    r"(?:(?P<minute_part>[.,]\d{1,9})|:(?P<second>\d{1,2}+)(?:[.,](?P<fraction>\d{1,9}))?)?)?"
)
_ISO: Final = re.compile(
    r"(?:(?P<year>[+-]?\d{4,9}+)(?:-W(?P<week>\d{1,2}+)(?:-(?P<weekday>\d))?|-(?P<ordinal>\d{3}+)"
    r"|(?:-(?P<month>\d{1,2}+)(?:-(?P<day>\d{1,2}+))?))?)?"
    rf"(?:T(?:{_TIME})?(?P<zone>{OFFSET})?)?\Z",
    re.IGNORECASE | re.ASCII,
)
_SPACED: Final = re.compile(
    r"(?P<year>[+-]?\d{1,9}+)-(?P<month>\d{1,2}+)-(?P<day>\d{1,2}+) "
    r"(?P<hour>\d{1,2}+):(?P<minute>\d{1,2}+):(?P<second>\d{1,2}+)[.,](?P<fraction>\d{0,3}+)"
    rf"(?P<zone>{OFFSET})?\Z",
    re.ASCII,
)


_USUAL: Final = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d):([0-5]\d)(?:[.,](\d{1,9}))?(Z|[+-]\d\d:?\d\d)?\Z", re.ASCII
)


@lru_cache(CACHED)
def _minute_of(text: str, zone_text: str | None, zone: tzinfo) -> int | None:
    """Give the nanoseconds of a minute that is written in full."""
    instant = _any_iso(text if zone_text is None else text + ":00" + zone_text, zone)
    return None if instant is None else instant.nanoseconds


def iso_reader(text: Any, zone: tzinfo, _today: int) -> Timestamp | None:
    """Read ISO 8601 as the date filter's `ISO8601` does; None when it is none."""
    if text.__class__ is not str:
        return None
    usual = _USUAL.match(text)
    if usual is None:
        return _any_iso(text, zone)
    minute, second, fraction, zone_text = usual.groups()
    base = _minute_of(minute, zone_text, zone)
    if base is None:
        return None
    base += int(second) * SECOND
    return Timestamp(base + int(fraction[:3].ljust(3, "0")) * MILLISECOND if fraction else base)


def _any_iso(text: str, zone: tzinfo) -> Timestamp | None:
    found = _ISO.match(text) or _SPACED.match(text)
    if not found or not text:
        return None
    parts = found.groupdict()
    if parts["year"] is None and parts["hour"] is None:
        return None
    values: dict[str, int] = {
        field: int(parts[name])
        for name, field in (
            ("year", "year"),
            ("month", "month"),
            ("day", "d"),
            ("hour", "H"),
            ("minute", "m"),
        )
        if parts.get(name) is not None
    }
    if parts["second"] is not None:
        values["s"] = int(parts["second"])
    if parts.get("ordinal"):
        values["D"] = int(parts["ordinal"])
    if parts.get("week"):
        values["weekyear"] = values.pop("year")
        values["w"] = int(parts["week"])
        values["e"] = int(parts["weekday"] or 1)
    values.setdefault("year", 1970)
    if parts["zone"] and parts["zone"][1:3] > "23":
        return None
    instant = resolve(values, True, (named_zone(parts["zone"]) or UTC) if parts["zone"] else zone, 0)
    if instant is None:
        return None
    return Timestamp(instant.nanoseconds + _fraction(parts) * MILLISECOND)


def _fraction(parts: dict[str, str]) -> int:
    """Give the fraction of a second, a minute or an hour in whole milliseconds."""
    for name, unit in (("fraction", 1000), ("minute_part", 60_000), ("hour_part", 3_600_000)):
        text = (parts.get(name) or "").lstrip(".,")
        if text:
            return int(int(text) * unit // 10 ** len(text))
    return 0
