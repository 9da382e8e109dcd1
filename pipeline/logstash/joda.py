"""Reading dates by Joda's patterns, compiled to one regular expression each.

Joda's readers never go back: each takes as many digits as it may. A name of a weekday wins over a date that it
contradicts. A pattern without a year takes it from `today`, the days since 1970.
"""

import re
from collections.abc import Callable
from datetime import UTC, tzinfo
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeAlias

from pipeline.logstash.date_names import DateNames
from pipeline.logstash.time_formats import PatternError, tokens_of
from pipeline.logstash.timestamp import (
    DAY_SECONDS,
    MILLISECOND,
    SECOND,
    Timestamp,
    civil,
    days_in,
    days_of,
    in_zone,
    zone_of,
)

__all__ = ["CACHED", "OFFSET", "DateReader", "joda_reader", "named_zone", "resolve"]

DateReader: TypeAlias = Callable[[Any, tzinfo, int], Timestamp | None]
_NUMERIC: Final = frozenset("CyYxdDewHkKhmsS")
_HALVES: Final = 12
CACHED: Final = 8192
_BASE_YEAR: Final = 2000
_ZONES: Final = {
    "UT": "UTC",
    "UTC": "UTC",
    "GMT": "UTC",
    "EST": "America/New_York",
    "EDT": "America/New_York",
    "CST": "America/Chicago",
    "CDT": "America/Chicago",
    "MST": "America/Denver",
    "MDT": "America/Denver",
    "PST": "America/Los_Angeles",
    "PDT": "America/Los_Angeles",
}
OFFSET: Final = r"[Zz]|[+-]\d\d(?::?[0-5]\d(?::?[0-5]\d)?)?"
_TWO_DIGITS: Final = {
    "d": (1, 31),
    "H": (0, 23),
    "k": (1, 24),
    "K": (0, 11),
    "h": (1, 12),
    "m": (0, 59),
    "s": (0, 59),
}
_NAMES_OF: Final = {"D": (1, 366, 3), "w": (1, 53, 2), "e": (1, 7, 1), "C": (0, 9999, 2)}


class _Piece(NamedTuple):
    expression: str
    field: str = ""


def joda_reader(pattern: str, names: DateNames) -> DateReader:
    """Compile a pattern; raises PatternError."""
    tokens = tokens_of(pattern)
    pieces = [
        _piece(letters, _is_numeric(tokens, index + 1), names) if letters else _Piece(re.escape(literal))
        for index, (letters, literal) in enumerate(tokens)
    ]
    caught = [piece.field for piece in pieces if piece.field]
    expression = re.compile(
        "".join(f"({piece.expression})" if piece.field else piece.expression for piece in pieces) + r"\Z",
        re.IGNORECASE,
    )
    months = _numbers(names.months, names.short_months)
    weekdays = _numbers(names.days, names.short_days)
    late = names.halves[1].lower()
    has_year = any(letters[:1] in {"y", "Y"} for letters, _literal in tokens)
    whole_year = has_year and "yy" not in caught

    has_second = "s" in caught
    second_at = caught.index("s") if has_second else -1
    fraction_at = caught.index("millisecond") if "millisecond" in caught else -1
    rest = [index for index in range(len(caught)) if index not in {second_at, fraction_at}]
    rest_of = itemgetter(*rest) if len(rest) > 1 else tuple
    rest_names = [caught[index] for index in rest]

    @lru_cache(CACHED)
    def minute(parts: tuple[str, ...], zone: tzinfo, today: int) -> int | None:
        """Give the nanoseconds of all but second and fraction; `today` matters to a pattern without a year."""
        values: dict[str, int] = {}
        at_zone: tzinfo | None = zone
        for field, part in zip(rest_names, parts, strict=True):
            if field == "zone":
                at_zone = named_zone(part)
                if at_zone is None:
                    return None
            elif field == "month name":
                values["month"] = months[part.lower()]
            elif field == "weekday name":
                values["weekday"] = weekdays[part.lower()]
            elif field == "half":
                values["half"] = part.lower() == late
            elif field == "yy":
                values["year"] = _two_digit_year(part, today)
            elif field != "era":
                values[field] = int(part)
        instant = resolve(values, has_year, at_zone or UTC, today)
        return None if instant is None else instant.nanoseconds

    def read(text: Any, zone: tzinfo, today: int) -> Timestamp | None:
        if text.__class__ is not str:
            return None
        found = expression.match(text)
        if not found:
            return None
        groups = found.groups()
        base = minute(
            rest_of(groups) if len(rest) > 1 else tuple(groups[index] for index in rest),
            zone,
            0 if whole_year else today,
        )
        if base is None:
            return None
        if has_second:
            second = int(groups[second_at])
            if second > 59:
                return None
            base += second * SECOND
        if fraction_at >= 0:
            base += int(groups[fraction_at][:3].ljust(3, "0")) * MILLISECOND
        return Timestamp(base)

    return read


def _numbers(long: tuple[str, ...], short: tuple[str, ...]) -> dict[str, int]:
    return {name.lower(): number for names in (short, long) for number, name in enumerate(names, 1)}


def _is_numeric(tokens: list[tuple[str, str]], index: int) -> bool:
    if index >= len(tokens):
        return False
    letters = tokens[index][0]
    return bool(letters) and (letters[0] in _NUMERIC or (letters[0] == "M" and len(letters) <= 2))


def _piece(letters: str, before_number: bool, names: DateNames) -> _Piece:
    letter, width = letters[0], len(letters)
    if letter in "yYx":
        field = "weekyear" if letter == "x" else "year"
        if width == 2:
            return _Piece(r"\d{2}" if before_number else r"[+-]?\d{1,9}+", "yy" if letter != "x" else field)
        return _Piece(rf"[+-]?\d{{1,{width}}}+" if before_number else r"[+-]?\d{1,9}+", field)
    if letter == "M":
        if width <= 2:
            return _Piece(r"\d{1,2}+", "month")
        return _Piece(_either(names.months, names.short_months), "month name")
    if letter == "E":
        return _Piece(_either(names.days, names.short_days), "weekday name")
    if letter == "a":
        return _Piece("|".join(map(re.escape, names.halves)), "half")
    if letter == "S":
        return _Piece(rf"\d{{0,{width}}}+", "millisecond")
    if letter in _TWO_DIGITS:
        return _Piece(r"\d{1,2}+", letter)
    if letter in _NAMES_OF:
        return _Piece(rf"\d{{1,{max(_NAMES_OF[letter][2], width)}}}+", letter)
    if letter == "z" and width < 4:
        return _Piece("|".join(_ZONES), "zone")
    if letter == "Z":
        return _Piece(OFFSET if width < 3 else r"[A-Za-z0-9/_+:-]+", "zone")
    if letter == "G":
        return _Piece("AD|BC|CE|BCE", "era")
    raise PatternError(f"a date cannot be read by `{letters}`")


def _either(long: tuple[str, ...], short: tuple[str, ...]) -> str:
    return "|".join(map(re.escape, sorted({*long, *short}, key=len, reverse=True)))


@lru_cache(1024)
def named_zone(text: str) -> tzinfo | None:
    """Find a zone by what a date says: an offset, `Z`, a name, or one of the short names that Joda knows."""
    return zone_of(_ZONES.get(text.upper(), text.upper() if text in {"z", "Z"} else text))


def _two_digit_year(text: str, today: int) -> int:
    """Read two digits as the year nearest to thirty years ago; more or fewer as they are."""
    if len(text) != 2 or not text.isdigit():
        return int(text)
    first = civil(today)[0] - 30 - 50
    return first + (int(text) - first) % 100


def resolve(values: dict[str, int], has_year: bool, zone: tzinfo, today: int) -> Timestamp | None:  # noqa: PLR0912
    """Make an instant of what was read, in Joda's order; None for a date or time that does not exist."""
    for letter, (low, high) in _TWO_DIGITS.items():
        if letter in values and not low <= values[letter] <= high:
            return None
    for letter, (low, high, _digits) in _NAMES_OF.items():
        if letter in values and not low <= values[letter] <= high:
            return None
    year = values.get("year", 1970 if has_year or "weekyear" in values else _BASE_YEAR)
    month, day = values.get("month", 1), values.get("d", 1)
    if not 1 <= month <= 12 or abs(year) > 290_000_000:
        return None
    if "weekyear" in values or "w" in values:
        days = _week_start(values.get("weekyear", year)) + (values.get("w", 1) - 1) * 7 + 3
        if "d" in values or "month" in values:
            days = days_of(civil(days)[0], month, day)
    elif "D" in values:
        if values["D"] > 365 + (days_in(year, 2) == 29):
            return None
        days = days_of(year, 1, 1) + values["D"] - 1
    else:
        if day > days_in(year, month):
            return None
        days = days_of(year, month, day)
    weekday = values.get("e", values.get("weekday"))
    if weekday is not None:
        days += weekday - ((days + 3) % 7 + 1)
    if not has_year:
        guessed = _with_year_of(days, today)
        if guessed is None:
            return None
        days = guessed
    hour = values.get("H", values.get("k", 0) % 24)
    if "h" in values or "K" in values:
        hour = values.get("K", values.get("h", 0) % _HALVES) + (_HALVES if values.get("half") else 0)
    elif "half" in values and "H" not in values:
        hour = _HALVES if values["half"] else 0
    local = days * DAY_SECONDS + hour * 3600 + values.get("m", 0) * 60 + values.get("s", 0)
    return _at(local, values.get("millisecond", 0), zone)


def _at(local: int, millisecond: int, zone: tzinfo) -> Timestamp | None:
    offset = 0 if zone is UTC else in_zone(local // 900, zone)
    if offset is None:
        return None
    return Timestamp((local - offset) * SECOND + millisecond * MILLISECOND)


def _week_start(year: int) -> int:
    """Give the day of the Monday of the first week."""
    fourth = days_of(year, 1, 4)
    return fourth - (fourth + 3) % 7


def _with_year_of(days: int, today: int) -> int | None:
    """Put a date into the year of now; December seen in January is of last year, and the reverse."""
    _year, month, day = civil(days)
    now_year, now_month, _day = civil(today)
    if month == 12 and now_month == 1:
        now_year -= 1
    elif month == 1 and now_month == 12:
        now_year += 1
    return None if day > days_in(now_year, month) else days_of(now_year, month, day)
