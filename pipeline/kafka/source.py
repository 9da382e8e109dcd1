"""Kafka: batches per partition, holding back by pausing, rebalances, commits."""

import asyncio
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import NamedTuple

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import (
    IllegalStateError,
    InconsistentGroupProtocolError,
    KafkaConnectionError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from pipeline.errors import FencedInstanceId, ServerRefused, ServerUnavailable, SettingsError
from pipeline.kafka.client import start_client
from pipeline.kafka.cluster_client import ClusterClient
from pipeline.kafka.commits import Commits
from pipeline.kafka.consumer import (
    cluster_client,
    group_member,
    make_consumer,
    reading_positions,
    stop,
    subscribe,
)
from pipeline.kafka.damaged import DamagedPartitions
from pipeline.kafka.dead_letters import SourceRecord
from pipeline.kafka.fetched_records import InBatches
from pipeline.kafka.group_member import GroupMember
from pipeline.kafka.groups import why_not_joined
from pipeline.kafka.ledger import Partition
from pipeline.kafka.log_offsets import Ends, partition_ends
from pipeline.kafka.partition_owner import PartitionOwner
from pipeline.kafka.positions import Positions
from pipeline.kafka.source_troubles import source_troubles
from pipeline.kafka.starting_point import commit_the_end
from pipeline.settings import Kafka
from pipeline.telemetry.metrics import Telemetry
from pipeline.telemetry.troubles import Trouble

__all__ = ["Batch", "Source"]

log = logging.getLogger(__name__)

_ASK_SECONDS = 5.0
_REBALANCE_SECONDS = 1.0
# Where positions are not known because brokers do not answer, the other partitions are read meanwhile.
_PLACE_SECONDS = 1.0
_PLACE_AGAIN_SECONDS = 1.0


class Batch(NamedTuple):
    """Records of one partition, delivered by one poll, in the order of their offsets."""

    partition: Partition
    records: Sequence[SourceRecord]
    topic_id: str | None = None
    """Of the topic that they are taken to be of, which is the one that the commits of their offsets name; None where
    the broker gives none."""


class Source(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Read the records of a consumer group member."""

    def __init__(self, settings: Kafka, owner: PartitionOwner, telemetry: Telemetry) -> None:
        self._settings = settings
        self._owner = owner
        self._telemetry = telemetry
        self._batches_a_poll = 1
        self._batches = InBatches()
        self._positions = Positions(telemetry)
        self._placing = False
        self._place_at = 0.0
        self._all_held = False
        self._held: Collection[Partition] = ()
        self._skipped: list[tuple[Partition, int]] = []
        self._damaged = DamagedPartitions(settings.corrupt_batches, telemetry)
        self._missing: frozenset[str] = frozenset()
        self._commits = Commits(self._positions.note)
        self._consumer = make_consumer(settings, self._batches)

    async def start(self) -> None:
        """Connect and join the group. A topic that does not exist is waited for while the others are read.

        Raises ServerUnavailable when no broker answers, ServerRefused when one says no, and SettingsError when the
        group is another application's.
        """
        settings = self._settings
        try:
            if settings.start_at == "latest":
                await commit_the_end(settings)
            await start_client(self._consumer, settings)
            await subscribe(self._consumer, settings, self)
        except KafkaConnectionError as error:
            raise ServerUnavailable(
                f"no Kafka broker answers at {', '.join(settings.bootstrap_servers)} "
                f"(setting kafka.bootstrap_servers): {error}"
            ) from error
        except InconsistentGroupProtocolError as error:
            raise SettingsError(await why_not_joined(settings)) from error
        except KafkaError as error:
            raise self._refusal(error) from error

    async def stop(self) -> None:
        """Leave the group. Commits nothing by itself."""
        await stop(self._consumer)

    @property
    def reachable(self) -> bool | None:
        """Whether a broker has answered lately; None before any was asked."""
        return self._client.reachable

    @property
    def silent_seconds(self) -> float | None:
        """How long ago a broker has answered last; None before the first time."""
        return self._client.silent_seconds

    def troubles(self) -> Iterator[Trouble]:
        """Say what is wrong with Kafka, with commits and with partitions."""
        now = asyncio.get_running_loop().time()
        return source_troubles(
            self._settings, self._client, self._commits, self._damaged, self._positions.expired, now
        )

    # --- reading ------------------------------------------------------------------------------------------

    async def poll(self, timeout: float) -> list[Batch]:
        """Wait at most `timeout` seconds for records, and little longer for a rebalance or a position.

        Raises FencedInstanceId when another worker has taken this one's place, SettingsError when another application
        has taken the group, ServerRefused when the broker says no.
        """
        await self._look_around()
        try:
            # During a rebalance `getmany` waits for its end, whatever its own timeout, and without a broker
            # that never comes. Nothing is lost: it does not wait any more once it has taken records.
            async with asyncio.timeout(timeout + _REBALANCE_SECONDS):
                delivered = await self._consumer.getmany(
                    timeout_ms=int(timeout * 1000), max_records=self._batches_a_poll
                )
        except TimeoutError:
            return []
        except (OffsetOutOfRangeError, NoOffsetForPartitionError) as error:
            self._displace(error)
            return []
        except InconsistentGroupProtocolError as error:
            raise SettingsError(await why_not_joined(self._settings)) from error
        except KafkaError as error:
            self._refuse_if_fenced()
            raise self._refusal(error) from error
        if self._damaged:
            self._damaged.goes_on(Partition(*partition) for partition in delivered)
        if self._batches.corrupt:
            self._deal_with_damage()
        polled = [
            Batch(each, list(chain.from_iterable(batches)), self._positions.note(each).topic_id)
            for each, batches in ((Partition(*one), batches) for one, batches in delivered.items())
        ]
        if polled:
            records = sum([len(batch.records) for batch in polled])
            batches = sum(map(len, delivered.values()))
            # aiokafka counts producers' batches, whose size is the producers' choice.
            self._batches_a_poll = max(1, self._settings.max_poll_records * batches // records)
        return polled

    def positions(self) -> dict[Partition, int]:
        """Give where each partition that is read will be read next; nothing while a rebalance goes on."""
        return {
            Partition(*each): position
            for each, position in reading_positions(self._consumer).items()
            if Partition(*each) not in self._positions.waiting
        }

    def hold_all(self) -> None:
        """Stop fetching; what has been fetched and not delivered is dropped, to be fetched again."""
        self._all_held = True
        self._apply_holds()

    def hold(self, partitions: Collection[Partition]) -> None:
        """Fetch all partitions but these."""
        self._all_held = False
        self._held = frozenset(partitions)
        self._apply_holds()

    def _apply_holds(self) -> None:
        for each in self._consumer.assignment():
            partition = Partition(*each)
            held = self._all_held or any(
                partition in some for some in (self._held, self._positions.waiting, self._damaged)
            )
            (self._consumer.pause if held else self._consumer.resume)(each)

    async def ends(self) -> dict[Partition, Ends]:
        """Ask Kafka where the owned partitions end; those whose leader does not answer are left out."""
        committed_only = self._settings.isolation_level == "read_committed"
        owned = self._consumer.assignment()
        if not owned:
            # Nothing is fetched, and nobody answers a member that waits for the others of its group: what is heard
            # of a broker now is the answer to this.
            self._client.force_metadata_update()
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                return await partition_ends(self._client, owned, committed_only=committed_only)
        except TimeoutError:
            return {}

    # --- committing ---------------------------------------------------------------------------------------

    async def commit(self, positions: Mapping[Partition, int]) -> set[Partition]:
        """Commit positions, once; gives the partitions whose position Kafka has, which the next commit leaves out."""
        return await self._commits.commit(self._member, positions)

    # --- what becomes of partitions -----------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Let the worker settle and commit what it can; called by aiokafka."""
        await self._owner.revoked([Partition(*partition) for partition in revoked])

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Tell the worker what it owns, and where reading begins; called by aiokafka."""
        partitions = [Partition(*partition) for partition in assigned]
        self._positions.assigned(partitions)
        self._batches.corrupt.clear()
        self._damaged.forget()
        self._skipped.clear()
        self._commits.problem = None
        # Nothing is fetched before the position is known.
        self._apply_holds()
        self._owner.assigned(partitions)
        await self._place()

    async def _look_around(self) -> None:
        """Do what has become due since the last poll."""
        self._refuse_if_fenced()
        # What was delivered before these has been taken over by now.
        for partition, position in self._skipped:
            self._owner.passed_over(partition, position)
        self._skipped.clear()
        if self._client.missing != self._missing:
            self._tell_missing()
        if self._client.recreated:
            self._begin_again()
        now = asyncio.get_running_loop().time()
        if self._positions.waiting and now >= self._place_at:
            await self._place()
        if self._damaged and self._damaged.try_due(now):
            self._apply_holds()

    async def _place(self) -> None:
        """Find positions for the partitions that wait for one; those without are tried again."""
        if self._placing or not self._positions.waiting:
            return
        self._placing = True
        try:
            async with asyncio.timeout(_PLACE_SECONDS):
                placed = await self._positions.find(self._client, self._member)
        except (KafkaError, TimeoutError) as error:
            log.debug("positions are not known yet: %r", error)
            placed = []
        finally:
            self._placing = False
            self._place_at = asyncio.get_running_loop().time() + _PLACE_AGAIN_SECONDS
        for partition, position, committed, from_anew in placed:
            with suppress(IllegalStateError):  # given up meanwhile
                self._consumer.seek(TopicPartition(*partition), position)
                if from_anew:
                    self._owner.lost([partition])
                    self._owner.placed(partition, position, committed=committed)
                else:
                    self._owner.passed_over(partition, position)
        if placed:
            self._apply_holds()

    def _displace(self, error: KafkaError) -> None:
        """Have a partition wait whose position Kafka does not have."""
        if isinstance(error, OffsetOutOfRangeError):
            for each, position in error.args[0].items():
                self._positions.displace([Partition(*each)], position)
        else:
            self._positions.displace([Partition(*each) for each in error.args])
        self._apply_holds()
        self._place_at = 0.0

    def _begin_again(self) -> None:
        """Read topics that have been made anew from their beginning; nothing of the old ones is committed any more."""
        topics, self._client.recreated = self._client.recreated, set()
        anew = [Partition(*each) for each in self._consumer.assignment() if each.topic in topics]
        if not anew:
            return
        for topic in {partition.topic for partition in anew}:
            self._positions.topic_recreated(topic, self._client.topic_ids[topic])
        self._owner.lost(anew)
        self._positions.displace(anew)
        self._apply_holds()
        self._place_at = 0.0

    def _tell_missing(self) -> None:
        for topic in sorted(self._client.missing - self._missing):
            log.warning(
                "the topic %s does not exist: it is read as soon as there is one; `logpipe setup` creates it",
                topic,
            )
        for topic in sorted(self._missing - self._client.missing):
            log.info("the topic %s exists now", topic)
        self._missing = self._client.missing
        self._telemetry.topics_missing.set(len(self._missing))

    def _deal_with_damage(self) -> None:
        """Stop or skip where a batch is damaged."""
        corrupt = dict(self._batches.corrupt)
        self._batches.corrupt.clear()
        now = asyncio.get_running_loop().time()
        for each, batch in corrupt.items():
            partition = Partition(*each)
            if self._damaged.meet(partition, batch, now):
                with suppress(IllegalStateError):  # given up meanwhile
                    self._consumer.seek(each, batch.behind)
                    self._positions.passed_over(partition, batch.offset, batch.behind)
                    self._skipped.append((partition, batch.behind))
        self._apply_holds()

    # --- errors -------------------------------------------------------------------------------------------

    @property
    def fenced(self) -> bool:
        """Whether another worker has taken this one's place: nothing can be committed any more."""
        return self._member.fenced

    def _refuse_if_fenced(self) -> None:
        if self.fenced:
            name = self._settings.group_instance_id
            raise FencedInstanceId(
                f"kafka.group_instance_id = {name!r}: another worker of the group {self._settings.group_id} has joined "
                "with the same id and taken this one's partitions; each worker needs an id of its own"
            )

    def _refusal(self, error: KafkaError) -> ServerRefused:
        return ServerRefused(
            f"Kafka does not let {self._settings.client_id} into the group {self._settings.group_id}: "
            f"{type(error).__name__}: {error}; `logpipe setup --print-roles` shows the ACLs it needs"
        )

    @property
    def _client(self) -> ClusterClient:
        return cluster_client(self._consumer)

    @property
    def _member(self) -> GroupMember:
        return group_member(self._consumer)
