"""A record held against the documents found at its offset: pure bookkeeping, without I/O."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from pipeline.audit.result import SHOWN_FINDINGS, Finding, PartitionAudit, Range
from pipeline.encode.fast_path import Record
from pipeline.events.document import Coordinates, DocumentBuilder
from pipeline.events.ids import document_id, id_in_form, read_id

if TYPE_CHECKING:
    from pipeline.encode.filtering import Filtering

__all__ = ["Comparison", "Expected", "Found", "Letters"]


class Found(NamedTuple):
    """A document that Elasticsearch has."""

    offset: int
    id: str
    index_name: str
    other_id: str = ""
    """The id that it has, where that is of the other form than today's, see `ids.py`."""


class Letters(Protocol):
    """Which records have dead letters."""

    def without_letter(self, record: Coordinates, numbers: Sequence[int]) -> list[int]:
        """Leave out the elements of a record that have letters."""


class Expected(NamedTuple):
    """What a record makes."""

    ids: Sequence[str]
    """Of its documents, in their order."""
    own_ids: frozenset[str] = frozenset()
    """Of these, the ids that are the configuration's: others may have written over them, or deleted them."""
    dropped: int = 0
    """Events that the filters have dropped."""


class Comparison:
    """Compare one record after the other with the documents of its offset."""

    def __init__(
        self,
        builder: DocumentBuilder,
        letters: Letters,
        since_ms: int | None,
        until_ms: int | None,
        now_ms: int,
        filtering: "Filtering | None" = None,
        topic_ids: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Take what made the documents: the same records make as many of them again, whatever the time is."""
        self._builder = builder
        self._topic_ids = topic_ids
        self._now_ms = now_ms
        self._filtering = filtering
        self._letters = letters
        self._since_ms = since_ms
        self._until_ms = until_ms

    def wants(self, record: Record) -> bool:
        """Tell whether a record is among those that are to be compared."""
        return (self._since_ms is None or record.timestamp >= self._since_ms) and (
            self._until_ms is None or record.timestamp < self._until_ms
        )

    def expected(self, of: Range, record: Record, documents: Sequence[Found] = ()) -> Expected:
        """Say what a record makes, by the functions that a worker runs; `documents` are those found at its offset."""
        place = self._place(of, record)
        if self._filtering is None:
            identifier = document_id(place)
            # The id without a number is that of a record's only document: this one has made no others.
            if len(documents) == 1 and documents[0].id == identifier and not _may_be_array(record.value):
                return Expected([identifier])
            return Expected([one.id for one in self._builder.documents(record.value, place, self._now_ms)])
        made = self._filtering.documents(
            record.value,
            place,
            self._now_ms,
            getattr(record, "key", None),
            getattr(record, "headers", ()),
        )
        return Expected(
            [document.id for document in made],
            frozenset(one.id for one in made if one.target is not None and one.target.own_id),
            self._filtering.take().dropped.total(),
        )

    def record(
        self, audited: PartitionAudit, record: Record, expected: Expected, documents: Sequence[Found]
    ) -> None:
        """Count a record and the documents found of it."""
        ids = expected.ids
        audited.records += 1
        audited.expected += len(ids) + expected.dropped
        audited.dropped += expected.dropped
        if len(ids) == 1 and len(documents) == 1 and documents[0].id == ids[0]:
            audited.indexed += 1
            return
        if expected.own_ids:
            found = {one.id for one in documents}
            audited.own_ids += sum([one in expected.own_ids and one not in found for one in ids])
        place = self._place(audited.range, record)
        self._look_closely(audited, place, expected, self._under_own_ids(place, documents))

    def _place(self, of: Range, record: Record) -> Coordinates:
        key = self._builder.ids.topic_key(self._topic_ids.get(of.topic), record.timestamp)
        return Coordinates(of.topic, of.partition, record.offset, record.timestamp, key)

    def either_form(self, of: Range, record: Record, ids: Sequence[str]) -> list[str]:
        """Give ids, and beside those that are of a record's place what they are in the other form; each once."""
        place = self._place(of, record)
        form = self._other_form(place)
        others = [other for one in ids if (other := id_in_form(one, place, form)) is not None]
        return list(dict.fromkeys([*ids, *others]))

    def _other_form(self, record: Coordinates) -> Coordinates:
        return self._builder.ids.other_form(record, self._topic_ids.get(record.topic))

    def _under_own_ids(self, record: Coordinates, documents: Sequence[Found]) -> Sequence[Found]:
        """Give documents that were made of a record in the other form the ids that it makes today: they are as good."""
        form = self._other_form(record)
        if form == record:
            return documents
        return [
            one
            if (own := id_in_form(one.id, form, record)) is None
            else one._replace(id=own, other_id=one.id)
            for one in documents
        ]

    def _look_closely(
        self,
        audited: PartitionAudit,
        record: Coordinates,
        expected: Expected,
        documents: Sequence[Found],
    ) -> None:
        """Sort the documents found of a record by the ids it should have."""
        found = {one.id for one in documents}
        # The others are counted already.
        numbers = [
            number for number, one in enumerate(expected.ids) if one not in expected.own_ids or one in found
        ]
        self._sort(audited, record, [expected.ids[number] for number in numbers], numbers, documents)

    def _sort(
        self,
        audited: PartitionAudit,
        record: Coordinates,
        ids: Sequence[str],
        numbers: Sequence[int],
        documents: Sequence[Found],
    ) -> None:
        wanted = frozenset(ids)
        found: dict[str, list[Found]] = {}
        for one in documents:
            if one.id not in wanted and self._is_of_earlier_topic(one.id, record):
                audited.of_earlier_topic += 1
            else:
                found.setdefault(one.id, []).append(one)
        absent = [number for number, one in zip(numbers, ids, strict=True) if one not in found]
        missing = self._letters.without_letter(record, absent) if absent else []
        audited.indexed += len(ids) - len(absent)
        audited.dead += len(absent) - len(missing)
        audited.missing += len(missing)
        for number in missing:
            _note(audited, "missing", record.offset, ids[numbers.index(number)], [])
        for identifier, copies in found.items():
            surplus = len(copies) - (identifier in wanted)
            if surplus:
                audited.duplicated += surplus
                # Beside a document with the id of today, that with the other id is the copy to delete, where it is.
                others = [one for one in copies if one.other_id]
                if others and len(others) < len(copies):
                    of, shown = others[0].other_id, others
                else:
                    of, shown = others[0].other_id if others else identifier, copies
                _note(audited, "duplicated", record.offset, of, [one.index_name for one in shown])

    def _is_of_earlier_topic(self, identifier: str, record: Coordinates) -> bool:
        """Tell whether an id is that of a record at the same place in a topic of the same name."""
        parts = read_id(identifier)
        if parts is None or parts[:3] != record[:3]:
            return False
        if parts.topic_key:
            return parts.topic_key != self._builder.ids.key_of(self._topic_ids.get(record.topic))
        return parts.timestamp_ms != record.timestamp_ms


def _may_be_array(value: bytes | None) -> bool:
    return value is not None and value.lstrip().startswith(b"[")


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
