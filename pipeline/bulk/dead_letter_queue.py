"""Documents that are given up → dead letters, written many at a time until each is acknowledged.

What waits to be written counts as in flight, so that it holds reading back: without that all of a topic whose documents
are refused would be read into memory.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from aiokafka.errors import KafkaError

from pipeline.bulk.backoff import backoff_seconds
from pipeline.bulk.batch_traces import BatchTraces
from pipeline.bulk.dead_letter_lines import DeadLetterLines
from pipeline.bulk.in_flight import InFlight
from pipeline.bulk.parts import Part, RecordFinder
from pipeline.bulk.requests import BulkItem, target_of
from pipeline.bulk.salvage import field_of
from pipeline.events.document import Coordinates
from pipeline.kafka.dead_letters import DeadLetter
from pipeline.kafka.ledger import Partition
from pipeline.settings import Elasticsearch
from pipeline.telemetry.metrics import Telemetry

__all__ = ["DeadLetterQueue", "DeadLetters"]

# One write: as many letters as keep the producer busy between two acknowledgements.
_LETTERS_A_WRITE = 2_000
# What a letter takes beside key, value and the record's own headers: its objects are 640 bytes (tracemalloc, Python
# 3.11), the rest is for what the producer keeps of it.
_LETTER_BYTES = 1_000


class DeadLetters(Protocol):
    """Where documents go that Elasticsearch will not take."""

    async def write(self, letters: Iterable[DeadLetter]) -> None:
        """Return when every letter is acknowledged; raise KafkaError otherwise."""


class _Waiting(NamedTuple):
    """The letters of a part, and what they take of the memory in flight."""

    part: Part
    letters: Sequence[DeadLetter]
    size: int


class DeadLetterQueue:
    """Write letters in the order in which they came; `run` must be running for any to be written."""

    def __init__(
        self,
        dead_letters: DeadLetters,
        settings: Elasticsearch,
        in_flight: InFlight,
        telemetry: Telemetry,
        traces: BatchTraces,
    ) -> None:
        self._dead_letters = dead_letters
        self._settings = settings
        self._in_flight = in_flight
        self._telemetry = telemetry
        self._traces = traces
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self.stalled = set[Partition]()
        """Partitions whose dead letters cannot be written: they must not go on."""
        self.stalled_letters = 0
        self.problem = ""
        """Why they cannot be written."""
        self.lines = DeadLetterLines()
        """What the log says of them."""

    def give_up(self, part: Part, dead: Sequence[tuple[bytes, BulkItem]]) -> None:
        """Hand documents over: their action lines and what was answered; the part is settled when they are written."""
        records = RecordFinder(part.records)
        letters: list[DeadLetter] = []
        for action, item in dead:
            index, identifier = target_of(action)
            record, parts = records.find(identifier)
            topic_key = part.span.topic_key if parts is None else parts.topic_key
            letter = DeadLetter(
                record=Coordinates(*part.span.partition, record.offset, record.timestamp, topic_key),
                key=record.key,
                value=record.value,
                headers=record.headers,
                error_type=item.error_type,
                reason=item.reason,
                field=field_of(item.reason) or "",
                status=item.status,
                attempts=part.attempts,
                element=None if parts is None else parts.element,
            )
            letters.append(letter)
            self.lines.note(letter, index)
        size = sum(map(_size, letters))
        self._in_flight.bytes += size - len(part.body)
        # Not the other records that were read with these.
        part = part._replace(body=b"", records=())
        self._queue.put_nowait(_Waiting(part, letters, size))

    async def run(self) -> None:
        """Write what is handed over, until cancelled."""
        while True:
            left = await self._write([await self._next_ones()])
            retries = 0
            while left:
                await asyncio.sleep(backoff_seconds(self._settings, retries))
                # Each on its own: one that cannot be written holds up none that can.
                left = await self._write([[waiting] for some in left for waiting in some])
                retries += 1

    async def _next_ones(self) -> list[_Waiting]:
        """Wait for letters, and take along what else there is."""
        taken = [await self._queue.get()]
        letters = len(taken[0].letters)
        while letters < _LETTERS_A_WRITE and not self._queue.empty():
            taken.append(self._queue.get_nowait())
            letters += len(taken[-1].letters)
        return taken

    async def _write(self, groups: list[list[_Waiting]]) -> list[list[_Waiting]]:
        """Write one group after the other up to one that fails; gives those that are left, it as the last."""
        for number, group in enumerate(groups):
            problem = await self._problem(group)
            if problem:
                left = [*groups[number + 1 :], group]
                self._telemetry.dead_letter_failures.inc()
                # Without the topic none can be written; all of them wait.
                self.stalled = {waiting.part.span.partition for some in left for waiting in some}
                self.stalled_letters = sum([len(waiting.letters) for some in left for waiting in some])
                self.problem = problem
                return left
            for waiting in group:
                self._settle(waiting)
        self.stalled.clear()
        return []

    async def _problem(self, group: Iterable[_Waiting]) -> str | None:
        """Write the letters of a group; gives what kept that from being done."""
        try:
            await self._dead_letters.write([letter for waiting in group for letter in waiting.letters])
        except (KafkaError, OSError) as error:
            return f"{type(error).__name__}: {error}"
        return None

    def _settle(self, waiting: _Waiting) -> None:
        part, letters, size = waiting
        for error_type, number in Counter(letter.error_type for letter in letters).items():
            self._telemetry.dead_letters.labels(error_type).inc(number)
        self._traces.event(part.span, "dead letters", len(letters))
        topic, partition = part.span.partition
        self._telemetry.documents.labels(topic, partition, "dead_lettered").inc(len(letters))
        self._in_flight.bytes -= size
        self._in_flight.settle(part)


def _size(letter: DeadLetter) -> int:
    """Estimate the memory that a letter holds while it waits."""
    own = sum([len(name) + len(content or b"") for name, content in letter.headers])
    return _LETTER_BYTES + len(letter.key or b"") + len(letter.value or b"") + own
