"""A proxy in front of the real Elasticsearch that fails as it is told, with or without applying the request."""

import asyncio
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import ClientSession, web

__all__ = ["Fault", "FaultyProxy", "faulty_proxy"]

_HEADERS = {"x-elastic-product": "Elasticsearch"}
_JSON = {**_HEADERS, "content-type": "application/vnd.elasticsearch+json;compatible-with=9"}
_DRIPS = 20

# Gets the request, its body, and a function that applies it to the real server and gives the answer's body.
Apply = Callable[[bytes], Awaitable[bytes]]
Fault = Callable[[web.Request, bytes, Apply], Awaitable[web.StreamResponse]]


class FaultyProxy:
    """Forward bulk requests; `fault` is what happens to one of `every` of them, None is nothing."""

    def __init__(self, url: str, session: ClientSession) -> None:
        self.url = ""
        self.fault: Fault | None = None
        self.every = 1
        self.injected: Counter[str] = Counter()
        self._target = url
        self._session = session
        self._seen = 0

    @property
    def faults(self) -> int:
        """How many requests have been failed on purpose."""
        return self.injected.total()

    async def bulk(self, request: web.Request) -> web.StreamResponse:
        """Answer one bulk request."""
        body = await request.read()
        self._seen += 1
        query = request.query_string

        async def apply(part: bytes) -> bytes:
            headers = {"content-type": "application/x-ndjson"}
            async with self._session.post(
                f"{self._target}/_bulk?{query}", data=part, headers=headers
            ) as answer:
                return await answer.read()

        if self.fault is None or self._seen % self.every:
            return web.Response(body=await apply(body), headers=_JSON)
        self.injected[self.fault.__name__] += 1
        return await self.fault(request, body, apply)


async def refuse_a_third_of_the_items(_: web.Request, body: bytes, apply: Apply) -> web.StreamResponse:
    """Answer 429 for every third document, without indexing it."""
    lines = body.splitlines(keepends=True)
    pairs = [lines[position : position + 2] for position in range(0, len(lines), 2)]
    taken = [line for number, pair in enumerate(pairs) if number % 3 for line in pair]
    answers = iter(orjson.loads(await apply(b"".join(taken)))["items"]) if taken else iter(())
    busy = {"create": {"status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "busy"}}}
    items = [next(answers) if number % 3 else busy for number in range(len(pairs))]
    return web.Response(body=orjson.dumps({"errors": True, "items": items}), headers=_JSON)


async def unavailable(_: web.Request, _body: bytes, _apply: Apply) -> web.StreamResponse:
    """Answer 503 without indexing anything."""
    return web.Response(status=503, text="no", headers=_HEADERS)


async def reset_after_applying(request: web.Request, body: bytes, apply: Apply) -> web.StreamResponse:
    """Index, then reset the connection in the middle of the answer."""
    answer = await apply(body)
    response = web.StreamResponse(headers={**_JSON, "content-length": str(len(answer))})
    await response.prepare(request)
    await response.write(answer[: len(answer) // 2])
    if request.transport is not None:
        request.transport.abort()
    return response


async def answer_too_late(_: web.Request, body: bytes, apply: Apply) -> web.StreamResponse:
    """Index, then answer after the client's timeout (2 s in these tests)."""
    answer = await apply(body)
    await asyncio.sleep(3)
    return web.Response(body=answer, headers=_JSON)


async def stand_still(request: web.Request, _body: bytes, _apply: Apply) -> web.StreamResponse:
    """Take the request and never answer, for as long as the client waits."""
    while request.transport is not None and not request.transport.is_closing():
        await asyncio.sleep(0.1)
    return web.Response(status=503, headers=_HEADERS)


async def drip(request: web.Request, body: bytes, apply: Apply) -> web.StreamResponse:
    """Index, then answer a few bytes at a time, within the client's timeout."""
    answer = await apply(body)
    response = web.StreamResponse(headers={**_JSON, "content-length": str(len(answer))})
    await response.prepare(request)
    size = len(answer) // _DRIPS + 1
    for start in range(0, len(answer), size):
        await response.write(answer[start : start + size])
        await asyncio.sleep(0.02)
    return response


async def truncate(_: web.Request, body: bytes, apply: Apply) -> web.StreamResponse:
    """Index, then answer 200 with half of the JSON."""
    answer = await apply(body)
    return web.Response(body=answer[: len(answer) // 2], headers=_JSON)


async def html(_: web.Request, _body: bytes, _apply: Apply) -> web.StreamResponse:
    """Answer 200 with a page, as a captive proxy does, without indexing anything."""
    return web.Response(text="<html>Please log in</html>", content_type="text/html")


async def one_item_too_few(_: web.Request, body: bytes, apply: Apply) -> web.StreamResponse:
    """Index, then leave the last item out of the answer."""
    answer = orjson.loads(await apply(body))
    return web.Response(body=orjson.dumps({**answer, "items": answer["items"][:-1]}), headers=_JSON)


async def too_large(_: web.Request, body: bytes, apply: Apply) -> web.StreamResponse:
    """Refuse any request above 50 kB."""
    if len(body) > 50_000:
        return web.Response(status=413, headers=_HEADERS)
    return web.Response(body=await apply(body), headers=_JSON)


async def items_in_another_order(_: web.Request, body: bytes, apply: Apply) -> web.StreamResponse:
    """Answer 429 for every third document, and give the items from the last to the first."""
    pairs = _pairs(body)
    taken = b"".join([pair for number, pair in enumerate(pairs) if number % 3])
    answers = iter(orjson.loads(await apply(taken))["items"]) if taken else iter(())
    items = [
        next(answers) if number % 3 else _refusal(pair, 429, "es_rejected_execution_exception", "busy")
        for number, pair in enumerate(pairs)
    ]
    return web.Response(body=orjson.dumps({"errors": True, "took": 1, "items": items[::-1]}), headers=_JSON)


async def slow_link(request: web.Request, body: bytes, apply: Apply) -> web.StreamResponse:
    """Let bytes drip in: what is larger than 80 kB is not there within the client's timeout (2 s in these tests)."""
    await asyncio.sleep(len(body) / 40_000)
    if request.transport is None or request.transport.is_closing():
        return web.Response(status=503, headers=_HEADERS)
    return web.Response(body=await apply(body), headers=_JSON)


async def block_one_of_a_hundred(_: web.Request, body: bytes, apply: Apply) -> web.StreamResponse:
    """Answer for one document of a hundred that its index is blocked, always for the same."""
    pairs = _pairs(body)
    blocked = [zlib.crc32(pair) % 100 == 0 for pair in pairs]
    taken = b"".join([pair for pair, refuse in zip(pairs, blocked, strict=True) if not refuse])
    answers = iter(orjson.loads(await apply(taken))["items"]) if taken else iter(())
    items = [
        _refusal(pair, 403, "cluster_block_exception", "FORBIDDEN/8/index write (api)")
        if refuse
        else next(answers)
        for pair, refuse in zip(pairs, blocked, strict=True)
    ]
    return web.Response(body=orjson.dumps({"errors": any(blocked), "took": 1, "items": items}), headers=_JSON)


def refuse_every_item(status: int, error_type: str, reason: str) -> Fault:
    """Make a fault that answers so for every document, without indexing any."""

    async def refuse(_: web.Request, body: bytes, _apply: Apply) -> web.StreamResponse:
        items = [_refusal(pair, status, error_type, reason) for pair in _pairs(body)]
        return web.Response(body=orjson.dumps({"errors": True, "took": 1, "items": items}), headers=_JSON)

    refuse.__name__ = f"refuse_every_item_{status}_{error_type}"
    return refuse


def _pairs(body: bytes) -> list[bytes]:
    lines = body.splitlines(keepends=True)
    return [action + source for action, source in zip(lines[::2], lines[1::2], strict=True)]


def _refusal(pair: bytes, status: int, error_type: str, reason: str) -> dict[str, Any]:
    target = orjson.loads(pair.split(b"\n", 1)[0])["create"]
    return {
        "create": {"_id": target["_id"], "status": status, "error": {"type": error_type, "reason": reason}}
    }


@asynccontextmanager
async def faulty_proxy(url: str) -> AsyncIterator[FaultyProxy]:
    """Run the proxy on loopback in front of the server at `url`."""
    async with ClientSession() as session:
        proxy = FaultyProxy(url, session)
        application = web.Application(client_max_size=1 << 30)
        application.router.add_post("/_bulk", proxy.bulk)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield proxy
        finally:
            await runner.cleanup()
