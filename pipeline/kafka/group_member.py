"""Membership in a consumer group as aiokafka has it, but for two things that the worker needs to know.

- A static member (`kafka.group_instance_id`) whose id another process has taken is told so by the broker, and
  `fenced` says it. aiokafka leaves its id out of heartbeats and commits; the broker then only says that it does not
  know this member, and aiokafka joins again: two processes throw each other out for ever.
- A commit is tried once, and says of each partition whether it was taken. aiokafka's commit goes on for as long as one
  partition is refused, for good when its topic has been deleted, and meanwhile nothing else is committed.

Importing this module makes aiokafka use it.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer import consumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import (
    CommitFailedError,
    GroupCoordinatorNotAvailableError,
    IllegalGenerationError,
    KafkaError,
    NotCoordinatorForGroupError,
    RebalanceInProgressError,
    UnknownMemberIdError,
    for_code,
)
from aiokafka.protocol.group import HeartbeatRequest

from pipeline.kafka.protocol import FENCED_INSTANCE_ID, HeartbeatOfMember, OffsetCommitOfMember

__all__ = ["GroupMember"]

log = logging.getLogger(__name__)


class GroupMember(GroupCoordinator):  # type: ignore[misc]  # aiokafka has no types
    """A consumer's place in its group."""

    fenced = False
    """Whether another process has taken this static member's id."""

    async def commit_once(
        self, offsets: Mapping[TopicPartition, tuple[int, str]]
    ) -> dict[TopicPartition, type[KafkaError]]:
        """Commit offsets, each with its metadata; gives the error of each partition that was refused.

        Raises KafkaError when there was no answer, and CommitFailedError when this is no member now: whoever has
        the partitions next reads from what was committed before.
        """
        if self.generation < 0:
            raise CommitFailedError("this worker is no member of its group now, it joins again")
        topics: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
        for partition, (offset, text) in offsets.items():
            topics[partition.topic].append((partition.partition, offset, text))
        async with self._commit_lock:
            answer = await self._send_req(
                OffsetCommitOfMember(
                    self.group_id,
                    self.generation,
                    self.member_id,
                    self._group_instance_id,
                    list(topics.items()),
                )
            )
        refused = {
            TopicPartition(topic, number): for_code(code)
            for topic, partitions in answer.topics
            for number, code in partitions
            if code
        }
        self._heed(set(refused.values()))
        return refused

    def _heed(self, errors: set[type[KafkaError]]) -> None:
        """Do what the errors of a commit ask for, as aiokafka's own commit does."""
        if errors & {GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError}:
            self.coordinator_dead()
        if RebalanceInProgressError in errors:
            self.request_rejoin()
        if errors & {UnknownMemberIdError, IllegalGenerationError}:
            self.reset_generation()

    async def _send_req(self, request: Any) -> Any:
        if self._group_instance_id is not None and isinstance(request, HeartbeatRequest):
            request = HeartbeatOfMember(
                self.group_id, self.generation, self.member_id, self._group_instance_id
            )
        answer = await super()._send_req(request)
        if FENCED_INSTANCE_ID in _error_codes(answer):
            self.fenced = True
        return answer


def _error_codes(answer: Any) -> set[int]:
    """Give the codes of an answer: one, or those of a commit's partitions."""
    if hasattr(answer, "error_code"):
        return {answer.error_code}
    if isinstance(answer.API_KEY, int) and answer.API_KEY == OffsetCommitOfMember.API_KEY:
        return {code for _, partitions in answer.topics for _, code in partitions}
    return set()


consumer.GroupCoordinator = GroupMember
