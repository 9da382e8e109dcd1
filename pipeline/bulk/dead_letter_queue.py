"""Documents that are given up → dead letters, written one after the other until each is acknowledged."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Protocol

import orjson
from aiokafka.errors import KafkaError

from pipeline.bulk.backoff import backoff_seconds
from pipeline.bulk.batch_traces import BatchTraces
from pipeline.bulk.in_flight import InFlight
from pipeline.bulk.parts import Part, place_of
from pipeline.bulk.requests import BulkItem
from pipeline.bulk.salvage import field_of
from pipeline.events.document import Coordinates
from pipeline.kafka.dead_letters import DeadLetter
from pipeline.kafka.ledger import Partition
from pipeline.settings import Elasticsearch
from pipeline.telemetry.metrics import Telemetry

__all__ = ["DeadLetterQueue", "DeadLetters"]

log = logging.getLogger(__name__)


class DeadLetters(Protocol):
    """Where documents go that Elasticsearch will not take."""

    async def write(self, letters: Iterable[DeadLetter]) -> None:
        """Return when every letter is acknowledged; raise KafkaError otherwise."""


class DeadLetterQueue:
    """Write the letters of one part after the other; `run` must be running for any to be written."""

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
        self._queue: asyncio.Queue[tuple[Part, list[DeadLetter]]] = asyncio.Queue()
        self.stalled = set[Partition]()
        """Partitions whose dead letters cannot be written: they must not go on."""

    def give_up(self, part: Part, dead: Sequence[tuple[bytes, BulkItem]]) -> None:
        """Hand documents over: their action lines and what was answered; the part is settled when they are written."""
        by_offset = {record.offset: record for record in part.records}
        letters: list[DeadLetter] = []
        for action, item in dead:
            target = orjson.loads(action)["create"]
            offset, element = place_of(target["_id"])
            record = by_offset[offset]
            if not letters:
                # One line for all: what is wrong with the first is mostly wrong with the others.
                others = len(dead) - 1
                log.warning(
                    "dead letter: %s: HTTP %d %s (%d more with it)", target, item.status, item.reason, others
                )
            letters.append(
                DeadLetter(
                    record=Coordinates(*part.span.partition, record.offset, record.timestamp),
                    key=record.key,
                    value=record.value,
                    headers=record.headers,
                    error_type=item.error_type,
                    reason=item.reason,
                    field=field_of(item.reason) or "",
                    status=item.status,
                    attempts=part.attempts,
                    element=element,
                )
            )
        self._queue.put_nowait((part, letters))

    async def run(self) -> None:
        """Write what is handed over, until cancelled."""
        while True:
            part, letters = await self._queue.get()
            retries = 0
            while not await self._written(part, letters):
                await asyncio.sleep(backoff_seconds(self._settings, retries))
                retries += 1
            self.stalled.discard(part.span.partition)
            for letter in letters:
                self._telemetry.dead_letters.labels(letter.error_type).inc()
            self._traces.event(part.span, "dead letters", len(letters))
            topic, number = part.span.partition
            self._telemetry.documents.labels(topic, number, "dead_lettered").inc(len(letters))
            self._in_flight.settle(part)

    async def _written(self, part: Part, letters: list[DeadLetter]) -> bool:
        try:
            await self._dead_letters.write(letters)
        except (KafkaError, OSError) as error:
            self.stalled.add(part.span.partition)
            self._telemetry.dead_letter_failures.inc()
            log.error(  # noqa: TRY400 - the trace says nothing more
                "dead letters of %s/%d cannot be written, the partition waits: %s: %s",
                *part.span.partition,
                type(error).__name__,
                error,
            )
            return False
        return True
