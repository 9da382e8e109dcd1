"""Documents of one span that travel together, as lines of a bulk request, and how they are taken apart."""

from collections.abc import Sequence
from itertools import accumulate, islice
from typing import NamedTuple

from pipeline.bulk.requests import target_of
from pipeline.encode.fast_path import Payload
from pipeline.events.ids import IdParts, read_id
from pipeline.kafka.dead_letters import SourceRecord
from pipeline.kafka.ledger import Span

__all__ = [
    "LINES_PER_DOCUMENT",
    "Part",
    "RecordFinder",
    "cut_in_two",
    "first_and_rest",
    "fitting_and_rest",
    "halves",
    "of_lines",
    "own_records",
    "split_payload",
]

LINES_PER_DOCUMENT = 2
"""The action and the source."""


class Part(NamedTuple):
    """Documents of one span that travel together, as two lines each, and the records they came from."""

    span: Span
    records: Sequence[SourceRecord]
    documents: int
    body: bytes
    last_stamp: str = ""
    """Time of its last event, as the document has it; empty where that is not known."""
    record_ms: int | None = None
    attempts: int = 1
    salvaged: int = 0
    """How many fields of each have been moved aside."""
    suspect: bool = False
    """Whether their index has taken another document since they were refused for a reason that is not known."""
    refused_alone: int = 0
    """How often they were refused for such a reason as the only document of their request."""
    waiting_since: float | None = None
    """When they had to wait for the first time; clock of the event loop."""


def halves(part: Part) -> list[Part]:
    """Cut a part of several documents in two; its span has one part more then."""
    return _cut_at(part, part.documents // 2)


def cut_in_two(parts: list[Part]) -> tuple[list[Part], list[Part]]:
    """Cut a request in two; the second is empty when there is but one document."""
    if len(parts) > 1:
        middle = len(parts) // 2
        return parts[:middle], parts[middle:]
    if parts[0].documents == 1:
        return parts, []
    first, second = halves(parts[0])
    return [first], [second]


def first_and_rest(part: Part) -> list[Part]:
    """Cut a part of several documents behind the first; its span has one part more then."""
    return _cut_at(part, 1)


def _cut_at(part: Part, documents: int) -> list[Part]:
    lines = part.body.splitlines(keepends=True)
    position = documents * LINES_PER_DOCUMENT
    part.span.parts += 1
    return [
        part._replace(documents=len(some) // LINES_PER_DOCUMENT, body=b"".join(some))
        for some in (lines[:position], lines[position:])
    ]


def fitting_and_rest(parts: Sequence[Part], most_bytes: int) -> tuple[list[Part], list[Part]]:
    """Take as many documents from the beginning as are no larger than this, at least one."""
    fitting: list[Part] = []
    size = 0
    for position, part in enumerate(parts):
        if size + len(part.body) > most_bytes:
            documents = _documents_within(part, most_bytes - size) or (0 if fitting else 1)
            if documents == 0:
                return fitting, list(parts[position:])
            if documents < part.documents:
                front, rest = _cut_at(part, documents)
                return [*fitting, front], [rest, *parts[position + 1 :]]
        fitting.append(part)
        size += len(part.body)
    return fitting, []


def _documents_within(part: Part, most_bytes: int) -> int:
    """Count the documents at the beginning of a part that are together no larger than this."""
    ends = accumulate(map(len, part.body.splitlines(keepends=True)))
    return sum([end <= most_bytes for end in islice(ends, 1, None, LINES_PER_DOCUMENT)])


class RecordFinder:
    """Find the record that a document was made of, by its id."""

    def __init__(self, records: Sequence[SourceRecord]) -> None:
        self._records = records
        self._by_offset = {record.offset: record for record in records}
        self._by_key: dict[bytes | None, SourceRecord] = {}

    def find(self, identifier: str) -> tuple[SourceRecord, IdParts | None]:
        """Give the record, and what the id says; None for an id that is not made of its record's place."""
        parts = read_id(identifier)
        record = None if parts is None else self._by_offset.get(parts.offset)
        if record is not None:
            return record, parts
        # Such an id is the record's key, or the record comes alone.
        if not self._by_key:
            self._by_key = {record.key: record for record in self._records}
        return self._by_key.get(identifier.encode("utf-8", "replace"), self._records[0]), None


def of_lines(part: Part, lines: list[bytes]) -> Part:
    """Give the part that holds these lines of another, two for each document."""
    return part._replace(documents=len(lines) // LINES_PER_DOCUMENT, body=b"".join(lines))


def own_records(part: Part) -> Part:
    """Let go of the records that no document of this part is of: a part that waits shall hold no batch."""
    if len(part.records) <= 1:
        return part
    finder = RecordFinder(part.records)
    actions = part.body.splitlines(keepends=True)[::LINES_PER_DOCUMENT]
    offsets = {finder.find(target_of(action)[1])[0].offset for action in actions}
    return part._replace(records=[record for record in part.records if record.offset in offsets])


def split_payload(payload: Payload, most_bytes: int) -> list[Payload]:
    """Cut documents into pieces of at most so many bytes; a larger document is a piece of its own."""
    lines = payload.body.splitlines(keepends=True)
    times = payload.last_stamp, payload.record_ms
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


def _payload(lines: list[bytes], last_stamp: str, record_ms: int | None) -> Payload:
    return Payload(len(lines) // LINES_PER_DOCUMENT, b"".join(lines), last_stamp, record_ms)
