"""`kafka.start_at = latest`: a group that has never committed starts at the end, once.

The end is committed before the worker joins. The broker takes a commit of one who is no member only while the group
has none, so that no worker can read before that is done, nor have it changed under it. From then on a commit says
where reading began, whatever is killed or restarted; all that the commits do not know is new and is read from its
beginning.
"""

import asyncio
import logging

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, KafkaError

from pipeline.errors import ServerUnavailable
from pipeline.kafka.client import admin_client, connection_options, group_offsets, partitions_of_topics
from pipeline.kafka.commit_note import CommitNote
from pipeline.kafka.topics import chosen_topics
from pipeline.settings import Kafka

__all__ = ["commit_the_end"]

log = logging.getLogger(__name__)

_COMMIT_SECONDS = 20.0


async def commit_the_end(kafka: Kafka) -> None:
    """Commit the end of all partitions, unless the group has commits.

    Raises KafkaError as the clients do, ServerUnavailable when the commit gets no answer.
    """
    async with admin_client(kafka, "start") as admin:
        if await group_offsets(admin, kafka.group_id):
            return
        topics = chosen_topics(kafka, await admin.list_topics())
        partitions = await partitions_of_topics(admin, topics) if topics else []
    if not partitions:
        log.info("kafka.start_at = latest: there is no topic yet, what comes is read from its beginning")
        return
    consumer = AIOKafkaConsumer(
        **connection_options(kafka, "start"),
        group_id=kafka.group_id,
        enable_auto_commit=False,
        # The end as this group will see it: a record of an open transaction is yet to come.
        isolation_level=kafka.isolation_level,
    )
    try:
        await consumer.start()
        async with asyncio.timeout(_COMMIT_SECONDS):
            await _commit(consumer, kafka, partitions)
    except TimeoutError:
        raise ServerUnavailable(
            f"Kafka did not take the first commit of the group {kafka.group_id} within {_COMMIT_SECONDS:.0f} s"
        ) from None
    finally:
        await consumer.stop()


async def _commit(consumer: AIOKafkaConsumer, kafka: Kafka, partitions: list[TopicPartition]) -> None:
    consumer.assign(partitions)
    ends = await consumer.end_offsets(partitions)
    try:
        await consumer.commit(
            {partition: (end, CommitNote(start=end).text()) for partition, end in ends.items()}
        )
    except CommitFailedError:
        log.debug("the group %s has members: one of them has done this", kafka.group_id)
    except KafkaError as error:
        raise type(error)(f"first commit of the group {kafka.group_id}: {error}") from error
    else:
        log.info(
            "kafka.start_at = latest: the group %s is new and starts at the end of %d partitions",
            kafka.group_id,
            len(ends),
        )
