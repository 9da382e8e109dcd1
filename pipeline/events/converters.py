"""What a format may say of a value that it takes: a closed set of conversions, each pure.

A converter gets the value and the event that it is from, and gives the canonical value, or None where the value is
not what the format takes it for. `LOSSLESS` are those whose result says all that the value said.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from pipeline.events.levels import normalise_level
from pipeline.events.trace_ids import datadog_to_w3c, of_b3, of_traceparent, xray_to_w3c

__all__ = ["CONVERTERS", "LOSSLESS", "Converter"]

Converter = Callable[[Any, dict[str, Any]], Any]

_SYSLOG: Final = ("ERROR", "ERROR", "ERROR", "ERROR", "WARN", "INFO", "INFO", "DEBUG")
# OpenTelemetry: 1 to 4 TRACE, 5 to 8 DEBUG, 9 to 12 INFO, 13 to 16 WARN, 17 to 20 ERROR, 21 to 24 FATAL.
_OTEL: Final = (None, *["DEBUG"] * 8, *["INFO"] * 4, *["WARN"] * 4, *["ERROR"] * 8)
_OTEL_NAME: Final = re.compile(r"SEVERITY_NUMBER_([A-Z]+[2-4]?)").fullmatch
_KNOWN: Final = frozenset({"ERROR", "WARN", "INFO", "DEBUG"})
_MONTHS: Final = {
    name: f"{number:02d}"
    for number, name in enumerate(
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], start=1
    )
}
_match_common_log = re.compile(
    r"\[?(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d:\d\d:\d\d(?:\.\d+)?) ([+-]\d{4})\]?"
).fullmatch
_ANSI: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_PLACEHOLDER: Final = re.compile(r"\{[@$]?([A-Za-z_][A-Za-z0-9_.]*)(?:,-?\d+)?(?::[^}]*)?\}")
_MOST_DIGITS = 9
_LAST_BYTE = 255


def _whole(value: Any) -> int | None:
    """Read a whole number, also as text."""
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    if type(value) is str and value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS:
        return int(value)
    return None


def _syslog_severity(value: Any, _event: dict[str, Any]) -> Any:
    number = _whole(value)
    if number is None:
        return _level_name(value, _event)
    return _SYSLOG[number] if 0 <= number < len(_SYSLOG) else None


def _syslog_priority(value: Any, _event: dict[str, Any]) -> Any:
    """Take the severity out of RFC 5424's PRI, facility times eight plus severity."""
    number = _whole(value)
    return _SYSLOG[number % 8] if number is not None and 0 <= number < 24 * 8 else None


def _otel_severity(value: Any, _event: dict[str, Any]) -> Any:
    if type(value) is str and (match := _OTEL_NAME(value)):
        return normalise_level(match[1])
    number = _whole(value)
    return _OTEL[number] if number is not None and 0 <= number < len(_OTEL) else None


def _level_name(value: Any, _event: dict[str, Any]) -> Any:
    """Take a text that is the name of a level."""
    return value if type(value) is str and normalise_level(value) in _KNOWN else None


def _seconds_nanos(value: Any, _event: dict[str, Any]) -> Any:
    """Join `{"epochSecond": …, "nanoOfSecond": …}` or `{"seconds": …, "nanos": …}`, numbers or texts."""
    if type(value) is not dict:
        return None
    for seconds_name, nanos_name in (("epochSecond", "nanoOfSecond"), ("seconds", "nanos")):
        seconds, nanos = value.get(seconds_name), _whole(value.get(nanos_name, 0))
        if type(seconds) is str and seconds.isascii() and seconds.isdigit():
            seconds = int(seconds[:12])
        if type(seconds) is int and nanos is not None and 0 <= nanos < 1_000_000_000:  # noqa: PLR2004
            return f"{seconds}.{nanos:09d}"
    return None


def _text_seconds_nanos(value: Any, event: dict[str, Any]) -> Any:
    """Join Google's `timestampSeconds` with the `timestampNanos` beside it."""
    return _seconds_nanos({"seconds": value, "nanos": event.get("timestampNanos", 0)}, event)


def _common_log(value: Any, _event: dict[str, Any]) -> Any:
    """Read the time of the Common Log Format: `23/Nov/2026:10:17:00 +0000`."""
    match = _match_common_log(value) if type(value) is str else None
    if match is None or match[2] not in _MONTHS:
        return None
    return f"{match[3]}-{_MONTHS[match[2]]}-{match[1]}T{match[4]}{match[5]}"


def _last_segment(value: Any, _event: dict[str, Any]) -> Any:
    return (value.rstrip("/").rpartition("/")[2] or None) if type(value) is str else None


def _program(value: Any, _event: dict[str, Any]) -> Any:
    """Take the program out of a syslog tag: `inventory[711]:`."""
    return (re.split(r"[\[:]", value.strip(), maxsplit=1)[0] or None) if type(value) is str else None


def _strip(value: Any, _event: dict[str, Any]) -> Any:
    return value.strip() if type(value) is str else None


def _line(value: Any, _event: dict[str, Any]) -> Any:
    """Take a line without what ends it."""
    return value.rstrip("\r\n") if type(value) is str else None


def _strip_ansi(value: Any, _event: dict[str, Any]) -> Any:
    return _ANSI.sub("", value) if type(value) is str else None


def _lines(value: Any, _event: dict[str, Any]) -> Any:
    """Join a list of lines, or of a stack's frames as log4j2 and .NET write them."""
    if type(value) is str:
        return value or None
    if type(value) is not list or not value:
        return None
    return "\n".join(each if type(each) is str else _frame(each) for each in value)


def _frame(value: Any) -> str:
    if type(value) is not dict:
        return str(value)
    if "class" in value and "method" in value:
        return f"\tat {value['class']}.{value['method']}({value.get('file')}:{value.get('line')})"
    return " ".join(f"{name}={part}" for name, part in value.items() if type(part) not in (dict, list))


def _bytes_text(value: Any, _event: dict[str, Any]) -> Any:
    """Read a text, or the list of its bytes that journald writes when it is not printable."""
    if type(value) is str:
        return value
    if type(value) is list and value and all(type(each) is int and 0 <= each <= _LAST_BYTE for each in value):
        return bytes(value).decode("utf-8", "replace")
    return None


def _rendered(value: Any, event: dict[str, Any]) -> Any:
    """Fill the places of a message template (messagetemplates.org) with the event's own properties."""
    if type(value) is not str:
        return None
    properties = event.get("Properties")
    properties = properties if type(properties) is dict else event

    def fill(match: re.Match[str]) -> str:
        found = properties.get(match[1])
        return match[0] if found is None or type(found) in (dict, list) else str(found)

    return _PLACEHOLDER.sub(fill, value)


CONVERTERS: Final[dict[str, Converter]] = {
    "syslog_severity": _syslog_severity,
    "syslog_priority": _syslog_priority,
    "otel_severity": _otel_severity,
    "level_name": _level_name,
    "seconds_nanos": _seconds_nanos,
    "google_seconds": _text_seconds_nanos,
    "common_log_time": _common_log,
    "last_segment": _last_segment,
    "program": _program,
    "strip": _strip,
    "line": _line,
    "strip_ansi": _strip_ansi,
    "lines": _lines,
    "bytes_text": _bytes_text,
    "rendered": _rendered,
    "datadog": lambda value, _event: datadog_to_w3c(value),
    "xray": lambda value, _event: xray_to_w3c(value),
    "traceparent_trace": lambda value, _event: of_traceparent(value)[0],
    "traceparent_span": lambda value, _event: of_traceparent(value)[1],
    "b3_trace": lambda value, _event: of_b3(value)[0],
    "b3_span": lambda value, _event: of_b3(value)[1],
}

LOSSLESS: Final = frozenset(
    {"level_name", "seconds_nanos", "common_log_time", "strip", "line", "lines", "bytes_text"}
)
