"""Kafka's records as aiokafka's parser made them, without a Python object and three calls for each.

aiokafka copies every record into a ConsumerRecord, one at a time: 1.4 µs a record, four times as much as parsing
it (0.14, Python 3.11). Two deserialisers, which do nothing to a value, tell a consumer to leave that out.
Consumers that are not given one of them are as they were.

A batch that aiokafka cannot parse, because a header's name is no UTF-8, is read by `lenient_batch.py`.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException

from pipeline.kafka.record_batch import read_batch

__all__ = ["as_parsed", "in_batches"]


def as_parsed(value: bytes | None) -> bytes | None:
    """Ask for records as they were parsed: `offset`, `timestamp`, `key`, `value`, `headers`."""
    return value


def in_batches(value: bytes | None) -> bytes | None:
    """Ask for lists of such records, one for each batch that a producer has sent."""
    return value


class _FetchedBatches(fetcher.MemoryRecords):  # type: ignore[misc]  # aiokafka has no types
    """The batches of one fetch, and the bytes that they are made of."""

    def __init__(self, fetched: bytes) -> None:
        super().__init__(fetched)
        self.fetched = fetched


class _FetchedRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types
    """The records of one fetch of one partition, in the form that its consumer has asked for."""

    next_fetch_offset: int

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if self._value_deserializer is as_parsed:
            self._records_iterator = self._one_by_one()
        elif self._value_deserializer is in_batches:
            self._records_iterator = self._batches()

    def _one_by_one(self) -> Iterator[Any]:
        """Yield each record; `next_fetch_offset` is the offset behind it."""
        for records in self._batches():
            behind = self.next_fetch_offset
            for record in records:
                self.next_fetch_offset = record.offset + 1
                yield record
            self.next_fetch_offset = behind

    def _batches(self) -> Iterator[list[Any]]:
        """Yield each batch that holds records for us; `next_fetch_offset` is the offset behind the last one."""
        while self._records.has_next():
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"a batch of {self._tp} has a wrong checksum")
            wanted: int = self.next_fetch_offset
            # Also behind what is left out: aborted records, markers, and what compaction took away.
            behind = max(batch.next_offset, wanted)
            if self._is_left_out(batch):
                self.next_fetch_offset = behind
                continue
            records = self._parse(batch)
            # A compressed batch comes whole, even when its first records have been delivered before.
            if records and records[0].offset < wanted:
                records = [record for record in records if record.offset >= wanted]
            self.next_fetch_offset = behind
            if records:
                yield records

    def _parse(self, batch: Any) -> list[Any]:
        try:
            return list(batch)
        except (UnicodeDecodeError, CorruptRecordException):
            # A header's name that is no UTF-8, or none; what is really corrupt the other cannot read either.
            return list(read_batch(self._records.fetched, batch.base_offset))

    def _is_left_out(self, batch: Any) -> bool:
        """Follow the transactions, and tell whether a batch is a marker, or belongs to one that was aborted."""
        if self._isolation_level == fetcher.READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and self._contains_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            elif batch.is_transactional and batch.producer_id in self._aborted_producers:
                return True
        return bool(batch.is_control_batch)


fetcher.MemoryRecords = _FetchedBatches
fetcher.PartitionRecords = _FetchedRecords
