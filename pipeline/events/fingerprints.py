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
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

__all__ = ["FINGERPRINT_FIELD", "fingerprint", "pattern"]

FINGERPRINT_FIELD = "error.fingerprint"

# A trace deeper than this repeats itself; the outermost and the innermost calls are at its ends.
_LONGEST_TEXT = 8192
_HASH_BYTES = 8
# An error storm repeats its lines and words, and the calls of its stack traces, but seldom a whole text: ids are in the
# message, which is the first line of a trace in some languages and the last in others.
_CACHED_ERRORS = 4096
_CACHED_CALLS = 1024
_CACHED_LINES = 16_384
_CACHED_WORDS = 4096
# Longer lines and words are not kept, so that no cache grows beyond some megabytes.
_LONGEST_CACHED = 512

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

_EMAIL = r"(?P<email> [\w.+-]{1,64}@[\w-]+\.[\w.-]+ )"
_VARIABLE = r"""
      (?P<id> \b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b )
    | (?P<hex> \b0[xX][0-9a-fA-F]+\b )
    | %s (?P<path> (?:[A-Za-z]:)?(?:[\\/][\w.@~+-]+)+[\\/](?=[\w.@~+-]) )
    | (?P<digest> \b(?=[a-fA-F]*[0-9])[0-9a-fA-F]{8,}\b )
    | (?P<n> [-+]?(?:\d+(?:[.,:]\d+)*)(?:[eE][-+]?\d+)? )
"""
# In a word without an @ no e-mail address has to be looked for, which is what takes the time.
_IN_WORD = re.compile(_VARIABLE % "", re.VERBOSE)
_IN_WORD_WITH_AT = re.compile(_VARIABLE % f"{_EMAIL} |", re.VERBOSE)
_PLACEHOLDERS = {
    "id": "<id>",
    "hex": "<hex>",
    "email": "<email>",
    "path": "",
    "digest": "<id>",
    "n": "<n>",
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
    stack_trace = _first_text(
        context.get("stack_trace"),
        error.get("stack_trace"),
        event.get("error.stack_trace"),
        event.get("stack_trace"),
    )
    return _hash(kind, _pieces(message), _pieces(stack_trace))


def _template(event: dict[str, Any]) -> str:
    """Give what an error without a message is known by: its template, or else its names and what names it."""
    return _first_text(*map(event.get, _TEMPLATES), " ".join(sorted(event.keys() - _OWN_NAMES)))


def pattern(text: str) -> str:
    """Give a text with everything that varies replaced, as the table above says."""
    return _joined(_pieces(_ends(text)))


class _Pieces(NamedTuple):
    """The patterns of a text's first line, of its last, and of what is between them; some may be empty."""

    first: str
    between: str
    last: str


def _pieces(text: str) -> _Pieces:
    # White space of any length is one space, so that each line, and each word of it, has a pattern of its own:
    # nothing that is replaced reaches over white space.
    first, _, rest = text.partition("\n")
    between, _, last = rest.rpartition("\n")
    return _Pieces(_line_pattern(first), _lines_pattern(between) if between else "", _line_pattern(last))


def _joined(pieces: Iterable[str]) -> str:
    return " ".join(filter(None, pieces))


@lru_cache(_CACHED_CALLS)
def _lines_pattern(text: str) -> str:
    return _joined(map(_line_pattern, text.split("\n")))


def _line_pattern(line: str) -> str:
    return _cached_line_pattern(line) if len(line) <= _LONGEST_CACHED else _words_pattern(line)


def _words_pattern(line: str) -> str:
    return " ".join([word if word.isalpha() else _word_pattern(word) for word in line.split()])


_cached_line_pattern = lru_cache(_CACHED_LINES)(_words_pattern)


def _word_pattern(word: str) -> str:
    return _cached_word_pattern(word) if len(word) <= _LONGEST_CACHED else _replace_in_word(word)


def _replace_in_word(word: str) -> str:
    return (_IN_WORD_WITH_AT if "@" in word else _IN_WORD).sub(_placeholder, word)


_cached_word_pattern = lru_cache(_CACHED_WORDS)(_replace_in_word)


def _placeholder(match: re.Match[str]) -> str:
    return _PLACEHOLDERS[match.lastgroup or ""]


@lru_cache(_CACHED_ERRORS)
def _hash(kind: str, message: _Pieces, stack_trace: _Pieces) -> str:
    text = "\n".join((kind, _joined(message), _joined(stack_trace)))
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
