"""Numbers as people read them: times, rates, bytes."""

__all__ = ["as_bytes", "as_count", "as_duration", "as_rate"]

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_FEW = 10
_THOUSAND = 1000
_LARGE = 10_000
_BYTE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def as_duration(seconds: float) -> str:
    """Write a time with its two largest units: `40 ms`, `42 s`, `3 min 5 s`, `2 d 4 h`."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _FEW:
        return f"{seconds:.1f} s" if seconds else "0 s"
    if round(seconds) < _MINUTE:
        return f"{seconds:.0f} s"
    for unit, name, part, part_name in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", 1, "s"),
    ):
        if round(seconds) >= unit:
            whole, rest = divmod(round(seconds / part), unit // part)
            return f"{whole} {name} {rest} {part_name}" if rest else f"{whole} {name}"
    raise AssertionError  # a minute is the smallest of them


def as_rate(per_second: float) -> str:
    """Write a rate: `0/s`, `0.3/s`, `1,234/s`, `1.2M/s`."""
    if 0 < per_second < _FEW:
        return f"{per_second:.1f}/s"
    return f"{as_count(per_second)}/s"


def as_count(number: float) -> str:
    """Write a number with three digits or four: `999`, `1,234`, `56.7k`, `1.2M`, `3.4G`."""
    if abs(number) < _LARGE:
        return f"{number:,.0f}"
    for unit in "kMGT":
        number /= _THOUSAND
        if abs(number) < _THOUSAND:
            return f"{number:.1f}{unit}"
    return f"{number:,.0f}T"


def as_bytes(number: float) -> str:
    """Write bytes in the largest unit of which there is one: `512 B`, `2.0 MiB`."""
    for unit in _BYTE_UNITS:
        if abs(number) < 1024 or unit == _BYTE_UNITS[-1]:  # noqa: PLR2004 - what the units are made of
            break
        number /= 1024
    return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
