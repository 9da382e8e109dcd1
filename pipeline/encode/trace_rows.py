"""One event → its trace event, for what does not go by columns."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.encode.record_chunk import RecordChunk
from pipeline.events.document import OUT_OF_RANGE_TAG, Coordinates, Document
from pipeline.events.fingerprints import FINGERPRINT_FIELD
from pipeline.events.indices import Indices
from pipeline.events.timestamps import from_epoch_ms
from pipeline.trace_stories.emission import FIELDS, TraceRow, mark_of, source_of

__all__ = ["part_rows", "trace_row"]


def trace_row(document: Document, record: Coordinates, number: int, indices: Indices) -> TraceRow | None:
    """Make the trace event of a document; `number` is its place in an array.

    None when it has no trace, and when no day is its own: a story needs to know when. Nor where the document is as
    Logstash would send it: its fields may be anything.
    """
    fields = document.fields
    trace_id = fields.get("trace_id")
    if trace_id is None or not document.is_normalised:
        return None
    stamp = fields["@timestamp"]
    dateless = not indices.rolled_by_ilm and document.index_name in {indices.undated, indices.overflow}
    if dateless or OUT_OF_RANGE_TAG in fields.get("tags", ()):
        if dateless or indices.rolled_by_ilm:
            return None
        # It is in the index of its record's day, and so is its trace.
        stamp = from_epoch_ms(record.timestamp_ms).text
    return TraceRow(
        trace_id,
        source_of(record.topic, record.partition),
        _row(mark_of(record.offset, number), stamp, fields),
    )


def part_rows(chunk: RecordChunk) -> Iterator[tuple[int, TraceRow]]:
    """Make the trace events of those that are one of several events of a record, with their positions."""
    source = source_of(chunk.cache.topic, chunk.cache.number)
    for position, number in enumerate(chunk.numbers):
        event = chunk.events[position]
        if number is None or position in chunk.uncommon or event.get("trace_id") is None:
            continue
        mark = mark_of(chunk.offsets[position], number)
        yield position, TraceRow(event["trace_id"], source, _row(mark, chunk.stamps[position], event))


def _row(mark: int, stamp: str, fields: Mapping[str, Any]) -> tuple[Any, ...]:
    fingerprint = fields.get(FINGERPRINT_FIELD)
    row = (mark, stamp, *[fields.get(name) for name in FIELDS])
    return row if fingerprint is None else (*row, fingerprint)
