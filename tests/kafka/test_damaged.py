"""Damaged batches: what is in front of one is delivered, and what is behind it is found."""

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from hypothesis import given, strategies as st

from pipeline.kafka.damaged import DamagedPartitions
from pipeline.kafka.fetched_records import CorruptBatch, InBatches, as_parsed
from pipeline.kafka.ledger import Partition
from pipeline.telemetry.metrics import Telemetry
from tests.hostile_headers import hostile_batch

PARTITION = TopicPartition("t", 0)
SIZES = (2, 3, 1)
HEAD_BYTES = 61
CHECKSUM = slice(17, 21)


def batches(codec: str = "none") -> list[bytearray]:
    made, offset = [], 0
    for size in SIZES:
        values = [b"%d" % (offset + number) for number in range(size)]
        made.append(bytearray(hostile_batch(values, codec, [], base_offset=offset)))
        offset += size
    return made


def fetched(data: bytes, wish: object, offset: int = 0) -> fetcher.PartitionRecords:
    return fetcher.PartitionRecords(
        PARTITION, fetcher.MemoryRecords(data), [], offset, None, wish, check_crcs=True, isolation_level=0
    )


def read(parts: list[bytearray], offset: int = 0) -> tuple[list[int], int, CorruptBatch | None]:
    """Give the offsets delivered, the next one to fetch, and where a batch is damaged."""
    wish = InBatches()
    found = fetched(b"".join(map(bytes, parts)), wish, offset)
    delivered = [record.offset for batch in found for record in batch]
    return delivered, found.next_fetch_offset, wish.corrupt.get(PARTITION)


@pytest.mark.parametrize("codec", ["none", "lz4", "gzip", "zstd"])
def test_a_flipped_byte_ends_what_is_delivered_before_its_batch(codec: str) -> None:
    parts = batches(codec)
    parts[1][-1] ^= 1
    delivered, position, corrupt = read(parts)
    assert (delivered, position) == ([0, 1], 2)
    assert corrupt == CorruptBatch(2, 5, "its checksum is wrong")
    assert read(parts[2:], offset=5) == ([5], 6, None)


def test_the_last_batch_of_a_fetch_is_passed_over_too() -> None:
    parts = batches()
    parts[2][-1] ^= 1
    assert read(parts)[1:] == (5, CorruptBatch(5, 6, "its checksum is wrong"))


def test_what_a_damaged_head_says_of_its_end_is_not_trusted() -> None:
    parts = batches()
    parts[1][26] = 200  # the last offset delta
    _, position, corrupt = read(parts)
    assert corrupt is not None
    assert (position, corrupt.behind) == (2, 3)


def test_a_batch_whose_length_is_wrong_is_damaged_and_not_passed_over() -> None:
    parts = batches()
    parts[0][8:12] = (1 << 20).to_bytes(4, "big")
    assert read(parts) == ([], 0, CorruptBatch(0, 1, "its length is wrong"))


def test_a_consumer_of_records_one_by_one_is_told_by_an_exception() -> None:
    parts = batches()
    parts[1][-1] ^= 1
    records = fetched(b"".join(map(bytes, parts)), as_parsed)
    assert [next(records).offset, next(records).offset] == [0, 1]
    with pytest.raises(CorruptRecordException, match="offset 2"):
        next(records)


@given(st.data())
def test_any_damage_behind_the_first_batch_leaves_that_one_and_moves_on(data: st.DataObject) -> None:
    parts = batches()
    for _ in range(data.draw(st.integers(1, 6))):
        part = parts[data.draw(st.integers(1, 2))]
        # Offset, length and epoch are not covered by the checksum.
        part[data.draw(st.integers(CHECKSUM.start, len(part) - 1))] = data.draw(st.integers(0, 255))
    delivered, position, corrupt = read(parts)
    assert delivered[:2] == [0, 1]
    assert delivered == list(range(len(delivered)))
    if corrupt is None:
        assert len(delivered) == sum(SIZES)
    else:
        assert corrupt.offset == position == len(delivered)
        assert position < corrupt.behind <= sum(SIZES)


def counted(telemetry: Telemetry, name: str, *labels: str) -> float | None:
    names = ("topic", "partition", "action")[: 2 + len(labels)]
    return telemetry.registry.get_sample_value(name, dict(zip(names, ("t", "0", *labels), strict=True)))


def test_a_partition_that_stops_is_counted_once_and_tried_again() -> None:
    telemetry, partition = Telemetry(), Partition("t", 0)
    damaged = DamagedPartitions("stop", telemetry)
    batch = CorruptBatch(10, 20, "why")
    assert damaged.meet(partition, batch, now=0.0) is False
    assert partition in damaged
    assert not damaged.try_due(29.0)
    assert damaged.try_due(30.0)
    assert partition not in damaged
    damaged.meet(partition, batch, now=31.0)
    assert partition in damaged
    assert counted(telemetry, "logpipe_corrupt_batches_total", "stopped") == 1
    assert counted(telemetry, "logpipe_partition_stopped") == 1
    damaged.try_due(61.0)
    damaged.goes_on([partition])
    assert counted(telemetry, "logpipe_partition_stopped") == 0
    assert not damaged


def test_a_batch_that_is_skipped_is_counted_with_its_offsets() -> None:
    telemetry = Telemetry()
    damaged = DamagedPartitions("skip", telemetry)
    assert damaged.meet(Partition("t", 0), CorruptBatch(10, 20, "why"), now=0.0) is True
    assert counted(telemetry, "logpipe_corrupt_batches_total", "skipped") == 1
    assert counted(telemetry, "logpipe_corrupt_records_total") == 10
    assert not damaged
