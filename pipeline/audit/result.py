"""What an audit has counted, and what it has found wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

__all__ = ["SHOWN_FINDINGS", "AuditResult", "Finding", "PartitionAudit", "Range", "Unread"]

SHOWN_FINDINGS = 20
"""How many of each kind are named."""


class Range(NamedTuple):
    """Offsets of one partition: from `start` up to, and not including, `end`."""

    topic: str
    partition: int
    start: int
    end: int


class Finding(NamedTuple):
    """A document that is not there, or is there more than once."""

    what: Literal["missing", "duplicated"]
    topic: str
    partition: int
    offset: int
    id: str
    indices: tuple[str, ...]
    """Where it was found."""


class Unread(NamedTuple):
    """Offsets, from `start` up to and not including `end`, that the pipeline could not read."""

    what: Literal["expired", "corrupt"]
    """Removed by retention before they were read, or damaged in Kafka."""
    topic: str
    partition: int
    start: int
    end: int


@dataclass(slots=True)
class PartitionAudit:
    """What was counted in one partition; documents but for `records`."""

    range: Range
    records: int = 0
    expected: int = 0
    """What the records make: one each, or the number of an array's elements; also what filters drop of that."""
    indexed: int = 0
    dropped: int = 0
    """Events that the filters drop."""
    own_ids: int = 0
    """Not found, under an id of the configuration's own: others may have written over them, or deleted them."""
    dead: int = 0
    """Not indexed, with a dead letter that says why."""
    missing: int = 0
    duplicated: int = 0
    """Copies beyond the first, and documents that the record does not make."""
    of_earlier_topic: int = 0
    """Made of a record with another timestamp at the same offset: the topic was created anew."""
    without_record: int = 0
    """At offsets where Kafka holds no record any more, or none that is committed."""
    expired: int = 0
    """Offsets that retention removed before the group had read them, since it began."""
    corrupt: int = 0
    """Offsets in the range that Kafka holds in damaged batches, and does not give."""
    not_committed: int = 0
    """Offsets behind the range, which the group has not committed: they were not looked at."""
    commit_of_earlier_topic: bool = False
    """Whether the group's commit is for a topic of this name that is no more: nothing of this one is committed."""
    findings: list[Finding] = field(default_factory=list)
    """The first of each kind."""
    unread: list[Unread] = field(default_factory=list)
    """The last of the expired offsets, and the first of the damaged ones."""


@dataclass(frozen=True, slots=True)
class AuditResult:
    """What was counted in all partitions."""

    partitions: Sequence[PartitionAudit]
    nothing_because: str = ""
    """Why there was nothing to compare, where that is known before anything is read."""

    @property
    def records(self) -> int:
        """Records that Kafka delivers."""
        return sum(one.records for one in self.partitions)

    @property
    def expected(self) -> int:
        """Documents that these make."""
        return sum(one.expected for one in self.partitions)

    @property
    def indexed(self) -> int:
        """Documents found."""
        return sum(one.indexed for one in self.partitions)

    @property
    def dropped(self) -> int:
        """Events that the filters drop."""
        return sum(one.dropped for one in self.partitions)

    @property
    def own_ids(self) -> int:
        """Documents of which nothing can be proved, because their ids are not the records'."""
        return sum(one.own_ids for one in self.partitions)

    @property
    def dead(self) -> int:
        """Documents not found that have a dead letter."""
        return sum(one.dead for one in self.partitions)

    @property
    def missing(self) -> int:
        """Documents that are nowhere."""
        return sum(one.missing for one in self.partitions)

    @property
    def duplicated(self) -> int:
        """Documents that should not be there."""
        return sum(one.duplicated for one in self.partitions)

    @property
    def expired(self) -> int:
        """Offsets that retention removed before they were read."""
        return sum(one.expired for one in self.partitions)

    @property
    def corrupt(self) -> int:
        """Offsets of damaged batches."""
        return sum(one.corrupt for one in self.partitions)

    @property
    def not_committed(self) -> int:
        """Offsets that were not looked at: the group has not committed them."""
        return sum(one.not_committed for one in self.partitions)

    @property
    def clean(self) -> bool:
        """True when nothing is missing, nothing is there twice, and nothing was lost before it could be read.

        False when nothing was compared: that proves nothing.
        """
        return bool(self.records) and not (self.missing or self.duplicated or self.expired or self.corrupt)

    @property
    def unread(self) -> list[Unread]:
        """Offsets that could not be read."""
        return [unread for one in self.partitions for unread in one.unread]

    @property
    def findings(self) -> list[Finding]:
        """The first missing and the first duplicated documents."""
        every = [finding for one in self.partitions for finding in one.findings]
        return [
            finding
            for what in ("missing", "duplicated")
            for finding in [one for one in every if one.what == what][:SHOWN_FINDINGS]
        ]
