"""Writing an instant in UTC by a pattern: Joda's (`%{+YYYY.MM.dd}`) and java.time's (`%{{yyyy-MM-dd}}`).

`Y` is the year of era to Joda, and the year that the week belongs to, by American weeks, to java.time.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from pipeline.logstash.date_names import ENGLISH
from pipeline.logstash.timestamp import DAY_SECONDS, MILLISECOND, SECOND, Timestamp, civil, days_of

__all__ = ["PatternError", "java_format", "joda_format", "tokens_of"]

_TOKEN: Final = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|([^A-Za-z']+)")
_CACHED: Final = 512
_SUB_SECOND: Final = frozenset("SnNA")


class PatternError(ValueError):
    """A pattern of dates is none, or has a letter that is not known."""


class Moment(NamedTuple):
    """An instant taken apart; weekdays count from Monday as 1."""

    year: int
    month: int
    day: int
    weekday: int
    day_of_year: int
    second_of_day: int
    nanosecond: int

    @classmethod
    def of(cls, nanoseconds: int) -> "Moment":
        """Take an instant apart."""
        seconds, nanosecond = divmod(nanoseconds, SECOND)
        days, second = divmod(seconds, DAY_SECONDS)
        year, month, day = civil(days)
        return cls(year, month, day, (days + 3) % 7 + 1, days - days_of(year, 1, 1) + 1, second, nanosecond)

    @property
    def hour(self) -> int:
        """The hour, from 0 to 23."""
        return self.second_of_day // 3600


Writer: TypeAlias = Callable[[Moment], str]


def tokens_of(pattern: str) -> list[tuple[str, str]]:
    """Take a pattern apart into letters, such as ("yyyy", ""), and literal texts, such as ("", "-")."""
    tokens: list[tuple[str, str]] = []
    place = 0
    while place < len(pattern):
        found = _TOKEN.match(pattern, place)
        if not found:
            raise PatternError(f"a quote without end in the pattern `{pattern}`")
        if found[2]:
            tokens.append((found[0], ""))
        elif found[1] is not None:
            tokens.append(("", found[1].replace("''", "'") or "'"))
        else:
            tokens.append(("", found[3]))
        place = found.end()
    return tokens


def joda_format(pattern: str) -> Callable[[Timestamp], str]:
    """Compile a pattern of Joda's; raises PatternError."""
    return _compiled(pattern, _joda_writer)


def java_format(pattern: str) -> Callable[[Timestamp], str]:
    """Compile a pattern of java.time's; raises PatternError."""
    return _compiled(pattern, _java_writer)


def _compiled(pattern: str, writer: Callable[[str], Writer]) -> Callable[[Timestamp], str]:
    tokens = tokens_of(pattern)
    if not tokens:
        raise PatternError("an empty pattern")
    writers = [_constant(literal) if not letters else writer(letters) for letters, literal in tokens]
    letters = {token[0][0] for token in tokens if token[0]}
    unit = (
        1
        if letters & _SUB_SECOND
        else SECOND
        if "s" in letters
        else SECOND * 60
        if "m" in letters
        else SECOND * 3600
    )
    cache: dict[int, str] = {}

    def write(instant: Timestamp) -> str:
        key = instant.nanoseconds // unit
        text = cache.get(key)
        if text is None:
            if len(cache) >= _CACHED:
                cache.clear()
            moment = Moment.of(instant.nanoseconds)
            text = cache[key] = "".join([write_part(moment) for write_part in writers])
        return text

    return write


def _constant(text: str) -> Writer:
    return lambda _moment: text


def iso_week(moment: Moment) -> tuple[int, int]:
    """Give the year and number of the week, which begins on Monday and belongs to the year of its Thursday."""
    return _week(moment, first_day=1, least_days=4)


def _week(moment: Moment, first_day: int, least_days: int) -> tuple[int, int]:
    since = (moment.weekday - first_day) % 7
    start = moment.day_of_year - 1 - since
    days = _days_of_year(moment.year)
    for year, offset in (
        (moment.year + 1, days),
        (moment.year, 0),
        (moment.year - 1, -_days_of_year(moment.year - 1)),
    ):
        relative = start - offset
        first = days_of(year, 1, 1)
        before = ((first + 3) % 7 + 1 - first_day) % 7
        begin = -before if 7 - before >= least_days else 7 - before
        if relative >= begin:
            return year, (relative - begin) // 7 + 1
    return moment.year, 1


def _days_of_year(year: int) -> int:
    return days_of(year + 1, 1, 1) - days_of(year, 1, 1)


def _pad(number: int, width: int) -> str:
    return f"-{-number:0{width}d}" if number < 0 else f"{number:0{width}d}"


def _half(hour: int) -> str:
    return ENGLISH.halves[hour >= 12]


def _number(letter: str, width: int) -> Writer | None:
    """Give what both kinds of pattern write as a number."""
    values: dict[str, Callable[[Moment], int]] = {
        "d": lambda m: m.day,
        "D": lambda m: m.day_of_year,
        "H": lambda m: m.hour,
        "k": lambda m: m.hour or 24,
        "K": lambda m: m.hour % 12,
        "h": lambda m: m.hour % 12 or 12,
        "m": lambda m: m.second_of_day // 60 % 60,
        "s": lambda m: m.second_of_day % 60,
    }
    value = values.get(letter)
    return None if value is None else lambda moment: _pad(value(moment), width)


def _joda_writer(letters: str) -> Writer:
    letter, width = letters[0], len(letters)
    plain = _number(letter, width)
    if plain:
        return plain
    writers: dict[str, Writer] = {
        "G": lambda m: "AD" if m.year > 0 else "BC",
        "C": lambda m: _pad(abs(m.year) // 100, width),
        "Y": lambda m: _year(m.year if m.year > 0 else 1 - m.year, width),
        "y": lambda m: _year(m.year, width),
        "x": lambda m: _year(iso_week(m)[0], width),
        "w": lambda m: _pad(iso_week(m)[1], width),
        "e": lambda m: _pad(m.weekday, width),
        "E": lambda m: (ENGLISH.days if width >= 4 else ENGLISH.short_days)[m.weekday - 1],
        "M": lambda m: _month(m, width),
        "a": lambda m: _half(m.hour),
        "S": lambda m: f"{m.nanosecond // MILLISECOND:03d}".ljust(width, "0")[:width],
        "z": lambda _m: "Coordinated Universal Time" if width >= 4 else "UTC",
        "Z": lambda _m: "+0000" if width == 1 else "+00:00" if width == 2 else "UTC",
    }
    if letter not in writers:
        raise PatternError(f"the letter `{letter}` is not one of Joda's patterns")
    return writers[letter]


def _java_writer(letters: str) -> Writer:
    letter, width = letters[0], len(letters)
    plain = _number(letter, width)
    if plain:
        return plain
    writers: dict[str, Writer] = {
        "G": lambda m: (
            ("AD" if m.year > 0 else "BC")
            if width < 4
            else ("Anno Domini" if m.year > 0 else "Before Christ")
        ),
        "u": lambda m: _year(m.year, width),
        "y": lambda m: _year(m.year if m.year > 0 else 1 - m.year, width),
        "Y": lambda m: _year(_week(m, 7, 1)[0], width),
        "w": lambda m: _pad(_week(m, 7, 1)[1], width),
        "M": lambda m: _month(m, width),
        "L": lambda m: _month(m, width),
        "Q": lambda m: _quarter(m, width),
        "q": lambda m: _quarter(m, width),
        "E": lambda m: _weekday(m, width),
        "e": lambda m: _pad(m.weekday % 7 + 1, width) if width < 3 else _weekday(m, width),
        "c": lambda m: _pad(m.weekday % 7 + 1, width) if width < 3 else _weekday(m, width),
        "a": lambda m: _half(m.hour),
        "S": lambda m: f"{m.nanosecond:09d}"[:width],
        "n": lambda m: _pad(m.nanosecond, width),
        "N": lambda m: _pad(m.second_of_day * SECOND + m.nanosecond, width),
        "A": lambda m: _pad(m.second_of_day * 1000 + m.nanosecond // MILLISECOND, width),
        "V": lambda _m: "Z",
        "z": lambda _m: "Z",
        "O": lambda _m: "GMT",
        "X": lambda _m: "Z",
        "x": lambda _m: ("+00", "+0000", "+00:00", "+0000", "+00:00")[min(width, 5) - 1],
        "Z": lambda _m: "+0000" if width < 4 else "GMT" if width == 4 else "Z",
    }
    if letter not in writers or (letter == "V" and width != 2) or (letter == "S" and width > 9):
        raise PatternError(f"`{letters}` is not one of java.time's patterns")
    return writers[letter]


def _year(year: int, width: int) -> str:
    return _pad(abs(year) % 100, 2) if width == 2 else _pad(year, width)


def _month(moment: Moment, width: int) -> str:
    if width <= 2:
        return _pad(moment.month, width)
    return (ENGLISH.short_months if width == 3 else ENGLISH.months)[moment.month - 1]


def _weekday(moment: Moment, width: int) -> str:
    return (ENGLISH.days if width == 4 else ENGLISH.short_days)[moment.weekday - 1]


def _quarter(moment: Moment, width: int) -> str:
    quarter = (moment.month + 2) // 3
    if width <= 2:
        return _pad(quarter, width)
    return f"Q{quarter}" if width == 3 else f"{('1st', '2nd', '3rd', '4th')[quarter - 1]} quarter"
