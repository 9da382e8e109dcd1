"""The pieces of a bulk body arrive as they were, whichever way they are sent, and a broken connection is told."""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
import uvloop
from aiohttp import web
from elastic_transport import ConnectionError as NoConnection

from pipeline.bulk.body import BulkBody
from pipeline.bulk.client import make_bulk_client
from pipeline.bulk.requests import send_bulk
from pipeline.settings import Elasticsearch

# What is larger than the sockets' buffers together has to wait for its reader.
LARGE = 24 << 20
HEADERS = {"x-elastic-product": "Elasticsearch", "content-type": "application/json"}


def pieces_of(seed: int) -> list[bytes]:
    """Make pieces of all sizes, from a line to more than the transport takes at a time."""
    chance = random.Random(seed)
    return [chance.randbytes(chance.choice((1, 90, 2000, 70_000, 300_000))) for _ in range(seed)]


BODIES = [pieces_of(seed) for seed in (1, 2, 7, 40)] + [[bytes(LARGE // 8)] * 8]


@asynccontextmanager
async def server(
    answer: Callable[[web.Request], Awaitable[web.Response]], context: ssl.SSLContext | None
) -> AsyncIterator[str]:
    app = web.Application(client_max_size=2 * LARGE)
    app.router.add_post("/_bulk", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        port = runner.addresses[0][1]
        yield f"{'https' if context else 'http'}://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_body_arrives_as_its_pieces_were(
    loop: Callable[[], asyncio.AbstractEventLoop], tls: bool, compress: bool, tmp_path: Path
) -> None:
    authority = trustme.CA()
    context = None
    if tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(context)
    certificate = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(certificate))
    received: list[tuple[bytes, str | None, str]] = []

    async def answer(request: web.Request) -> web.Response:
        await asyncio.sleep(0.05)  # what does not fit into the buffers has to wait
        body = await request.read()
        received.append((body, request.headers.get("content-length"), request.headers["content-type"]))
        return web.Response(body=b"{}", headers=HEADERS)

    async def send_all() -> None:
        async with server(answer, context) as url:
            settings = Elasticsearch(hosts=(url,), compress=compress, ca_certs=certificate if tls else None)
            async with make_bulk_client(settings) as client:
                for pieces in BODIES:
                    assert (await send_bulk(client, BulkBody(pieces))).body == b"{}"

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(send_all())
    assert [body for body, _, _ in received] == [b"".join(pieces) for pieces in BODIES]
    assert {kind for _, _, kind in received} == {"application/vnd.elasticsearch+x-ndjson; compatible-with=9"}
    if not compress:
        assert [length for _, length, _ in received] == [str(sum(map(len, pieces))) for pieces in BODIES]


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_connection_that_breaks_within_a_body_is_an_error_of_the_connection(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def hang_up(request: web.Request) -> web.Response:
        await request.content.readexactly(1000)
        assert request.transport is not None
        request.transport.abort()
        raise asyncio.CancelledError

    async def send() -> None:
        async with server(hang_up, None) as url, make_bulk_client(Elasticsearch(hosts=(url,))) as client:
            with pytest.raises(NoConnection):
                await send_bulk(client, BulkBody(BODIES[-1]))

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(send())


async def test_bytes_are_refused_before_anything_is_sent() -> None:
    async with make_bulk_client(Elasticsearch()) as client:
        with pytest.raises(TypeError, match="a bulk body is a BulkBody, not bytes"):
            await client.perform_request(
                "POST", "/_bulk", headers={"content-type": "application/x-ndjson"}, body=b"{}\n"
            )


def test_the_clients_own_debug_log_can_show_it() -> None:
    body = BulkBody([b'{"create":{}}\n', b'{"message":"\xc3\xa4"}\n'])
    assert body.decode() == '{"create":{}}\n{"message":"ä"}\n'
    assert len(body) == body.size == 31
