"""What filters may leave in an event → what JSON and Elasticsearch can hold."""

import json
import math
from typing import Any

import orjson

from pipeline.logstash.timestamp import Timestamp

__all__ = ["encoded", "plain"]

_LEAST, _MOST = -(1 << 63), (1 << 64) - 1


def plain(value: Any, *, exact: bool = False) -> Any:
    """Copy a value into one that orjson encodes: times as texts, lone surrogates as U+FFFD, no infinite numbers.

    Integers beyond 64 bits become texts, or with `exact` stay. Raises RecursionError for what is nested without end.
    """
    kind = value.__class__
    if kind is str:
        # `isascii` is a look at a flag.
        if value.isascii():
            return value
        return (
            value.encode("utf-8", "surrogatepass").decode("utf-8", "replace") if _is_broken(value) else value
        )
    if kind is dict:
        # Without a call for the texts, of which most of an event is.
        return {
            (name if name.isascii() else plain(name)): (
                inner if inner.__class__ is str and inner.isascii() else plain(inner, exact=exact)
            )
            for name, inner in value.items()
        }
    if kind is list:
        return [plain(inner, exact=exact) for inner in value]
    if kind is int:
        return value if exact or _LEAST <= value <= _MOST else str(value)
    if kind is float:
        return value if math.isfinite(value) else None
    if value is None or kind is bool:
        return value
    return str(value)


def _is_broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def encoded(document: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Give a document as JSON can hold it, and its JSON, exactly as Logstash would write its values.

    Raises RecursionError for what is nested without end, TypeError for what is nested too deep.
    """
    try:
        return _with_times_as_texts(document), orjson.dumps(document, default=_time)
    except TypeError:
        fields = plain(document, exact=True)
    try:
        return fields, orjson.dumps(fields)
    except TypeError:  # an integer beyond 64 bits
        return fields, json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def _time(value: Any) -> str:
    if isinstance(value, Timestamp):
        return str(value)
    raise TypeError(type(value).__name__)


def _with_times_as_texts(document: dict[str, Any]) -> dict[str, Any]:
    """Copy the root; what looks at documents, such as metrics, looks at times there only."""
    return {name: str(value) if value.__class__ is Timestamp else value for name, value in document.items()}
