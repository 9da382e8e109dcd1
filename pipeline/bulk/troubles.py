"""What is wrong between the bulk writer and Elasticsearch, or the dead letters, as the log tells it."""

import asyncio
import logging
from collections.abc import Iterator

from pipeline.bulk.dead_letter_queue import DeadLetterQueue
from pipeline.bulk.flood import FloodBreaker
from pipeline.bulk.in_flight import InFlight
from pipeline.bulk.outcomes import Outcome
from pipeline.bulk.sender import Sender
from pipeline.bulk.waiting import WaitingRooms
from pipeline.bulk.waiting_room import WaitingRoom
from pipeline.settings import Elasticsearch
from pipeline.telemetry.quantities import as_bytes, as_duration
from pipeline.telemetry.troubles import DOCUMENTS_AGAIN, ELASTICSEARCH, KAFKA, LETTERS_AGAIN, Trouble

__all__ = ["WriterTroubles"]

_SLOW_GRACE_SECONDS = 30.0
# A producer that connects anew has done so by then.
_LETTERS_GRACE_SECONDS = 2.0
# Of more than these one line says how many they are.
_MOST_INDICES = 5
# All indices have it together.
_OF_THE_CLUSTER = {
    Outcome.RIGHTS: ("forbids writing to", "Nothing more is read until it allows it; nothing is given up"),
    Outcome.CLUSTER: ("takes no documents of", "They wait until that is mended; nothing is given up"),
}


class WriterTroubles:
    """Ask the parts of a bulk writer what is wrong with them, once a second."""

    def __init__(
        self,
        settings: Elasticsearch,
        sender: Sender,
        rooms: WaitingRooms,
        dead: DeadLetterQueue,
        breaker: FloodBreaker,
        in_flight: InFlight,
    ) -> None:
        self._settings = settings
        self._sender = sender
        self._rooms = rooms
        self._dead = dead
        self._breaker = breaker
        self._in_flight = in_flight
        self._hosts = ", ".join(settings.hosts)
        self._failures = 0

    def now(self) -> Iterator[Trouble]:
        """Say what is wrong now."""
        yield from self._elasticsearch()
        yield from self._indices()
        yield from self._dead_letters()

    def _elasticsearch(self) -> Iterator[Trouble]:
        sender = self._sender
        new_failures, self._failures = sender.failures - self._failures, sender.failures
        again = (
            f"Each request is sent again, at the latest after {as_duration(self._settings.retry_max_seconds)}"
        )
        trouble = Trouble(
            key=ELASTICSEARCH,
            what="",
            over=f"Elasticsearch at {self._hosts} takes documents again",
            why=sender.problem,
            means="Documents wait in memory, and no more is read than fits there; nothing is given up",
            waits=f"{as_bytes(self._in_flight.bytes)} of documents wait",
            next_try=again,
            counted=DOCUMENTS_AGAIN,
        )
        if sender.forbidden is not None:
            yield trouble._replace(
                what=f"Elasticsearch at {self._hosts} forbids writing",
                means="Nothing is read until it allows it; nothing is given up",
                grace_seconds=0,
                level=logging.ERROR,
            )
        elif not sender.reachable:
            yield trouble._replace(what=f"Elasticsearch at {self._hosts} does not answer")
        elif sender.idle_problem is not None:
            does, why = sender.idle_problem
            yield trouble._replace(what=f"Elasticsearch at {self._hosts} {does}", why=why)
        elif sender.refuses_every_request:
            yield trouble._replace(what=f"Elasticsearch at {self._hosts} refuses every request")
        elif new_failures:
            # Of its own: when none is answered any more, that is news.
            yield trouble._replace(
                key="elasticsearch in part",
                what=f"Elasticsearch at {self._hosts} answers only some requests",
                over=f"Elasticsearch at {self._hosts} answers every request again",
                part_of=ELASTICSEARCH,
                means="What is not answered is sent again; it may be slower",
            )
        elif sender.slow_seconds and self._in_flight.bytes:
            limits = sender.limits
            yield Trouble(
                key="elasticsearch slow",
                what=f"Elasticsearch at {self._hosts} is slow: a request took "
                f"{as_duration(sender.slow_seconds)} (elasticsearch.slow_request_seconds is "
                f"{self._settings.slow_request_seconds:g})",
                over=f"Elasticsearch at {self._hosts} is not slow any more",
                means=f"It is sent less at a time: {limits.concurrency} requests of {as_bytes(limits.request_bytes)}",
                waits=f"{as_bytes(self._in_flight.bytes)} of documents wait",
                grace_seconds=_SLOW_GRACE_SECONDS,
                part_of=ELASTICSEARCH,
            )

    def _indices(self) -> Iterator[Trouble]:
        rooms = self._rooms.to_be_told()
        if self._breaker.open:
            flooded = sum([room.waiting_documents for room in rooms if room.outcome is Outcome.FLOOD])
            yield Trouble(
                key="flood",
                what="so many documents are refused that something else is wrong than they (dead_letters.max_ratio)",
                over="documents are taken again",
                why=next((room.reason for room in rooms if room.outcome is Outcome.FLOOD), ""),
                means="Nothing more is read, and nothing becomes a dead letter, until Elasticsearch takes one of them",
                waits=f"{flooded:,} refused documents wait",
                grace_seconds=0,
                level=logging.ERROR,
            )
        for outcome, (does, means) in _OF_THE_CLUSTER.items():
            if concerned := [room for room in rooms if room.outcome is outcome]:
                yield self._of_the_cluster(outcome, does, means, concerned)
        single = [room for room in rooms if room.outcome not in {*_OF_THE_CLUSTER, Outcome.FLOOD}]
        for room in single[:_MOST_INDICES]:
            yield self._of_index(room)
        if others := single[_MOST_INDICES:]:
            yield Trouble(
                key="other indices",
                what=f"{len(others)} more indices take no documents, such as {others[0].index}",
                over=f"no more than {_MOST_INDICES} indices take no documents",
                why=others[0].reason,
                waits=_waiting(others),
                grace_seconds=0,
                part_of=ELASTICSEARCH,
            )

    def _of_the_cluster(self, outcome: Outcome, does: str, means: str, rooms: list[WaitingRoom]) -> Trouble:
        first = rooms[0]
        indices = first.index if len(rooms) == 1 else f"{len(rooms)} indices, such as {first.index}"
        return Trouble(
            key=f"elasticsearch {outcome.name.lower()}",
            what=f"Elasticsearch at {self._hosts} {does} {indices}",
            over=f"Elasticsearch at {self._hosts} takes these documents again",
            why=first.reason,
            means=means,
            waits=_waiting(rooms),
            next_try=_next_try(first),
            seconds=_now() - first.since,
            grace_seconds=0,
            level=logging.ERROR,
            part_of=ELASTICSEARCH,
        )

    def _of_index(self, room: WaitingRoom) -> Trouble:
        does = "has taken no document" if room.taken_at < room.since else "has refused some documents"
        return Trouble(
            key=f"index {room.index}",
            what=f"index {room.index} {does}",
            over=f"nothing waits for the index {room.index} any more",
            why=room.reason,
            means="The others go on; the offsets of the partitions concerned are committed later",
            waits=f"{_waiting([room])}; {self._rooms.end_of(room)}",
            next_try=_next_try(room),
            seconds=_now() - room.since,
            grace_seconds=0,
            part_of=ELASTICSEARCH,
        )

    def _dead_letters(self) -> Iterator[Trouble]:
        dead = self._dead
        if not dead.stalled:
            return
        some = "{}/{}".format(*min(dead.stalled))
        yield Trouble(
            key="dead letters",
            what="dead letters cannot be written",
            over="dead letters can be written again",
            why=dead.problem,
            means="Their partitions stand still, the others go on",
            waits=f"{dead.stalled_letters:,} dead letters of {len(dead.stalled)} partitions wait, such as {some}",
            next_try=f"They are tried again, at the latest after {as_duration(self._settings.retry_max_seconds)}",
            counted=LETTERS_AGAIN,
            grace_seconds=_LETTERS_GRACE_SECONDS,
            level=logging.ERROR,
            part_of=KAFKA,
        )


def _now() -> float:
    return asyncio.get_running_loop().time()


def _waiting(rooms: list[WaitingRoom]) -> str:
    return f"{sum([room.waiting_documents for room in rooms]):,} documents wait"


def _next_try(room: WaitingRoom) -> str:
    seconds = room.next_try - _now()
    return f"The next try is in {as_duration(seconds)}" if seconds > 1 else "It is being tried again"
