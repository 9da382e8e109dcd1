"""Ids of traces and spans as tracers write them → the form of W3C Trace Context, and which of them are none.

======================  ==========================================================================================
Written                 Read as
======================  ==========================================================================================
Datadog                 a decimal number up to 64 bits: the same in 32 hex digits, zeros in front
AWS X-Ray               ``1-5759e988-bd862e3fe1be46a994272793``, also as ``Root=…``: the 32 hex digits in it
W3C ``traceparent``     ``00-<32 hex digits>-<16 hex digits>-01``
Zipkin's ``b3``         ``<trace id>-<span id>``, and what follows; or ``X-B3-TraceId`` and ``X-B3-SpanId``
none                    an empty text, nothing but zeros, ``null``, ``nil``, ``none``, ``undefined``, ``n/a``, ``-``
======================  ==========================================================================================
"""

import re
import string
from collections.abc import Iterable
from typing import Any, Final

__all__ = [
    "NONE_TEXTS",
    "datadog_to_w3c",
    "is_none",
    "normalise_trace_id",
    "of_b3",
    "of_headers",
    "of_traceparent",
    "xray_to_w3c",
]

NONE_TEXTS: Final = frozenset({"", "null", "nil", "none", "undefined", "n/a", "-", "<nil>"})

_match_xray = re.compile(r"(?:.*\bRoot=)?1-([0-9a-fA-F]{8})-([0-9a-fA-F]{24})(?:;.*)?").fullmatch
_match_traceparent = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?").fullmatch
_match_b3 = re.compile(r"([0-9a-fA-F]{32}|[0-9a-fA-F]{16})-([0-9a-fA-F]{16})(?:-.*)?").fullmatch
_match_decimal = re.compile(r"[0-9]{1,20}").fullmatch
_match_hex = re.compile(r"[0-9a-fA-F]{32}").fullmatch
_BITS = 64
_HEX = frozenset(string.hexdigits)
_TRACE_ID_LENGTHS = (16, 32)


def is_none(value: str) -> bool:
    """Tell whether an id says that there is none: W3C calls nothing but zeros invalid, others write words."""
    trimmed = value.strip()
    return not trimmed.strip("0") or trimmed.lower() in NONE_TEXTS


def normalise_trace_id(value: str) -> str:
    """Trim an id; lower-case it when it has the form of a W3C trace-id or parent-id.

    That is 32 or 16 hex digits, also behind `0x`. Source: W3C Trace Context, which
    requires lower case. Other ids, such as UUIDs with dashes, keep theirs.
    """
    trimmed = value.strip().removeprefix("0x")
    if len(trimmed) in _TRACE_ID_LENGTHS and _HEX.issuperset(trimmed):
        return trimmed.lower()
    return value.strip()


def datadog_to_w3c(value: Any) -> str | None:
    """Write a decimal trace id as 32 hex digits; one that is hexadecimal already stays as it is."""
    text = str(value) if type(value) is int else value
    if type(text) is not str:
        return None
    text = text.strip()
    if _match_hex(text):
        return text.lower()
    if _match_decimal(text) and 0 < int(text) < 1 << _BITS:
        return f"{int(text):032x}"
    return None


def xray_to_w3c(value: Any) -> str | None:
    """Take the 32 hex digits out of an X-Ray trace id, of which the first eight are its second."""
    match = _match_xray(value.strip()) if type(value) is str else None
    return (match[1] + match[2]).lower() if match else None


def of_traceparent(value: Any) -> tuple[str | None, str | None]:
    """Give trace and span of a `traceparent`."""
    match = _match_traceparent(value.strip()) if type(value) is str else None
    return (match[1], match[2]) if match else (None, None)


def of_b3(value: Any) -> tuple[str | None, str | None]:
    """Give trace and span of a `b3` header."""
    match = _match_b3(value.strip()) if type(value) is str else None
    return (match[1].lower(), match[2].lower()) if match else (None, None)


def of_headers(headers: Iterable[tuple[str, bytes | None]]) -> tuple[str | None, str | None]:
    """Give trace and span that a record's headers name: `traceparent`, else `b3`, else `X-B3-TraceId` and `-SpanId`."""
    given = {name.lower(): value.decode("latin-1").strip() for name, value in headers if value is not None}
    trace, span = of_traceparent(given.get("traceparent"))
    if trace is None:
        trace, span = of_b3(given.get("b3"))
    if trace is None:
        trace, span = of_b3(f"{given.get('x-b3-traceid')}-{given.get('x-b3-spanid')}")
    if trace is None or is_none(trace):
        return None, None
    return trace, None if span is None or is_none(span) else span
