"""Text around a payload that shippers and runtimes write: syslog, CRI, Docker's stream header, `@cee:`.

What stands in front becomes fields of an envelope, as a JSON shipper would have written them.
"""

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

__all__ = ["PARTIAL_TAG", "Framed", "unframe"]

PARTIAL_TAG = "_partialline"
"""A piece of a longer line; the pieces are not joined."""

_SEVERITIES: Final = ("ERROR", "ERROR", "ERROR", "ERROR", "WARN", "INFO", "INFO", "DEBUG")
_NIL: Final = "-"
_HIGHEST_PRIORITY = 191
_MONTHS: Final = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

_match_cri = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)) (stdout|stderr) ([FP])(?::[^ ]*)? (.*)",
    re.DOTALL,
).fullmatch
_match_octets = re.compile(r"\d{1,7} (<\d{1,3}>.*)", re.DOTALL).fullmatch
_match_priority = re.compile(r"<(\d{1,3})>(.*)", re.DOTALL).fullmatch
_match_5424 = re.compile(
    r"1 (\S+) (\S+) (\S+) (\S+) (\S+)(?: (-|(?:\[[^\]\"]*(?:\"(?:[^\"\\]|\\.)*\"[^\]\"]*)*\])+))?(?: (.*))?",
    re.DOTALL,
).fullmatch
_match_3164 = re.compile(
    r"(?:([A-Z][a-z]{2}) +(\d{1,2}) (?:(\d{4}) )?(\d\d:\d\d:\d\d(?:\.\d+)?)|(\d{4}-\d\d-\d\dT\S+)) (\S+) (.*)",
    re.DOTALL,
).fullmatch
_match_tag = re.compile(r"([^\s:\[\]]{1,64})(?:\[([^\]]*)\])?: ?(.*)", re.DOTALL).fullmatch
_match_cookie = re.compile(r"\s*@cee: ?(\{.*)", re.DOTALL).fullmatch
_PARAMETER: Final = re.compile(r'([^\s="\]]+)="((?:[^"\\\]]|\\.)*)"')
_ELEMENT: Final = re.compile(r"\[([^\s\]\"]+)((?:[^\]\"]|\"(?:[^\"\\]|\\.)*\")*)\]")


class Framed(NamedTuple):
    """What stood around a payload."""

    name: str
    fields: dict[str, Any]
    payload: str
    partial: bool = False


def unframe(text: str, year_of: Callable[[int, int], int]) -> Framed | None:
    """Take off what stands in front of a line's payload; None when nothing that is known does.

    `year_of` gives the year of a month and a day, which BSD's syslog does not write.
    """
    if match := _match_cookie(text):
        return Framed("cee", {}, match[1])
    if match := _match_cri(text):
        stamp, stream, flag, payload = match.groups()
        return Framed("cri", {"timestamp": stamp, "stream": stream}, payload, flag == "P")
    if match := _match_octets(text):
        text = match[1]
    if (match := _match_priority(text)) is None or int(match[1]) > _HIGHEST_PRIORITY:
        return None
    facility, severity = divmod(int(match[1]), 8)
    syslog: dict[str, Any] = {"severity": {"code": severity}, "facility": {"code": facility}}
    fields: dict[str, Any] = {"level": _SEVERITIES[severity], "log": {"syslog": syslog}}
    rest = match[2]
    if match := _match_5424(rest):
        return Framed("syslog", fields, _of_5424(match, fields, syslog))
    if match := _match_3164(rest):
        return Framed("syslog", fields, _of_3164(match, fields, syslog, year_of))
    return Framed("syslog", fields, rest)


def _fill(fields: dict[str, Any], **values: str) -> None:
    fields.update({name: value for name, value in values.items() if value != _NIL})


def _of_5424(match: re.Match[str], fields: dict[str, Any], syslog: dict[str, Any]) -> str:
    stamp, host, application, process, message_id, data, payload = match.groups()
    _fill(fields, timestamp=stamp, service=application, **{"host.name": host})
    _fill(syslog, procid=process, msgid=message_id)
    if data not in (None, _NIL):  # Heroku leaves it out
        syslog["structured_data"] = {
            element: {name: re.sub(r"\\(.)", r"\1", value) for name, value in _PARAMETER.findall(parameters)}
            for element, parameters in _ELEMENT.findall(data)
        }
    return (payload or "").removeprefix("\ufeff").rstrip("\n")


def _of_3164(
    match: re.Match[str], fields: dict[str, Any], syslog: dict[str, Any], year_of: Callable[[int, int], int]
) -> str:
    month, day, year, clock, stamp, host, rest = match.groups()
    if stamp is not None:
        fields["timestamp"] = stamp
    elif month in _MONTHS:
        number = _MONTHS.index(month) + 1
        fields["timestamp"] = f"{year or year_of(number, int(day))}-{number:02d}-{int(day):02d}T{clock}"
    fields["host.name"] = host
    if tag := _match_tag(rest):
        fields["service"] = tag[1]
        if tag[2]:
            syslog["procid"] = tag[2]
        rest = tag[3]
    return rest.rstrip("\n")
