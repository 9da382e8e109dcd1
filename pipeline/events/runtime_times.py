"""Times as runtimes write them, beside the forms of `timestamps.py`; and times that mean none.

=========================================  ===================================================================
Written                                    By
=========================================  ===================================================================
``…T12:59:58+01:00[Europe/Berlin]``        RFC 9557, java.time's ZonedDateTime; the offset counts
``2026-11-28 11:59:58.25 +0000 UTC m=+1``  Go's ``time.String()``; the offset counts
``Sat, 28 Nov 2026 11:59:58 GMT``          RFC 5322 and HTTP; also ``+0100``, ``EST`` to ``PDT``, and no weekday
``28/Nov/2026:11:59:58 +0000``             the Common Log Format
``Sat Nov 28 11:59:58 2026``               C's ``asctime``; with a zone behind the time, ``date``
``2026-11-28 12:59:58 CET``                the zones in ``_ZONES``; ``IST``, ``BST``, ``CST``, ``AST`` mean different
                                           things to different people
``[2026, 11, 28, 11, 59, 58, 250000000]``  Jackson's LocalDateTime, in the zone of times without one
``{"$date": …}``                           MongoDB's extended JSON, with ``$numberLong`` in it or not
``/Date(1795867198250)/``                  .NET's old serializer; milliseconds; an offset behind them is for show
``1.79586719825E9``                        a number as text with an exponent
``{"epochSecond": …, "nanoOfSecond": …}``  log4j2's instant; also ``seconds`` and ``nanos``
=========================================  ===================================================================

No time are the first second of the year 1 (.NET's and Go's zero), of 1970, of 1601 (Windows), and 14 or 17 digits
that are a date glued together: 20261128115958 is no count of anything.
"""

import re
from datetime import UTC, tzinfo
from email.utils import parsedate_to_datetime
from typing import Any, Final

from pipeline.events.timestamps import Timestamp, parse_timestamp

__all__ = ["is_no_time", "read_time"]

_ZONES: Final = {
    "CET": "+01:00", "CEST": "+02:00", "EET": "+02:00", "EEST": "+03:00", "WET": "+00:00", "WEST": "+01:00",
    "MSK": "+03:00", "EST": "-05:00", "EDT": "-04:00", "CDT": "-05:00", "MST": "-07:00", "MDT": "-06:00",
    "PST": "-08:00", "PDT": "-07:00", "JST": "+09:00", "UTC": "Z", "GMT": "Z", "Z": "Z",
}  # fmt: skip
_MONTHS: Final = {
    name: f"{number:02d}"
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], start=1
    )
}
_DAY_TIME: Final = r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)"

_match_bracket = re.compile(r"(.{10,100}?)\[!?[A-Za-z0-9_+/=-]+\](?:\[[^\]]*\])*").fullmatch
_match_go = re.compile(_DAY_TIME + r" ([+-]\d{4}) (?:[A-Z]{1,5}|[+-]\d{2,4})(?: m=[+-]\d+\.\d+)?").fullmatch
_match_zone_name = re.compile(_DAY_TIME + r" ?([A-Z]{1,4})").fullmatch
_match_common_log = re.compile(
    r"\[?(\d\d)/([A-Za-z]{3})/(\d{4}):(\d\d:\d\d:\d\d(?:\.\d+)?)(?: ([+-]\d{4}))?\]?"
).fullmatch
_match_asctime = re.compile(
    r"(?:[A-Z][a-z]{2},? )?([A-Z][a-z]{2}) +(\d{1,2}) (\d\d:\d\d:\d\d(?:\.\d+)?)(?: ([A-Z]{1,4}|[+-]\d{4}))? (\d{4})"
).fullmatch
_match_mail = re.compile(
    r"(?:[A-Z][a-z]{2,8}, ?)?\d{1,2}[ -][A-Z][a-z]{2}[ -]\d{4} \d\d:\d\d(?::\d\d)?"
    r" (?:[+-]\d{4}|GMT|UTC|UT|Z|E[SD]T|CDT|M[SD]T|P[SD]T)"
).fullmatch
_match_dotnet = re.compile(r"\\?/Date\((-?\d{1,16})(?:[+-]\d{4})?\)\\?/").fullmatch
_match_exponent = re.compile(r"[+-]?\d+(?:\.\d+)?[eE][+]?\d{1,2}").fullmatch
_match_glued = re.compile(
    r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])[0-5]\d[0-5]\d(?:\d{3})?"
).fullmatch

_LONGEST = 128
_ARRAY_LENGTHS = range(3, 8)
_NO_SECONDS: Final = frozenset({-62_135_596_800, 0, -11_644_473_600})


def read_time(value: Any, zone: tzinfo = UTC) -> Timestamp | None:
    """Read a JSON value as an instant, in any form of this module and of `timestamps.py`; nothing makes this raise."""
    time = parse_timestamp(value, zone)
    if time is not None:
        return time
    if type(value) is str:
        return _from_text(value.strip(), zone) if len(value) <= _LONGEST else None
    if type(value) is list:
        return _from_list(value, zone)
    if type(value) is dict:
        return _from_object(value, zone)
    return None


def is_no_time(value: Any, time: Timestamp) -> bool:
    """Tell whether a value that reads as a time is one that programs write when they have none."""
    if time.epoch_ms // 1000 in _NO_SECONDS:
        return True
    text = value.strip() if type(value) is str else str(value) if type(value) is int else ""
    return _match_glued(text) is not None


def _from_text(text: str, zone: tzinfo) -> Timestamp | None:
    if match := _match_bracket(text):
        return parse_timestamp(match[1], zone)
    if match := _match_go(text):
        return parse_timestamp(f"{match[1]}T{match[2]}{match[3]}")
    if match := _match_zone_name(text):
        offset = _ZONES.get(match[3])
        return parse_timestamp(f"{match[1]}T{match[2]}{offset}") if offset else None
    if match := _match_common_log(text):
        return _of_parts(match[3], match[2], match[1], match[4], match[5] or "", zone)
    if match := _match_asctime(text):
        offset = _ZONES.get(match[4], match[4]) if match[4] else ""
        return _of_parts(match[5], match[1], match[2], match[3], offset, zone)
    if match := _match_dotnet(text):
        return parse_timestamp(f"{int(match[1]) / 1000:.3f}")
    if _match_exponent(text):
        return parse_timestamp(float(text))
    if _match_mail(text):
        try:
            return parse_timestamp(parsedate_to_datetime(text).isoformat())
        except (ValueError, IndexError, OverflowError):
            return None
    return None


def _of_parts(year: str, month: str, day: str, clock: str, offset: str, zone: tzinfo) -> Timestamp | None:
    number = _MONTHS.get(month.lower())
    return parse_timestamp(f"{year}-{number}-{int(day):02d}T{clock}{offset}", zone) if number else None


def _from_list(value: list[Any], zone: tzinfo) -> Timestamp | None:
    if len(value) not in _ARRAY_LENGTHS or not all(type(part) is int and part >= 0 for part in value):
        return None
    year, month, day, hour, minute, second, nanos = [*value, 0, 0, 0, 0][:7]
    if not 1000 <= year <= 9999 or nanos >= 1_000_000_000:  # noqa: PLR2004
        return None
    text = f"{year}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}.{nanos:09d}"
    return parse_timestamp(text, zone)


def _from_object(value: dict[str, Any], zone: tzinfo) -> Timestamp | None:
    if len(value) == 1:
        if "$date" in value:
            return read_time(value["$date"], zone)
        if "$numberLong" in value:
            return parse_timestamp(value["$numberLong"], zone)
        return None
    for seconds, nanos in (("epochSecond", "nanoOfSecond"), ("seconds", "nanos")):
        whole, part = value.get(seconds), value.get(nanos, 0)
        if type(whole) is int and type(part) is int and 0 <= part < 1_000_000_000:  # noqa: PLR2004
            return parse_timestamp(f"{whole}.{part:09d}")
    return None
