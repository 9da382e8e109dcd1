"""Batches with headers whose names no client library would write: Kafka takes any bytes."""

import struct
from collections.abc import Callable, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

__all__ = ["CODECS", "HEADERS", "HEADERS_READ", "NULL_NAME", "hostile_batch", "send_hostile"]

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
_ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "gzip": gzip_encode,
    "snappy": snappy_encode,
    "lz4": lz4_encode,
    "zstd": zstd_encode,
}
_LENGTH, _CRC, _ATTRIBUTES, _BEHIND_LENGTH, _RECORDS = 8, 17, 21, 12, 61
_LOG_APPEND_TIME = 0x08

# As they are given to the builder, which takes text, and what is put in place of it afterwards.
HEADERS: list[tuple[str, bytes | None]] = [
    ("good", b"\xff\xfe"),
    ("half-XX-wrong", b"1"),
    ("YY", None),
    ("logpipe.topic", b"not ours"),
]
_SPOILED = {b"half-XX-wrong": b"half-\xff\xc3-wrong", b"YY": b"\xed\xa0"}
HEADERS_READ = [
    ("good", b"\xff\xfe"),
    (r"half-\xff\xc3-wrong", b"1"),
    (r"\xed\xa0", None),
    ("logpipe.topic", b"not ours"),
]
_NAMELESS = b"of no name"
NULL_NAME: tuple[str, bytes | None] = ("", _NAMELESS)
"""A header whose name is null in the batch."""


def hostile_batch(
    values: Sequence[bytes | None],
    codec: str = "none",
    headers: Sequence[tuple[str, bytes | None]] = HEADERS,
    *,
    base_offset: int = 0,
    log_append_time: bool = False,
) -> bytes:
    """Make a batch of records with these headers, the spoiled ones among them spoiled."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 30)
    for number, value in enumerate(values):
        key = None if number % 2 else b"k" * 100
        builder.append(number, 1_700_000_000_000 + number * 7_000, key, value, list(headers))
    built = bytes(builder.build())
    records = built[_RECORDS:]
    for good, bad in _SPOILED.items():
        records = records.replace(good, bad)
    nameless = bytes([2 * len(_NAMELESS)]) + _NAMELESS
    records = records.replace(b"\x00" + nameless, b"\x01" + nameless)
    batch = bytearray(built[:_RECORDS] + _ENCODERS[codec](records))
    attributes = CODECS.index(codec) | (_LOG_APPEND_TIME if log_append_time else 0)
    struct.pack_into(">q", batch, 0, base_offset)
    struct.pack_into(">i", batch, _LENGTH, len(batch) - _BEHIND_LENGTH)
    struct.pack_into(">h", batch, _ATTRIBUTES, attributes)
    struct.pack_into(">I", batch, _CRC, calc_crc32c(bytes(batch[_ATTRIBUTES:])))
    return bytes(batch)


async def send_hostile(bootstrap: str, topic: str, batch: bytes, records: int, partition: int = 0) -> None:
    """Send a batch as it is; raises what the broker says to it."""

    class Ready(BatchBuilder):  # type: ignore[misc]  # aiokafka has no types
        def _build(self) -> bytes:
            return batch

        def record_count(self) -> int:
            return records

        def size(self) -> int:
            return len(batch)

    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    try:
        ready = Ready(len(batch), 0)
        await (await producer.send_batch(ready, topic, partition=partition))
    finally:
        await producer.stop()
