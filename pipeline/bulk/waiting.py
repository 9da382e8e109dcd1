"""Documents that must wait, a room for each index, outside the senders: others go past them at full speed.

A room is tried again and again, with backoff: first with a request as large as any, then with a single document, so
that an index that takes none costs next to nothing. It is closed as soon as nothing speaks for it: what comes later
for its index goes straight into it. The first document that is taken opens it, and all of it is sent.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from pipeline.bulk.answers import Refused
from pipeline.bulk.backoff import backoff_seconds
from pipeline.bulk.dead_letter_queue import DeadLetterQueue
from pipeline.bulk.flood import FloodBreaker
from pipeline.bulk.giving_up import GivingUp
from pipeline.bulk.in_flight import InFlight
from pipeline.bulk.outcomes import Outcome
from pipeline.bulk.parts import Part, first_and_rest, fitting_and_rest, of_lines, own_records
from pipeline.bulk.request_limits import RequestLimits
from pipeline.bulk.requests import BulkItem, target_of
from pipeline.bulk.waiting_room import NEVER_GIVEN_UP, WARN_SECONDS, Entry, WaitingRoom
from pipeline.settings import Elasticsearch, IndexWait

__all__ = ["Sent", "WaitingRooms"]

_LOOK_SECONDS = 1.0
# The client keeps as many connections beside those of the senders.
_MOST_TRIES_AT_A_TIME = 2
# An empty room is remembered for so long: what comes for an index that has been given up need not ask anew.
_REMEMBER_SECONDS = 900.0
# Of a reason that no row knows: as long as the index may be sound, others are sent to it, to show that it is.
_VAIN_TRIES = 3
_STOPS_READING = (Outcome.RIGHTS, Outcome.FLOOD)


class Sent(NamedTuple):
    """What came of a request."""

    taken: int
    """Documents that Elasticsearch has."""
    again: list[Part]
    """What has to be sent again."""
    wait: bool = False
    """Whether to wait before: the request was refused as a whole, or not answered."""
    refusal: BulkItem | None = None
    """What was answered for the request as a whole, or stands for no answer, where that may pass."""


Send = Callable[[list[Part]], Awaitable[Sent]]
Put = Callable[[list[Part]], None]


class WaitingRooms:
    """Keep the rooms; `run` must be running for what waits to be tried again."""

    def __init__(
        self,
        settings: Elasticsearch,
        wait: IndexWait,
        limits: RequestLimits,
        in_flight: InFlight,
        dead: DeadLetterQueue,
        breaker: FloodBreaker,
    ) -> None:
        self._settings = settings
        self._limits = limits
        self._in_flight = in_flight
        self._breaker = breaker
        self._rooms: dict[str, WaitingRoom] = {}
        self._giving_up = GivingUp(
            wait, settings.max_in_flight_bytes, in_flight, dead, breaker, self._rooms.values()
        )
        self._closed: list[WaitingRoom] = []
        self._tries = 0
        self._wake = asyncio.Event()

    # --- what the writer and the senders ask --------------------------------------------------------------

    def __bool__(self) -> bool:
        return bool(self._rooms)

    def __iter__(self) -> Iterator[WaitingRoom]:
        return iter(self._rooms.values())

    @property
    def body_bytes(self) -> int:
        """Document bytes that wait."""
        return sum([room.body_bytes for room in self._rooms.values()])

    @property
    def excess_bytes(self) -> int:
        """How much memory more waits than may; reading is held back by it as by what is in flight."""
        return self._giving_up.excess_bytes

    def documents_of(self, index: str) -> int:
        """Count what waits for an index."""
        room = self._rooms.get(index)
        return 0 if room is None else room.documents

    @property
    def stops_reading(self) -> str | None:
        """Why nothing more may be read."""
        return self._reason(_STOPS_READING) or self._flood

    @property
    def not_ready(self) -> str | None:
        """Why no more, or not all, would be indexed now."""
        if self.excess_bytes:
            return "what waits for an index has reached its bound: " + "; ".join(
                f"{room.index}: {room.reason}" for room in self._rooms.values() if room.waiting_documents
            )
        return self._reason(NEVER_GIVEN_UP) or self._flood

    @property
    def _flood(self) -> str | None:
        return "too many of the last documents were refused" if self._breaker.open else None

    def _reason(self, outcomes: tuple[Outcome, ...]) -> str | None:
        for room in self._rooms.values():
            if room.outcome in outcomes:
                return f"{room.index}: {room.reason}"
        return None

    @property
    def soon_over(self) -> bool:
        """Whether something has waited so shortly that it may pass before anybody is told."""
        now = asyncio.get_running_loop().time()
        return any(
            room.waiting_documents and now - room.since < WARN_SECONDS for room in self._rooms.values()
        )

    def told(self) -> list[dict[str, Any]]:
        """Say what waits, for readiness."""
        now = asyncio.get_running_loop().time()
        return [
            {
                "index": room.index,
                "documents": room.waiting_documents,
                "seconds": round(now - room.since),
                "fault": room.outcome.value,
                "reason": room.reason,
            }
            for room in self.to_be_told()
        ]

    def to_be_told(self) -> list[WaitingRoom]:
        """Give each room that waits for long, or for something that does not pass; the oldest first."""
        now = asyncio.get_running_loop().time()
        rooms = [
            room
            for room in self._rooms.values()
            if room.waiting_documents and (now - room.since >= WARN_SECONDS or room.outcome in NEVER_GIVEN_UP)
        ]
        return sorted(rooms, key=lambda room: room.since)

    def end_of(self, room: WaitingRoom) -> str:
        """Say how a wait will end."""
        return self._giving_up.end_of(room)

    # --- in -----------------------------------------------------------------------------------------------

    def divert(self, part: Part) -> list[Part]:
        """Take what is for a closed room out of a part; gives what is left, as no part or one.

        The span has as many parts more as there are rooms concerned, and one less if nothing is left.
        """
        rooms = [room for room in self._closed if room.token in part.body]
        if not rooms:
            return [part]
        by_index: dict[str, list[bytes]] = {room.index: [] for room in rooms}
        rest: list[bytes] = []
        lines = part.body.splitlines(keepends=True)
        for action, source in zip(lines[::2], lines[1::2], strict=True):
            by_index.get(target_of(action)[0], rest).extend((action, source))
        for room in rooms:
            if some := by_index[room.index]:
                part.span.parts += 1
                self.admit(Refused(room.index, of_lines(part, some), room.outcome, room.item))
        if rest:
            return [of_lines(part, rest)]
        part.span.parts -= 1
        return []

    def admit(self, refused: Refused) -> None:
        """Let documents in; they are a part of their span already, and their bytes are in flight."""
        index, part, outcome, item, took_others = refused
        now = asyncio.get_running_loop().time()
        room = self._rooms.get(index)
        if room is None:
            room = self._rooms[index] = WaitingRoom(index, now, self._in_flight.taken)
            room.next_try = now + backoff_seconds(self._settings, 0)
        if part.waiting_since is None:
            part = part._replace(waiting_since=now)
        room.add(Entry(own_records(part), outcome, item, now))
        if took_others:
            room.taken_at = now
        elif room.closes_at_once and room.taken_at < room.since:
            self._close(room)
        self._giving_up.make_room(room, now)
        self._wake.set()

    def note_taken(self, parts: list[Part]) -> None:
        """Note parts that were created as a whole: what their index had refused meanwhile is to be tried soon."""
        now = asyncio.get_running_loop().time()
        for room in self._rooms.values():
            unknown = room.outcome is Outcome.UNKNOWN
            # To a room that is closed for a known reason nothing is sent but what was on its way already.
            if (unknown or not room.closed) and any(room.token in part.body for part in parts):
                room.taken_at = now
                if unknown:
                    room.next_try = now
                    self._wake.set()

    # --- out ----------------------------------------------------------------------------------------------

    async def run(self, send: Send, put: Put) -> None:
        """Try what waits, until cancelled; `send` sends one request, `put` hands one to the senders."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wake.clear()
                now = loop.time()
                for room in list(self._rooms.values()):
                    self._look_after(room, now)
                    due = room.entries and not room.trying and now >= room.next_try
                    if due and self._tries < _MOST_TRIES_AT_A_TIME:
                        self._tries += 1
                        room.trying = True
                        tasks.create_task(self._try(room, send, put), name=f"try {room.index}")
                if self._breaker.open and not any(
                    room.flooded or room.trying for room in self._rooms.values()
                ):
                    # What was held belongs to others now.
                    self._breaker.reset()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._seconds_to_next(now)):
                        await self._wake.wait()

    def _seconds_to_next(self, now: float) -> float | None:
        if not self._rooms:
            return None
        if self._tries >= _MOST_TRIES_AT_A_TIME:
            return _LOOK_SECONDS
        due = [room.next_try - now for room in self._rooms.values() if room.entries and not room.trying]
        return min(_LOOK_SECONDS, max(0.001, min(due, default=_LOOK_SECONDS)))

    async def _try(self, room: WaitingRoom, send: Send, put: Put) -> None:
        flooded, started = room.flooded, asyncio.get_running_loop().time()
        parts = self._parts_to_try(room)
        flood_tried = room.flooded < flooded
        room.tried_documents = sum([part.documents for part in parts])
        try:
            tried = await send(parts)
        finally:
            self._tries -= 1
            room.trying = False
            room.tried_documents = 0
            self._wake.set()
        now = asyncio.get_running_loop().time()
        if tried.taken:
            if flood_tried:
                self._breaker.reset()
            self._open(room, now, put)
            return
        room.next_try = now + backoff_seconds(self._settings, room.retries)
        room.retries += 1
        if tried.again:
            room.give_back(tried.again, now)
        elif room.refused_others and room.taken_at < started and self._speaks_against(room):
            self._close(room)
        if room.expired:
            self._giving_up.expire(room, now)

    @staticmethod
    def _speaks_against(room: WaitingRoom) -> bool:
        """Tell whether what was tried in vain says that the index takes no other document either."""
        if room.outcome is Outcome.UNKNOWN:
            return room.retries >= _VAIN_TRIES
        return room.outcome is not Outcome.FLOOD

    def _parts_to_try(self, room: WaitingRoom) -> list[Part]:
        """Take out as much as a request holds; a single document, once that much has been refused."""
        most = self._limits.request_bytes if room.retries == 0 else 1
        parts: list[Part] = []
        size = 0
        while room.entries and size < most:
            entry = room.take()
            part = entry.part_to_send(room.taken_at)
            if most == 1 and part.documents > 1:
                part, rest = first_and_rest(part)
                room.add_first(entry._replace(part=rest))
            parts.append(part)
            size += len(part.body)
        return parts

    def _open(self, room: WaitingRoom, now: float, put: Put) -> None:
        """Send all that waits: its index takes documents."""
        parts = [entry.part_to_send(now) for entry in room.take_all()]
        self._remove(room)
        while parts:
            request, parts = fitting_and_rest(parts, self._limits.request_bytes)
            put(request)

    # --- bounds -------------------------------------------------------------------------------------------

    def _look_after(self, room: WaitingRoom, now: float) -> None:
        for entry in room.forget_lost_partitions():
            self._in_flight.drop(entry.part)
        room.look(now, self._in_flight.taken)
        if room.waiting_documents and now - room.since >= WARN_SECONDS:
            room.warned = True
        if not room.expired:
            self._giving_up.expire(room, now)
        if (
            not room.entries
            and not room.trying
            and (not room.closed or now - room.last_entry > _REMEMBER_SECONDS)
        ):
            self._remove(room)

    def _close(self, room: WaitingRoom) -> None:
        if not room.closed:
            room.closed = True
            self._closed.append(room)

    def _remove(self, room: WaitingRoom) -> None:
        del self._rooms[room.index]
        if room.closed:
            self._closed.remove(room)
