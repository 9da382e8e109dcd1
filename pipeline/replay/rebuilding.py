"""Dead letters, put together by record and in chunks, become the documents that are dead."""

import time
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from typing import NamedTuple

from pipeline.encode.run_filters import Make
from pipeline.events.document import Coordinates, Document
from pipeline.kafka.dead_letters import DeadLetter, Headers
from pipeline.kafka.ledger import Partition
from pipeline.kafka.source_records import SourceRecords
from pipeline.replay.result import Replayed

__all__ = ["CHUNK_RECORDS", "Chunk", "Rebuilt", "build", "chunks_of"]

# What is built, sent and settled together: bounds the memory.
CHUNK_RECORDS = 500
_CHUNK_BYTES = 8 << 20


class _Source(NamedTuple):
    """A record as the writer wants it."""

    offset: int
    timestamp: int
    value: bytes | None
    key: bytes | None
    headers: Headers


class Rebuilt(NamedTuple):
    """A record, and the documents of it that are dead."""

    record: _Source
    documents: list[Document]
    numbers: Sequence[int]
    """Which of its events they are."""


Chunk = dict[Coordinates, list[DeadLetter]]


async def chunks_of(
    letters: AsyncIterable[DeadLetter], records: SourceRecords, replayed: Replayed
) -> AsyncIterator[Chunk]:
    """Collect letters by record; an offset is in a chunk once only, for the writer knows records by it."""
    chunk: Chunk = {}
    offsets: set[tuple[str, int, int]] = set()
    size = 0
    async for written in letters:
        record = written.record
        if not record.topic or record.partition < 0 or record.offset < 0:
            replayed.unusable += 1
            continue
        letter = await records.whole(written)
        if letter is None:
            replayed.gone += 1
            continue
        other_topic = record not in chunk and record[:3] in offsets
        if other_topic or len(chunk) >= CHUNK_RECORDS or size >= _CHUNK_BYTES:
            yield chunk
            chunk, offsets, size = {}, set(), 0
        chunk.setdefault(record, []).append(letter)
        offsets.add(record[:3])
        size += len(letter.value or b"")
    if chunk:
        yield chunk


def build(make: Make, chunk: Chunk) -> dict[Partition, list[Rebuilt]]:
    """Make the documents anew, by partition in the order of the offsets."""
    built: dict[Partition, list[Rebuilt]] = {}
    now_ms = time.time_ns() // 1_000_000
    for record in sorted(chunk):
        letters = chunk[record]
        first = letters[0]
        documents = make(first.value, first.record, now_ms, first.key, first.headers)
        elements = {letter.element for letter in letters}
        numbers = [number for number in range(len(documents)) if None in elements or number in elements]
        documents = [documents[number] for number in numbers]
        source = _Source(record.offset, record.timestamp_ms, first.value, first.key, first.headers)
        if documents:
            built.setdefault(Partition(record.topic, record.partition), []).append(
                Rebuilt(source, documents, numbers)
            )
    return built
