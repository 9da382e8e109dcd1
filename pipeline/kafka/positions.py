"""Where each owned partition is read from: asks Kafka what it takes to choose, and remembers what commits say."""

import logging
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from aiokafka import TopicPartition

from pipeline.kafka.cluster_client import ClusterClient
from pipeline.kafka.commit_note import CommitNote
from pipeline.kafka.expired import ExpiredRecords
from pipeline.kafka.group_member import GroupMember
from pipeline.kafka.ledger import Partition
from pipeline.kafka.log_offsets import Place, log_offsets
from pipeline.kafka.placement import Found, Placement, Reason, place
from pipeline.telemetry.metrics import Telemetry

__all__ = ["Placed", "Positions"]

log = logging.getLogger(__name__)

_FROM_ANEW = frozenset({Reason.RECREATED, Reason.TRUNCATED})


class Placed(NamedTuple):
    """A partition that can be read, from where, and whether a commit says so already."""

    partition: Partition
    position: int
    committed: bool
    from_anew: bool
    """Whether what was read of the partition until now is no more."""


class Positions:
    """The partitions of this worker: those that wait for a position, and the notes of the others' commits."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._notes: dict[Partition, CommitNote] = {}
        self._recreated: dict[str, str | None] = {}
        self._without_id: set[str] = set()
        self._changes = 0
        self.expired = ExpiredRecords()
        """What has expired unread, as the log tells it."""
        self.waiting: dict[Partition, int | None] = {}
        """Partitions that must not be read yet; with the position that had been reached, where there is one."""

    def assigned(self, partitions: Iterable[Partition]) -> None:
        """Take over an assignment, which replaces what was owned before."""
        self._changes += 1
        self._notes.clear()
        self.waiting = dict.fromkeys(partitions)
        for partition in self.waiting:
            self._telemetry.expired.labels(
                *partition
            )  # a counter that begins at its first count shows no increase

    def note(self, partition: Partition) -> CommitNote:
        """Give what the next commit has to say of a partition."""
        return self._notes.get(partition, CommitNote())

    def passed_over(self, partition: Partition, start: int, end: int) -> None:
        """Note damaged records that are skipped."""
        note = self.note(partition)
        self._notes[partition] = note._replace(corrupt=note.corrupt.plus(start, end))

    async def find(self, client: ClusterClient, member: GroupMember) -> list[Placed]:
        """Choose positions for those that wait; gives those that have one now, which wait no more.

        None of them when what waits has changed meanwhile: what was asked may be of another assignment, or of an
        earlier topic.

        Raises KafkaError when the group's commits are not told.
        """
        changes, waiting = self._changes, dict(self.waiting)
        wanted = [TopicPartition(*partition) for partition in waiting]
        starts = await log_offsets(client, wanted, Place.BEGINNING)
        ends = await log_offsets(client, wanted, Place.END)
        known = [partition for partition in wanted if partition in starts and partition in ends]
        asked = [partition for partition in known if waiting[Partition(*partition)] is None]
        commits = await member.fetch_committed_offsets(asked)
        if changes != self._changes:
            return []
        found: dict[Partition, Found] = {}
        for each in known:
            partition = Partition(*each)
            reached = waiting[partition]
            commit = commits.get(each)
            found[partition] = Found(
                reached if commit is None else commit.offset,
                self.note(partition) if reached is not None else CommitNote.read(commit and commit.metadata),
                client.topic_ids.get(each.topic),
                starts[each],
                ends[each],
                refused=reached is not None,
            )
        return self._placed(found)

    def _placed(self, found: Mapping[Partition, Found]) -> list[Placed]:
        result = []
        for partition, facts in found.items():
            reached = self.waiting.pop(partition)
            placement = place(facts)
            self._notes[partition] = placement.note
            self._tell(partition, facts, placement)
            result.append(
                Placed(
                    partition,
                    placement.position,
                    # Also commits without a note, of an earlier version of ours, are to get one.
                    placement.reason is Reason.GOES_ON and placement.note == facts.note,
                    reached is None or placement.reason in _FROM_ANEW,
                )
            )
        return result

    def _tell(self, partition: Partition, facts: Found, placement: Placement) -> None:
        topic, number = partition
        if facts.topic_id is None:
            self.topic_without_id(topic)
        if placement.reason is Reason.EXPIRED:
            self._telemetry.expired.labels(*partition).inc(placement.expired)
            self.expired.note(partition, placement.position - placement.expired, placement.position)
        elif placement.reason is Reason.TRUNCATED:
            log.warning(
                "%s/%d ends at %d, before the position %s: its brokers have lost records; reading it from %d again",
                *(topic, number, facts.end, facts.position, placement.position),
            )
        elif placement.reason is Reason.RECREATED:
            self.topic_recreated(topic, facts.topic_id)

    def topic_recreated(self, topic: str, topic_id: str | None) -> None:
        """Count a topic that has been made anew, once."""
        if self._recreated.get(topic) == topic_id:
            return
        self._recreated[topic] = topic_id
        self._telemetry.topics_recreated.labels(topic).inc()
        log.warning(
            "the topic %s has been made anew (its id is %s now): reading it from its beginning",
            topic,
            topic_id,
        )

    def topic_without_id(self, topic: str) -> None:
        """Say that Kafka does not tell a topic's id, once."""
        if topic not in self._without_id:
            self._without_id.add(topic)
            log.warning(
                "Kafka gives no id of the topic %s (brokers before 2.8 give none): ids of documents hold the times of "
                "their records, and a topic that is made anew under this name is taken for the former one",
                topic,
            )

    def displace(self, partitions: Iterable[Partition], reached: int | None = None) -> None:
        """Have partitions wait for another position; `reached` is what they were read up to, None asks the commits."""
        self._changes += 1
        for partition in partitions:
            self.waiting.setdefault(partition, reached)
