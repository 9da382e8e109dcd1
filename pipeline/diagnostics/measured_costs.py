"""What an event costs the worker, Kafka and Elasticsearch, as measured: the one place to renew these figures.

CPU is that of one core of the machines of docs/figures.md. docs/scaling.md says how each figure was measured.
"""

from collections.abc import Mapping
from itertools import pairwise

__all__ = [
    "BULK_BYTES_ADDED",
    "ELASTICSEARCH_US",
    "ELASTICSEARCH_US_PER_BYTE",
    "ERROR_US",
    "FORMAT_US",
    "MEASURED_ON",
    "SAMPLE_BYTES",
    "SAMPLE_COMPRESSION",
    "STORED_BYTES",
    "STORED_BYTES_PER_BYTE",
    "WORKER_MEMORY_BYTES",
    "WORKER_US",
    "WORKER_US_PER_BYTE",
    "services_us",
]

MEASURED_ON = "2026-11-28 and 2026-11-29"

SAMPLE_BYTES = 364
"""Bytes of an event of the sample traffic, for which the figures without a size hold."""

# The worker, Kafka to a sink, metrics from the logs included: 5.2 µs for 364 bytes, 17 µs for 5,000.
WORKER_US = 4.3
"""CPU of a worker for an event of the guide's format, in microseconds, whatever its size."""
WORKER_US_PER_BYTE = 0.0026
"""What each byte adds."""
FORMAT_US: Mapping[str, float] = {"guide": 0.0, "logger": 4.1, "shipper": 9.1}
"""What recognising and unpacking adds: another logger's format, a shipper's envelope (medians of the formats)."""
# The next two: ratios of the weather table to its base, times 5.2 µs (of 50 services it was below that of 20).
ERROR_US = 22.0
"""What an event of level ERROR with a stack trace of 2 kB adds: its bytes and its fingerprint."""
_SERVICES_US = ((1, 0.0), (20, 1.7), (200, 5.1), (1000, 5.1))
"""What a number of services adds to each event: label sets that are looked up and counted."""
WORKER_MEMORY_BYTES = 225_000_000
"""Most that a worker has had resident, with messages of 5,000 bytes; 150 MB with the sample traffic."""

SAMPLE_COMPRESSION = 0.22
"""Bytes in Kafka for each byte of the sample traffic's values, keys and headers included: lz4, batches of 64 KiB."""

BULK_BYTES_ADDED = 203
"""What the action line and the pipeline's own fields add to an event's bytes in a bulk request."""
# 28 µs for 364 bytes, 44 for 730 bytes of free text, on a server that has taken 2,000,000 documents before.
ELASTICSEARCH_US = 16.0
"""CPU of a data node for a document on one copy of a shard, in microseconds, whatever its size."""
ELASTICSEARCH_US_PER_BYTE = 0.033
"""What each byte of the event adds."""
# On three shards, merged: 112.2 bytes for 364, of 1,000,000 documents. What each byte adds is of 60,000 documents under
# the mapping of version 1, which took 50 bytes more: 170 for 366, and 458 for 1,383 with stack traces. Free text of
# random words took 0.66 of its bytes.
STORED_BYTES = 9.2
"""Bytes on disk of a document on one copy of a shard, merged, whatever its size: id, times, names, numbers."""
STORED_BYTES_PER_BYTE = 0.283
"""What each byte of the event adds, with `best_compression`."""


def services_us(services: int) -> float:
    """Give what so many services add to an event, in microseconds: on a line between those measured."""
    for (few, cheap), (many, dear) in pairwise(_SERVICES_US):
        if services <= many:
            return cheap + (dear - cheap) * max(services - few, 0) / (many - few)
    return _SERVICES_US[-1][1]
