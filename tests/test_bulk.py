"""The bulk writer: what it sends, what it settles, what it sends again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson
import pytest
from aiohttp import web
from hypothesis import given, strategies as st

from pipeline.bulk import BulkWriter, bulk_serializers, split_payload
from pipeline.elasticsearch_client import make_client
from pipeline.errors import DeliveryStopped
from pipeline.fast_path import Payload
from pipeline.ledger import Ledger, Partition
from pipeline.settings import Elasticsearch
from pipeline.telemetry import Telemetry
from tests.answering_server import Answer, answer_items, answering_server

PARTITION = Partition("logs", 0)


def payload(*numbers: int, padding: int = 0) -> Payload:
    lines = b"".join(
        b'{"create":{"_index":"i","_id":"%d"}}\n{"n":%d,"p":"%s"}\n' % (number, number, b"x" * padding)
        for number in numbers
    )
    return Payload(len(numbers), lines)


class Delivery:
    """A writer against an answering server, and the ledger that it settles."""

    def __init__(
        self, writer: BulkWriter, ledger: Ledger, telemetry: Telemetry, requests: list[list[str]]
    ) -> None:
        self.writer = writer
        self.ledger = ledger
        self.telemetry = telemetry
        self.requests = requests

    def add(self, next_offset: int, *payloads: Payload) -> None:
        records = sum(payload.documents for payload in payloads)
        self.writer.add(self.ledger.deliver(PARTITION, next_offset, records), payloads)

    async def settled(self) -> dict[Partition, int]:
        self.writer.flush()
        async with asyncio.timeout(10):
            while self.ledger.in_flight():
                await self.writer.wait_for_change(0.05)
        return self.ledger.committable()

    def count(self, name: str, **labels: str) -> float:
        return self.telemetry.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def delivery(answer: Answer, **settings: Any) -> AsyncIterator[Delivery]:
    async with answering_server(answer) as (url, requests):
        options = Elasticsearch(
            **{
                "retry_initial_seconds": 0.01,
                "retry_max_seconds": 0.02,
                "flush_interval_seconds": 60,
                **settings,
            },
            hosts=(url,),
        )
        ledger, telemetry = Ledger(), Telemetry()
        async with make_client(options, serializers=bulk_serializers()) as client:
            writer = BulkWriter(client, options, ledger.settle_part, telemetry)
            running = asyncio.create_task(writer.run())
            try:
                yield Delivery(writer, ledger, telemetry, requests)
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError, ExceptionGroup):
                    await running


def all_created(ids: list[str], _: int) -> web.Response:
    return answer_items([201] * len(ids))


async def test_documents_are_settled_when_all_are_created() -> None:
    async with delivery(all_created) as to:
        to.add(3, payload(0, 1, 2))
        assert await to.settled() == {PARTITION: 3}
        assert to.requests == [["0", "1", "2"]]
        assert to.writer.in_flight_bytes == 0
        assert to.count("logpipe_documents_total", outcome="indexed") == 3


async def test_several_batches_share_a_request() -> None:
    async with delivery(all_created) as to:
        to.add(2, payload(0, 1))
        to.add(4, payload(2), payload(3))
        assert await to.settled() == {PARTITION: 4}
        assert to.requests == [["0", "1", "2", "3"]]


async def test_a_request_is_sent_when_it_is_large_enough() -> None:
    async with delivery(all_created, bulk_max_bytes=20_000, max_concurrent_requests=1) as to:
        for number in range(5):
            to.add(number + 1, payload(number, padding=8000))
        assert await to.settled() == {PARTITION: 5}
        assert to.requests == [["0", "1"], ["2", "3"], ["4"]]


async def test_a_document_larger_than_a_request_is_sent_alone() -> None:
    async with delivery(all_created, bulk_max_bytes=20_000, max_concurrent_requests=1) as to:
        to.add(3, Payload(3, payload(0).body + payload(1, padding=50_000).body + payload(2).body))
        assert await to.settled() == {PARTITION: 3}
        assert to.requests == [["0"], ["1"], ["2"]]


async def test_a_request_is_sent_after_the_flush_interval() -> None:
    async with delivery(all_created, flush_interval_seconds=0.05) as to:
        to.add(1, payload(0))
        async with asyncio.timeout(10):
            while to.ledger.in_flight():
                await to.writer.wait_for_change(0.05)
        assert to.requests == [["0"]]


async def test_already_there_is_success_and_counted_apart() -> None:
    async with delivery(lambda ids, _: answer_items([201, 409])) as to:
        to.add(2, payload(0, 1))
        assert await to.settled() == {PARTITION: 2}
        assert to.count("logpipe_documents_total", outcome="indexed") == 1
        assert to.count("logpipe_documents_total", outcome="already_there") == 1


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_only_the_items_concerned_are_sent_again(status: int) -> None:
    def answer(ids: list[str], request: int) -> web.Response:
        return answer_items([201, status, 201, status] if request == 0 else [201] * len(ids))

    async with delivery(answer) as to:
        to.add(4, payload(0, 1, 2, 3))
        assert await to.settled() == {PARTITION: 4}
        assert to.requests == [["0", "1", "2", "3"], ["1", "3"]]
        assert to.writer.in_flight_bytes == 0


async def test_nothing_is_committable_while_an_item_waits() -> None:
    async with delivery(lambda ids, _: answer_items([201] * (len(ids) - 1) + [429])) as to:
        to.add(2, payload(0, 1))
        to.writer.flush()
        async with asyncio.timeout(10):
            while len(to.requests) < 4:
                await asyncio.sleep(0.01)
        assert to.requests[1:4] == [["1"], ["1"], ["1"]]
        assert to.ledger.committable() == {}


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 408])
async def test_a_request_refused_for_now_is_sent_again_whole(status: int) -> None:
    def answer(ids: list[str], request: int) -> web.Response:
        if request == 0:
            return web.Response(status=status, text="busy", headers={"x-elastic-product": "Elasticsearch"})
        return answer_items([201] * len(ids))

    async with delivery(answer) as to:
        to.add(2, payload(0, 1))
        assert await to.settled() == {PARTITION: 2}
        assert to.requests == [["0", "1"], ["0", "1"]]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"<html>hello</html>", "text/html"),
        (b'{"errors":false,"items":[{"create":{"sta', "application/json"),
        (b'{"errors":false,"items":[{"create":{"status":201}}]}', "application/json"),  # one item too few
        (
            b'{"errors":false,"items":[' + b",".join([b'{"create":{"status":201}}'] * 3) + b"]}",
            "application/json",
        ),
        (b'{"errors":false}', "application/json"),
        (b"[]", "application/json"),
        (b"", "application/json"),
        (b'{"items":[1,2]}', "application/json"),
        (b'{"items":[{},{}]}', "application/json"),
    ],
)
async def test_an_answer_that_is_none_is_a_failed_request(body: bytes, content_type: str) -> None:
    def answer(ids: list[str], request: int) -> web.Response:
        if request == 0:
            headers = {"x-elastic-product": "Elasticsearch", "content-type": content_type}
            return web.Response(body=body, headers=headers)
        return answer_items([201] * len(ids))

    async with delivery(answer) as to:
        to.add(2, payload(0, 1))
        assert await to.settled() == {PARTITION: 2}
        assert to.requests == [["0", "1"], ["0", "1"]]
        assert to.count("logpipe_bulk_requests_total", result="failed") == 1


async def test_an_unreachable_server_is_tried_again() -> None:
    options = Elasticsearch(hosts=("http://127.0.0.1:9",), retry_initial_seconds=0.01, retry_max_seconds=0.02)
    ledger, telemetry = Ledger(), Telemetry()
    async with make_client(options, serializers=bulk_serializers()) as client:
        writer = BulkWriter(client, options, ledger.settle_part, telemetry)
        running = asyncio.create_task(writer.run())
        writer.add(ledger.deliver(PARTITION, 1, 1), [payload(0)])
        writer.flush()
        async with asyncio.timeout(10):
            while (
                telemetry.registry.get_sample_value("logpipe_bulk_requests_total", {"result": "failed"}) or 0
            ) < 3:
                await asyncio.sleep(0.01)
        assert not writer.reachable
        assert ledger.committable() == {}
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_a_rejected_document_stops_delivery_and_the_commit() -> None:
    async with answering_server(lambda ids, _: answer_items([201, 400, 201])) as (url, _):
        options = Elasticsearch(hosts=(url,))
        ledger = Ledger()
        async with make_client(options, serializers=bulk_serializers()) as client:
            writer = BulkWriter(client, options, ledger.settle_part, Telemetry())
            writer.add(ledger.deliver(PARTITION, 3, 3), [payload(0, 1, 2)])
            writer.flush()
            with pytest.raises(ExceptionGroup) as caught:
                await writer.run()
        (stopped,) = caught.value.exceptions
        assert isinstance(stopped, DeliveryStopped)
        assert '"_id":"1"' in str(stopped)
        assert "inner" in str(stopped)
        assert ledger.committable() == {}


@given(st.lists(st.integers(0, 300), min_size=1, max_size=20), st.integers(50, 1000))
def test_splitting_keeps_every_document_in_order(paddings: list[int], most: int) -> None:
    whole = Payload(
        len(paddings),
        b"".join(payload(number, padding=padding).body for number, padding in enumerate(paddings)),
    )
    pieces = split_payload(whole, most)
    assert b"".join(piece.body for piece in pieces) == whole.body
    assert sum(piece.documents for piece in pieces) == whole.documents
    for piece in pieces:
        assert piece.documents == piece.body.count(b"\n") // 2 >= 1
        assert len(piece.body) <= most or piece.documents == 1
        assert all(orjson.loads(line) for line in piece.body.splitlines())
