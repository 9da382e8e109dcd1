"""The steps of the hot path that look at one column: values, sizes, ids, the fields that the next steps look at.

Each is called once a chunk, so that a function and a module of its own cost nothing.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain, compress, repeat
from operator import is_, itemgetter
from typing import Any, cast

import orjson

from pipeline.encode.record_chunk import ABSENT, STAND_IN, RecordChunk
from pipeline.events.field_names import LONGEST_NAME
from pipeline.events.repair import may_hold_large
from pipeline.events.trace_ids import NONE_TEXTS, is_none, normalise_trace_id

__all__ = [
    "columns_of",
    "decode_values",
    "encode_events",
    "filling",
    "leave_large_integers",
    "normalise_ids",
    "sizes_of",
]

# Nearly all ids are of these; others may be normal as well.
_HEX_AND_DASH = b"0123456789abcdef-"
# What `str.strip` takes away, of ASCII, and the x of `0x`.
_NOT_NORMAL = "\t\n\v\f\r\x1c\x1d\x1e\x1f x"

# An id of nothing but zeros, or one that is a word: the long ones hold the first, the others are compared whole.
_ZEROS = "0" * 8
_NONES = frozenset({*NONE_TEXTS, *("0" * length for length in range(1, len(_ZEROS)))})

_CONTEXTS = list(ABSENT).index("context")
_MESSAGES = list(ABSENT).index("message")
_row_of = itemgetter(*ABSENT)
_DICTIONARIES = {dict}
_CONTAINERS = {dict, list}
_SCALARS = frozenset({str, int, bool, type(None)})


def filling(column: list[Any], values: Iterator[Any], *errors: type[Exception]) -> Iterator[int]:
    """Put values into a column, all at one call; gives the position of each that raises an error.

    What came before it is in the column then, and its own place is the caller's to fill before it goes on.
    """
    while True:
        try:
            column.extend(values)
        except errors:
            yield len(column)
        else:
            return


def decode_values(chunk: RecordChunk, values: Sequence[bytes | None], longest: int) -> None:
    """Decode each value; what is no JSON is left to document.py, as is what may hold a name that is too long."""
    if longest > LONGEST_NAME:
        values = [None if len(value or b"") > LONGEST_NAME else value for value in values]
    # None raises too.
    for position in filling(chunk.events, map(orjson.loads, cast("Sequence[bytes]", values)), ValueError):
        chunk.uncommon.add(position)
        chunk.events.append(STAND_IN)


def columns_of(chunk: RecordChunk) -> list[tuple[Any, ...]]:
    """Take out of each event what the next steps look at: a column for each field of `ABSENT`."""
    events = chunk.events
    try:
        columns = list(zip(*map(_row_of, events), strict=True))
    except KeyError:
        columns = [
            tuple(map(dict.get, events, repeat(name), repeat(absent))) for name, absent in ABSENT.items()
        ]
    contexts = columns[_CONTEXTS]
    if not _DICTIONARIES.issuperset(map(type, contexts)):
        for position, context in enumerate(contexts):
            if type(context) is not dict:
                chunk.give_up(position)
        return columns_of(chunk)
    messages = columns[_MESSAGES]
    try:
        "".join(messages)  # the quickest way to see that all are texts: 8 ns each
    except TypeError:
        unusual = [position for position, message in enumerate(messages) if type(message) in _CONTAINERS]
        if unusual:
            # They may have the field `message.keyword`, which the mapping fills.
            for position in unusual:
                chunk.give_up(position)
            return columns_of(chunk)
    return columns


def normalise_ids(chunk: RecordChunk, traces: Sequence[Any], spans: Sequence[Any]) -> None:
    """Normalise the ids of traces and spans, if there is one among them that may not be normal."""
    try:
        text = _joined(traces) + _joined(spans)
        if (
            text.isascii()
            and (not text.encode().translate(None, _HEX_AND_DASH) or _is_normal(text))
            and _ZEROS not in text
            and _NONES.isdisjoint(traces)
            and _NONES.isdisjoint(spans)
        ):
            return
    except TypeError:  # a number, an object …
        pass
    chunk.normalised_ids = True
    for position, event in enumerate(chunk.events):
        for name in ("trace_id", "span_id"):
            identifier = event.get(name)
            if type(identifier) is float or (type(identifier) is str and is_none(identifier)):
                chunk.give_up(position)
                break
            if type(identifier) is not str:
                continue
            event[name] = normalise_trace_id(identifier)


def _is_normal(text: str) -> bool:
    return text.lower() == text and not any(map(text.__contains__, _NOT_NORMAL))


def _joined(identifiers: Sequence[Any]) -> str:
    """Write ids one behind the other; raises TypeError for one that is no text."""
    try:
        return "".join(identifiers)
    except TypeError:  # there may be events without one
        return "".join(filter(None, identifiers))


def encode_events(chunk: RecordChunk) -> list[bytes]:
    """Encode each event, with what stood around it."""
    events = chunk.events
    for position, outer in chunk.envelopes.items():
        events[position].update(outer)
    sources: list[bytes] = []
    for position in filling(sources, map(orjson.dumps, events), TypeError):  # nested too deep
        chunk.give_up(position)
        sources.append(b"{}")
    return sources


def sizes_of(values: Sequence[bytes | None]) -> list[int]:
    """Give the size of each value; without a Python frame an event while there is no tombstone among them."""
    try:
        return list(map(len, values))  # type: ignore[arg-type]
    except TypeError:
        return [len(value or b"") for value in values]


def leave_large_integers(
    chunk: RecordChunk, values: Sequence[bytes | None], contexts: Sequence[Any], tails: Sequence[bytes]
) -> None:
    """Leave events of the guide's names to document.py that may hold an integer beyond 64 bits.

    orjson has read it as a double, and writes it as one. So there is none in an event that ends, written again, as its
    record does (0.04 µs each); of the others the types of all values in the context tell whether there may be one.
    """
    events = chunk.events
    if len(chunk.odd) == len(events):
        return
    suspects: Sequence[int] = range(len(events))
    if chunk.owners is None:
        with suppress(TypeError):  # a tombstone
            # What does not end so stays the object that it is; `bytes.endswith` takes twice as long.
            left = map(bytes.removesuffix, cast("Sequence[bytes]", values), tails)
            suspects = list(compress(range(len(events)), map(is_, left, values)))
            if not suspects:
                return
    if len(suspects) > len(events) // 4 and _SCALARS.issuperset(
        map(type, chain.from_iterable(map(dict.values, contexts)))
    ):
        return
    odd = set(chunk.odd)
    for position in suspects:
        if position not in odd and may_hold_large(events[position]):
            chunk.give_up(position)
