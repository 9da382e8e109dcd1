"""Documents whose index takes none: they wait by themselves, others go on, and in the end each has its outcome."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiohttp import web

from pipeline.bulk import waiting_room
from pipeline.settings import IndexWait
from pipeline.telemetry.troubles import Trouble
from tests.answering_server import answer_by_document
from tests.bulk.delivery import PARTITION, Delivery, delivery, payload

pytestmark = pytest.mark.server  # the answering one

BLOCKED = (403, "cluster_block_exception", "index [old] blocked by: [FORBIDDEN/8/index write (api)];")
RED = (503, "unavailable_shards_exception", "[old][0] primary shard is not active Timeout: [5s]")
BUSY = (429, "es_rejected_execution_exception", "rejected execution of primary operation")
CLOSED = (400, "index_closed_exception", "closed")
NO_PIPELINE = (400, "illegal_argument_exception", "pipeline with id [enrich-x] does not exist")
SHARD_LIMIT = (
    400,
    "validation_exception",
    "this action would add [2] shards, but this cluster currently has [10]/[10] maximum normal shards open;",
)
NO_INDEX = (404, "index_not_found_exception", "no such index [old] and [action.auto_create_index] ([false])")
DISK_FULL = (
    429,
    "cluster_block_exception",
    "index [old] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded",
)
NO_RIGHT = (
    403,
    "security_exception",
    "action [indices:data/write/bulk[s]] is unauthorized for user [logpipe]",
)
CRASH = (500, "null_pointer_exception", 'Cannot invoke "Object.toString()" because "x" is null')
ODD = (418, "teapot_exception", "short and stout")
MISMATCH = (400, "document_parsing_exception", "[1:5] no field is named")

Refusal = tuple[int, str, str]


class Server:
    """What the answering server refuses now, by index."""

    def __init__(self, **refused: Refusal) -> None:
        self.refused = refused
        self.bodies: list[bytes] = []

    def __call__(self, _: list[str], __: int, body: bytes) -> web.Response:
        self.bodies.append(body)
        return answer_by_document(body, lambda index, _: self.refused.get(index))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def troubles(to: Delivery) -> dict[str, Trouble]:
    return {each.key: each for each in to.writer.troubles()}


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Warn at once instead of after ten seconds."""
    monkeypatch.setattr("pipeline.bulk.waiting.WARN_SECONDS", 0.0)


@pytest.mark.parametrize(
    "refusal", [BLOCKED, RED, BUSY, CLOSED, NO_PIPELINE, SHARD_LIMIT, NO_INDEX, DISK_FULL]
)
async def test_others_flow_while_one_index_waits_and_it_is_sent_once_it_is_freed(refusal: Refusal) -> None:
    server = Server(old=refusal)
    async with delivery(server, max_concurrent_requests=1) as to:
        for number in range(0, 40, 2):
            to.add(number + 2, payload(number, index="old"), payload(number + 1, index="new"))
            to.writer.flush()
        await until(lambda: to.count_documents("indexed") == 20)
        assert to.ledger.committable() == {}
        assert to.writer.forbidden is None
        del server.refused["old"]
        assert await to.settled() == {PARTITION: 40}
        assert to.count_documents("indexed") == 40
        assert to.count_documents("already_there") == 0
        assert to.letters.written == []
        assert to.writer.in_flight_bytes == 0
        assert to.writer.waiting == []


async def test_what_comes_for_a_blocked_index_is_not_sent_with_the_others() -> None:
    server = Server(old=BLOCKED)
    async with delivery(server, retry_initial_seconds=60, retry_max_seconds=60) as to:
        to.add(1, payload(0, index="old"))
        to.writer.flush()
        await until(lambda: to.writer.waiting or len(server.bodies) == 1)
        await until(lambda: to.ledger.moving() == 0)
        to.add(4, payload(1, 2, index="old"), payload(3, index="new"))
        to.writer.flush()
        await until(lambda: to.count_documents("indexed") == 1)
        assert to.requests == [["0"], ["3"]]
        to.writer.show()
        assert to.count("logpipe_index_waiting_documents", index="old") == 3


async def test_a_blocked_index_is_tried_with_one_document() -> None:
    server = Server(old=BLOCKED)
    async with delivery(server) as to:
        to.add(5, payload(*range(5), index="old"))
        to.writer.flush()
        await until(lambda: len(to.requests) > 6)
        assert to.requests[:2] == [list("01234")] * 2
        assert {len(request) for request in to.requests[2:]} == {1}
        assert set(map(tuple, to.requests[2:7])) == {
            tuple("0"),
            tuple("1"),
            tuple("2"),
            tuple("3"),
            tuple("4"),
        }


@pytest.mark.usefixtures("at_once")
async def test_after_the_longest_wait_documents_become_dead_letters_that_name_the_index() -> None:
    server = Server(old=BLOCKED)
    async with delivery(server, index_wait=IndexWait(max_seconds=0.3)) as to:
        to.add(3, payload(0, 1, index="old"), payload(2, index="new"))
        to.writer.flush()
        await until(lambda: troubles(to))
        assert list(troubles(to)) == ["index old"]
        told = troubles(to)["index old"]
        assert told.what == "index old has taken no document"
        assert "FORBIDDEN/8" in told.why
        assert told.waits == "2 documents wait; after 0 s (index_wait.max_seconds) they become dead letters"
        assert await to.settled() == {PARTITION: 3}
        assert troubles(to) == {}
        assert sorted(letter.record.offset for letter in to.letters.written) == [0, 1]
        assert {letter.error_type for letter in to.letters.written} == {"index_unavailable"}
        assert {letter.status for letter in to.letters.written} == {403}
        assert "index old has refused it for" in to.letters.written[0].reason
        assert "FORBIDDEN/8" in to.letters.written[0].reason
        assert to.count("logpipe_dead_letters_total", error_type="index_unavailable") == 2
        # What comes later for it waits no longer than until it is tried once more.
        to.add(5, payload(3, 4, index="old"))
        assert await to.settled() == {PARTITION: 5}
        del server.refused["old"]
        to.add(6, payload(5, index="old"))
        assert await to.settled() == {PARTITION: 6}
        assert len(to.letters.written) == 4
        assert to.writer.in_flight_bytes == 0


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("refusal", "key"), [(NO_RIGHT, "elasticsearch rights"), (DISK_FULL, "elasticsearch cluster")]
)
async def test_what_all_indices_have_together_is_one_trouble(refusal: Refusal, key: str) -> None:
    server = Server(**{f"i{number}": refusal for number in range(8)})
    async with delivery(server) as to:
        to.add(8, *(payload(number, index=f"i{number}") for number in range(8)))
        to.writer.flush()
        await until(lambda: troubles(to) and troubles(to)[key].waits == "8 documents wait")
        assert list(troubles(to)) == [key]
        assert " 8 indices, such as i" in troubles(to)[key].what
        server.refused.clear()
        assert await to.settled() == {PARTITION: 8}


@pytest.mark.usefixtures("at_once")
async def test_of_many_indices_five_have_a_trouble_of_their_own() -> None:
    server = Server(**{f"i{number}": BLOCKED for number in range(8)})
    async with delivery(server) as to:
        to.add(8, *(payload(number, index=f"i{number}") for number in range(8)))
        to.writer.flush()
        await until(
            lambda: "other indices" in troubles(to) and "3 more" in troubles(to)["other indices"].what
        )
        assert len(troubles(to)) == 6
        server.refused.clear()
        assert await to.settled() == {PARTITION: 8}


async def test_requests_in_vain_are_a_trouble_of_elasticsearch_with_its_node_and_reason() -> None:
    refused = True

    def answer(_: list[str], __: int, body: bytes) -> web.Response:
        if refused:
            return web.json_response({"error": {"type": "x", "reason": "no master"}}, status=503)
        return answer_by_document(body, lambda *_: None)

    async with delivery(answer) as to:
        assert troubles(to) == {}
        to.add(1, payload(0))
        to.writer.flush()
        await until(lambda: troubles(to))
        (trouble,) = troubles(to).values()
        assert trouble.key == "elasticsearch"
        assert trouble.what.endswith(" refuses every request")
        assert trouble.why.startswith("HTTP 503 of http://127.0.0.1:")
        assert trouble.why.endswith(": no master")
        refused = False
        assert await to.settled() == {PARTITION: 1}
        list(to.writer.troubles())
        assert troubles(to) == {}


async def test_one_document_that_is_blocked_does_not_keep_the_others_of_its_index() -> None:
    def answer(_: list[str], __: int, body: bytes) -> web.Response:
        return answer_by_document(body, lambda _, offset: BLOCKED if blocked and offset % 100 == 0 else None)

    blocked = True
    async with delivery(answer, max_concurrent_requests=1) as to:
        for start in range(0, 2000, 50):
            to.add(start + 50, payload(*range(start, start + 50)))
            to.writer.flush()
        await until(lambda: to.count_documents("indexed") == 1980)
        await until(lambda: len(to.requests) > 60)
        # None of the others has waited with them.
        others = [request for request in to.requests if any(int(offset) % 100 for offset in request)]
        assert len(others) == 40
        blocked = False
        assert await to.settled() == {PARTITION: 2000}
        assert to.letters.written == []


@pytest.mark.parametrize("refusal", [CRASH, BUSY, BLOCKED])
async def test_a_document_that_is_refused_for_ever_becomes_a_dead_letter_while_its_index_takes_others(
    refusal: Refusal,
) -> None:
    def answer(_: list[str], __: int, body: bytes) -> web.Response:
        return answer_by_document(body, lambda _, offset: refusal if offset == 0 else None)

    async with delivery(answer, index_wait=IndexWait(max_seconds=0.3)) as to:
        number = 0
        async with asyncio.timeout(20):
            while not to.letters.written:
                to.add(number + 1, payload(number))
                to.writer.flush()
                number += 1
                await asyncio.sleep(0.02)
        assert await to.settled() == {PARTITION: number}
        (letter,) = to.letters.written
        assert (letter.record.offset, letter.error_type) == (0, "index_unavailable")
        assert f"while it took others: {refusal[1]}" in letter.reason
        assert to.count_documents("indexed") == number - 1


@pytest.mark.parametrize("refusal", [CRASH, BUSY, BLOCKED])
async def test_a_document_that_is_refused_for_ever_holds_up_no_other_of_its_index(
    refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(_: list[str], __: int, body: bytes) -> web.Response:
        return answer_by_document(body, lambda _, offset: refusal if offset == 0 else None)

    # It is tried a few times, and not again: what has to wait for the next try would wait for ever.
    monkeypatch.setattr(
        "pipeline.bulk.waiting.backoff_seconds", lambda _, retries: 0.01 if retries < 4 else 3600.0
    )
    async with delivery(answer) as to:
        to.add(2, payload(0, 1))
        to.writer.flush()
        await until(lambda: to.requests.count(["0"]) == 5)
        for number in range(2, 12):
            to.add(number + 1, payload(number))
            to.writer.flush()
            await until(lambda: to.count_documents("indexed") == number)  # noqa: B023 - awaited at once
        assert to.letters.written == []


async def test_an_index_that_is_blocked_beside_a_bad_document_waits_for_its_own_time() -> None:
    blocked = False

    def answer(_: list[str], __: int, body: bytes) -> web.Response:
        return answer_by_document(body, lambda _, offset: CRASH if blocked or offset == 0 else None)

    async with delivery(answer, index_wait=IndexWait(max_seconds=2)) as to:
        to.add(2, payload(0, 1))
        to.writer.flush()
        await until(lambda: to.count_documents("indexed") == 1)
        for number in range(2, 60):
            to.add(number + 1, payload(number))
            to.writer.flush()
            await asyncio.sleep(0.02)
        blocked = True
        to.add(61, payload(60))
        to.writer.flush()
        await until(lambda: to.letters.written)
        blocked = False
        assert await to.settled() == {PARTITION: 61}
        assert [letter.record.offset for letter in to.letters.written] == [0]


def test_an_index_that_has_few_documents_flows_nevertheless() -> None:
    room = waiting_room.WaitingRoom("i", now=0.0, taken=0)
    for second in range(1, 101):
        # Looked at ten times as often as there is a document.
        for tenth in range(10):
            room.look(second + tenth / 10, taken=second)
    assert room.shared_seconds == 0
    for second in range(101, 201):
        room.look(second, taken=100)
    assert room.shared_seconds == pytest.approx(91, abs=1)


async def test_zero_is_for_ever() -> None:
    server = Server(old=BLOCKED)
    async with delivery(server, index_wait=IndexWait(max_seconds=0)) as to:
        to.add(1, payload(0, index="old"))
        to.writer.flush()
        await until(lambda: len(to.requests) > 10)
        assert to.letters.written == []


@pytest.mark.parametrize("refusal", [SHARD_LIMIT, NO_INDEX, DISK_FULL, NO_RIGHT])
async def test_for_a_fault_of_the_cluster_or_of_our_rights_nothing_is_given_up(refusal: Refusal) -> None:
    server = Server(old=refusal)
    async with delivery(server, index_wait=IndexWait(max_seconds=0.05)) as to:
        to.add(2, payload(0, index="old"), payload(1, index="new"))
        to.writer.flush()
        await until(lambda: len(to.requests) > 10)
        assert to.letters.written == []
        assert to.writer.not_ready is not None
        assert refusal[2] in to.writer.not_ready
        (told,) = to.writer.waiting
        assert (told["index"], told["documents"]) == ("old", 1)
        del server.refused["old"]
        assert await to.settled() == {PARTITION: 2}
        assert to.writer.not_ready is None


async def test_a_missing_right_stops_reading() -> None:
    server = Server(old=NO_RIGHT)
    async with delivery(server) as to:
        to.add(1, payload(0, index="old"))
        to.writer.flush()
        await until(lambda: to.writer.forbidden)
        assert to.writer.forbidden is not None
        assert "unauthorized" in to.writer.forbidden
        server.refused.clear()
        assert await to.settled() == {PARTITION: 1}
        assert to.writer.forbidden is None


async def test_an_overload_of_all_is_waited_out() -> None:
    """Nothing is given up for its index while no other index takes documents either."""
    server = Server(old=BUSY, new=BUSY)
    async with delivery(server, index_wait=IndexWait(max_seconds=0.05)) as to:
        to.add(2, payload(0, index="old"), payload(1, index="new"))
        to.writer.flush()
        await until(lambda: len(to.requests) > 20)
        assert to.letters.written == []
        server.refused.clear()
        assert await to.settled() == {PARTITION: 2}
        assert to.count_documents("indexed") == 2


@pytest.mark.usefixtures("at_once")
async def test_a_full_room_gives_its_oldest_up_while_others_flow() -> None:
    server = Server(old=BLOCKED)
    async with delivery(server, index_wait=IndexWait(max_index_bytes=1 << 14)) as to:
        to.add(1, payload(0, index="old"))
        to.writer.flush()
        await until(lambda: to.ledger.in_flight() and not to.ledger.moving())
        to.add(101, payload(*range(1, 101), index="new"))
        to.writer.flush()
        await until(lambda: to.count_documents("indexed") == 100 and to.writer.waiting)
        for number in range(101, 141):
            to.add(number + 1, payload(number, index="old", padding=500))
        await until(lambda: to.letters.written)
        assert {letter.error_type for letter in to.letters.written} == {"index_unavailable"}
        assert not to.writer.full
        server.refused.clear()
        assert await to.settled() == {PARTITION: 141}
        assert to.count_documents("indexed") + len(to.letters.written) == 141


async def test_the_room_of_an_index_that_most_are_for_holds_reading_back() -> None:
    server = Server(old=BLOCKED)
    wait = IndexWait(max_share=0.5)
    async with delivery(server, index_wait=wait, max_in_flight_bytes=1 << 16) as to:
        number = 0
        while not to.writer.full:
            to.add(number + 10, payload(*range(number, number + 10), index="old", padding=500))
            to.writer.flush()
            number += 10
            await asyncio.sleep(0.01)
        assert to.writer.not_ready is not None
        assert to.letters.written == []
        # As much as may wait beside, and as much as may be in flight, and not more than one addition above.
        assert to.writer.in_flight_bytes < (1 << 16) * 1.5 + 10 * 600
        server.refused.clear()
        assert await to.settled() == {PARTITION: number}
        assert not to.writer.full


async def test_what_waits_is_beside_what_is_in_flight() -> None:
    server = Server(old=BLOCKED)
    async with delivery(server, index_wait=IndexWait(max_share=1.0), max_in_flight_bytes=1 << 16) as to:
        to.add(40, payload(*range(40), index="old", padding=500))
        to.writer.flush()
        await until(lambda: not to.ledger.moving())
        assert to.writer.in_flight_bytes > 20_000
        to.add(100, payload(*range(40, 100), index="new", padding=500))
        assert not to.writer.full


async def test_of_a_partition_that_is_lost_nothing_waits_any_more() -> None:
    server = Server(old=BLOCKED)
    async with delivery(server) as to:
        to.add(1, payload(0, index="old"))
        to.writer.flush()
        await until(lambda: len(to.requests) > 3)
        to.ledger.drop([PARTITION])
        await until(lambda: to.writer.in_flight_bytes == 0)
        assert to.count_documents("read_again") == 1


# --- what no row of the table knows ------------------------------------------------------------------------


async def test_an_odd_refusal_is_the_documents_own_when_another_of_the_request_was_taken() -> None:
    def answer(_: list[str], __: int, body: bytes) -> web.Response:
        return answer_by_document(body, lambda _, offset: ODD if offset == 1 else None)

    async with delivery(answer) as to:
        to.add(3, payload(0, 1, 2))
        assert await to.settled() == {PARTITION: 3}
        assert to.requests == [["0", "1", "2"]]
        assert [letter.error_type for letter in to.letters.written] == ["teapot_exception"]


async def test_another_index_that_takes_documents_proves_nothing() -> None:
    server = Server(old=ODD)
    async with delivery(server) as to:
        to.add(3, payload(0, 1, index="old"), payload(2, index="new"))
        to.writer.flush()
        await until(lambda: len(to.requests) > 10)
        assert to.letters.written == []
        server.refused.clear()
        assert await to.settled() == {PARTITION: 3}
        assert to.count_documents("indexed") == 3


async def test_an_odd_refusal_is_the_documents_own_when_its_index_takes_others_later() -> None:
    def answer(_: list[str], __: int, body: bytes) -> web.Response:
        return answer_by_document(body, lambda _, offset: ODD if offset < 2 else None)

    async with delivery(answer) as to:
        to.add(2, payload(0, 1))
        to.writer.flush()
        await until(lambda: len(to.requests) > 2)
        to.add(3, payload(2))
        assert await to.settled() == {PARTITION: 3}
        assert sorted(letter.record.offset for letter in to.letters.written) == [0, 1]


async def test_a_document_that_is_refused_alone_and_again_is_at_fault() -> None:
    server = Server(i=ODD)
    async with delivery(server) as to:
        to.add(1, payload(0))
        assert await to.settled() == {PARTITION: 1}
        assert to.requests == [["0"], ["0"]]
        assert [letter.error_type for letter in to.letters.written] == ["teapot_exception"]


async def test_the_second_in_a_row_that_is_refused_alone_is_not_at_fault() -> None:
    server = Server(i=ODD)
    async with delivery(server) as to:
        to.add(1, payload(0))
        assert await to.settled() == {PARTITION: 1}
        to.add(2, payload(1))
        to.writer.flush()
        await until(lambda: len(to.requests) > 8)
        assert len(to.letters.written) == 1
        server.refused.clear()
        assert await to.settled() == {PARTITION: 2}
        server.refused["i"] = ODD
        to.add(3, payload(2))
        assert await to.settled() == {PARTITION: 3}
        assert [letter.record.offset for letter in to.letters.written] == [0, 2]


async def test_a_bad_document_among_those_that_wait_does_not_keep_the_others() -> None:
    refused = {"all": True}

    def answer(_: list[str], __: int, body: bytes) -> web.Response:
        return answer_by_document(body, lambda _, offset: ODD if refused["all"] or offset == 0 else None)

    async with delivery(answer) as to:
        to.add(5, payload(*range(5)))
        to.writer.flush()
        await until(lambda: len(to.requests) > 8)
        refused["all"] = False
        assert await to.settled() == {PARTITION: 5}
        assert [letter.record.offset for letter in to.letters.written] == [0]
        assert to.count_documents("indexed") == 4


async def test_an_answer_of_an_old_server_is_no_documents_fault() -> None:
    def answer(_: list[str], number: int, body: bytes) -> web.Response:
        if number < 5:
            return web.json_response(
                {
                    "error": {
                        "type": "media_type_header_exception",
                        "reason": "Invalid media-type value on headers [Accept, Content-Type]",
                    }
                },
                status=400,
            )
        return answer_by_document(body, lambda *_: None)

    async with delivery(answer) as to:
        to.add(3, payload(0, 1, 2))
        to.writer.flush()
        await until(lambda: to.writer.forbidden)
        assert await to.settled() == {PARTITION: 3}
        assert to.requests == [["0", "1", "2"]] * 6
        assert to.letters.written == []


# --- a request as a whole ----------------------------------------------------------------------------------


async def test_a_document_for_which_whole_requests_are_refused_waits_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.bulk.sender.WARN_SECONDS", 0.3)

    def answer(_: list[str], __: int, body: bytes) -> web.Response:
        if b"-000000000033-" in body:
            return web.json_response(
                {"error": {"type": "null_pointer_exception", "reason": "odd"}}, status=500
            )
        return answer_by_document(body, lambda *_: None)

    wait = IndexWait(max_seconds=1)
    async with delivery(answer, max_concurrent_requests=1, index_wait=wait) as to:
        to.add(64, payload(*range(64)))
        to.writer.flush()
        number = 64
        async with asyncio.timeout(20):
            while not to.letters.written:
                to.add(number + 1, payload(number))
                to.writer.flush()
                number += 1
                await asyncio.sleep(0.02)
        assert await to.settled() == {PARTITION: number}
        await asyncio.sleep(0.4)
        assert to.writer.not_ready is None
        assert [letter.record.offset for letter in to.letters.written] == [33]
        assert to.count_documents("indexed") == number - 1
        assert to.writer.in_flight_bytes == 0


async def test_while_all_requests_are_refused_nothing_is_taken_apart_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.bulk.sender.WARN_SECONDS", 0.0)
    refused = True

    def answer(_: list[str], __: int, body: bytes) -> web.Response:
        if refused:
            return web.json_response({"error": {"type": "x", "reason": "no master"}}, status=503)
        return answer_by_document(body, lambda *_: None)

    async with delivery(answer, max_concurrent_requests=2) as to:
        for start in range(0, 40, 10):
            to.add(start + 10, payload(*range(start, start + 10)))
            to.writer.flush()
        await until(lambda: len(to.requests) > 30)
        assert {len(request) for request in to.requests} == {10}
        assert to.writer.not_ready is not None
        assert "HTTP 503: no master" in to.writer.not_ready
        assert to.writer.forbidden is None
        refused = False
        assert await to.settled() == {PARTITION: 40}
        assert to.writer.not_ready is None


async def test_an_index_for_which_no_answer_comes_keeps_no_sender() -> None:
    hangs = True

    async def handle(request: web.Request) -> web.Response:
        body = await request.read()
        if hangs and b'"old"' in body:
            await asyncio.sleep(30)
        return answer_by_document(body, lambda *_: None)

    async with serving(handle) as url:
        settings: dict[str, Any] = {"hosts": (url,), "request_timeout_seconds": 0.1}
        async with delivery(all_documents, max_concurrent_requests=2, **settings) as to:
            for number in range(0, 40, 2):
                to.add(number + 2, payload(number, index="old"), payload(number + 1, index="new"))
                to.writer.flush()
            await until(lambda: to.count_documents("indexed") == 20)
            before = to.writer.in_flight_bytes
            to.add(60, *(payload(number, index="new") for number in range(40, 60)))
            to.writer.flush()
            await until(lambda: to.count_documents("indexed") == 40)
            assert to.writer.in_flight_bytes == before
            assert to.letters.written == []
            hangs = False
            assert await to.settled() == {PARTITION: 60}
            assert to.count_documents("indexed") == 60
            assert to.writer.in_flight_bytes == 0


async def test_the_answer_of_a_proxy_is_no_documents_fault() -> None:
    misled = True

    def answer(_: list[str], __: int, body: bytes) -> web.Response:
        if misled:
            return web.Response(status=400, text="The plain HTTP request was sent to HTTPS port")
        return answer_by_document(body, lambda *_: None)

    async with delivery(answer) as to:
        to.add(1, payload(0))
        to.writer.flush()
        await until(lambda: len(to.requests) > 5)
        assert to.writer.forbidden is not None
        assert to.letters.written == []
        misled = False
        assert await to.settled() == {PARTITION: 1}
        assert to.writer.not_ready is None


# --- the flood breaker -------------------------------------------------------------------------------------


async def test_a_flood_of_refusals_stops_before_kafka_is_emptied_into_the_dead_letters() -> None:
    server = Server(i=MISMATCH)
    async with delivery(server) as to:
        for start in range(0, 12_000, 1000):
            to.add(start + 1000, payload(*range(start, start + 1000)))
            to.writer.flush()
        await until(lambda: to.writer.forbidden)
        await until(lambda: not to.ledger.moving())
        to.writer.show()
        assert len(to.letters.written) <= 5000
        assert to.count("logpipe_dead_letter_flood") == 1
        assert to.writer.not_ready is not None
        before = len(to.letters.written)
        server.refused.clear()
        assert await to.settled() == {PARTITION: 12_000}
        assert len(to.letters.written) == before
        assert to.count_documents("indexed") == 12_000 - before
        assert to.writer.forbidden is None
        to.writer.show()
        assert to.count("logpipe_dead_letter_flood") == 0


async def test_documents_that_are_taken_do_not_end_a_flood() -> None:
    def answer(_: list[str], __: int, body: bytes) -> web.Response:
        return answer_by_document(body, lambda _, offset: None if offset % 5 == 0 else MISMATCH)

    async with delivery(answer) as to:
        for start in range(0, 12_000, 1000):
            to.add(start + 1000, payload(*range(start, start + 1000)))
            to.writer.flush()
        await until(lambda: to.writer.forbidden and not to.ledger.moving())
        requests = len(to.requests)
        await until(lambda: len(to.requests) > requests + 20)
        assert to.writer.forbidden is not None
        assert len(to.letters.written) <= 5000


async def test_a_ratio_of_one_is_no_limit() -> None:
    async with delivery(Server(i=MISMATCH), max_dead_ratio=1) as to:
        for start in range(0, 12_000, 1000):
            to.add(start + 1000, payload(*range(start, start + 1000)))
        assert await to.settled() == {PARTITION: 12_000}
        assert len(to.letters.written) == 12_000


# --- whose answer is it ------------------------------------------------------------------------------------


async def test_items_in_another_order_are_matched_by_their_ids() -> None:
    def answer(_: list[str], __: int, body: bytes) -> web.Response:
        answered = answer_by_document(body, lambda _, offset: {3: MISMATCH, 7: BUSY}.get(offset))
        return (
            reordered(answered) if len(body.splitlines()) > 2 else answer_by_document(body, lambda *_: None)
        )

    async with delivery(answer) as to:
        to.add(10, payload(*range(5)), payload(*range(5, 10)))
        assert await to.settled() == {PARTITION: 10}
        assert to.requests == [list("0123456789"), ["7"]]
        assert [letter.record.offset for letter in to.letters.written] == [3]
        assert to.count_documents("indexed") == 9


async def test_ids_that_were_not_sent_make_an_answer_none() -> None:
    def answer(_: list[str], number: int, body: bytes) -> web.Response:
        foreign = body.replace(b"logs-0-000000000001-", b"logs-0-000000000000-") if number == 0 else body
        return answer_by_document(foreign, lambda _, offset: MISMATCH if offset == 2 else None)

    async with delivery(answer) as to:
        to.add(3, payload(0, 1, 2))
        assert await to.settled() == {PARTITION: 3}
        assert to.requests == [["0", "1", "2"]] * 2
        assert to.count("logpipe_bulk_requests_total", result="failed") == 1


def reordered(answer: web.Response) -> web.Response:
    assert isinstance(answer.body, bytes)
    body = orjson.loads(answer.body)
    body["items"].reverse()
    return web.Response(body=orjson.dumps(body), headers=answer.headers)


# --- a slow link -------------------------------------------------------------------------------------------


async def test_a_request_that_takes_too_long_is_sent_in_smaller_ones_until_something_gets_through() -> None:
    documents = 64

    async def answer_slowly(to: Delivery) -> None:
        to.add(documents, payload(*range(documents), padding=3000))
        assert await to.settled() == {PARTITION: documents}

    async def handle(request: web.Request) -> web.Response:
        body = await request.read()
        sizes.append(len(body.splitlines()) // 2)
        if len(body) > 8000:
            await asyncio.sleep(1)
        return answer_by_document(body, lambda *_: None)

    sizes: list[int] = []
    async with serving(handle) as url:
        async with delivery(all_documents, hosts=(url,), request_timeout_seconds=0.3) as to:
            await answer_slowly(to)
        assert sizes[0] == documents
        assert min(sizes) <= 2


@asynccontextmanager
async def serving(handle: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    application = web.Application(client_max_size=1 << 30)
    application.router.add_post("/_bulk", handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def all_documents(_: list[str], __: int, body: bytes) -> web.Response:
    return answer_by_document(body, lambda *_: None)


def test_the_warning_comes_after_ten_seconds() -> None:
    assert waiting_room.WARN_SECONDS == 10
