"""Documents of one span that travel together, as lines of a bulk request, and how they are taken apart."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from pipeline.encode.fast_path import Payload
from pipeline.kafka.dead_letters import SourceRecord
from pipeline.kafka.ledger import Span

__all__ = ["LINES_PER_DOCUMENT", "Part", "halves", "place_of", "split_payload"]

LINES_PER_DOCUMENT = 2
"""The action and the source."""
# The end of an id: offset, timestamp (-1 where Kafka has none), number within an array.
_OFFSET = re.compile(r"-(\d{12,})-(?:-?\d+)(?:\.(\d+))?$")


class Part(NamedTuple):
    """Documents of one span that travel together, as two lines each, and the records they came from."""

    span: Span
    records: Sequence[SourceRecord]
    documents: int
    body: bytes
    event_ms: int | None = None
    record_ms: int | None = None
    attempts: int = 1
    last_chance: bool = False
    salvaged: int = 0
    """How many fields of each have been moved aside."""


def halves(part: Part) -> list[Part]:
    """Cut a part of several documents in two; its span has one part more then."""
    lines = part.body.splitlines(keepends=True)
    middle = part.documents // 2 * LINES_PER_DOCUMENT
    part.span.parts += 1
    return [
        part._replace(documents=len(half) // LINES_PER_DOCUMENT, body=b"".join(half))
        for half in (lines[:middle], lines[middle:])
    ]


def place_of(identifier: str) -> tuple[int, int | None]:
    """Read the offset and the number within an array, if any, back out of an id as `document_id` makes it.

    Raises ValueError for any other id.
    """
    match = _OFFSET.search(identifier)
    if match is None:
        raise ValueError(f"{identifier!r} is no id of ours")
    return int(match[1]), int(match[2]) if match[2] else None


def split_payload(payload: Payload, most_bytes: int) -> list[Payload]:
    """Cut documents into pieces of at most so many bytes; a larger document is a piece of its own."""
    lines = payload.body.splitlines(keepends=True)
    times = payload.event_ms, payload.record_ms
    pieces: list[Payload] = []
    start = size = 0
    for position in range(0, len(lines), LINES_PER_DOCUMENT):
        length = len(lines[position]) + len(lines[position + 1])
        if size and size + length > most_bytes:
            pieces.append(_payload(lines[start:position], *times))
            start, size = position, 0
        size += length
    pieces.append(_payload(lines[start:], *times))
    return pieces


def _payload(lines: list[bytes], event_ms: int | None, record_ms: int | None) -> Payload:
    return Payload(len(lines) // LINES_PER_DOCUMENT, b"".join(lines), event_ms, record_ms)
