"""A large deployment on paper: what the broker, the group and the cluster carry with 8, 64 and 512 workers.

    python -m benchmarks.scale

It multiplies what was measured of one worker: `results/latest.json`, and what `scale_measured.py` has counted. The same
figures give the same answer.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.cli.plan_report import bytes_in_words
from pipeline.diagnostics.capacity import Assumptions, Traffic, plan
from pipeline.diagnostics.measured_costs import BULK_BYTES_ADDED, SAMPLE_BYTES
from pipeline.diagnostics.shipped_policy import shipped_phases
from pipeline.settings import Elasticsearch, Kafka

__all__ = [
    "SIZES",
    "Broker",
    "Cluster",
    "Group",
    "Load",
    "Measured",
    "Rebalance",
    "markdown",
    "measured",
    "rebalance",
    "simulate",
]

SIZES = (8, 64, 512)
_RESULTS = Path(__file__).parent / "results" / "latest.json"
_DAYS = 90

# Counted on 2026-11-29, one worker, one broker, batches twenty times a second.
_FETCHES_PER_SECOND = 20.0
"""At most, of one worker to one broker, while it keeps up: 9 to 18 at 1,000 events/s, 3 to 10 at 10,000."""
_COMMITS_PER_SECOND = 1.0
_OTHER_CONNECTIONS = 2
"""Of a worker, beside one to each broker that leads a partition of its: to the coordinator, and for dead letters."""
_ASSIGN_SECONDS = 6e-6
"""CPU of the group's leader for each partition."""
_MEMBER_BYTES = 250
"""Of the group's record, beside assignment and subscription: ids, client, host, timeouts."""
_ASSIGNMENT_BYTES, _PARTITION_BYTES, _SUBSCRIPTION_BYTES = 36, 4, 32
_COMMIT_BYTES = 250
"""Of a committed offset with its note, in the coordinator's log."""
# Taken for granted.
_PARTITIONS_PER_WORKER = 2
_LEAST_BROKERS = 3
_BROKER_BYTES_PER_SECOND = 100e6
"""From producers, to each broker; replicas and readers come on top."""
_ROUND_TRIP_SECONDS = 0.01
_ONE_MESSAGE_BYTES = 1_048_588
"""Kafka's default of `message.max.bytes`, which the record of a group has to fit into."""


class Measured(NamedTuple):
    """What one worker does, of `latest.json`."""

    us_per_event: float
    start_seconds: float
    memory_bytes: float

    @classmethod
    def read(cls, figures: Mapping[str, Any]) -> "Measured":
        """Take the figures of a whole run; raises ValueError where a part was left out."""
        run = figures["end_to_end"]
        told = (run["ours_us_per_event"], figures["start_to_first_document_seconds"], run["rss_mb"])
        if None in told:
            raise ValueError("the figures are of a part of the benchmark: `make bench` measures all of it")
        us, start, megabytes = told
        return cls(us, start, megabytes * 1e6)


class Broker(NamedTuple):
    """What the brokers of all partitions carry, and one of them."""

    brokers: int
    in_bytes_per_second: float
    fetches_per_second: float
    """Of all workers, while they keep up."""
    fetches_behind_per_second: float
    """While they catch up, a core each: fewer and larger ones."""
    connections: int
    """Of the busiest broker, which is the coordinator too."""


class Rebalance(NamedTuple):
    """One change of the group."""

    seconds: float
    """From the change until every worker reads again."""
    standing_seconds: float
    """That a worker reads nothing, on average."""


class Group(NamedTuple):
    """What the coordinator carries."""

    partitions: int
    heartbeats_per_second: float
    commits_per_second: float
    commit_bytes_per_second: float
    assignment_bytes: int
    """Of one answer to the leader, for all members."""
    record_bytes: int
    """Of the group in the coordinator's log."""
    change: Rebalance
    rolling_restart_seconds: float
    """That the group stands still while each worker is started anew, one by one; with static members it does not."""


class Cluster(NamedTuple):
    """What Elasticsearch carries."""

    documents_per_second: float
    bulk_requests_per_second: float
    bulk_bytes_per_second: float
    connections: int
    shards_a_day: int
    all_shards: int
    data_nodes: int


class Load(NamedTuple):
    """A deployment of so many workers, each as busy as `logpipe plan` lets it be."""

    workers: int
    events_per_second: float
    """On average; the peak is twice as much."""
    memory_bytes: float
    broker: Broker
    group: Group
    cluster: Cluster


def simulate(workers: int, one: Measured, kafka: Kafka, elasticsearch: Elasticsearch) -> Load:
    """Work out what so many workers of these settings ask of the others."""
    assumed = Assumptions()
    each = 1e6 / one.us_per_event
    rate = workers * each * (1 - assumed.headroom) / assumed.peak
    partitions = workers * _PARTITIONS_PER_WORKER
    peak = rate * assumed.peak
    compressed = SAMPLE_BYTES * assumed.compression
    brokers = max(math.ceil(peak * compressed / _BROKER_BYTES_PER_SECOND), _LEAST_BROKERS)
    leaders = min(_PARTITIONS_PER_WORKER, brokers)
    largest = min(_PARTITIONS_PER_WORKER / leaders * kafka.max_partition_fetch_bytes, kafka.fetch_max_bytes)
    broker = Broker(
        brokers,
        peak * compressed,
        workers * leaders * _FETCHES_PER_SECOND,
        workers * each * compressed / largest,
        math.ceil(workers * leaders / brokers) + workers * _OTHER_CONNECTIONS,
    )
    change = rebalance(workers, each, kafka, elasticsearch)
    assignment = workers * (_ASSIGNMENT_BYTES + _PARTITIONS_PER_WORKER * _PARTITION_BYTES)
    group = Group(
        partitions,
        workers / _heartbeat_seconds(kafka),
        workers * _COMMITS_PER_SECOND,
        partitions * _COMMITS_PER_SECOND * _COMMIT_BYTES,
        assignment,
        assignment + workers * (_MEMBER_BYTES + _SUBSCRIPTION_BYTES),
        change,
        # One change when a worker leaves, one when it is back.
        workers * 2 * change.standing_seconds,
    )
    planned = plan(Traffic(rate), _DAYS, shipped_phases(), assumed).elasticsearch
    bulk = peak * (SAMPLE_BYTES + BULK_BYTES_ADDED)
    cluster = Cluster(
        peak,
        max(bulk / elasticsearch.bulk_max_bytes, workers / elasticsearch.flush_interval_seconds),
        bulk,
        workers * elasticsearch.max_concurrent_requests,
        planned.shards,
        planned.all_shards,
        planned.data_nodes,
    )
    return Load(workers, rate, workers * one.memory_bytes, broker, group, cluster)


def rebalance(
    workers: int, events_per_second: float, kafka: Kafka, elasticsearch: Elasticsearch
) -> Rebalance:
    """Play one change of the group: everyone gives up what it has, and waits for the last.

    Each member learns of it by its next heartbeat; those are spread evenly. It stops reading, settles what is in
    flight, commits, and joins. When the last has joined, the leader divides the partitions and the coordinator tells.

    events_per_second -- that one worker indexes at full speed
    """
    every = _heartbeat_seconds(kafka)
    settling = elasticsearch.max_in_flight_bytes / (events_per_second * (SAMPLE_BYTES + BULK_BYTES_ADDED))
    # Half a session is the most that a worker waits for what is in flight.
    settling = min(settling, kafka.session_timeout_seconds / 2)
    stops = [every * (number + 1) / workers for number in range(workers)]
    joined = [stop + settling + 2 * _ROUND_TRIP_SECONDS for stop in stops]
    partitions = workers * _PARTITIONS_PER_WORKER
    reads_again = max(joined) + partitions * _ASSIGN_SECONDS + 2 * _ROUND_TRIP_SECONDS
    standing = sum(reads_again - stop for stop in stops) / workers
    return Rebalance(reads_again, standing)


def _heartbeat_seconds(kafka: Kafka) -> float:
    return max(kafka.session_timeout_seconds / 10, 0.1)


def markdown(one: Measured) -> str:
    """Write the figures of each size as a table."""
    loads = [simulate(size, one, Kafka(), Elasticsearch()) for size in SIZES]
    rows: list[tuple[str, list[str]]] = [
        ("workers", [f"{load.workers:,}" for load in loads]),
        ("events a second, on average", [_count(load.events_per_second) for load in loads]),
        ("partitions", [f"{load.group.partitions:,}" for load in loads]),
        ("memory of the workers", [bytes_in_words(load.memory_bytes) for load in loads]),
        ("**Brokers**, assumed", [f"{load.broker.brokers:,}" for load in loads]),
        (
            "from producers, at the peak",
            [f"{bytes_in_words(load.broker.in_bytes_per_second)}/s" for load in loads],
        ),
        ("fetch requests a second, all brokers", [_count(load.broker.fetches_per_second) for load in loads]),
        ("… while catching up", [_count(load.broker.fetches_behind_per_second) for load in loads]),
        ("connections to the busiest broker, at most", [_count(load.broker.connections) for load in loads]),
        ("**Group**: heartbeats a second", [_count(load.group.heartbeats_per_second) for load in loads]),
        ("commits a second", [_count(load.group.commits_per_second) for load in loads]),
        ("bytes of an assignment", [bytes_in_words(load.group.assignment_bytes) for load in loads]),
        (
            "record of the group, of 1.05 MB allowed",
            [bytes_in_words(load.group.record_bytes) for load in loads],
        ),
        ("a rebalance", [f"{load.group.change.seconds:.1f} s" for load in loads]),
        ("… of which a worker stands", [f"{load.group.change.standing_seconds:.1f} s" for load in loads]),
        (
            "standing still in a rolling restart",
            [f"{load.group.rolling_restart_seconds / 60:.1f} min" for load in loads],
        ),
        (
            "**Cluster**: documents a second, at the peak",
            [_count(load.cluster.documents_per_second) for load in loads],
        ),
        ("bulk requests a second", [_count(load.cluster.bulk_requests_per_second) for load in loads]),
        ("bytes of them", [f"{bytes_in_words(load.cluster.bulk_bytes_per_second)}/s" for load in loads]),
        ("connections, at most", [_count(load.cluster.connections) for load in loads]),
        ("primary shards a day", [_count(load.cluster.shards_a_day) for load in loads]),
        ("shards of 90 days", [_count(load.cluster.all_shards) for load in loads]),
        ("data nodes", [_count(load.cluster.data_nodes) for load in loads]),
    ]
    (head, sizes), *body = rows
    lines = [f"| {head} | {' | '.join(sizes)} |", f"|---|{'--:|' * len(loads)}"]
    return "\n".join([*lines, *(f"| {name} | {' | '.join(cells)} |" for name, cells in body)])


def measured() -> Measured:
    """Read the newest figures."""
    return Measured.read(json.loads(_RESULTS.read_text("utf-8")))


def _count(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.1f}".removesuffix(".0")


if __name__ == "__main__":
    print(markdown(measured()))
