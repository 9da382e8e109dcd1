"""When what waits for an index is given up: it has waited for too long, or there is too much of it."""

from collections.abc import Callable, Collection

from pipeline.bulk.dead_letter_queue import DeadLetterQueue
from pipeline.bulk.flood import FloodBreaker
from pipeline.bulk.in_flight import InFlight
from pipeline.bulk.outcomes import Outcome
from pipeline.bulk.parts import LINES_PER_DOCUMENT
from pipeline.bulk.requests import BulkItem
from pipeline.bulk.waiting_room import NEVER_GIVEN_UP, Entry, WaitingRoom
from pipeline.settings import IndexWait

__all__ = ["INDEX_UNAVAILABLE", "GivingUp"]

INDEX_UNAVAILABLE = "index_unavailable"
"""The error type of a dead letter that was given up for its index."""


class GivingUp:
    """Hand documents over to the dead letters for their index, and keep what waits within its bounds."""

    def __init__(
        self,
        wait: IndexWait,
        max_in_flight_bytes: int,
        in_flight: InFlight,
        dead: DeadLetterQueue,
        breaker: FloodBreaker,
        rooms: Collection[WaitingRoom],
    ) -> None:
        self._wait = wait
        self._most_bytes = int(wait.max_share * max_in_flight_bytes)
        self._in_flight = in_flight
        self._dead = dead
        self._breaker = breaker
        self._rooms = rooms

    @property
    def excess_bytes(self) -> int:
        """How much more memory is waited in than may be."""
        return max(0, sum([room.memory_bytes for room in self._rooms]) - self._most_bytes)

    def end_of(self, room: WaitingRoom) -> str:
        """Say how the wait will end, to somebody who could mend it."""
        if not self._wait.max_seconds or room.outcome in NEVER_GIVEN_UP:
            return "they wait until it is mended"
        return f"after {self._wait.max_seconds:.0f} s (index_wait.max_seconds) they become dead letters"

    def expire(self, room: WaitingRoom, now: float) -> None:
        """Give up what has waited for too long; what comes later for the index only once it was tried in vain.

        Where the index takes others, each document has its own time: it is the document that will not be taken.
        """
        longest = self._wait.max_seconds
        if not longest or self._breaker.open:
            return
        if room.blamed_seconds(now) >= longest and room.outcome not in NEVER_GIVEN_UP:
            room.expired = True
            self._give_up(room, now, lambda: True)
        else:
            for entry in room.take_waiting_for(longest, now):
                self._give_up_entry(room, entry, now)

    def make_room(self, room: WaitingRoom, now: float) -> None:
        """Give up the oldest of what is too much, where that holds others back; never before there was a warning.

        An index that most of the documents are for holds nobody else back: reading waits for it.
        """
        others_took = self._in_flight.taken - room.taken_before
        if self._is_full(room) and room.warned and others_took >= room.documents and self._may_be(room):
            self._give_up(room, now, lambda: self._is_full(room))

    def _may_be(self, room: WaitingRoom) -> bool:
        return not self._breaker.open and room.outcome not in NEVER_GIVEN_UP

    def _is_full(self, room: WaitingRoom) -> bool:
        """Tell whether it holds more than one may, or all hold too much and it no less than its share of that."""
        if room.memory_bytes > self._wait.max_index_bytes:
            return True
        return self.excess_bytes > 0 and room.memory_bytes * len(self._rooms) >= self._most_bytes

    def _give_up(self, room: WaitingRoom, now: float, more: Callable[[], bool]) -> None:
        while room.entries and more():
            if not self._give_up_entry(room, room.take(), now):
                return

    def _give_up_entry(self, room: WaitingRoom, entry: Entry, now: float) -> bool:
        """Give up what was taken out of a room; False when there are too many, and it was put back."""
        part = entry.part
        if not self._breaker.may_give_up(part.documents):
            room.add(entry._replace(outcome=Outcome.FLOOD))
            return False
        since = room.since if part.waiting_since is None else part.waiting_since
        item = BulkItem(
            entry.item.status,
            INDEX_UNAVAILABLE,
            f"index {room.index} has refused it for {now - since:.0f} s"
            f"{', while it took others' if room.taken_at >= since or since < room.since else ''}: "
            f"{entry.item.error_type}: {entry.item.reason}",
        )
        actions = part.body.splitlines()[::LINES_PER_DOCUMENT]
        self._dead.give_up(part, [(action, item) for action in actions])
        return True
