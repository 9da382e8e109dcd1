"""A record held against the documents found at its offset: pure bookkeeping, without I/O."""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from pipeline.audit.result import SHOWN_FINDINGS, Finding, PartitionAudit
from pipeline.encode.fast_path import Record
from pipeline.events.document import Coordinates, DocumentBuilder, document_id

__all__ = ["Comparison", "Found", "Letters"]

# What follows the offset in an id: the record's timestamp (-1 where Kafka has none), number within an array.
_END_OF_ID = re.compile(r"(-?\d+)(?:\.\d+)?")


class Found(NamedTuple):
    """A document that Elasticsearch has."""

    offset: int
    id: str
    index_name: str


class Letters(Protocol):
    """Which records have dead letters."""

    def without_letter(self, record: Coordinates, numbers: Sequence[int]) -> list[int]:
        """Leave out the elements of a record that have letters."""


class Comparison:
    """Compare one record after the other with the documents of its offset."""

    def __init__(
        self,
        builder: DocumentBuilder,
        letters: Letters,
        since_ms: int | None,
        until_ms: int | None,
        now_ms: int,
    ) -> None:
        """Take what made the documents: the same records make as many of them again, whatever the time is."""
        self._builder = builder
        self._now_ms = now_ms
        self._letters = letters
        self._since_ms = since_ms
        self._until_ms = until_ms

    def record(self, audited: PartitionAudit, record: Record, documents: Sequence[Found]) -> None:
        """Count a record and the documents found at its offset."""
        if self._since_ms is not None and record.timestamp < self._since_ms:
            return
        if self._until_ms is not None and record.timestamp >= self._until_ms:
            return
        coordinates = Coordinates(
            audited.range.topic, audited.range.partition, record.offset, record.timestamp
        )
        identifier = document_id(coordinates)
        audited.records += 1
        # The id without a number is that of a record's only document: this one has made no others.
        if len(documents) == 1 and documents[0].id == identifier and not _may_be_array(record.value):
            audited.expected += 1
            audited.indexed += 1
            return
        ids = [one.id for one in self._builder.documents(record.value, coordinates, self._now_ms)]
        audited.expected += len(ids)
        self._look_closely(audited, coordinates, ids, documents)

    def _look_closely(
        self, audited: PartitionAudit, record: Coordinates, ids: Sequence[str], documents: Sequence[Found]
    ) -> None:
        """Sort the documents found at a record's offset by the ids it should have."""
        wanted = frozenset(ids)
        found: dict[str, list[str]] = {}
        for one in documents:
            if one.id not in wanted and _is_of_earlier_topic(one.id, record):
                audited.of_earlier_topic += 1
            else:
                found.setdefault(one.id, []).append(one.index_name)
        absent = [number for number, one in enumerate(ids) if one not in found]
        missing = self._letters.without_letter(record, absent) if absent else []
        audited.indexed += len(ids) - len(absent)
        audited.dead += len(absent) - len(missing)
        audited.missing += len(missing)
        for number in missing:
            _note(audited, "missing", record.offset, ids[number], [])
        for identifier, indices in found.items():
            surplus = len(indices) - (identifier in wanted)
            if surplus:
                audited.duplicated += surplus
                _note(audited, "duplicated", record.offset, identifier, indices)


def _may_be_array(value: bytes | None) -> bool:
    return value is not None and value.lstrip().startswith(b"[")


def _is_of_earlier_topic(identifier: str, record: Coordinates) -> bool:
    """Tell whether an id is that of a record at the same offset with another timestamp."""
    start, end = document_id(record).rsplit(f"{record.offset:012d}-", 1)
    match = _END_OF_ID.fullmatch(identifier.removeprefix(f"{start}{record.offset:012d}-"))
    return match is not None and match[1] != end


def _note(
    audited: PartitionAudit,
    what: Literal["missing", "duplicated"],
    offset: int,
    identifier: str,
    indices: Sequence[str],
) -> None:
    if sum(one.what == what for one in audited.findings) < SHOWN_FINDINGS:
        topic, partition = audited.range[:2]
        audited.findings.append(Finding(what, topic, partition, offset, identifier, tuple(indices)))
