"""Committing positions with their notes: once, with an answer for each partition."""

import logging
from collections.abc import Callable, Mapping

from aiokafka import TopicPartition
from aiokafka.errors import (
    IllegalStateError,
    KafkaError,
    OffsetMetadataTooLargeError,
    UnknownTopicOrPartitionError,
)

from pipeline.kafka.commit_note import CommitNote
from pipeline.kafka.group_member import GroupMember
from pipeline.kafka.ledger import Partition

__all__ = ["Commits"]

log = logging.getLogger(__name__)


class Commits:
    """The commits of one member, each with what `note` says of its partition."""

    def __init__(self, note: Callable[[Partition], CommitNote]) -> None:
        self._note = note
        self.problem: str | None = None
        """Why the last commit was not taken, or not all of it."""
        self._ranges = True

    async def commit(self, member: GroupMember, positions: Mapping[Partition, int]) -> set[Partition]:
        """Commit positions, once; gives the partitions whose position Kafka has, which the next commit leaves out.

        A topic that has been deleted has no use for one: it is as good as committed.
        """
        offsets = {
            TopicPartition(*partition): (position, self._note(partition).text(ranges=self._ranges))
            for partition, position in positions.items()
        }
        try:
            refused = await member.commit_once(offsets)
        except (KafkaError, IllegalStateError) as error:
            self.problem = f"{type(error).__name__}: {error}"
            return set()
        if OffsetMetadataTooLargeError in refused.values() and self._ranges:
            self._ranges = False
            log.warning(
                "the broker's offset.metadata.max.bytes is too small to note which offsets were not read"
            )
        names = ", ".join(sorted({error.__name__ for error in refused.values()}))
        some = ", ".join(f"{topic}/{number}" for topic, number in sorted(refused)[:5])
        self.problem = f"{names} for {len(refused)} partitions, such as {some}" if refused else None
        gone = {each for each, error in refused.items() if error is UnknownTopicOrPartitionError}
        return {partition for partition in positions if partition not in refused.keys() - gone}
