"""Stamps → the canonical form, and the form of the lines that events of an hour have in common."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC
from itertools import repeat
from operator import itemgetter
from typing import Any

import orjson

from pipeline.encode.record_chunk import HourTemplate, PartitionCache, RecordChunk
from pipeline.events.document import DocumentBuilder
from pipeline.events.ids import BLOCK_BITS, Coordinates, document_id, routing_of
from pipeline.events.indices import AHEAD_MS, EARLIEST_MS, Indices, is_plausible
from pipeline.events.timestamps import Timestamp, parse_timestamp, text_of_usual_number

__all__ = ["LineTemplates", "action_line", "are_canonical", "in_other_indices"]

_HOUR_MS = 3_600_000
_MOST_CACHED_HOURS = 256

# The canonical form of a stamp: 2024-01-15T10:30:00.123Z. Its first 13 characters name the hour; behind each
# comes a newline, in the text that is made of all stamps of a chunk.
_HOUR_LENGTH = 13
_OFFSET_DIGITS = 12  # of an offset in an id, as `document_id` writes it
_CANONICAL_LENGTH = len("2024-01-15T10:30:00.123Z")
_STRIDE = _CANONICAL_LENGTH + 1
_DIGITS_TO_ZERO = str.maketrans("123456789", "0" * 9)
_CANONICAL_FORM = "0000-00-00T00:00:00.000Z\n"
_TENS_OF_MINUTES = slice(14, None, _STRIDE)
_TENS_OF_SECONDS = slice(17, None, _STRIDE)

# Of a record that goes to document.py.
_NO_HOUR = HourTemplate(b"", -sys.maxsize, sys.maxsize)
_NO_TIMES = (sys.maxsize, -sys.maxsize)


_beginning = itemgetter(slice(None, _HOUR_LENGTH))


_BEFORE_INDEX = b'{"create":{"_index":"'
_INDEX = b'"_index":"'
_BLOCK = b"\0"
"""Stands for the number of the block in the routing of a form of lines: it changes more often than the hour."""
_BEFORE_ID = b'","_id":"'


def in_other_indices(templates: list[bytes], indices: Mapping[int, str], ours: Indices) -> None:
    """Put other names of indices into some forms of lines; with routing where `Router.placed` has it."""
    known: dict[tuple[bytes, str], bytes] = {}
    for position, name in indices.items():
        template = templates[position]
        if not template:  # of a record that goes to document.py
            continue
        key = template, name
        if key not in known:
            end = template[template.index(_BEFORE_ID) :]
            before = template[: template.index(_INDEX) + len(_INDEX)] if ours.holds(name) else _BEFORE_INDEX
            known[key] = before + name.encode().replace(b"%", b"%%") + end
        templates[position] = known[key]


class LineTemplates:
    """Find the hours of events; the index, the id and the window are looked at once an hour and partition."""

    def __init__(self, builder: DocumentBuilder) -> None:
        self._builder = builder

    def of(self, chunk: RecordChunk) -> list[bytes]:
        """Give the form of the lines of each record."""
        cache, stamps = chunk.cache, chunk.stamps
        first, last = chunk.first_ms, chunk.last_ms
        if first < EARLIEST_MS or last > chunk.now_ms + AHEAD_MS:
            _give_up_implausible(chunk)
        newest_day = self._builder.indices.newest_day(chunk.now_ms)
        if newest_day != cache.newest_day:
            cache.hours_by_width.clear()
            cache.newest_day = newest_day
        cache.offset_width = _width(chunk.offsets)
        cache.hours = cache.hours_by_width.setdefault(cache.offset_width, {})
        text = self._make_canonical(chunk)
        hour = cache.hours.get(text[:_HOUR_LENGTH])
        if hour is not None and text.count(text[:_HOUR_LENGTH]) == len(stamps):
            hours = different = [hour]
            templates = [hour.template] * len(stamps)
        else:
            begins = list(map(_beginning, stamps))
            found = {begin: hour for begin in set(begins) if (hour := cache.hours.get(begin)) is not None}
            try:
                by_beginning = {begin: hour.template for begin, hour in found.items()}
                templates = list(map(by_beginning.__getitem__, begins))
                hours, different = [], list(found.values())
            except KeyError:
                hours = different = [
                    cache.hours.get(stamp[:_HOUR_LENGTH]) or self._unknown_hour(chunk, position)
                    for position, stamp in enumerate(stamps)
                ]
                templates = [hour.template for hour in hours]
        if not all(hour.earliest_ms <= first and last <= hour.latest_ms for hour in different):
            hours = [found[begin] for begin in begins] if not hours else hours * (len(stamps) // len(hours))
            for position, (hour, time) in enumerate(zip(hours, chunk.times, strict=True)):
                if not hour.earliest_ms <= time <= hour.latest_ms:
                    chunk.give_up(position)
        cache.last_stamp = stamps[-1]
        return _routed(templates, chunk.offsets[0]) if cache.topic_key else templates

    def _make_canonical(self, chunk: RecordChunk) -> str:
        """Write stamps of other forms in the canonical one; gives all of them as lines."""
        stamps = chunk.stamps
        with suppress(TypeError):
            text = _as_lines(stamps)
            if _are_canonical(text, len(stamps)):
                return text
        utc = self._builder.events.zone is UTC
        # Mostly it is a few, and their length tells which, or numbers.
        for position, stamp in enumerate(stamps):
            if type(stamp) is str and len(stamp) == _CANONICAL_LENGTH:
                continue
            usual = _python_time(stamp) if utc and type(stamp) is str else None
            usual = usual or text_of_usual_number(stamp)
            if usual is None:
                self._make_one_canonical(chunk, position)
            else:
                stamps[position] = usual
        text = _as_lines(stamps)
        if _are_canonical(text, len(stamps)):
            return text
        for position, canonical in enumerate(_which_are_canonical(stamps, text)):
            if not canonical:
                self._make_one_canonical(chunk, position)
        return _as_lines(stamps)

    def _make_one_canonical(self, chunk: RecordChunk, position: int) -> None:
        if position not in chunk.uncommon:
            time = parse_timestamp(chunk.stamps[position], self._builder.events.zone)
            if time is None:
                chunk.give_up(position)
            else:
                chunk.stamps[position] = time.text

    def _unknown_hour(self, chunk: RecordChunk, position: int) -> HourTemplate:
        """Give the hour of an event whose stamp does not begin as one that is known."""
        time = None if position in chunk.uncommon else parse_timestamp(chunk.stamps[position])
        if time is None:
            chunk.give_up(position)
            return _NO_HOUR
        chunk.stamps[position] = time.text  # another where it is 24:00, which is the next day
        return chunk.cache.hours.get(time.text[:_HOUR_LENGTH]) or self._learn_hour(
            chunk.cache, time, chunk.now_ms
        )

    def _learn_hour(self, cache: PartitionCache, time: Timestamp, now_ms: int) -> HourTemplate:
        """Remember the hour of a time."""
        indices = self._builder.indices
        record = Coordinates(cache.topic, cache.number, 0, 0, cache.topic_key)
        routing = routing_of(record)
        action = action_line(
            indices.name(time.epoch_ms),
            document_id(record),
            routing and routing.removesuffix("0") + _BLOCK.decode(),
        )
        before_offset, behind_offset = action.rsplit(b"0" * _OFFSET_DIGITS, 1)
        before_stamp = behind_offset.replace(b"-0", b"-%d") + b'{"@timestamp":"'
        ours = b'","service_name":%b,"kafka":{"topic":"%b","partition":%d,"offset":' % (
            orjson.dumps(self._builder.events.service), cache.topic.encode(), cache.number,
        )  # fmt: skip
        start_ms = time.epoch_ms // _HOUR_MS * _HOUR_MS
        # The window is as wide as it is for every moment of the hour.
        bounds = (start_ms + _HOUR_MS - indices.newest_ms, start_ms - indices.oldest_ms)
        hour = HourTemplate(
            # What the pipeline adds is written in front: as keys it would make the dictionary grow.
            b"%b%b%b%%b%b%%d},%%b\n"
            % (
                before_offset.replace(b"%", b"%%"),
                # To write zeros is a third of the price of having them put in front of each number.
                b"%d".rjust(_OFFSET_DIGITS - cache.offset_width + 2, b"0")
                if cache.offset_width
                else b"%012d",
                before_stamp,
                ours.replace(b"%", b"%%"),
            ),
            *(bounds if indices.is_open(start_ms, now_ms) else _NO_TIMES),
        )
        if len(cache.hours) >= _MOST_CACHED_HOURS:
            cache.hours.clear()
        cache.hours[time.text[:_HOUR_LENGTH]] = hour
        return hour


def _routed(templates: list[bytes], offset: int) -> list[bytes]:
    """Put the block of this offset, which is that of all of a chunk, into forms of lines."""
    block = b"%d" % (offset >> BLOCK_BITS)
    routed = {template: template.replace(_BLOCK, block, 1) for template in set(templates)}
    if len(routed) == 1:
        return list(routed.values()) * len(templates)
    return list(map(routed.__getitem__, templates))


def _width(offsets: Sequence[int]) -> int:
    """Give the number of digits that all of these offsets have, which rise; 0 where they differ, or are too many."""
    width = len(str(offsets[0]))
    return width if width == len(str(offsets[-1])) and width <= _OFFSET_DIGITS else 0


def _give_up_implausible(chunk: RecordChunk) -> None:
    """Leave records whose Kafka timestamp cannot be true to document.py, and count them."""
    for position, time in enumerate(chunk.times):
        if not is_plausible(time, chunk.now_ms):
            first = chunk.owners is None or position == chunk.owners.index(chunk.owners[position])
            chunk.implausible += first
            chunk.give_up(position)


def action_line(index: str, identifier: str, routing: str = "") -> bytes:
    """Write the action line: `create`, so that a replay finds its document and changes nothing."""
    # Index names, topics and numbers hold nothing that JSON would escape: settings.py and Kafka see to it.
    place = f'"_index":"{index}","_id":"{identifier}"'
    return (
        f'{{"create":{{"routing":"{routing}",{place}}}}}\n'.encode()
        if routing
        else f'{{"create":{{{place}}}}}\n'.encode()
    )


def are_canonical(stamps: Sequence[str]) -> bool:
    """Tell whether all stamps have the canonical form."""
    return _are_canonical(_as_lines(stamps), len(stamps))


def _python_time(stamp: str) -> str | None:
    """Write a time in UTC as Python's logging does, `2024-01-15 10:30:00,123`, in the canonical form."""
    if len(stamp) == _CANONICAL_LENGTH - 1 and stamp[10] == " " and stamp[19] == "," and stamp[20:].isdigit():
        return f"{stamp[:10]}T{stamp[11:19]}.{stamp[20:]}Z"
    return None


def _as_lines(stamps: Sequence[str]) -> str:
    """Put a newline behind each stamp."""
    return "\n".join(stamps) + "\n"


def _are_canonical(text: str, number: int) -> bool:
    """Tell whether so many stamps have the canonical form: digits and signs where they belong, no 60th second."""
    return (
        len(text) == _STRIDE * number
        # Also that none of them is several lines.
        and text.translate(_DIGITS_TO_ZERO) == _CANONICAL_FORM * number
        and not text[_TENS_OF_MINUTES].strip("012345")
        and not text[_TENS_OF_SECONDS].strip("012345")
    )


def _which_are_canonical(stamps: Sequence[Any], text: str) -> Iterable[bool]:
    """Tell the same of each stamp; `text` is all of them as lines."""
    forms = text.translate(_DIGITS_TO_ZERO).splitlines(keepends=True)
    if len(forms) != len(stamps):
        return repeat(False, len(stamps))
    return [
        form == _CANONICAL_FORM
        and stamp[_TENS_OF_MINUTES.start] < "6"
        and stamp[_TENS_OF_SECONDS.start] < "6"
        for form, stamp in zip(forms, stamps, strict=True)
    ]
