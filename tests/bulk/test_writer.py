"""The bulk writer: what it sends, what it settles, what it sends again."""

import asyncio
import gc
from contextlib import suppress
from types import FrameType
from typing import Any

import orjson
import pytest
from aiohttp import web
from hypothesis import given, settings as hypothesis_settings, strategies as st

from pipeline.bulk.client import make_bulk_client
from pipeline.bulk.parts import split_payload
from pipeline.bulk.requests import items_of
from pipeline.bulk.writer import BulkWriter
from pipeline.encode.fast_path import Payload, Unreadable
from pipeline.events.document import Coordinates
from pipeline.kafka.dead_letters import DeadLetter
from pipeline.kafka.ledger import Ledger
from pipeline.settings import Elasticsearch
from pipeline.telemetry.metrics import Telemetry
from tests.answering_server import answer_items, answering_server
from tests.bulk.delivery import PARTITION, Letters, Record, all_created, delivery, payload

pytestmark = pytest.mark.server  # the answering one


async def test_documents_are_settled_when_all_are_created() -> None:
    async with delivery(all_created) as to:
        to.add(3, payload(0, 1, 2))
        assert await to.settled() == {PARTITION: 3}
        assert to.requests == [["0", "1", "2"]]
        assert to.writer.in_flight_bytes == 0
        assert to.count_documents("indexed") == 3


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
        assert to.count_documents("indexed") == 1
        assert to.count_documents("already_there") == 1


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
        # What took too long is sent in smaller requests.
        again = [["0"], ["1"]] if status in {408, 504} else [["0", "1"]]
        assert sorted(to.requests[1:]) == again


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


async def test_an_answer_with_one_item_that_is_none_settles_nothing_of_it() -> None:
    def answer(ids: list[str], number: int) -> web.StreamResponse:
        response = answer_items([201] * len(ids))
        if number == 0:
            assert isinstance(response.body, bytes)
            head, separator, _ = response.body.rpartition(b'{"create":')
            return web.Response(body=head + separator + b"7}]}", headers=response.headers)
        return response

    async with delivery(answer) as one:
        one.add(6, payload(0, 1), payload(2, 3), payload(4, 5))
        assert await one.settled() == {PARTITION: 6}
        assert one.requests == [list("012345")] * 2
        assert one.count_documents("indexed") == 6


async def test_one_of_many_parts_is_looked_at_document_by_document() -> None:
    def answer(ids: list[str], _: int) -> web.StreamResponse:
        return answer_items([{"2": 409, "3": 400}.get(one, 201) for one in ids])

    async with delivery(answer) as one:
        one.add(6, payload(0, 1), payload(2, 3), payload(4, 5))
        assert await one.settled() == {PARTITION: 6}
        assert one.requests == [list("012345")]
        assert [letter.record.offset for letter in one.letters.written] == [3]
        counts = [one.count_documents(name) for name in ("indexed", "already_there", "dead_lettered")]
        assert counts == [4, 1, 1]


@pytest.mark.parametrize("fault", ["no answer", "connection lost"])
async def test_failed_requests_leave_nothing_for_the_garbage_collector(fault: str) -> None:
    failures = 5

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if fault == "no answer":
            await reader.read(-1)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        options = Elasticsearch(
            hosts=(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}",),
            request_timeout_seconds=1,
            retry_initial_seconds=0.01,
            retry_max_seconds=0.02,
        )
        ledger, telemetry = Ledger(), Telemetry()
        async with make_bulk_client(options) as client:
            writer = BulkWriter(client, options, ledger.settle_part, Letters(), telemetry)
            running = asyncio.create_task(writer.run())
            gc.collect()
            gc.disable()
            try:
                writer.add(ledger.deliver(PARTITION, 1, 1), [Record(0)], [payload(0)])
                writer.flush()
                async with asyncio.timeout(30):
                    while _failed(telemetry) < failures:
                        await asyncio.sleep(0.01)
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running
                left = [one for one in gc.get_objects() if isinstance(one, FrameType)]
            finally:
                gc.enable()
    assert [one.f_code.co_name for one in left if "elastic_transport" in one.f_code.co_filename] == []


def _failed(telemetry: Telemetry) -> float:
    count = telemetry.registry.get_sample_value("logpipe_bulk_requests_total", {"result": "failed"})
    return count or 0.0


def test_a_shard_that_is_away_repeats_no_document_in_its_reason() -> None:
    reason = (
        "[i][2] primary shard is not active Timeout: [5s], request: [BulkShardRequest [[i][2]] containing "
        '[index {[i][a-1], source[{"password":"S3CRET"}]}]]'
    )
    error = {"type": "unavailable_shards_exception", "reason": reason}
    answer = {"errors": True, "items": [{"create": {"_id": "a-1", "status": 503, "error": error}}]}
    items = items_of(orjson.dumps(answer), [b'{"create":{"_index":"i","_id":"a-1"}}\n{}\n'], [1])
    assert items is not None
    (item,) = items[0] or []
    assert item.reason == "[i][2] primary shard is not active Timeout: [5s]"


async def test_one_host_of_several_that_is_away_is_not_elasticsearch_away() -> None:
    async with answering_server(all_created) as (url, _):
        options = Elasticsearch(hosts=("http://127.0.0.1:9", url), retry_initial_seconds=0.01)
        ledger, telemetry = Ledger(), Telemetry()
        async with make_bulk_client(options) as client:
            writer = BulkWriter(client, options, ledger.settle_part, Letters(), telemetry)
            running = asyncio.create_task(writer.run())
            reachable = []
            for offset in range(20):
                writer.add(ledger.deliver(PARTITION, offset + 1, 1), [Record(offset)], [payload(offset)])
                writer.flush()
                async with asyncio.timeout(10):
                    while ledger.committable() != {PARTITION: offset + 1}:
                        reachable.append(writer.reachable)
                        await asyncio.sleep(0.001)
            assert _failed(telemetry) > 0
            assert all(reachable)
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


async def test_an_unreachable_server_is_tried_again() -> None:
    options = Elasticsearch(hosts=("http://127.0.0.1:9",), retry_initial_seconds=0.01, retry_max_seconds=0.02)
    ledger, telemetry = Ledger(), Telemetry()
    async with make_bulk_client(options) as client:
        writer = BulkWriter(client, options, ledger.settle_part, Letters(), telemetry)
        running = asyncio.create_task(writer.run())
        writer.add(ledger.deliver(PARTITION, 1, 1), [Record(0)], [payload(0)])
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


def rejected(
    ids: list[str], number: str, reason: str, error_type: str = "document_parsing_exception"
) -> web.Response:
    """Answer that one document is rejected for this reason and the others are created."""
    items: list[dict[str, Any]] = [
        {"status": 400, "error": {"type": error_type, "reason": reason}}
        if each == number
        else {"status": 201}
        for each in ids
    ]
    body = {"errors": True, "items": [{"create": item} for item in items]}
    return web.Response(
        body=orjson.dumps(body),
        headers={"x-elastic-product": "Elasticsearch"},
        content_type="application/json",
    )


async def test_a_rejected_document_is_dead_lettered_before_it_is_settled() -> None:
    async with delivery(lambda ids, _: rejected(ids, "1", "no field is named")) as to:
        to.letters.broken = True
        to.add(3, payload(0, 1, 2))
        to.writer.flush()
        async with asyncio.timeout(10):
            while to.letters.refused < 3:
                await asyncio.sleep(0.01)
        assert to.ledger.committable() == {}
        assert to.writer.stalled == {PARTITION}
        to.letters.broken = False
        assert await to.settled() == {PARTITION: 3}
        assert to.writer.stalled == set()
        (letter,) = to.letters.written
        assert letter == DeadLetter(
            record=Coordinates("logs", 0, 1, 1000),
            key=b"key",
            value=b"original",
            headers=(),
            error_type="document_parsing_exception",
            reason="no field is named",
            field="",
            status=400,
            attempts=1,
        )
        assert to.count_documents("indexed") == 2
        assert to.count_documents("dead_lettered") == 1
        assert to.writer.in_flight_bytes == 0


async def test_what_cannot_be_read_is_dead_lettered_without_asking_elasticsearch() -> None:
    action = b'{"create":{"_index":"i","_id":"logs-0-%012d-1000"}}\n'
    unreadable = [Unreadable(action % number, "schema 7") for number in (1, 2)]
    async with delivery(all_created, max_dead_ratio=0) as to:
        records = [Record(offset) for offset in range(3)]
        span = to.ledger.deliver(PARTITION, 3, 3)
        to.writer.add(
            span, records, [payload(0)._replace(dead=unreadable[:1]), Payload(0, b"", dead=unreadable[1:])]
        )
        assert await to.settled() == {PARTITION: 3}
        assert to.requests == [["0"]]
        letters = [
            (one.record.offset, one.value, one.error_type, one.reason, one.status)
            for one in to.letters.written
        ]
        assert letters == [(offset, b"original", "unreadable_record", "schema 7", 0) for offset in (1, 2)]
        assert (to.count_documents("indexed"), to.count_documents("dead_lettered")) == (1, 2)
        assert to.writer.in_flight_bytes == 0


async def test_a_field_that_is_named_is_moved_aside_and_the_document_sent_once_more() -> None:
    bodies: list[bytes] = []

    def answer(ids: list[str], request: int, body: bytes) -> web.Response:
        bodies.append(body)
        if request == 0:
            return rejected(ids, "1", "[1:5] failed to parse field [p] of type [long] in document")
        return answer_items([201] * len(ids))

    async with delivery(answer) as to:
        to.add(3, payload(0, 1, 2))
        assert await to.settled() == {PARTITION: 3}
        assert to.requests == [["0", "1", "2"], ["1"]]
        assert orjson.loads(bodies[1].splitlines()[1]) == {
            "n": 1,
            "unmapped": {"p": ""},
            "tags": ["_mappingconflict"],
        }
        assert to.letters.written == []
        assert to.count("logpipe_documents_salvaged_total") == 1
        assert to.count_documents("indexed") == 3


async def test_a_document_with_several_conflicts_is_salvaged_as_often() -> None:
    bodies: list[bytes] = []

    def answer(ids: list[str], request: int, body: bytes) -> web.Response:
        bodies.append(body)
        if request > 1:
            return answer_items([201] * len(ids))
        return rejected(ids, "1", f"failed to parse field [{'pn'[request]}] of type [long]")

    async with delivery(answer) as to:
        to.add(3, payload(0, 1, 2))
        assert await to.settled() == {PARTITION: 3}
        assert to.requests == [["0", "1", "2"], ["1"], ["1"]]
        assert orjson.loads(bodies[2].splitlines()[1]) == {
            "unmapped": {"p": "", "n": 1},
            "tags": ["_mappingconflict"],
        }
        assert to.letters.written == []
        assert to.count("logpipe_documents_salvaged_total") == 1


@pytest.mark.parametrize("most", [0, 1, 3])
async def test_a_document_is_salvaged_no_more_often_than_the_setting_allows(most: int) -> None:
    document = orjson.dumps({f"f{number}": number for number in range(10)})
    line = b'{"create":{"_index":"i","_id":"logs-0-%012d-1000"}}\n%b\n' % (0, document)
    async with delivery(
        lambda ids, request: rejected(ids, "0", f"failed to parse field [f{request}] of type [long]"),
        most_salvaged=most,
    ) as to:
        to.add(1, Payload(1, line))
        assert await to.settled() == {PARTITION: 1}
        assert len(to.requests) == most + 1
        (letter,) = to.letters.written
        assert (letter.attempts, letter.field, letter.value) == (most + 1, f"f{most}", b"original")
        assert to.count("logpipe_documents_salvaged_total") == 0


async def test_a_salvaged_document_that_has_to_wait_is_counted_when_it_is_indexed() -> None:
    counts: list[float] = []

    def answer(ids: list[str], request: int) -> web.Response:
        counts.append(to.count("logpipe_documents_salvaged_total"))
        if request == 0:
            return rejected(ids, "1", "[1:5] failed to parse field [p] of type [long] in document")
        return answer_items([429 if request == 1 else 201] * len(ids))

    async with delivery(answer) as to:
        to.add(3, payload(0, 1, 2))
        assert await to.settled() == {PARTITION: 3}
        assert to.requests == [["0", "1", "2"], ["1"], ["1"]]
        assert [*counts, to.count("logpipe_documents_salvaged_total")] == [0, 0, 0, 1]


async def test_a_blocked_index_is_tried_until_it_is_freed() -> None:
    async with delivery(
        lambda ids, request: answer_items(
            [403 if request < 4 and each == "1" else 201 for each in ids],
            error_type="cluster_block_exception",
        )
    ) as to:
        to.add(3, payload(0, 1, 2))
        assert await to.settled() == {PARTITION: 3}
        assert to.requests == [["0", "1", "2"], *[["1"]] * 4]
        assert to.letters.written == []
        assert to.count("logpipe_document_retries_total", reason="blocked") == 4


@pytest.mark.parametrize("status", [400, 413])
async def test_a_request_too_large_is_halved_down_to_the_document(status: int) -> None:
    def answer(ids: list[str], _: int) -> web.Response:
        if "3" in ids:
            return web.Response(status=status, headers={"x-elastic-product": "Elasticsearch"})
        return answer_items([201] * len(ids))

    async with delivery(answer, max_concurrent_requests=1) as to:
        to.add(5, payload(0, 1), payload(2, 3, 4))
        assert await to.settled() == {PARTITION: 5}
        assert sorted(each for ids in to.requests if "3" not in ids for each in ids) == ["0", "1", "2", "4"]
        assert [(letter.record.offset, letter.status) for letter in to.letters.written] == [(3, status)]
        assert to.writer.in_flight_bytes == 0


@pytest.mark.parametrize("status", [401, 403, 404, 405])
async def test_when_writing_is_forbidden_nothing_is_given_up(status: int) -> None:
    def answer(ids: list[str], request: int) -> web.Response:
        if request < 3:
            body = orjson.dumps(
                {"error": {"type": "security_exception", "reason": "outer", "caused_by": {"reason": "no"}}}
            )
            return web.Response(status=status, body=body, content_type="application/json")
        return answer_items([201] * len(ids))

    async with delivery(answer) as to:
        to.add(1, payload(0))
        to.writer.flush()
        async with asyncio.timeout(10):
            while not to.writer.forbidden:
                await asyncio.sleep(0.001)
        assert to.writer.forbidden == f"HTTP {status}: no"
        assert await to.settled() == {PARTITION: 1}
        assert to.writer.forbidden is None
        assert to.letters.written == []


async def test_overload_halves_what_is_sent_and_calm_restores_it() -> None:
    def answer(ids: list[str], request: int) -> web.Response:
        return answer_items([429 if request == 0 else 201] * len(ids))

    async with delivery(answer, max_concurrent_requests=4) as to:
        to.add(2, payload(0, 1))
        assert await to.settled() == {PARTITION: 2}
        to.writer.show()
        assert to.count("logpipe_bulk_slowdowns_total", reason="items") == 1
        assert 2 <= to.count("logpipe_bulk_concurrency_limit") < 4
        for number in range(2, 60):
            to.add(number + 1, payload(number))
            await to.settled()
        to.writer.show()
        assert to.count("logpipe_bulk_concurrency_limit") == 4
        assert to.count("logpipe_bulk_size_limit_bytes") == 2 << 20


@given(st.data())
@hypothesis_settings(max_examples=60, deadline=None)
def test_whatever_is_answered_every_document_has_one_outcome(data: st.DataObject) -> None:
    """Any mixture of answers, as long as they end: indexed + already there + dead = all, in no time lost."""
    statuses = st.sampled_from([201, 201, 201, 409, 429, 503, 400, 404, 403, 500])
    whole = st.sampled_from([0, 0, 0, 0, 429, 503, 413])
    script = data.draw(st.lists(st.tuples(whole, st.lists(statuses, min_size=1, max_size=8)), max_size=12))
    sizes = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))

    def answer(ids: list[str], request: int) -> web.Response:
        refused, mixture = script[request] if request < len(script) else (0, [201])
        if refused:
            return web.Response(status=refused, headers={"x-elastic-product": "Elasticsearch"})
        return answer_items([mixture[position % len(mixture)] for position in range(len(ids))])

    async def check() -> None:
        async with delivery(answer, retry_initial_seconds=0.001, retry_max_seconds=0.001) as to:
            first = 0
            for size in sizes:
                to.add(first + size, payload(*range(first, first + size)))
                first += size
            assert await to.settled() == {PARTITION: first}
            outcomes = [to.count_documents(name) for name in ("indexed", "already_there", "dead_lettered")]
            assert sum(outcomes) == first
            assert len({letter.record.offset for letter in to.letters.written}) == outcomes[2]
            assert to.writer.in_flight_bytes == 0

    asyncio.run(check())


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
