"""Three requests of Kafka's protocol in versions that aiokafka does not speak.

- Metadata 10 names a topic's id (KIP-516): what tells a topic from one of the same name that was made later.
- Heartbeat 3 and OffsetCommit 7 name the static member (KIP-345): what makes the broker tell a worker that another
  one has taken its id, instead of that it does not know it.

aiokafka's own classes do the encoding; here are only the fields. The protocol: https://kafka.apache.org/protocol
"""

from collections.abc import Collection, Sequence
from io import BytesIO
from typing import Any

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.commit import OffsetCommitRequest_v3, OffsetCommitResponse_v3
from aiokafka.protocol.group import HeartbeatRequest_v1, HeartbeatResponse_v1
from aiokafka.protocol.metadata import MetadataResponse_v5
from aiokafka.protocol.types import (
    AbstractType,
    Array,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    String,
    TaggedFields,
)

__all__ = [
    "FENCED_INSTANCE_ID",
    "HeartbeatOfMember",
    "MetadataWithIds",
    "OffsetCommitOfMember",
    "without_ids",
]

FENCED_INSTANCE_ID = 82
"""The broker's error code for a static member whose id another one has taken."""
_NO_ID = bytes(16)
_NO_TAGS: dict[int, bytes] = {}
_LEADER_EPOCH_UNKNOWN = -1
_RETENTION_OF_THE_BROKER = -1


class _Uuid(AbstractType):  # type: ignore[misc]  # aiokafka has no types
    """Sixteen bytes."""

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(16)


class MetadataResponse_v10(Response):  # type: ignore[misc]  # noqa: N801 - as aiokafka names them
    """Brokers, and topics with their ids."""

    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("topic_authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class MetadataRequest_v10(RequestStruct):  # type: ignore[misc]  # noqa: N801
    """Topics by name; None asks for all."""

    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = MetadataResponse_v10
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", _Uuid), ("topic", CompactString("utf-8")), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class MetadataWithIds(Request[MetadataRequest_v10]):  # type: ignore[misc]
    """Ask about topics, or with None about all, without creating them."""

    API_KEY = 3

    def __init__(self, topics: Collection[str] | None) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[MetadataRequest_v10]) -> MetadataRequest_v10:
        """Fill in the fields."""
        topics = None if self._topics is None else [(_NO_ID, name, _NO_TAGS) for name in self._topics]
        return request_struct_class(topics, False, False, False, _NO_TAGS)


def without_ids(answer: MetadataResponse_v10, *, leave_out: Collection[str] = ()) -> MetadataResponse_v5:
    """Give an answer in the version that aiokafka reads, without the topics that are to be left out."""
    return MetadataResponse_v5(
        answer.throttle_time_ms,
        [broker[:4] for broker in answer.brokers],
        answer.cluster_id,
        answer.controller_id,
        [
            (
                error,
                topic,
                internal,
                [
                    (code, number, leader, replicas, isr, offline)
                    for code, number, leader, _, replicas, isr, offline, _ in partitions
                ],
            )
            for error, topic, _, internal, partitions, *_ in answer.topics
            if topic not in leave_out
        ],
    )


class HeartbeatResponse_v3(Response):  # type: ignore[misc]  # noqa: N801
    """Like its predecessor."""

    API_KEY = 12
    API_VERSION = 3
    SCHEMA = HeartbeatResponse_v1.SCHEMA


class HeartbeatRequest_v3(RequestStruct):  # type: ignore[misc]  # noqa: N801
    """Its predecessor with the static member's id."""

    API_KEY = 12
    API_VERSION = 3
    RESPONSE_TYPE = HeartbeatResponse_v3
    SCHEMA = Schema(
        ("group", String("utf-8")),
        ("generation_id", Int32),
        ("member_id", String("utf-8")),
        ("group_instance_id", String("utf-8")),
    )


class HeartbeatOfMember(Request[HeartbeatRequest_v1 | HeartbeatRequest_v3]):  # type: ignore[misc]
    """A heartbeat that names the static member, where the broker can hear it."""

    API_KEY = 12

    def __init__(self, group: str, generation: int, member: str, instance: str | None) -> None:
        self._fields = group, generation, member
        self._instance = instance

    def build(self, request_struct_class: type[Any]) -> Any:
        """Fill in the fields."""
        if request_struct_class.API_VERSION < HeartbeatRequest_v3.API_VERSION:
            return request_struct_class(*self._fields)
        return request_struct_class(*self._fields, self._instance)


class OffsetCommitResponse_v7(Response):  # type: ignore[misc]  # noqa: N801
    """Like its predecessor."""

    API_KEY = 8
    API_VERSION = 7
    SCHEMA = OffsetCommitResponse_v3.SCHEMA


class OffsetCommitRequest_v7(RequestStruct):  # type: ignore[misc]  # noqa: N801
    """Its predecessor with the static member's id."""

    API_KEY = 8
    API_VERSION = 7
    RESPONSE_TYPE = OffsetCommitResponse_v7
    SCHEMA = Schema(
        ("consumer_group", String("utf-8")),
        ("consumer_group_generation_id", Int32),
        ("consumer_id", String("utf-8")),
        ("group_instance_id", String("utf-8")),
        (
            "topics",
            Array(
                ("topic", String("utf-8")),
                (
                    "partitions",
                    Array(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", String("utf-8")),
                    ),
                ),
            ),
        ),
    )


class OffsetCommitOfMember(Request[OffsetCommitRequest_v3 | OffsetCommitRequest_v7]):  # type: ignore[misc]
    """A commit that names the static member, where the broker can hear it.

    `topics` are names, each with (partition, offset, metadata) of its partitions.
    """

    API_KEY = 8

    def __init__(
        self,
        group: str,
        generation: int,
        member: str,
        instance: str | None,
        topics: Sequence[tuple[str, Sequence[tuple[int, int, str]]]],
    ) -> None:
        self._fields = group, generation, member
        self._instance = instance
        self._topics = topics

    def build(self, request_struct_class: type[Any]) -> Any:
        """Fill in the fields."""
        if request_struct_class.API_VERSION < OffsetCommitRequest_v7.API_VERSION:
            topics = [(name, list(partitions)) for name, partitions in self._topics]
            return request_struct_class(*self._fields, _RETENTION_OF_THE_BROKER, topics)
        with_epochs = [
            (name, [(number, offset, _LEADER_EPOCH_UNKNOWN, text) for number, offset, text in partitions])
            for name, partitions in self._topics
        ]
        return request_struct_class(*self._fields, self._instance, with_epochs)
