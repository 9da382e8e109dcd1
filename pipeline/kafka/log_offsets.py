"""Where partitions begin and end, asked of each partition's leader; one that cannot be asked holds up none."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable
from enum import IntEnum
from typing import NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.protocol.offset import OffsetRequest

from pipeline.kafka.cluster_client import ClusterClient
from pipeline.kafka.ledger import Partition

__all__ = ["Ends", "Isolation", "Place", "log_offsets", "partition_ends"]

log = logging.getLogger(__name__)

_NO_REPLICA = -1


class Place(IntEnum):
    """Which offset to ask for, as Kafka's ListOffsets numbers them."""

    BEGINNING = -2
    END = -1


class Isolation(IntEnum):
    """What counts as the end."""

    HIGH_WATERMARK = 0
    """All that is replicated."""
    LAST_STABLE_OFFSET = 1
    """What is before the first open transaction."""


class Ends(NamedTuple):
    """Where a partition ends."""

    high_watermark: int
    readable: int
    """The last stable offset, where only committed records are read."""


async def partition_ends(
    client: ClusterClient, partitions: Collection[TopicPartition], *, committed_only: bool
) -> dict[Partition, Ends]:
    """Ask where partitions end, and where what can be read now does; those without an answer are left out."""
    isolation = Isolation.LAST_STABLE_OFFSET if committed_only else Isolation.HIGH_WATERMARK
    readable = await log_offsets(client, partitions, Place.END, isolation)
    ends = await log_offsets(client, partitions, Place.END)
    return {Partition(*each): Ends(ends[each], readable[each]) for each in ends.keys() & readable.keys()}


async def log_offsets(
    client: ClusterClient,
    partitions: Iterable[TopicPartition],
    place: Place,
    isolation: Isolation = Isolation.HIGH_WATERMARK,
) -> dict[TopicPartition, int]:
    """Ask for one offset of each partition; those without a leader that answers are left out."""
    by_node: dict[int, list[TopicPartition]] = defaultdict(list)
    for partition in partitions:
        node = client.cluster.leader_for_partition(partition)
        if node is None or node < 0:
            client.force_metadata_update()
        else:
            by_node[node].append(partition)
    answers = await asyncio.gather(
        *(_ask(client, node, asked, place, isolation) for node, asked in by_node.items())
    )
    return {partition: offset for answer in answers for partition, offset in answer.items()}


async def _ask(
    client: ClusterClient, node: int, partitions: Iterable[TopicPartition], place: Place, isolation: Isolation
) -> dict[TopicPartition, int]:
    topics: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for topic, number in partitions:
        topics[topic].append((number, int(place)))
    try:
        answer = await client.send(node, OffsetRequest(_NO_REPLICA, int(isolation), list(topics.items())))
    except KafkaError as error:
        log.debug("node %d does not tell its partitions' offsets: %r", node, error)
        return {}
    found = {}
    for topic, answers in answer.topics:
        for number, code, _, offset in answers:
            if code:
                client.force_metadata_update()
            else:
                found[TopicPartition(topic, number)] = offset
    return found
