"""What an audit has counted, and what it has found wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

__all__ = ["SHOWN_FINDINGS", "AuditResult", "Finding", "PartitionAudit", "Range"]

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


@dataclass(slots=True)
class PartitionAudit:
    """What was counted in one partition; documents but for `records`."""

    range: Range
    records: int = 0
    expected: int = 0
    """What the records make: one each, or the number of an array's elements."""
    indexed: int = 0
    dead: int = 0
    """Not indexed, with a dead letter that says why."""
    missing: int = 0
    duplicated: int = 0
    """Copies beyond the first, and documents that the record does not make."""
    of_earlier_topic: int = 0
    """Made of a record with another timestamp at the same offset: the topic was created anew."""
    without_record: int = 0
    """At offsets where Kafka holds no record any more, or none that is committed."""
    findings: list[Finding] = field(default_factory=list)
    """The first of each kind."""


@dataclass(frozen=True, slots=True)
class AuditResult:
    """What was counted in all partitions."""

    partitions: Sequence[PartitionAudit]

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
    def clean(self) -> bool:
        """True when nothing is missing and nothing is there twice."""
        return self.missing == 0 and self.duplicated == 0

    @property
    def findings(self) -> list[Finding]:
        """The first missing and the first duplicated documents."""
        every = [finding for one in self.partitions for finding in one.findings]
        return [
            finding
            for what in ("missing", "duplicated")
            for finding in [one for one in every if one.what == what][:SHOWN_FINDINGS]
        ]
