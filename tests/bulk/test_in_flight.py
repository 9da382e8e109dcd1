"""What is told of an answered request: once for each batch in it, while every part is settled."""

import time

import pytest
from prometheus_client import Histogram

from pipeline.bulk.batch_traces import NO_TRACES
from pipeline.bulk.flood import FloodBreaker
from pipeline.bulk.in_flight import InFlight
from pipeline.bulk.parts import Part
from pipeline.kafka.ledger import Ledger, Partition
from pipeline.telemetry.metrics import Telemetry

OLD, NEW = "2024-01-15T10:30:00.123Z", "2024-01-15T11:30:00.123Z"


def observed(histogram: Histogram) -> tuple[float, float]:
    (family,) = histogram.collect()
    found = {sample.name.removeprefix(family.name): sample.value for sample in family.samples}
    return found["_count"], found["_sum"]


def test_parts_of_a_batch_are_told_of_together_and_settled_each() -> None:
    now_ms = int(time.time() * 1000)
    telemetry, ledger = Telemetry(), Ledger()
    flight = InFlight(ledger.settle_part, telemetry, NO_TRACES, FloodBreaker(0.5))
    one, other = (ledger.deliver(Partition("logs", number), 300, 300) for number in (0, 1))
    one.parts, other.parts = 3, 1
    parts = [
        Part(one, (), 100, b"abc", "no time", None),
        Part(one, (), 100, b"abc", OLD, now_ms - 60_000),
        Part(other, (), 50, b"abc", NEW, now_ms - 1000),
        Part(one, (), 7, b"abc", NEW, now_ms - 1000),
    ]
    flight.bytes = 12
    flight.created(parts)
    assert flight.bytes == 0
    assert flight.taken == 257
    assert ledger.committable() == {Partition("logs", 0): 300, Partition("logs", 1): 300}
    documents = {
        sample.labels["partition"]: sample.value
        for family in telemetry.documents.collect()
        for sample in family.samples
        if sample.name.endswith("_total") and sample.labels["outcome"] == "indexed"
    }
    assert documents == {"0": 207, "1": 50}
    assert observed(telemetry.freshness)[0] == 3
    count, seconds = observed(telemetry.latency)
    assert count == 3
    assert seconds == pytest.approx(62, abs=5)
