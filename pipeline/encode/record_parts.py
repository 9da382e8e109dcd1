"""Records that hold several events, JSON arrays and what formats split, → the events, before any of them is read."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from pipeline.encode.record_chunk import STAND_IN, RecordChunk
from pipeline.events.formats import Format, Formats
from pipeline.events.otlp import split_json
from pipeline.events.repair import may_hold_large

__all__ = ["Parts", "split_records"]


class Parts(NamedTuple):
    """The events of a record, and what they are known to be by what was around them."""

    events: Sequence[dict[str, Any]]
    of: Format | None = None
    before: str = ""
    """What the name of their format begins with."""


def split_records(
    chunk: RecordChunk, formats: Formats, most: int, *, arrays_only: bool
) -> dict[int, tuple[Format, str]]:
    """Put the events of records that hold several into the chunk, each at a position of its own.

    What cannot be split here is left to document.py. Gives the formats that are known, by position.
    """
    records = [
        Parts((event,))
        if at in chunk.uncommon
        else _parts(event, formats, most, arrays_only=arrays_only) or _left(chunk, at)
        for at, event in enumerate(chunk.events)
    ]
    known: dict[int, tuple[Format, str]] = {}
    if any(each.of is not None or len(each.events) > 1 for each in records) or _has_arrays(chunk):
        chunk.split([each.events for each in records])
        at = 0
        for each in records:
            if each.of is not None:
                known.update(dict.fromkeys(range(at, at + len(each.events)), (each.of, each.before)))
            at += len(each.events)
    return known


def _has_arrays(chunk: RecordChunk) -> bool:
    return any(type(event) is not dict for event in chunk.events)


def _left(chunk: RecordChunk, position: int) -> Parts:
    chunk.uncommon.add(position)
    return Parts((STAND_IN,))


def _parts(value: Any, formats: Formats, most: int, *, arrays_only: bool) -> Parts | None:
    """Split a record; None for what is left to document.py."""
    if type(value) is list:
        usual = 0 < len(value) <= most and all(type(each) is dict for each in value)
        return Parts(value) if usual else None
    if type(value) is not dict:
        return None
    if arrays_only or formats.splitting.isdisjoint(value):
        return Parts((value,))
    of = formats.recognise(value)
    if of is None or of.split is None:
        return Parts((value,))
    if "fields" in value or "fields.service" in value:  # whose it is comes first
        return None
    if of.split == "otlp":
        records = list(split_json(value))
        then = formats.by_name[of.then or of.name]
        return Parts(records, then, f"{of.name}>") if 0 < len(records) <= most else None
    elements = value.get(of.split)
    if type(elements) is not list or not 0 < len(elements) <= most or may_hold_large(value):
        return None
    if not all(type(each) is dict for each in elements):
        return None
    rest = {name: each for name, each in value.items() if name != of.split}
    return Parts([{**rest, **each} for each in elements], of)
