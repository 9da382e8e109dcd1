"""The count of a comparison: which of our documents has which of Logstash's as its counterpart, and how they differ.

Pure but for the shelf, which is a temporary file. The surest keys go first, each for all records before the next: a
document that some record claims by its text is not given away for its content, nor one of the same content for its
message.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from pipeline.shadow.differences import Difference, Kind, Written, differences
from pipeline.shadow.keys import Key, Place, Rank, keys_of_ours, keys_of_theirs
from pipeline.shadow.shelf import Shelf, Shelved

__all__ = ["Comparison", "FieldReport", "Made", "Pair", "Parity", "Sample"]

SHOWN: Final = 5
"""Samples of each kind that are kept."""
_PAIRED_AT_MOST: Final = 60
_AT_ONCE: Final = (Rank.COORDINATES, Rank.ORIGINAL)
_LATER: Final = (Rank.CONTENT_AND_TIME, Rank.MESSAGE_AND_TIME, Rank.CONTENT, Rank.MESSAGE)


class Made(NamedTuple):
    """What becomes of a record here: documents, and what of it is none."""

    documents: Sequence[Written]
    dropped: Sequence[str] = ()
    """The filters that dropped an event of it."""
    dead: Sequence[str] = ()
    """Why an event of it would be a dead letter."""


class Sample(NamedTuple):
    """One document in which a field differs."""

    record: str
    index_name: str | None
    id: str | None
    difference: Difference


class Pair(NamedTuple):
    """A document that only one side has."""

    record: str
    written: Written


@dataclass(slots=True)
class FieldReport:
    """How often a field differs, in which way, and some of the documents."""

    documents: int = 0
    kinds: Counter[Kind] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)


@dataclass(slots=True)
class Parity:
    """The result; documents but for `records`."""

    records: int = 0
    here: int = 0
    """Made here."""
    there: int = 0
    """Read from Logstash's indices."""
    equal: int = 0
    different: int = 0
    only_here: int = 0
    only_there: int = 0
    pending: int = 0
    """Made here of records that came while the comparison ran, and not there yet."""
    outside: int = 0
    """There, of records or times that were not compared."""
    damaged: int = 0
    """Offsets that Kafka holds in damaged batches, and does not give."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Dropped here, by filter."""
    dead: Counter[str] = field(default_factory=Counter)
    """Dead letters here, by reason."""
    found_by: Counter[str] = field(default_factory=Counter)
    fields: dict[str, FieldReport] = field(default_factory=dict)
    samples_here: list[Pair] = field(default_factory=list)
    samples_there: list[Written] = field(default_factory=list)
    not_compared: tuple[str, ...] = ()

    @property
    def compared(self) -> int:
        """Documents that both sides have."""
        return self.equal + self.different

    @property
    def is_equal(self) -> bool:
        """True when something was compared, and nothing differs or is missing on one side."""
        unequal = self.different or self.only_here or self.only_there or self.damaged
        return bool(self.compared) and not unequal


class Comparison:
    """Take Logstash's documents, then ours record by record, and count."""

    def __init__(self, shelf: Shelf, topics: Collection[str], ignored: Iterable[str] = ()) -> None:
        self._shelf = shelf
        self._topics = frozenset(topics)
        self._ignored = tuple(dict.fromkeys(ignored))
        self.parity = Parity(not_compared=self._ignored)

    def theirs(self, documents: Iterable[tuple[Written, bool]]) -> None:
        """Take documents of Logstash; each with whether it counts when no record makes it."""
        rows = [
            (written, keys_of_theirs(written.document, self._topics, self._ignored), counts)
            for written, counts in documents
        ]
        self.parity.there += len(rows)
        self._shelf.put(rows)

    def record(self, place: Place, value: bytes, made: Made, *, pending: bool = False) -> None:
        """Hold what a record becomes here against what is there.

        With `pending` the record came while the comparison ran: what Logstash has not made of it yet is no difference.
        """
        self.parity.records += 1
        self.parity.dropped.update(made.dropped)
        self.parity.dead.update(made.dead)
        keyed = [
            (written, keys_of_ours(place, value, written.document, self._ignored))
            for written in made.documents
        ]
        self.parity.here += len(keyed)
        for rank in _AT_ONCE:
            keyed = self._pair(place, keyed, rank)
        for written, keys in keyed:
            self._shelf.wait(place, written, [key for key in keys if key.rank in _LATER], pending=pending)

    def _pair(
        self, place: Place, ours: list[tuple[Written, list[Key]]], rank: Rank
    ) -> list[tuple[Written, list[Key]]]:
        """Give each of a record's documents the one of those with its keys that it differs least from."""
        if not ours:
            return ours
        wanted = dict.fromkeys(key for _written, keys in ours for key in keys if key.rank == rank)
        found = [
            shelved for key in wanted for shelved in self._shelf.find(key, max(len(ours), _PAIRED_AT_MOST))
        ]
        waiting = list(range(len(ours)))
        for least in (0, None):
            # All that are equal first: then what is left goes to the nearest.
            for number in list(waiting):
                best = self._nearest(ours[number][0], found, least)
                if best is not None:
                    found.remove(best)
                    waiting.remove(number)
                    self._settle(place, ours[number][0], best, rank)
        return [ours[number] for number in waiting]

    def _found(self, place: Place, written: Written, keys: Sequence[Key], rank: Rank) -> bool:
        for key in keys:
            if key.rank != rank:
                continue
            best = self._nearest(written, self._shelf.find(key), None)
            if best is not None:
                self._settle(place, written, best, rank)
                return True
        return False

    def _nearest(self, written: Written, found: Sequence[Shelved], most: int | None) -> Shelved | None:
        """Give the document with the fewest differences, or the first that has at most so many."""
        best: Shelved | None = None
        fewest = None
        for shelved in found[:_PAIRED_AT_MOST]:
            count = len(differences(written, shelved.written, self._ignored))
            if most is not None and count <= most:
                return shelved
            if most is None and (fewest is None or count < fewest):
                best, fewest = shelved, count
        return best

    def _settle(self, place: Place, written: Written, shelved: Shelved, rank: Rank) -> None:
        self._shelf.take(shelved.number)
        self.parity.found_by[rank.name.lower()] += 1
        found = differences(written, shelved.written, self._ignored)
        if not found:
            self.parity.equal += 1
            return
        self.parity.different += 1
        for difference in found:
            report = self.parity.fields.setdefault(difference.field, FieldReport())
            report.documents += 1
            report.kinds[difference.kind] += 1
            if len(report.samples) < SHOWN:
                report.samples.append(
                    Sample(str(place), shelved.written.index_name, shelved.written.id, difference)
                )

    def finish(self) -> Parity:
        """Match what is left by its content, and count what has no counterpart."""
        for rank in _LATER:
            for left in self._shelf.waiting():
                if self._found(left.place, left.written, left.keys, rank):
                    self._shelf.settle(left.number)
        parity = self.parity
        for left in self._shelf.waiting():
            if left.pending:
                parity.pending += 1
                continue
            parity.only_here += 1
            if len(parity.samples_here) < SHOWN:
                parity.samples_here.append(Pair(str(left.place), left.written))
        parity.only_there, parity.outside = self._shelf.left()
        parity.samples_there = self._shelf.some_left(SHOWN)
        parity.fields = dict(sorted(parity.fields.items(), key=lambda item: -item[1].documents))
        return parity
