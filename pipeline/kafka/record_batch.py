r"""A producer's batch read whatever its headers are called, as aiokafka's own parser will not.

Kafka takes any bytes for the name of a header. aiokafka wants UTF-8, and gives up the whole batch otherwise:
the partition would stand still for good. A name is read here with `\xNN` in place of each byte that is not part
of UTF-8, and one that is null as an empty name. Written in Python alone: five times as slow, for the rare case.

The format: https://kafka.apache.org/documentation/#recordbatch
"""

import struct
from collections.abc import Callable
from typing import NamedTuple

from aiokafka.codec import gzip_decode, lz4_decode, snappy_decode, zstd_decode
from aiokafka.errors import CorruptRecordException

__all__ = ["BatchRecord", "read_batch", "records_in_batch"]

_BASE_OFFSET_AND_LENGTH = struct.Struct(">qi")
# Leader epoch, magic, CRC, attributes, last offset delta, first and last timestamp, three of the producer's,
# number of records.
_REST_OF_HEAD = struct.Struct(">ibIhiqqqhii")
_CODEC = 0x07
_LOG_APPEND_TIME = 0x08
_DECODERS: dict[int, Callable[[bytes], bytes]] = {
    0: lambda data: data,
    1: gzip_decode,
    2: snappy_decode,
    3: lz4_decode,
    4: zstd_decode,
}


class BatchRecord(NamedTuple):
    """A record with what the pipeline reads of it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


def read_batch(fetched: bytes, base_offset: int) -> list[BatchRecord]:
    """Read the batch that begins at an offset, out of the batches that one fetch has brought.

    Raises CorruptRecordException when it is not as the format says.
    """
    try:
        return _records(_batch(fetched, base_offset), base_offset)
    except (IndexError, KeyError, struct.error) as error:
        raise CorruptRecordException(
            f"the batch at offset {base_offset} cannot be read: {error!r}"
        ) from error


def records_in_batch(fetched: bytes, base_offset: int) -> int:
    """Give the number of records that a batch says it has; raises struct.error where it is too short to say so."""
    *_, number = _REST_OF_HEAD.unpack_from(_batch(fetched, base_offset))
    return int(number)


def _batch(fetched: bytes, base_offset: int) -> bytes:
    """Cut out one batch, without its offset and length."""
    position = 0
    while True:
        offset, length = _BASE_OFFSET_AND_LENGTH.unpack_from(fetched, position)
        position += _BASE_OFFSET_AND_LENGTH.size
        if offset == base_offset:
            return fetched[position : position + length]
        position += length


def _records(batch: bytes, base_offset: int) -> list[BatchRecord]:
    _, _, _, attributes, _, first_timestamp, last_timestamp, _, _, _, number = _REST_OF_HEAD.unpack_from(
        batch
    )
    fields = _Fields(_DECODERS[attributes & _CODEC](batch[_REST_OF_HEAD.size :]))
    records = []
    for _ in range(number):
        end = fields.number() + fields.position
        fields.position += 1  # attributes, of which there are none yet
        timestamp = first_timestamp + fields.number()
        record = BatchRecord(
            timestamp=last_timestamp if attributes & _LOG_APPEND_TIME else timestamp,
            offset=base_offset + fields.number(),
            key=fields.content(),
            value=fields.content(),
            headers=[(_name(fields.content()), fields.content()) for _ in range(fields.number())],
        )
        if fields.position != end:
            raise CorruptRecordException(f"the record at offset {record.offset} is not as long as it says")
        records.append(record)
    return records


class _Fields:
    """Read one field after the other; raises IndexError at the end of the data.

    aiokafka's own function for such numbers reads on behind the end, whatever lies there in memory.
    """

    def __init__(self, data: bytes) -> None:
        self.position = 0
        self._data = data

    def number(self) -> int:
        """Read a number of variable length, the sign in its lowest bit."""
        result = shift = 0
        while True:
            byte = self._data[self.position]
            self.position += 1
            result |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004 - the highest bit says that more follows
                return (result >> 1) ^ -(result & 1)
            shift += 7

    def content(self) -> bytes | None:
        """Read bytes and their length, which is negative where there are none."""
        length = self.number()
        if length < 0:
            return None
        start, self.position = self.position, self.position + length
        if self.position > len(self._data):
            raise IndexError(f"{length} bytes where there are {len(self._data) - start}")
        return self._data[start : self.position]


def _name(content: bytes | None) -> str:
    return (content or b"").decode("utf-8", "backslashreplace")
