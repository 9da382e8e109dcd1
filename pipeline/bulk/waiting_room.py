"""A waiting room: the documents that wait for one index, and since when."""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from pipeline.bulk.outcomes import Outcome
from pipeline.bulk.parts import Part
from pipeline.bulk.requests import BulkItem

__all__ = ["NEVER_GIVEN_UP", "WARN_SECONDS", "Entry", "WaitingRoom"]

WARN_SECONDS = 10.0
"""How long an index may take no documents before anybody is told."""
NEVER_GIVEN_UP = (Outcome.RIGHTS, Outcome.FLOOD, Outcome.CLUSTER)
# Beside the bytes of documents and records: 0.7 kB for one document with its record, its span included (measured).
_PART_BYTES = 600
_RECORD_BYTES = 200
_SERVER_ERROR = 500
# When nothing was taken for so long, of any index, it is the cluster that takes none. Less says only that there are
# few documents.
_FLOWING_SECONDS = 10.0
_CLOSE_AT_ONCE = (Outcome.INDEX, Outcome.CLUSTER, Outcome.RIGHTS)


class Entry(NamedTuple):
    """Documents of one span that wait together."""

    part: Part
    outcome: Outcome
    item: BulkItem
    refused_at: float

    @property
    def memory_bytes(self) -> int:
        """How much memory it holds: the documents, and their records."""
        records = [
            _RECORD_BYTES + len(each.value or b"") + len(each.key or b"") for each in self.part.records
        ]
        return _PART_BYTES + len(self.part.body) + sum(records)

    def part_to_send(self, taken_at: float) -> Part:
        """Give the part; under suspicion if its index has taken others since it was refused."""
        if self.outcome is Outcome.UNKNOWN and taken_at >= self.refused_at:
            return self.part._replace(suspect=True)
        return self.part


class WaitingRoom:
    """What waits for one index."""

    def __init__(self, index: str, now: float, taken: int) -> None:
        self.index = index
        self.token = b'"_index":"%b","_id":' % index.encode()
        """How an action line names it."""
        self.since = now
        """When it began to refuse; clock of the event loop."""
        self.taken_before = taken
        """How many documents Elasticsearch had taken then, of all indices."""
        self.looked_at = now
        self.flowed_at = float("-inf")
        """When Elasticsearch was last seen to have taken more documents, of any index."""
        self.taken_when_looked_at = taken
        self.shared_seconds = 0.0
        """Of its wait: how long no other index took documents either."""
        self.taken_at = float("-inf")
        """When it last took a document nevertheless."""
        self.closed = False
        """Whether what comes for it need not be sent."""
        self.expired = False
        self.trying = False
        self.tried_documents = 0
        """Of those that wait: how many are on their way, to see whether they are taken now."""
        self.retries = 0
        self.next_try = now
        self.last_entry = now
        self.warned = False
        """Whether it has waited for so long that somebody has been told."""
        self.outcome = Outcome.PASSING
        self.item = BulkItem(0, "", "")
        self.entries: deque[Entry] = deque()
        self.documents = 0
        self.flooded = 0
        """Parts that are not given up because the flood breaker is open."""
        self.body_bytes = 0
        self.memory_bytes = 0

    @property
    def waiting_documents(self) -> int:
        """How many documents wait, those included that are being tried."""
        return self.documents + self.tried_documents

    @property
    def reason(self) -> str:
        """Say what was answered last."""
        return f"HTTP {self.item.status} {self.item.error_type}: {self.item.reason}"

    @property
    def closes_at_once(self) -> bool:
        """Whether it need not be tried again to know that it takes no documents."""
        return self.outcome in _CLOSE_AT_ONCE or (
            self.outcome is Outcome.PASSING and self.item.status >= _SERVER_ERROR
        )

    def look(self, now: float, taken: int) -> None:
        """Note how many documents Elasticsearch has taken until now, of all indices."""
        if taken != self.taken_when_looked_at:
            self.flowed_at = now
        if now - self.flowed_at >= _FLOWING_SECONDS:
            self.shared_seconds += now - self.looked_at
        self.looked_at, self.taken_when_looked_at = now, taken

    def blamed_seconds(self, now: float) -> float:
        """Tell how long it has taken none by its own fault: of one that may be the cluster's, while others flowed."""
        return self._blamed(now - max(self.since, self.taken_at))

    def _blamed(self, waited: float) -> float:
        return waited - self.shared_seconds if self.outcome is Outcome.PASSING else waited

    def take_waiting_for(self, seconds: float, now: float) -> list[Entry]:
        """Take out what has waited for so long by itself, whatever its index took meanwhile."""
        return self._take_out(
            lambda entry: (
                entry.outcome not in NEVER_GIVEN_UP
                and entry.part.waiting_since is not None
                and self._blamed(now - entry.part.waiting_since) >= seconds
            )
        )

    @property
    def refused_others(self) -> bool:
        """Whether it has refused another document since it last took one."""
        return any((entry.part.waiting_since or 0.0) > self.taken_at for entry in self.entries)

    def add(self, entry: Entry) -> None:
        """Let documents in, behind the others."""
        self.outcome, self.item, self.last_entry = entry.outcome, entry.item, entry.refused_at
        self.entries.append(entry)
        self._count(entry, 1)

    def add_first(self, entry: Entry) -> None:
        """Put documents back to the front."""
        self.entries.appendleft(entry)
        self._count(entry, 1)

    def take(self) -> Entry:
        """Let the documents out that came first."""
        entry = self.entries.popleft()
        self._count(entry, -1)
        return entry

    def take_all(self) -> list[Entry]:
        """Let all out."""
        return [self.take() for _ in range(len(self.entries))]

    def give_back(self, parts: list[Part], now: float) -> None:
        """Take back what was tried without an answer, behind the others: it may be the reason why there was none."""
        for part in parts:
            self.entries.append(entry := Entry(part, self.outcome, self.item, now))
            self._count(entry, 1)

    def forget_lost_partitions(self) -> list[Entry]:
        """Take out what belongs to partitions that are no longer ours."""
        return self._take_out(lambda entry: not entry.part.span.owned)

    def _take_out(self, wanted: Callable[[Entry], bool]) -> list[Entry]:
        taken = [entry for entry in self.entries if wanted(entry)]
        if taken:
            self.entries = deque(entry for entry in self.entries if not wanted(entry))
            for entry in taken:
                self._count(entry, -1)
        return taken

    def _count(self, entry: Entry, sign: int) -> None:
        part = entry.part
        self.documents += sign * part.documents
        self.body_bytes += sign * len(part.body)
        self.memory_bytes += sign * entry.memory_bytes
        part.span.waiting += sign
        self.flooded += sign * (entry.outcome is Outcome.FLOOD)
