"""Kafka: batches per partition, back-pressure by pausing, rebalances, commits."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import (
    IllegalStateError,
    InconsistentGroupProtocolError,
    KafkaConnectionError,
    KafkaError,
)

from pipeline.errors import ServerRefused, ServerUnavailable, SettingsError
from pipeline.kafka.client import connection_options, start_client
from pipeline.kafka.dead_letters import SourceRecord
from pipeline.kafka.fetched_records import in_batches
from pipeline.kafka.groups import ASSIGNOR, why_not_joined
from pipeline.kafka.ledger import Partition
from pipeline.settings import Kafka

__all__ = ["Batch", "Source"]

log = logging.getLogger(__name__)

# Longer than any pause: the worker polls at least this often, so that the group never takes a worker that waits
# for Elasticsearch for one that hangs.
_MAX_POLL_INTERVAL_SECONDS = 300
_RETRY_BACKOFF_MS = 200
_ASK_SECONDS = 5.0
_REBALANCE_SECONDS = 1.0


class Batch(NamedTuple):
    """Records of one partition, delivered by one poll, in the order of their offsets."""

    partition: Partition
    records: Sequence[SourceRecord]


class Source(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Read the records of a consumer group member.

    `on_revoked` is awaited before partitions are given up: the last chance to commit them.
    """

    def __init__(
        self,
        settings: Kafka,
        on_revoked: Callable[[Collection[Partition]], Awaitable[None]],
        on_assigned: Callable[[Collection[Partition]], None],
    ) -> None:
        self._settings = settings
        self._on_revoked = on_revoked
        self._on_assigned = on_assigned
        self._batches_a_poll = 1
        session_ms = int(settings.session_timeout_seconds * 1000)
        self._consumer = AIOKafkaConsumer(
            **connection_options(settings),
            group_id=settings.group_id,
            group_instance_id=settings.group_instance_id,
            partition_assignment_strategy=(ASSIGNOR,),
            value_deserializer=in_batches,
            enable_auto_commit=False,
            auto_offset_reset=settings.start_at,
            isolation_level=settings.isolation_level,
            fetch_max_bytes=settings.fetch_max_bytes,
            max_partition_fetch_bytes=settings.max_partition_fetch_bytes,
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=max(session_ms // 10, 100),
            max_poll_interval_ms=_MAX_POLL_INTERVAL_SECONDS * 1000,
            retry_backoff_ms=_RETRY_BACKOFF_MS,
        )

    async def start(self) -> None:
        """Connect and join the group.

        Raises ServerUnavailable when no broker answers, ServerRefused when one says no, and SettingsError when the
        group is another application's.
        """
        if self._settings.topic_pattern is not None:
            self._consumer.subscribe(pattern=self._settings.topic_pattern, listener=self)
        else:
            self._consumer.subscribe(topics=list(self._settings.topics), listener=self)
        try:
            await start_client(self._consumer, self._settings)
        except KafkaConnectionError as error:
            raise ServerUnavailable(
                f"no Kafka broker answers at {', '.join(self._settings.bootstrap_servers)} "
                f"(setting kafka.bootstrap_servers): {error}"
            ) from error
        except InconsistentGroupProtocolError as error:
            raise SettingsError(await why_not_joined(self._settings)) from error
        except KafkaError as error:
            raise ServerRefused(
                f"Kafka does not let {self._settings.client_id} into the group {self._settings.group_id}: "
                f"{type(error).__name__}: {error}; `logpipe setup --print-roles` shows the ACLs it needs"
            ) from error

    async def stop(self) -> None:
        """Leave the group. Commits nothing by itself."""
        await self._consumer.stop()

    async def poll(self, timeout: float) -> list[Batch]:
        """Wait at most `timeout` seconds for records, and little longer for a rebalance.

        Raises SettingsError when another application has taken the group meanwhile.
        """
        try:
            # During a rebalance `getmany` waits for its end, whatever its own timeout, and without a broker
            # that never comes. Nothing is lost: it does not wait any more once it has taken records.
            async with asyncio.timeout(timeout + _REBALANCE_SECONDS):
                delivered = await self._consumer.getmany(
                    timeout_ms=int(timeout * 1000), max_records=self._batches_a_poll
                )
        except TimeoutError:
            return []
        except InconsistentGroupProtocolError as error:
            raise SettingsError(await why_not_joined(self._settings)) from error
        polled = [
            Batch(Partition(*partition), list(chain.from_iterable(batches)))
            for partition, batches in delivered.items()
        ]
        if polled:
            records = sum([len(batch.records) for batch in polled])
            batches = sum(map(len, delivered.values()))
            # aiokafka counts producers' batches, whose size is the producers' choice.
            self._batches_a_poll = max(1, self._settings.max_poll_records * batches // records)
        return polled

    def pause(self) -> None:
        """Stop fetching; what has been fetched and not delivered is dropped, to be fetched again."""
        self._consumer.pause(*self._consumer.assignment())

    def resume_all_but(self, held: Collection[Partition]) -> None:
        """Pause these partitions and fetch the others."""
        for partition in self._consumer.assignment():
            if Partition(*partition) in held:
                self._consumer.pause(partition)
            else:
                self._consumer.resume(partition)

    def assignment(self) -> list[Partition]:
        """List the partitions owned now."""
        return [Partition(*partition) for partition in self._consumer.assignment()]

    async def lag(self) -> dict[Partition, int]:
        """Ask Kafka how many records of each owned partition have not been delivered; nothing when it is away."""
        owned = list(self._consumer.assignment())
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                ends = await self._consumer.end_offsets(owned) if owned else {}
                positions = {partition: await self._consumer.position(partition) for partition in ends}
        except (KafkaError, IllegalStateError, TimeoutError) as error:
            log.debug("the lag is not known: %s: %s", type(error).__name__, error)
            return {}
        return {Partition(*each): max(end - positions[each], 0) for each, end in ends.items()}

    async def commit(self, positions: Mapping[Partition, int]) -> bool:
        """Commit positions; False when Kafka refused, which the next commit makes good."""
        offsets = {TopicPartition(*partition): position for partition, position in positions.items()}
        try:
            await self._consumer.commit(offsets)
        except (KafkaError, IllegalStateError) as error:
            log.warning("commit refused, the next one includes it: %s: %s", type(error).__name__, error)
            return False
        return True

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Let the worker settle and commit what it can; called by aiokafka."""
        await self._on_revoked([Partition(*partition) for partition in revoked])

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Tell the worker what it owns; called by aiokafka."""
        self._on_assigned([Partition(*partition) for partition in assigned])
