"""The steps of the hot path that look at one column: values, sizes, ids, the fields that the next steps look at.

Each is called once a chunk, so that a function and a module of its own cost nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from operator import itemgetter
from typing import Any, cast

import orjson

from pipeline.encode.record_chunk import ABSENT, STAND_IN, RecordChunk
from pipeline.events.document import normalise_trace_id
from pipeline.events.field_names import LONGEST_NAME
from pipeline.events.repair import GUIDE_TEXTS, may_hold_large
from pipeline.events.trace_ids import NONE_TEXTS, is_none

__all__ = [
    "columns_of",
    "decode_values",
    "encode_events",
    "filling",
    "leave_large_integers",
    "normalise_ids",
    "sizes_of",
]

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
_GUIDE_NAMES = frozenset({*ABSENT, *GUIDE_TEXTS})


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
        text = "".join(filter(None, chain(traces, spans)))
        if (
            text.isascii()
            and text.lower() == text
            and _ZEROS not in text
            and not any(map(text.__contains__, _NOT_NORMAL))
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


def encode_events(chunk: RecordChunk) -> list[bytes]:
    """Encode each event, with what stood around it."""
    events = chunk.events
    for position, outer in chunk.envelopes.items():
        events[position].update(outer)
    sources: list[bytes] = []
    encoded = map(orjson.dumps, events, repeat(None), repeat(orjson.OPT_APPEND_NEWLINE))
    for position in filling(sources, encoded, TypeError):  # nested too deep
        chunk.give_up(position)
        sources.append(b"{}\n")
    return sources


def sizes_of(values: Sequence[bytes | None]) -> list[int]:
    """Give the size of each value; without a Python frame an event while there is no tombstone among them."""
    try:
        return list(map(len, values))  # type: ignore[arg-type]
    except TypeError:
        return [len(value or b"") for value in values]


def leave_large_integers(chunk: RecordChunk, contexts: Sequence[Any]) -> None:
    """Leave events to document.py that may hold an integer beyond 64 bits, which orjson has read as a double.

    Events with other fields than the guide's are looked at one by one; of the guide's own the types of all values in
    the context tell whether there may be one, at 0.02 µs a value. Ids that are numbers go to document.py anyway.
    """
    events = chunk.events
    suspects: Iterable[int] = ()
    if chunk.names is None or not _GUIDE_NAMES.issuperset(chunk.names):
        suspects = [at for at, usual in enumerate(map(_GUIDE_NAMES.issuperset, events)) if not usual]
    if not _SCALARS.issuperset(map(type, chain.from_iterable(map(dict.values, contexts)))):
        suspects = range(len(events))
    for position in suspects:
        if may_hold_large(events[position]):
            chunk.give_up(position)
