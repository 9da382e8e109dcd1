"""Bring the severities of many loggers down to four: ERROR, WARN, INFO and DEBUG.

===========  ===============================================================================================
Level        Names (in any case, whitespace around them ignored), and who writes them
===========  ===============================================================================================
``ERROR``    error, fatal (log4j, pino, zap), critical (Python, spdlog, Monolog), severe (java.util.logging),
             emerg, alert, crit, err (RFC 5424, nginx), emergency (Google Cloud Logging, Monolog), panic
             (zap, PostgreSQL), dpanic (zap), fail (Microsoft.Extensions.Logging), failure, eror, erro, ftl, fatl
             (Serilog), pnc (zerolog), E, F (glog, MongoDB, Serilog), C (spdlog)
``WARN``     warn, warning, wrn (Serilog, zerolog), W
``INFO``     info, information (.NET), informational (RFC 5424), notice (RFC 5424, PostgreSQL), log
             (PostgreSQL), success (loguru), config (java.util.logging: slf4j's bridge has it as info), audit
             (WebSphere Liberty), inf (Serilog, zerolog), I
``DEBUG``    debug, dbg, dbug, trace, trce, trc, verbose, verb, vrb (.NET, Serilog, zerolog), fine, finer,
             finest (java.util.logging), silly (winston), spam (verboselogs), D, T (spdlog), V (Android,
             Serilog); debug1 to debug5 (PostgreSQL), D1 to D5 (MongoDB), trace1 to trace8 (Apache httpd)
as its name  OpenTelemetry's finer steps, ``TRACE2`` to ``FATAL4``, and Go slog's, ``DEBUG-4``, ``INFO+2``
10 to 69     pino and bunyan: 10 and 20 DEBUG, 30 INFO, 40 WARN, 50 and 60 ERROR; a number in between counts
             as the one below it. Integers, floats without a fraction, and strings of either.
0 to 7       syslog, only on request: 0 to 3 ERROR, 4 WARN, 5 and 6 INFO, 7 DEBUG
===========  ===============================================================================================

Around a name, colour codes, brackets, colons, quotes, NULs and characters without width are ignored.
Any other name is kept, upper-cased and trimmed: it says more than a guess. Any other number, an empty
string, and everything that is neither string nor number has no level (``None``).
"""

import re
from typing import Final

__all__ = ["normalise_level"]

_NAMES: Final = {
    "ERROR": "error err eror e fatal fatl ftl f critical crit c severe emergency emerg alert panic pnc dpanic"
    " fail failure erro error2 error3 error4 fatal2 fatal3 fatal4",
    "WARN": "warn warning wrn w warn2 warn3 warn4",
    "INFO": "info information informational inf i notice log success config audit info2 info3 info4",
    "DEBUG": "debug dbug dbg d debug1 debug2 debug3 debug4 debug5 d1 d2 d3 d4 d5 verbose verb vrb v silly"
    " trace trce trc t trace1 trace2 trace3 trace4 trace5 trace6 trace7 trace8 fine finer finest spam",
}
_BY_NAME: Final = {
    spelling: level
    for level, names in _NAMES.items()
    for name in names.split()
    for spelling in (name, name.upper(), name.capitalize())
}
_BY_NUMBER: Final[dict[float, str]] = {
    number: "DEBUG" if number < 30 else "INFO" if number < 40 else "WARN" if number < 50 else "ERROR"  # noqa: PLR2004
    for number in range(10, 70)
}
_WITH_SYSLOG: Final[dict[float, str]] = _BY_NUMBER | dict(
    enumerate(("ERROR", "ERROR", "ERROR", "ERROR", "WARN", "INFO", "INFO", "DEBUG"))
)

_match_number = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?").fullmatch
_match_slog = re.compile(r"(DEBUG|INFO|WARN|ERROR)[+-][0-9]+").fullmatch

_DECORATION: Final = re.compile(
    "(?:\x1b|\u241b)\\[[0-9;]*[A-Za-z]|[\x00-\x08\x0e-\x1f\x7f\u00ad\u200b-\u200f\u2060\ufeff]"
)
_AROUND: Final = " \t\r\n\v\f[](){}<>:|*\"'"


def normalise_level(value: object, *, syslog_numbers: bool = False) -> str | None:
    """Read a JSON value as a severity, by the table at the top of this module.

    Args:
        value: anything out of a JSON document; nothing makes this raise.
        syslog_numbers: whether 0 to 7 are the severities of RFC 5424.

    Returns:
        ERROR, WARN, INFO or DEBUG; an unknown name in upper case, however long; None for no level.

    """
    if type(value) is str:
        level = _BY_NAME.get(value)  # one look-up for nearly every event: 0.1 µs
        if level is not None:
            return level
        return _from_text(value, _WITH_SYSLOG if syslog_numbers else _BY_NUMBER)
    if type(value) is int or type(value) is float:
        return (_WITH_SYSLOG if syslog_numbers else _BY_NUMBER).get(value)  # 30.0 finds 30
    return None


def _from_text(text: str, by_number: dict[float, str]) -> str | None:
    name = text.strip().upper()
    if not name:
        return None
    bare = _undecorated(name)
    if (level := _BY_NAME.get(bare)) is not None:
        return level
    if _match_number(bare) is not None:
        return by_number.get(float(bare))
    if (match := _match_slog(bare)) is not None:
        return match[1]
    return name


def _undecorated(text: str) -> str:
    """Take off colours, brackets, colons, NULs and characters without width: a red `[ERROR]:` is ERROR."""
    if text.isascii() and text.isalnum():
        return text
    return _DECORATION.sub("", text).strip(_AROUND)
