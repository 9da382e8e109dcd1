"""Values that are no text: which framing it is, by the first byte, and what is inside.

====================  ==============================================================================================
First bytes           Read as
====================  ==============================================================================================
``00`` and 4 bytes    Confluent's framing with the id of a schema: JSON behind it is read; anything else (Avro,
                      protobuf) cannot be without the registry, and is a dead letter
``1f 8b``             gzip, of at most 32 MiB unpacked
``01``/``02 00 00 00``  the header of Docker's log stream, where the four bytes behind it are the length of the rest
``0a``                OTLP's protobuf, where it is such; see `otlp.py`
====================  ==============================================================================================
"""

import zlib
from typing import NamedTuple

__all__ = ["CONFLUENT_HEADER", "Unpacked", "unpack"]

CONFLUENT_HEADER = 5
_DOCKER_HEADER = 8
_MOST_BYTES = 32 << 20
_GZIP = 16 + zlib.MAX_WBITS


class Unpacked(NamedTuple):
    """What was in a framing; no payload where it cannot be read, and why."""

    name: str
    payload: bytes | None
    reason: str = ""


def unpack(value: bytes) -> Unpacked | None:
    """Take a framing off; None when there is none."""
    if value[:2] == b"\x1f\x8b":
        return _gunzip(value)
    if (
        value[:1] in (b"\x01", b"\x02")
        and value[1:4] == b"\0\0\0"
        and int.from_bytes(value[4:_DOCKER_HEADER]) == len(value) - _DOCKER_HEADER
    ):
        return Unpacked("docker_stream", value[_DOCKER_HEADER:])
    if value[:1] == b"\0" and len(value) > CONFLUENT_HEADER:
        payload = value[CONFLUENT_HEADER:]
        if payload.lstrip()[:1] in (b"{", b"["):
            return Unpacked("confluent_json", payload)
        schema = int.from_bytes(value[1:CONFLUENT_HEADER])
        return Unpacked(
            "confluent",
            None,
            f"Confluent's framing with the schema id {schema}, and what follows is not JSON: Avro and protobuf "
            "cannot be read without the schema registry",
        )
    return None


def _gunzip(value: bytes) -> Unpacked:
    unpacker = zlib.decompressobj(_GZIP)
    try:
        payload = unpacker.decompress(value, _MOST_BYTES)
    except zlib.error as error:
        return Unpacked("gzip", None, f"gzip that cannot be unpacked: {error}")
    if unpacker.unconsumed_tail:
        return Unpacked("gzip", None, f"gzip of more than {_MOST_BYTES} bytes unpacked")
    return Unpacked("gzip", payload)
