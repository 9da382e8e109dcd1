"""Which records are settled, and therefore which offset may be committed.

The rule: the committed position of a partition is the position below which every *delivered* record is
settled. Offsets need not be consecutive: compaction, transaction markers and retention leave gaps, which
belong to the span behind them. Pure bookkeeping, without I/O.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

__all__ = ["Ledger", "Partition", "Span"]


class Partition(NamedTuple):
    """A partition of a topic."""

    topic: str
    number: int


class Span:
    """Consecutively delivered records of one partition, settled when all their parts are.

    Whoever delivers the span splits it into parts as it likes (`parts`); each is settled once.
    """

    __slots__ = ("_entry", "first_ms", "next_offset", "partition", "parts", "records", "topic_key", "waiting")

    def __init__(
        self, partition: Partition, next_offset: int, records: int, first_ms: int | None, entry: "_Entry"
    ) -> None:
        self.partition = partition
        self.next_offset = next_offset
        self.records = records
        self.first_ms = first_ms
        """Kafka's timestamp of the first record, in milliseconds since 1970, if whoever delivered it has said."""
        self.topic_key = ""
        """What stands for the topic in the ids of these records' documents, see `ids.py`."""
        self.parts = 1
        self.waiting = 0
        """Parts that wait for an index that takes no documents."""
        self._entry = entry

    @property
    def settled(self) -> bool:
        """True when no part is left."""
        return self.parts == 0

    @property
    def owned(self) -> bool:
        """False once the partition has been given up; settling it then has no effect."""
        return self._entry.owned


class _Entry:
    """What the ledger knows of one owned partition."""

    __slots__ = ("committed", "few_spans", "owned", "position", "spans", "spans_at_most")

    def __init__(self, few_spans: int) -> None:
        self.spans: deque[Span] = deque()
        self.few_spans = self.spans_at_most = few_spans
        self.position: int | None = None
        self.committed: int | None = None
        self.owned = True

    def forget_settled(self) -> None:
        """Keep of settled spans that follow each other the last one: it says for all how far they reach."""
        kept: deque[Span] = deque()
        for span in self.spans:
            if span.parts == 0 and kept and kept[-1].parts == 0:
                kept.pop()
            kept.append(span)
        self.spans = kept
        # So seldom that a delivery costs the same however many there are.
        self.spans_at_most = max(self.few_spans, 2 * len(kept))


class Ledger:
    """Keep the spans in flight of every owned partition."""

    def __init__(self, few_spans: int = 64) -> None:
        """Above `few_spans` of a partition those are joined that are settled and follow each other."""
        self._few_spans = few_spans
        self._entries: dict[Partition, _Entry] = {}

    def begin(self, partition: Partition, position: int, *, committed: bool) -> None:
        """Note where reading of a partition begins; that is committable unless it has been committed already."""
        entry = self._entries.setdefault(partition, _Entry(self._few_spans))
        entry.position = position
        if committed:
            entry.committed = position

    def skip_to(self, partition: Partition, position: int, *, again: bool = False) -> None:
        """Note that nothing more is to come below a position: markers, aborted records, what can never be read.

        With `again` the position is committed even if it has been before: there is more to say of it. Without effect
        while records are in flight: what is delivered next takes the position along.
        """
        entry = self._entries.get(partition)
        if entry is None or entry.spans:
            return
        entry.position = max(entry.position or 0, position)
        if again:
            entry.committed = None

    def committed_position(self, partition: Partition) -> int | None:
        """Give what Kafka has accepted, else where reading began; None where neither is known."""
        entry = self._entries.get(partition)
        if entry is None:
            return None
        return entry.position if entry.committed is None else entry.committed

    def oldest_ms(self, partition: Partition) -> int | None:
        """Give the timestamp of the first record in flight; None where nothing is."""
        entry = self._entries.get(partition)
        return entry.spans[0].first_ms if entry is not None and entry.spans else None

    def deliver(
        self, partition: Partition, next_offset: int, records: int, first_ms: int | None = None
    ) -> Span:
        """Note records that have been delivered; `next_offset` is the one after the last of them.

        `first_ms` is the timestamp of the first, in milliseconds since 1970.

        Raises ValueError when the offsets of a partition do not grow: that would be a replay inside one
        assignment, which must first be dropped.
        """
        entry = self._entries.get(partition)
        if entry is None:
            entry = self._entries[partition] = _Entry(self._few_spans)
        last = entry.spans[-1].next_offset if entry.spans else entry.position
        if last is not None and next_offset <= last:
            raise ValueError(f"{partition}: delivered up to {next_offset} after {last}")
        span = Span(partition, next_offset, records, first_ms, entry)
        entry.spans.append(span)
        if len(entry.spans) > entry.spans_at_most:
            entry.forget_settled()
        return span

    def settle_part(self, span: Span) -> None:
        """Settle one part of a span.

        Raises ValueError when the span had none left.
        """
        if span.parts == 0:
            raise ValueError(
                f"{span.partition}: a part of the span before {span.next_offset} was settled twice"
            )
        span.parts -= 1
        entry = span._entry  # noqa: SLF001 - the span's other half
        spans = entry.spans
        while spans and spans[0].parts == 0:
            entry.position = spans.popleft().next_offset

    def committable(self) -> dict[Partition, int]:
        """Give the positions of owned partitions that have moved since they were last committed."""
        return {
            partition: entry.position
            for partition, entry in self._entries.items()
            if entry.position is not None and entry.position != entry.committed
        }

    def committed(self, positions: Mapping[Partition, int]) -> None:
        """Note what Kafka has accepted."""
        for partition, position in positions.items():
            entry = self._entries.get(partition)
            if entry is not None:
                entry.committed = position

    def drop(self, partitions: Iterable[Partition]) -> None:
        """Forget partitions that are no longer owned, with all that is in flight of them."""
        for partition in partitions:
            entry = self._entries.pop(partition, None)
            if entry is not None:
                entry.owned = False
                entry.spans.clear()

    def in_flight(self, partitions: Iterable[Partition] | None = None) -> int:
        """Count the records of spans that are not settled, of these partitions or of all."""
        return sum(span.records for span in self._spans(partitions) if span.parts)

    def moving(self, partitions: Iterable[Partition] | None = None) -> int:
        """Count the same without spans of which all that is left waits for an index that takes no documents."""
        return sum(span.records for span in self._spans(partitions) if span.parts > span.waiting)

    def _spans(self, partitions: Iterable[Partition] | None) -> Iterator[Span]:
        chosen = self._entries if partitions is None else [p for p in partitions if p in self._entries]
        return (span for partition in chosen for span in self._entries[partition].spans)
