"""The Kafka topics of the pipeline: which there should be, and creating those that are missing."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from pipeline.errors import ServerRefused, ServerUnavailable
from pipeline.kafka.client import CREDENTIALS_HINT, NOT_KNOWN, admin_client
from pipeline.kafka.trace_events import trace_events_topic
from pipeline.settings import Kafka, Settings

__all__ = ["TopicPlan", "TopicSpec", "create_topics", "plan_topics", "wanted_topics"]

_DAY_MS = 86_400_000
# A dead letter is a record and why it was refused: it must fit where the record did.
_DEAD_LETTER_MAX_BYTES = 16 << 20
_BROKER_DEFAULT = -1
# What is older is in the summaries, and in the logs.
_TRACE_EVENTS = {"retention.ms": str(3 * _DAY_MS)}


class TopicSpec(NamedTuple):
    """A topic as it should be; `replication_factor` -1 is the broker's default."""

    name: str
    partitions: int
    replication_factor: int
    configs: Mapping[str, str]


class TopicPlan(NamedTuple):
    """The topics to create, and remarks on those that exist."""

    missing: tuple[TopicSpec, ...]
    remarks: tuple[str, ...]


def wanted_topics(
    settings: Settings, *, partitions: int, replication_factor: int | None = None
) -> list[TopicSpec]:
    """Return the topics that are read (none when they are chosen by pattern), of trace events, of dead letters.

    The index of an event depends on its record's timestamp, which producers set. The broker is told to refuse
    timestamps outside the days that indices exist for, so that no producer can open an index of any day.
    """
    events = settings.events
    bounds = {
        # One day more than events are kept: a backfill of exactly that length takes some time to send.
        "message.timestamp.before.max.ms": str((events.retention_days + 1) * _DAY_MS),
        "message.timestamp.after.max.ms": str(events.max_future_seconds * 1000),
    }
    dead_letters = {
        "retention.ms": str(events.retention_days * _DAY_MS),
        "max.message.bytes": str(_DEAD_LETTER_MAX_BYTES),
    }
    replicas = _BROKER_DEFAULT if replication_factor is None else replication_factor
    read = () if settings.kafka.topic_pattern is not None else settings.kafka.topics
    return [
        *(TopicSpec(name, partitions, replicas, bounds) for name in read),
        *(
            [TopicSpec(trace_events_topic(settings), partitions, replicas, _TRACE_EVENTS)]
            if settings.traces.enabled
            else []
        ),
        TopicSpec(f"{settings.index.prefix}.dead-letters", partitions, replicas, dead_letters),
    ]


async def plan_topics(kafka: Kafka, wanted: Iterable[TopicSpec]) -> TopicPlan:
    """Ask the brokers which topics are missing; one that exists is left as it is.

    Raises ServerUnavailable when no broker answers, ServerRefused when one would not create what is missing.
    """
    async with _admin(kafka) as admin:
        existing = set(await admin.list_topics())
        missing = tuple(spec for spec in wanted if spec.name not in existing)
        await _create(admin, missing, only_try=True)
        there = [spec for spec in wanted if spec.name in existing]
        return TopicPlan(missing, tuple(await _remarks(admin, there)))


async def create_topics(kafka: Kafka, topics: Iterable[TopicSpec]) -> None:
    """Create the topics; one that has come into being meanwhile is no error.

    Raises ServerUnavailable when no broker answers, ServerRefused when one says no.
    """
    async with _admin(kafka) as admin:
        await _create(admin, topics)


async def _create(admin: AIOKafkaAdminClient, topics: Iterable[TopicSpec], *, only_try: bool = False) -> None:
    new = [
        NewTopic(spec.name, spec.partitions, spec.replication_factor, {}, dict(spec.configs))
        if spec.replication_factor == _BROKER_DEFAULT
        else NewTopic(spec.name, spec.partitions, spec.replication_factor, topic_configs=dict(spec.configs))
        for spec in topics
    ]
    if not new:
        return
    answer = await admin.create_topics(new, validate_only=only_try)
    for name, code, text in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise ServerRefused(f"Kafka refused to create the topic {name}: {text or error.__name__}")


@asynccontextmanager
async def _admin(kafka: Kafka) -> AsyncIterator[AIOKafkaAdminClient]:
    try:
        async with admin_client(kafka, "setup") as admin:
            yield admin
    except NOT_KNOWN as error:
        raise ServerRefused(
            f"{', '.join(kafka.bootstrap_servers)} (kafka.bootstrap_servers) does not know us: {error}; "
            f"{CREDENTIALS_HINT}"
        ) from error
    except (KafkaError, OSError) as error:
        raise ServerUnavailable(
            f"no answer from {', '.join(kafka.bootstrap_servers)} (kafka.bootstrap_servers): {error}"
        ) from error


async def _remarks(admin: AIOKafkaAdminClient, topics: Iterable[TopicSpec]) -> list[str]:
    """Say where the configuration of existing topics differs from what setup would have chosen."""
    by_name = {spec.name: spec for spec in topics}
    if not by_name:
        return []
    answers = await admin.describe_configs(
        [
            ConfigResource(ConfigResourceType.TOPIC, name, dict.fromkeys(spec.configs))
            for name, spec in by_name.items()
        ]
    )
    remarks = []
    for answer in answers:
        for _, _, _, name, entries in answer.resources:
            configs = by_name[name].configs
            remarks += [
                f"topic {name} exists with {entry[0]} = {entry[1]}; setup would have chosen {configs[entry[0]]}"
                for entry in entries
                if entry[0] in configs and entry[1] != configs[entry[0]]
            ]
    return remarks
