"""The group's consumer: how aiokafka's is set up, what it subscribes to, and the parts of it that are ours."""

import asyncio
import logging
from typing import cast

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from pipeline.errors import ServerRefused
from pipeline.kafka.client import connection_options
from pipeline.kafka.cluster_client import ClusterClient
from pipeline.kafka.fetched_records import InBatches
from pipeline.kafka.group_member import GroupMember
from pipeline.kafka.groups import ASSIGNOR
from pipeline.kafka.topics import TopicPattern
from pipeline.settings import Kafka

__all__ = ["cluster_client", "group_member", "make_consumer", "reading_positions", "stop", "subscribe"]

log = logging.getLogger(__name__)

# Longer than any pause: the worker polls at least this often, so that the group never takes a worker that waits
# for Elasticsearch for one that hangs.
_MAX_POLL_INTERVAL_SECONDS = 300
_RETRY_BACKOFF_MS = 200


def make_consumer(kafka: Kafka, batches: InBatches) -> AIOKafkaConsumer:
    """Set up a consumer that commits nothing by itself and gives its records as `batches` says."""
    session_ms = int(kafka.session_timeout_seconds * 1000)
    return AIOKafkaConsumer(
        **connection_options(kafka),
        group_id=kafka.group_id,
        group_instance_id=kafka.group_instance_id,
        partition_assignment_strategy=(ASSIGNOR,),
        value_deserializer=batches,
        enable_auto_commit=False,
        # Positions are chosen by `positions.py`: aiokafka would pass over what has expired without a word.
        auto_offset_reset="none",
        isolation_level=kafka.isolation_level,
        fetch_max_bytes=kafka.fetch_max_bytes,
        max_partition_fetch_bytes=kafka.max_partition_fetch_bytes,
        metadata_max_age_ms=int(kafka.metadata_max_age_seconds * 1000),
        session_timeout_ms=session_ms,
        heartbeat_interval_ms=max(session_ms // 10, 100),
        max_poll_interval_ms=_MAX_POLL_INTERVAL_SECONDS * 1000,
        retry_backoff_ms=_RETRY_BACKOFF_MS,
    )


async def subscribe(consumer: AIOKafkaConsumer, kafka: Kafka, listener: ConsumerRebalanceListener) -> None:
    """Have a started consumer join its group; returns with the first assignment, which may be empty.

    To subscribe before the start would wait for every topic, and fail where one does not exist.

    Raises ServerRefused when a topic must not be read, KafkaError when the group must not be joined.
    """
    client, subscription = cluster_client(consumer), consumer._subscription  # noqa: SLF001 - see below
    if kafka.topic_pattern is not None:
        # What aiokafka's own method would compile cannot leave topics out.
        subscription.subscribe_pattern(TopicPattern(kafka.topic_pattern), listener=listener)
        client.set_topics([])
    else:
        await client.set_topics(kafka.topics)
        if denied := client.cluster.unauthorized_topics.intersection(kafka.topics):
            raise ServerRefused(
                f"Kafka does not let {kafka.client_id} read {', '.join(sorted(denied))}: "
                "TopicAuthorizationFailedError; `logpipe setup --print-roles` shows the ACLs it needs"
            )
        consumer.subscribe(topics=list(kafka.topics), listener=listener)
    await subscription.wait_for_assignment()


async def stop(consumer: AIOKafkaConsumer) -> None:
    """Leave the group and disconnect.

    aiokafka cancels a fetch that waits for a broker, and lets the cancellation out as if its caller had been
    cancelled: the worker would end as after a second signal. Hence a task of its own.
    """
    stopping = asyncio.create_task(consumer.stop())
    try:
        await asyncio.wait({stopping})
    finally:
        stopping.cancel()
    if stopping.cancelled():
        await cluster_client(consumer).close()
    elif error := stopping.exception():
        log.debug("the consumer did not end in order: %r", error)


def reading_positions(consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
    """Give where each partition will be read next; nothing during a rebalance, whose end `position` waits for."""
    state = consumer._subscription  # noqa: SLF001 - as above
    if state.reassignment_in_progress:
        return {}
    assignment = state.subscription.assignment
    states = {partition: assignment.state_value(partition) for partition in assignment.tps}
    return {partition: each.position for partition, each in states.items() if each.has_valid_position}


def cluster_client(consumer: AIOKafkaConsumer) -> ClusterClient:
    """Give what keeps a consumer's metadata."""
    return cast("ClusterClient", consumer._client)  # noqa: SLF001 - aiokafka has no other way to it


def group_member(consumer: AIOKafkaConsumer) -> GroupMember:
    """Give a consumer's place in its group."""
    return cast("GroupMember", consumer._coordinator)  # noqa: SLF001 - as above
