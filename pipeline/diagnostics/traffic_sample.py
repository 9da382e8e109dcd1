"""What the traffic of one's own topics is like: its rate by Kafka's offsets, and a sample of its records."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import pairwise

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.codec import lz4_encode

from pipeline.audit.records import partitions_of, reader
from pipeline.diagnostics.capacity import DAY_SECONDS, Traffic
from pipeline.diagnostics.tap import tap
from pipeline.events.formats import load_formats
from pipeline.kafka.client import admin_client, kafka_errors
from pipeline.settings import Settings

__all__ = ["Sampled", "kind_of_format", "sample_traffic"]

_HOUR_MS = 3_600_000
_HOURS = 24
_SAMPLE_SECONDS = 20.0
# What a producer's batch holds that lingers for some milliseconds.
_BATCH_BYTES = 64 << 10
_GUIDE, _SHIPPER, _LOGGER = "guide", "shipper", "logger"


@dataclass(slots=True)
class Sampled:
    """What was found in the topics; of an empty sample only the rates say something."""

    records: int = 0
    documents: int = 0
    value_bytes: int = 0
    errors: int = 0
    formats: Counter[str] = field(default_factory=Counter)
    """Documents by kind of format, of `measured_costs.FORMAT_US`."""
    services: set[str] = field(default_factory=set)
    compressed: float | None = None
    """Bytes after lz4 for each byte, in batches of 64 KiB; None of an empty sample."""
    events_per_second: float | None = None
    """Of the last day, or of what Kafka still has of it; None where there was nothing."""
    peak: float | None = None
    """The busiest hour of the last day, as a multiple of its average; None without a whole day."""

    def traffic(self, events_per_second: float) -> Traffic:
        """Give what the sample says, at this rate."""
        total = self.documents or 1
        return Traffic(
            events_per_second,
            self.value_bytes / total,
            {kind: number / total for kind, number in self.formats.items()},
            self.errors / total,
            max(len(self.services), 1),
        )


async def sample_traffic(settings: Settings, *, topics: Sequence[str], now_ms: int, most: int) -> Sampled:
    """Look at the topics as a member of no group: at most so many documents of the last day, and its offsets.

    Raises ServerUnavailable when no broker answers, TopicMissing and ServerRefused when one says no.
    """
    sampled = Sampled()
    await _rates(settings, topics, now_ms, sampled)
    formats = load_formats(settings.events.formats_file).by_name.values()
    shippers = frozenset(each.name for each in formats if each.unwrap or each.split)
    values: list[bytes] = []
    seen = None
    reading = tap(
        settings, topics=topics, after_ms=now_ms - _HOURS * _HOUR_MS, before_ms=now_ms, now_ms=now_ms
    )
    try:
        async with asyncio.timeout(_SAMPLE_SECONDS), aclosing(reading):
            async for tapped in reading:
                if tapped.place != seen:  # not the next event of the same record
                    seen = tapped.place
                    value = tapped.record.value or b""
                    sampled.records += 1
                    sampled.value_bytes += len(value)
                    values.append(value)
                sampled.documents += 1
                sampled.formats[kind_of_format(tapped.document.format, shippers)] += 1
                fields = tapped.document.fields
                sampled.errors += fields.get("level") in {"ERROR", "FATAL"}
                sampled.services.add(str(fields.get("service")))
                if sampled.documents >= most:
                    break
    except TimeoutError:
        pass  # so many are enough
    sampled.compressed = _compression(values)
    if sampled.events_per_second is not None and sampled.records:
        # Offsets count records, of which each may hold an array of events.
        sampled.events_per_second *= sampled.documents / sampled.records
    return sampled


def kind_of_format(name: str, shippers: frozenset[str]) -> str:
    """Tell the kind of a format, by the name that a document says it was recognised as: `filebeat>zap`."""
    outermost, _, inner = name.partition(">")
    if inner or outermost in shippers:
        return _SHIPPER
    return _GUIDE if outermost == _GUIDE else _LOGGER


def _compression(values: Sequence[bytes]) -> float | None:
    """Compress values as a producer would, one batch after the other."""
    whole = b"".join(values)
    if not whole:
        return None
    batches = [whole[start : start + _BATCH_BYTES] for start in range(0, len(whole), _BATCH_BYTES)]
    return sum(len(lz4_encode(batch)) for batch in batches) / len(whole)


async def _rates(settings: Settings, topics: Sequence[str], now_ms: int, sampled: Sampled) -> None:
    """Take the rates of the last day from the offsets at each of its hours."""
    with kafka_errors(settings.kafka):
        async with reader(settings, "plan") as reading:
            async with admin_client(settings.kafka, "plan") as admin:
                partitions = await partitions_of(settings, admin, topics)
            hours = [now_ms - back * _HOUR_MS for back in range(_HOURS, -1, -1)]
            ends = await reading.consumer.end_offsets(partitions)
            marks = [await _offsets(reading.consumer, ends, hour) for hour in hours]
    counts = [after - before for before, after in pairwise(marks)]
    first = next((number for number, count in enumerate(counts) if count), None)
    if first is None:
        return
    counts = counts[first:]
    sampled.events_per_second = sum(counts) / (len(counts) * DAY_SECONDS / _HOURS)
    if first == 0:
        sampled.peak = max(counts) / (sum(counts) / len(counts))


async def _offsets(consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int], at_ms: int) -> int:
    """Sum up the offsets of the first records at or after a time; of a partition without any, its end."""
    found = await consumer.offsets_for_times(dict.fromkeys(ends, at_ms))
    return sum(end if (first := found.get(one)) is None else first.offset for one, end in ends.items())
