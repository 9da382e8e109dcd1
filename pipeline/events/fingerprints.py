"""Error → fingerprint: the same for every occurrence of one fault, whatever ids and numbers it names.

What varies between two occurrences is replaced by a placeholder, in the message and in the stack trace alike:

===============================================================  =============
UUIDs, and runs of eight or more hex digits holding a digit      ``<id>``
``0x…``                                                          ``<hex>``
a path: its directories (its last part says which file it is)    dropped
an e-mail address                                                ``<email>``
numbers, with sign, fraction and unit-less exponent              ``<n>``
white space of any length                                        one space
===============================================================  =============
"""

import re
from functools import lru_cache
from hashlib import blake2b
from typing import Any

__all__ = ["FINGERPRINT_FIELD", "fingerprint", "pattern"]

FINGERPRINT_FIELD = "error.fingerprint"

# A trace deeper than this repeats itself; the outermost and the innermost calls are at its ends.
_LONGEST_TEXT = 8192
_HASH_BYTES = 8
_CACHED_ERRORS = 4096

# Of an event without a message: who has logged it, and what it is an instance of.
_LOGGERS = (
    "logger",
    "logger_name",
    "loggerName",
    "log.logger",
    "Category",
    "target",
    "name",
    "component",
    "service",
)
_TEMPLATES = (
    "@mt",
    "MessageTemplate",
    "messageTemplate",
    "event.action",
    "eventName",
    "type",
    "code",
    "path",
)
# What says when and where, and not what.
_OWN_NAMES = frozenset(
    {
        "@timestamp",
        "timestamp",
        "level",
        "log",
        "tags",
        "trace_id",
        "span_id",
        "service_name",
        "kafka",
        "unmapped",
    }
)

_VARIABLE = re.compile(
    r"""
      (?P<id> \b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b )
    | (?P<hex> \b0[xX][0-9a-fA-F]+\b )
    | (?P<email> [\w.+-]{1,64}@[\w-]+\.[\w.-]+ )
    | (?P<path> (?:[A-Za-z]:)?(?:[\\/][\w.@~+-]+)+[\\/](?=[\w.@~+-]) )
    | (?P<digest> \b(?=[a-fA-F]*[0-9])[0-9a-fA-F]{8,}\b )
    | (?P<n> [-+]?(?:\d+(?:[.,:]\d+)*)(?:[eE][-+]?\d+)? )
    | (?P<space> \s+ )
    """,
    re.VERBOSE,
)
_PLACEHOLDERS = {
    "id": "<id>",
    "hex": "<hex>",
    "email": "<email>",
    "path": "",
    "digest": "<id>",
    "n": "<n>",
    "space": " ",
}


def fingerprint(event: dict[str, Any]) -> str:
    """Give an error's fingerprint: 16 hex digits of its kind, message and stack trace.

    The kind is `context.exception_type` or `error.type`, the trace `context.stack_trace`,
    `error.stack_trace` or `stack_trace`; formats put there what loggers call otherwise. An error without a message
    has the logger as its kind, and its template or the names of its fields as its message. What is no text
    counts as absent; nothing makes this raise.
    """
    context = event.get("context")
    context = context if isinstance(context, dict) else {}
    error = event.get("error")
    error = error if isinstance(error, dict) else {}
    kind = _first_text(context.get("exception_type"), error.get("type"), event.get("error.type"))
    message = _first_text(event.get("message"), error.get("message"), event.get("error.message"))
    if not message:
        kind, message = kind or _first_text(*map(event.get, _LOGGERS)), _template(event)
    return _fingerprint(
        kind,
        message,
        _first_text(
            context.get("stack_trace"),
            error.get("stack_trace"),
            event.get("error.stack_trace"),
            event.get("stack_trace"),
        ),
    )


def _template(event: dict[str, Any]) -> str:
    """Give what an error without a message is known by: its template, or else its names and what names it."""
    return _first_text(*map(event.get, _TEMPLATES)) or " ".join(sorted(event.keys() - _OWN_NAMES))


def pattern(text: str) -> str:
    """Give a text with everything that varies replaced, as the table above says."""
    return _VARIABLE.sub(_placeholder, _ends(text)).strip()


def _placeholder(match: re.Match[str]) -> str:
    return _PLACEHOLDERS[match.lastgroup or ""]


@lru_cache(_CACHED_ERRORS)
def _fingerprint(kind: str, message: str, stack_trace: str) -> str:
    text = "\n".join((kind, pattern(message), pattern(stack_trace)))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_HASH_BYTES).hexdigest()


def _first_text(*values: object) -> str:
    """Give the first of the values that is a text, cut to what can matter."""
    for value in values:
        if type(value) is str:
            return value if len(value) <= _LONGEST_TEXT else _ends(value)
    return ""


def _ends(text: str) -> str:
    half = _LONGEST_TEXT // 2
    return text if len(text) <= _LONGEST_TEXT else text[:half] + text[-half:]
