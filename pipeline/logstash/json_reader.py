"""Reading JSON as Logstash's Jackson does: integers of any size, a lone surrogate ends its text, no NaN.

orjson reads nearly all of it. What it refuses or would round goes to the standard library's reader.
"""

import json
import re
from json.decoder import JSONDecoder
from typing import Any, Final

import orjson

__all__ = ["JsonError", "read_first", "read_whole"]

_LONG_NUMBER: Final = re.compile(r"\d{19}")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_BLANK: Final = " \t\n\r"


class JsonError(ValueError):
    """A text is no JSON."""


def _refuse(text: str) -> Any:
    raise JsonError(f"{text} is no JSON")


def _number(text: str) -> float:
    value = float(text)
    if value in {float("inf"), float("-inf")}:
        raise JsonError(f"{text} is too large")
    return value


_DECODER: Final = JSONDecoder(parse_constant=_refuse, parse_float=_number, strict=True)


def read_whole(text: str) -> Any:
    """Read one document that is the whole text; raises JsonError."""
    if not _LONG_NUMBER.search(text):
        try:
            return orjson.loads(text)
        except ValueError:
            pass
    value, end = _read(text)
    if text[end:].strip(_BLANK):
        raise JsonError("something follows the document")
    return value


def read_first(text: str) -> Any:
    """Read the first document of a text, as the codec `json` does; raises JsonError."""
    if not _LONG_NUMBER.search(text):
        try:
            return orjson.loads(text)
        except ValueError:
            pass
    return _read(text)[0]


def _read(text: str) -> tuple[Any, int]:
    start = len(text) - len(text.lstrip(_BLANK))
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (json.JSONDecodeError, RecursionError) as error:
        raise JsonError(str(error)) from None
    except ValueError as error:  # an integer with too many digits for int()
        raise JsonError(str(error)) from None
    return (_cut(value) if "\\u" in text or _SURROGATE.search(text) else value), end


def _cut(value: Any) -> Any:
    """Cut texts at a lone surrogate."""
    if value.__class__ is str:
        found = _SURROGATE.search(value)
        return value[: found.start()] if found else value
    if value.__class__ is dict:
        return {_cut(name): _cut(inner) for name, inner in value.items()}
    if value.__class__ is list:
        return [_cut(inner) for inner in value]
    return value
