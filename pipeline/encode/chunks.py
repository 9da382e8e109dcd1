"""Records of a partition → chunks that go through the hot path together: of one form of ids, and of one shard."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter

from pipeline.encode.record_chunk import Record
from pipeline.events.ids import BLOCK_BITS, DocumentIds

__all__ = ["chunks_of"]

# So many that what is done once a chunk does not count, so few that all of them stay in the processor's cache.
_RECORDS_PER_CHUNK = 128

_offset = attrgetter("offset")


def chunks_of(
    records: Sequence[Record], ids: DocumentIds, topic_id: str | None
) -> Iterator[tuple[str, Sequence[Record]]]:
    """Cut records, which are in the order of their offsets; gives pieces with what stands for the topic in ids."""
    if ids.since_ms is None:
        yield from _chunks(records, ids.topic_key(topic_id, 0))
        return
    for key, some in groupby(records, lambda record: ids.topic_key(topic_id, record.timestamp)):
        yield from _chunks(list(some), key)


def _chunks(records: Sequence[Record], topic_key: str) -> Iterator[tuple[str, Sequence[Record]]]:
    start, end = 0, len(records)
    while start < end:
        behind = min(start + _RECORDS_PER_CHUNK, end)
        if topic_key:
            next_block = (records[start].offset >> BLOCK_BITS) + 1 << BLOCK_BITS
            if records[behind - 1].offset >= next_block:
                behind = bisect_left(records, next_block, start, behind, key=_offset)
        yield topic_key, records[start:behind]
        start = behind
