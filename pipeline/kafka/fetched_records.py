"""Kafka's records as aiokafka's parser made them, without a Python object and three calls for each.

aiokafka copies every record into a ConsumerRecord, one at a time: 1.4 µs a record, four times as much as parsing
it (0.14, Python 3.11). Two deserialisers, which do nothing to a value, tell a consumer to leave that out.
Consumers that are not given one of them are as they were.

A batch that aiokafka cannot parse, because a header's name is no UTF-8, is read by `record_batch.py`. One that is
damaged ends what is delivered of its partition, and nothing else: aiokafka would raise, and forget the records that it
had already taken from this partition and from others.
"""

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException

from pipeline.kafka.record_batch import read_batch, records_in_batch

__all__ = ["CorruptBatch", "InBatches", "as_parsed"]


class CorruptBatch(NamedTuple):
    """A batch that cannot be read."""

    offset: int
    """The first that is not delivered."""
    behind: int
    """Where to go on: behind the batch as far as what it says of itself holds together, else the next offset."""
    reason: str


def as_parsed(value: bytes | None) -> bytes | None:
    """Ask for records as they were parsed: `offset`, `timestamp`, `key`, `value`, `headers`.

    Such a consumer raises CorruptRecordException where it meets a damaged batch.
    """
    return value


class InBatches:
    """Ask for lists of such records, one for each batch that a producer has sent; one for each consumer."""

    def __init__(self) -> None:
        self.corrupt: dict[TopicPartition, CorruptBatch] = {}
        """Partitions whose next batch is damaged; whoever has dealt with one takes it out."""

    def __call__(self, value: bytes | None) -> bytes | None:
        """Give the value as it is."""
        return value


class _FetchedBatches(fetcher.MemoryRecords):  # type: ignore[misc]  # aiokafka has no types
    """The batches of one fetch, and the bytes that they are made of."""

    def __init__(self, fetched: bytes) -> None:
        super().__init__(fetched)
        self.fetched = fetched
        # A broker gives the first batch whole, however large (KIP-74): if it is not, its length is damaged. aiokafka
        # would take it for one that is too large, and pass over it.
        self._is_cut = bool(fetched) and not super().has_next()

    def has_next(self) -> bool:
        """Tell whether there is another batch, or something that ought to be one."""
        return self._is_cut or super().has_next()


class _FetchedRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types
    """The records of one fetch of one partition, in the form that its consumer has asked for."""

    next_fetch_offset: int

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if self._value_deserializer is as_parsed:
            self._records_iterator = self._one_by_one()
        elif isinstance(self._value_deserializer, InBatches):
            self._records_iterator = self._readable(self._value_deserializer)

    def _one_by_one(self) -> Iterator[Any]:
        """Yield each record; `next_fetch_offset` is the offset behind it."""
        for records in self._batches():
            behind = self.next_fetch_offset
            for record in records:
                self.next_fetch_offset = record.offset + 1
                yield record
            self.next_fetch_offset = behind

    def _readable(self, wanted: InBatches) -> Iterator[list[Any]]:
        """Yield each batch up to one that is damaged."""
        try:
            yield from self._batches()
        except _CorruptBatchFound as found:
            wanted.corrupt[self._tp] = found.batch

    def _batches(self) -> Iterator[list[Any]]:
        """Yield each batch that holds records for us; `next_fetch_offset` is the offset behind the last one.

        Raises CorruptRecordException at a damaged one.
        """
        while self._records.has_next():
            batch = self._next_batch()
            wanted: int = self.next_fetch_offset
            if self._check_crcs and not batch.validate_crc():
                raise self._corrupt(batch, "its checksum is wrong")
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

    def _next_batch(self) -> Any:
        try:
            batch = self._records.next_batch()
        except CorruptRecordException as error:
            raise self._found(self.next_fetch_offset + 1, str(error)) from error
        if batch is None:
            raise self._found(self.next_fetch_offset + 1, "its length is wrong")
        return batch

    def _parse(self, batch: Any) -> list[Any]:
        try:
            return list(batch)
        except Exception:  # noqa: BLE001 - the parser's and each decompressor's own
            # A header's name that is no UTF-8, or none; what is really corrupt the other cannot read either.
            try:
                return list(read_batch(self._records.fetched, batch.base_offset))
            except Exception as error:
                raise self._corrupt(batch, f"{type(error).__name__}: {error}") from error

    def _corrupt(self, batch: Any, reason: str) -> "_CorruptBatchFound":
        """Say where a damaged batch ends, which is trusted only where it agrees with its number of records."""
        wanted, behind = self.next_fetch_offset, batch.next_offset
        try:
            agrees = behind - batch.base_offset == records_in_batch(self._records.fetched, batch.base_offset)
            following = self._records.next_batch() if self._records.has_next() else None
        except (CorruptRecordException, struct.error):
            agrees, following = False, None
        if following is not None and behind > following.base_offset:
            agrees = False
        return self._found(behind if agrees and behind > wanted else wanted + 1, reason)

    def _found(self, behind: int, reason: str) -> "_CorruptBatchFound":
        return _CorruptBatchFound(self._tp, CorruptBatch(self.next_fetch_offset, behind, reason))

    def _is_left_out(self, batch: Any) -> bool:
        """Follow the transactions, and tell whether a batch is a marker, or belongs to one that was aborted."""
        if self._isolation_level == fetcher.READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and self._contains_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            elif batch.is_transactional and batch.producer_id in self._aborted_producers:
                return True
        return bool(batch.is_control_batch)


class _CorruptBatchFound(CorruptRecordException):  # type: ignore[misc]  # aiokafka has no types
    """A damaged batch, on the way to whoever reads the partition."""

    def __init__(self, partition: TopicPartition, batch: CorruptBatch) -> None:
        super().__init__(f"the batch of {partition} at offset {batch.offset} cannot be read: {batch.reason}")
        self.batch = batch


fetcher.MemoryRecords = _FetchedBatches
fetcher.PartitionRecords = _FetchedRecords
