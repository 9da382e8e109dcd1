"""The consumer group as the brokers see it: whether this pipeline can be a member of it."""

from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError, for_code

from pipeline.kafka.client import admin_client
from pipeline.settings import Kafka

__all__ = ["ASSIGNOR", "ConsumerGroup", "describe_group", "explain_conflict", "why_not_joined"]

ASSIGNOR = RoundRobinPartitionAssignor
"""How members of our group divide the partitions; all members of a group must know the same way."""

_PROTOCOL_TYPE = "consumer"
_SHOWN_MEMBERS = 3


class ConsumerGroup(NamedTuple):
    """A group and who is in it now."""

    protocol_type: str
    """`consumer`, or what other programs that use groups call theirs, such as Kafka Connect's `connect`."""
    assignor: str
    """How the partitions are divided; empty without members and during a rebalance."""
    members: tuple[str, ...]
    """Client id and address of each member."""


async def describe_group(admin: AIOKafkaAdminClient, group_id: str) -> ConsumerGroup:
    """Ask the group's coordinator; a group that does not exist has no members.

    Raises KafkaError when the coordinator does not say.
    """
    try:
        (answer,) = await admin.describe_consumer_groups([group_id])
    except GroupCoordinatorNotAvailableError:  # a new cluster, in which no group has been used yet
        return ConsumerGroup("", "", ())
    code, _, _, protocol_type, assignor, members, *_ = answer.groups[0]
    if code:
        raise for_code(code)(group_id)
    # Of a member: its id, then (since version 4) its static one, its client id, its address and two byte strings.
    return ConsumerGroup(
        protocol_type, assignor, tuple(f"{member[-4]} at {member[-3].lstrip('/')}" for member in members)
    )


def explain_conflict(group_id: str, group: ConsumerGroup) -> str | None:
    """Say why this pipeline cannot join the group, and what to change; None when it can."""
    if not group.members or (group.protocol_type == _PROTOCOL_TYPE and group.assignor in {"", ASSIGNOR.name}):
        return None
    shown = ", ".join(group.members[:_SHOWN_MEMBERS])
    more = len(group.members) - _SHOWN_MEMBERS
    members = f"{shown} and {more} more" if more > 0 else shown
    kind = group.assignor if group.protocol_type == _PROTOCOL_TYPE else group.protocol_type
    return _conflict(group_id, f"its members ({members}) divide the partitions by {kind!r}")


async def why_not_joined(kafka: Kafka) -> str:
    """Say why the group did not take this pipeline, which it said in a word: look at who is in the group."""
    try:
        async with admin_client(kafka, "group") as admin:
            found = explain_conflict(kafka.group_id, await describe_group(admin, kafka.group_id))
    except (KafkaError, OSError):
        found = None
    return found or _conflict(kafka.group_id, "its members divide the partitions in another way")


def _conflict(group_id: str, what: str) -> str:
    return (
        f"kafka.group_id = {group_id!r}: another application uses this consumer group: {what}, this pipeline by "
        f"{ASSIGNOR.name!r}. Set kafka.group_id to a name that nothing else uses, or stop those members, or have "
        f"them use {ASSIGNOR.name!r} as well (partition.assignment.strategy = "
        "org.apache.kafka.clients.consumer.RoundRobinAssignor)"
    )
