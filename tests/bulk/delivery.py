"""A bulk writer against an answering server, and the ledger that it settles."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from aiohttp import web
from aiokafka.errors import KafkaError

from pipeline.bulk.client import make_bulk_client
from pipeline.bulk.writer import BulkWriter
from pipeline.encode.fast_path import Payload
from pipeline.kafka.dead_letters import DeadLetter
from pipeline.kafka.ledger import Ledger, Partition
from pipeline.settings import Elasticsearch, IndexWait
from pipeline.telemetry.metrics import Telemetry
from tests.answering_server import Answer, answer_items, answering_server

__all__ = ["PARTITION", "Delivery", "Letters", "Record", "all_created", "delivery", "payload"]

_WAIT = IndexWait()

PARTITION = Partition("logs", 0)


def payload(*numbers: int, padding: int = 0, index: str = "i") -> Payload:
    lines = b"".join(
        b'{"create":{"_index":"%s","_id":"logs-0-%012d-1000"}}\n{"n":%d,"p":"%s"}\n'
        % (index.encode(), number, number, b"x" * padding)
        for number in numbers
    )
    return Payload(len(numbers), lines)


class Record(NamedTuple):
    offset: int
    timestamp: int = 1000
    value: bytes | None = b"original"
    key: bytes | None = b"key"
    headers: Sequence[tuple[str, bytes]] = ()


class Letters:
    """A dead-letter topic that can be made to refuse."""

    def __init__(self) -> None:
        self.written: list[DeadLetter] = []
        self.broken = False
        self.refused = 0

    async def write(self, letters: Iterable[DeadLetter]) -> None:
        if self.broken:
            self.refused += 1
            raise KafkaError("not now")
        self.written += letters


class Delivery:
    """A writer against an answering server, and the ledger that it settles."""

    def __init__(
        self,
        writer: BulkWriter,
        ledger: Ledger,
        telemetry: Telemetry,
        requests: list[list[str]],
        letters: Letters,
    ) -> None:
        self.writer = writer
        self.ledger = ledger
        self.telemetry = telemetry
        self.requests = requests
        self.letters = letters

    def add(self, next_offset: int, *payloads: Payload) -> None:
        number = sum(payload.documents for payload in payloads)
        records = [Record(offset) for offset in range(next_offset - number, next_offset)]
        self.writer.add(self.ledger.deliver(PARTITION, next_offset, number), records, payloads)

    def count_documents(self, outcome: str) -> float:
        return self.count("logpipe_documents_total", topic="logs", partition="0", outcome=outcome)

    async def settled(self) -> dict[Partition, int]:
        self.writer.flush()
        async with asyncio.timeout(10):
            while self.ledger.in_flight():
                await self.writer.wait_for_change(0.05)
        return self.ledger.committable()

    def count(self, name: str, **labels: str) -> float:
        return self.telemetry.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def delivery(
    answer: Answer,
    *,
    index_wait: IndexWait = _WAIT,
    max_dead_ratio: float = 0.5,
    most_salvaged: int = 8,
    **settings: Any,
) -> AsyncIterator[Delivery]:
    async with answering_server(answer) as (url, requests):
        options = Elasticsearch(
            **{
                "retry_initial_seconds": 0.01,
                "retry_max_seconds": 0.02,
                "flush_interval_seconds": 60,
                "hosts": (url,),
                **settings,
            },
        )
        ledger, telemetry, letters = Ledger(), Telemetry(), Letters()
        async with make_bulk_client(options) as client:
            writer = BulkWriter(
                client,
                options,
                ledger.settle_part,
                letters,
                telemetry,
                index_wait=index_wait,
                max_dead_ratio=max_dead_ratio,
                max_salvaged_fields=most_salvaged,
            )
            running = asyncio.create_task(writer.run())
            try:
                yield Delivery(writer, ledger, telemetry, requests, letters)
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError, ExceptionGroup):
                    await running


def all_created(ids: list[str], _: int) -> web.Response:
    return answer_items([201] * len(ids))
