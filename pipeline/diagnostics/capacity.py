"""What a rate of events needs: workers, partitions, shards, data nodes, disk. Pure arithmetic on measured costs.

Rates are events in a second, sizes bytes, times seconds unless a name says otherwise.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.diagnostics import measured_costs as costs
from pipeline.diagnostics.capacity_limits import LARGEST_SHARD_BYTES, MOST_SHARD_DOCUMENTS, limits_met

__all__ = [
    "DAY_SECONDS",
    "Assumptions",
    "Elasticsearch",
    "Kafka",
    "Phase",
    "PhaseDisk",
    "Plan",
    "Traffic",
    "Workers",
    "fitting_shards",
    "plan",
    "policy_phases",
]

DAY_SECONDS = 86_400
# Kafka's documentation, "Hardware and OS": memory for 30 seconds of writes.
_PAGE_CACHE_SECONDS = 30
_ADDED_BY_PARTITIONS = 2


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is to be indexed."""

    events_per_second: float
    """On average over a day."""
    event_bytes: float = costs.SAMPLE_BYTES
    """Bytes of an event's record, on average."""
    formats: Mapping[str, float] = field(default_factory=lambda: {"guide": 1.0})
    """Shares of the kinds of format, of `measured_costs.FORMAT_US`."""
    errors: float = 0.01
    """Share of events of level ERROR."""
    services: int = 1


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What is not known, and is taken for granted: each is an option of `logpipe plan`."""

    peak: float = 2.0
    """The busiest minutes of a day, as a multiple of its average."""
    headroom: float = 0.3
    """Share of a worker's core that stays free at the peak."""
    spare_workers: int = 1
    """Workers that may be away at the peak."""
    compression: float = 0.3
    """Bytes in Kafka for each byte that is produced."""
    kafka_replicas: int = 3
    kafka_days: float = 7
    """How long Kafka keeps records."""
    document_bytes: float | None = None
    """Bytes of a document on disk, on one copy; None for what `measured_costs` says."""
    node_cores: int = 8
    """Cores of a data node."""
    node_disk_bytes: float = 2e12
    """Disk of a data node."""
    node_disk_share: float = 0.75
    """How much of it may be used: below Elasticsearch's low watermark of 85 %, with room for merges."""
    node_cpu_share: float = 0.5
    """How much of a data node's CPU indexing may take at the peak; searches get the rest."""
    shards_per_node: int = 1000
    """`cluster.max_shards_per_node`."""
    data_nodes: int = 0
    """Data nodes that there are; 0 for as many as are needed."""
    shards: int = 0
    """Primary shards of a day's index that are set; 0 for as many as fit."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase of the lifecycle."""

    name: str
    min_age_days: float
    replicas: int


@dataclass(frozen=True, slots=True)
class Workers:
    """The processes that move the events."""

    us_per_event: float
    cores_at_peak: float
    """That are busy with the peak."""
    number: int
    """Processes, each with a core: headroom and spare ones included."""
    partitions: int
    memory_bytes: float


@dataclass(frozen=True, slots=True)
class Kafka:
    """What the brokers carry for this topic, replicas included; rates at the peak."""

    in_bytes_per_second: float
    """From the producers."""
    replication_bytes_per_second: float
    out_bytes_per_second: float
    """To the workers."""
    disk_bytes: float
    page_cache_bytes: float


@dataclass(frozen=True, slots=True)
class PhaseDisk:
    """What the indices of a phase hold."""

    phase: str
    days: int
    """Daily indices in it."""
    copies: int
    """Of each document: the primary and its replicas."""
    shards: int
    disk_bytes: float


@dataclass(frozen=True, slots=True)
class Elasticsearch:
    """What the cluster carries; rates at the peak."""

    us_per_document: float
    """On one copy."""
    document_bytes: float
    """On disk, on one copy."""
    documents_per_day: float
    bytes_per_day: float
    """On disk, on one copy."""
    bulk_bytes_per_second: float
    cores_at_peak: float
    """That are busy with indexing, replicas included."""
    shards: int
    """Primary shards of a day's index."""
    phases: tuple[PhaseDisk, ...]
    data_nodes: int
    nodes_by: Mapping[str, int]
    """Data nodes that CPU, disk, shards and copies ask for, each by itself."""

    @property
    def disk_bytes(self) -> float:
        """Give the bytes of all phases."""
        return sum(one.disk_bytes for one in self.phases)

    @property
    def all_shards(self) -> int:
        """Give the shards of all phases, replicas included."""
        return sum(one.shards for one in self.phases)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the traffic needs."""

    traffic: Traffic
    assumptions: Assumptions
    days: int
    workers: Workers
    kafka: Kafka
    elasticsearch: Elasticsearch
    catch_up_seconds: float
    """Until the lag of an hour's standstill is gone, at the average rate."""
    limits: tuple[str, ...]
    """Where this stops holding, and what to do: a sentence each."""


def plan(traffic: Traffic, days: int, phases: Sequence[Phase], assumed: Assumptions) -> Plan:
    """Work out what the traffic needs, for indices that are kept so many days in these phases."""
    peak = traffic.events_per_second * assumed.peak
    workers = _workers(traffic, peak, assumed)
    elasticsearch = _elasticsearch(traffic, peak, days, phases, assumed)
    by_workers = workers.number / workers.us_per_event
    copies = elasticsearch.phases[0].copies
    by_nodes = elasticsearch.data_nodes * assumed.node_cores / (elasticsearch.us_per_document * copies)
    over = min(by_workers, by_nodes) * 1e6 - traffic.events_per_second
    catch_up = 3600 * traffic.events_per_second / over if over > 0 else math.inf
    deletes_after = max((phase.min_age_days for phase in phases if phase.name == "delete"), default=None)
    limits = limits_met(
        partitions=workers.partitions,
        workers=workers.number,
        shards=elasticsearch.shards,
        all_shards=elasticsearch.all_shards,
        shard_bytes=elasticsearch.bytes_per_day / elasticsearch.shards,
        shard_documents=elasticsearch.documents_per_day / elasticsearch.shards,
        data_nodes=elasticsearch.data_nodes,
        nodes_needed=elasticsearch.nodes_by,
        shards_per_node=assumed.shards_per_node,
        days=days,
        deletes_after=deletes_after,
    )
    return Plan(
        traffic,
        assumed,
        days,
        workers,
        _kafka(traffic, peak, assumed),
        elasticsearch,
        catch_up,
        limits,
    )


def _workers(traffic: Traffic, peak: float, assumed: Assumptions) -> Workers:
    formats = sum(costs.FORMAT_US[kind] * share for kind, share in traffic.formats.items())
    us = (
        costs.WORKER_US
        + costs.WORKER_US_PER_BYTE * traffic.event_bytes
        + formats
        + costs.ERROR_US * traffic.errors
        + costs.services_us(traffic.services)
    )
    cores = peak * us / 1e6
    number = max(math.ceil(cores / (1 - assumed.headroom)), 1) + assumed.spare_workers
    # Their number can grow but never shrink, and a worker without a partition stands idle.
    partitions = number * _ADDED_BY_PARTITIONS
    return Workers(us, cores, number, partitions, number * costs.WORKER_MEMORY_BYTES)


def _kafka(traffic: Traffic, peak: float, assumed: Assumptions) -> Kafka:
    compressed = traffic.event_bytes * assumed.compression
    incoming = peak * compressed
    replication = incoming * (assumed.kafka_replicas - 1)
    kept = traffic.events_per_second * compressed * DAY_SECONDS * assumed.kafka_days
    return Kafka(
        incoming,
        replication,
        incoming,
        kept * assumed.kafka_replicas,
        incoming * assumed.kafka_replicas * _PAGE_CACHE_SECONDS,
    )


def _elasticsearch(
    traffic: Traffic, peak: float, days: int, phases: Sequence[Phase], assumed: Assumptions
) -> Elasticsearch:
    us = costs.ELASTICSEARCH_US + costs.ELASTICSEARCH_US_PER_BYTE * traffic.event_bytes
    stored = assumed.document_bytes or (
        costs.STORED_BYTES + costs.STORED_BYTES_PER_BYTE * traffic.event_bytes
    )
    documents = traffic.events_per_second * DAY_SECONDS
    copies = 1 + phases[0].replicas
    cores = peak * us * copies / 1e6
    by_cpu = math.ceil(cores / (assumed.node_cores * assumed.node_cpu_share))
    shards = assumed.shards or fitting_shards(documents, documents * stored, nodes=by_cpu, copies=copies)
    disks = _phase_disks(days, phases, shards, documents * stored)
    nodes_by = {
        "CPU": by_cpu,
        "disk": math.ceil(
            sum(one.disk_bytes for one in disks) / (assumed.node_disk_bytes * assumed.node_disk_share)
        ),
        "shards": math.ceil(sum(one.shards for one in disks) / assumed.shards_per_node),
        # A primary and its replica are never on the same node.
        "copies": max(one.copies for one in disks),
    }
    return Elasticsearch(
        us,
        stored,
        documents,
        documents * stored,
        peak * (traffic.event_bytes + costs.BULK_BYTES_ADDED),
        cores,
        shards,
        disks,
        assumed.data_nodes or max(nodes_by.values()),
        nodes_by,
    )


def fitting_shards(documents: float, stored_bytes: float, *, nodes: int = 1, copies: int = 1) -> int:
    """Give the number of primary shards that fits a day's index.

    documents, stored_bytes -- of the day, on one copy
    nodes, copies -- data nodes that have to share the work of indexing, and copies of each shard
    """
    return max(
        math.ceil(stored_bytes / LARGEST_SHARD_BYTES),
        math.ceil(documents / MOST_SHARD_DOCUMENTS),
        math.ceil(nodes / copies),
        1,
    )


def _phase_disks(days: int, phases: Sequence[Phase], shards: int, day_bytes: float) -> tuple[PhaseDisk, ...]:
    """Give each phase's indices; the last one that keeps them holds those of all further days."""
    keeping = [phase for phase in phases if phase.name != "delete"]
    ends = [*(phase.min_age_days for phase in keeping[1:]), math.inf]
    disks = []
    for phase, end in zip(keeping, ends, strict=True):
        in_phase = math.ceil(min(end, days)) - math.ceil(phase.min_age_days)
        if in_phase > 0:
            copies = 1 + phase.replicas
            disks.append(
                PhaseDisk(
                    phase.name, in_phase, copies, in_phase * shards * copies, in_phase * day_bytes * copies
                )
            )
    return tuple(disks)


def policy_phases(policy: Mapping[str, Any], ages: Mapping[str, float], replicas: int) -> tuple[Phase, ...]:
    """Read a lifecycle policy: its phases by age, each with the replicas that indices have in it.

    policy -- the body of `_ilm/policy`: `{"policy": {"phases": {…}}}`
    ages -- the age at which each phase begins, in days
    replicas -- those with which an index begins
    """
    found = []
    for name, phase in sorted(policy["policy"]["phases"].items(), key=lambda each: ages[each[0]]):
        replicas = phase["actions"].get("allocate", {}).get("number_of_replicas", replicas)
        found.append(Phase(name, ages[name], replicas))
    return tuple(found)
