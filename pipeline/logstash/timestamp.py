"""The type of `@timestamp`: an instant to the nanosecond, in any year, written and read as Logstash does."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["Timestamp", "civil", "days_of", "in_zone", "parse_timestamp", "zone_of"]

SECOND: Final = 1_000_000_000
MILLISECOND: Final = 1_000_000
DAY_SECONDS: Final = 86_400
_FIRST_PLAIN_YEAR, _LAST_PLAIN_YEAR = 0, 9999


class Timestamp:
    """Nanoseconds since 1970 in UTC."""

    __slots__ = ("nanoseconds",)

    def __init__(self, nanoseconds: int) -> None:
        self.nanoseconds = nanoseconds

    @classmethod
    def of_milliseconds(cls, milliseconds: int) -> "Timestamp":
        """Make one of milliseconds since 1970, which is what Kafka's records carry."""
        return cls(milliseconds * MILLISECOND)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timestamp) and other.nanoseconds == self.nanoseconds

    def __lt__(self, other: "Timestamp") -> bool:
        return self.nanoseconds < other.nanoseconds

    def __hash__(self) -> int:
        return hash(self.nanoseconds)

    def __repr__(self) -> str:
        return f"Timestamp({self})"

    def __str__(self) -> str:
        """Write ISO 8601 with `Z` and 3, 6 or 9 digits of fraction, as many as are needed."""
        seconds, fraction = divmod(self.nanoseconds, SECOND)
        text = _seconds_text(seconds)
        if fraction % MILLISECOND == 0:
            return f"{text}.{fraction // MILLISECOND:03d}Z"
        if fraction % 1000 == 0:
            return f"{text}.{fraction // 1000:06d}Z"
        return f"{text}.{fraction:09d}Z"


@lru_cache(4096)
def _seconds_text(seconds: int) -> str:
    days, second = divmod(seconds, DAY_SECONDS)
    year, month, day = civil(days)
    shown = f"{year:04d}" if _FIRST_PLAIN_YEAR <= year <= _LAST_PLAIN_YEAR else f"{year:+05d}"
    return f"{shown}-{month:02d}-{day:02d}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"


def civil(days: int) -> tuple[int, int, int]:
    """Give year, month and day of a count of days since 1970 in the Gregorian calendar, of any year."""
    era, of_era = divmod(days + 719_468, 146_097)
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    day_of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year_of_era + era * 400 + (month <= 2), month, day_of_year - (153 * shifted + 2) // 5 + 1


def days_of(year: int, month: int, day: int) -> int:
    """Count the days since 1970 of a date, which has to exist or be near one that does."""
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468


def days_in(year: int, month: int) -> int:
    """Count the days of a month."""
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in {4, 6, 9, 11} else 31


_OFFSET: Final = re.compile(r"([+-])(\d\d?)(?::?(\d\d)(?::?(\d\d))?)?\Z")


@lru_cache(512)
def zone_of(name: str) -> tzinfo | None:
    """Find a zone by its name or offset; None when there is none of that name."""
    if name in {"Z", "UTC", "GMT", "UT"}:
        return UTC
    found = _OFFSET.match(name)
    if found:
        seconds = int(found[2]) * 3600 + int(found[3] or 0) * 60 + int(found[4] or 0)
        if int(found[2]) > 23 or int(found[3] or 0) > 59:
            return None
        return timezone(timedelta(seconds=-seconds if found[1] == "-" else seconds))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


@lru_cache(8192)
def in_zone(quarters: int, zone: tzinfo) -> int | None:
    """Give the offset in seconds of a local time, counted in quarter hours since 1970; None in a gap.

    In an overlap it is the earlier instant's.
    """
    plain_days = min(max(quarters // 96, days_of(1800, 1, 1)), days_of(9998, 1, 1))
    naive = datetime(1970, 1, 1) + timedelta(days=plain_days, minutes=quarters % 96 * 15)  # noqa: DTZ001
    aware = naive.replace(tzinfo=zone, fold=0)
    offset = aware.utcoffset() or timedelta()
    if (naive - offset).replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None) != naive:
        return None
    return int(offset.total_seconds())


_ISO: Final = re.compile(
    r"([+-]\d{4,9}|\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?"
    r"(Z|z|[+-]\d\d(?::?\d\d(?::?\d\d)?)?|[A-Za-z][A-Za-z0-9/_+-]+|\[[^\]]+\])?\Z",
    re.ASCII,
)


def parse_timestamp(text: str) -> Timestamp | None:
    """Read `@timestamp` of an event, by java.time's rules as Logstash has set them; None when it is no time.

    A missing zone is UTC. The 30th of February is the last day of February.
    """
    found = _ISO.match(text)
    if not found:
        return None
    year, month, day = int(found[1]), int(found[2]), int(found[3])
    hour, minute, second = int(found[4] or 0), int(found[5] or 0), int(found[6] or 0)
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour <= 23 and minute <= 59 and second <= 59):
        return None
    last = days_in(year, month)
    day = min(day, last)
    local = days_of(year, month, day) * DAY_SECONDS + hour * 3600 + minute * 60 + second
    zone = zone_of(
        (found[8] or "Z").strip("[]").upper() if len(found[8] or "Z") == 1 else found[8].strip("[]")
    )
    if zone is None:
        return None
    offset = in_zone(local // 900, zone)
    if offset is None:
        offset = in_zone(local // 900 + 4, zone) or 0
    return Timestamp((local - offset) * SECOND + int((found[7] or "0").ljust(9, "0")))
