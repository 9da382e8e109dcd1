"""A server that answers bulk requests as a test says: for faults that the real one cannot be made to show."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from inspect import signature
from typing import Any, cast

import orjson
from aiohttp import web

__all__ = ["Answer", "answer_by_document", "answer_items", "answering_server", "offsets_of"]

# Gets the offsets of the documents, as text, the number of the request, from 0, and if it wants it the body.
Answer = (
    Callable[[list[str], int], web.StreamResponse] | Callable[[list[str], int, bytes], web.StreamResponse]
)

_WITH_BODY = 3
_HEADERS = {
    "x-elastic-product": "Elasticsearch",
    "content-type": "application/vnd.elasticsearch+json;compatible-with=9",
}


def offsets_of(body: bytes) -> list[str]:
    ids = [orjson.loads(line)["create"]["_id"] for line in body.splitlines()[::2]]
    return [str(int(identifier.split("-")[2])) for identifier in ids]


def answer_items(statuses: list[int], *, error_type: str = "some_exception") -> web.Response:
    """Answer as Elasticsearch does under the writer's filter_path."""
    items = [
        {"status": status}
        if status in {200, 201}
        else {
            "status": status,
            "error": {"type": error_type, "reason": "outer", "caused_by": {"reason": "inner"}},
        }
        for status in statuses
    ]
    body = {"errors": any("error" in item for item in items), "items": [{"create": item} for item in items]}
    return web.Response(body=orjson.dumps(body), headers=_HEADERS)


def answer_by_document(
    body: bytes, refuse: Callable[[str, int], tuple[int, str, str] | None]
) -> web.Response:
    """Answer as Elasticsearch does, with ids; `refuse` gives status, type and reason by index and offset, or None."""
    items: list[dict[str, Any]] = []
    for line in body.splitlines()[::2]:
        target = orjson.loads(line)["create"]
        refused = refuse(target["_index"], int(target["_id"].split("-")[2]))
        if refused is None:
            items.append({"_id": target["_id"], "status": 201})
        else:
            status, error_type, reason = refused
            items.append(
                {"_id": target["_id"], "status": status, "error": {"type": error_type, "reason": reason}}
            )
    errors = any("error" in item for item in items)
    answer = {"errors": errors, "took": 1, "items": [{"create": item} for item in items]}
    return web.Response(body=orjson.dumps(answer), headers=_HEADERS)


@asynccontextmanager
async def answering_server(answer: Answer) -> AsyncIterator[tuple[str, list[list[str]]]]:
    """Serve on loopback; gives the URL and the list of the requests' document ids so far."""
    requests: list[list[str]] = []

    async def bulk(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        offsets = offsets_of(body)
        requests.append(offsets)
        number = len(requests) - 1
        if len(signature(answer).parameters) == _WITH_BODY:
            return cast("Callable[[list[str], int, bytes], web.StreamResponse]", answer)(
                offsets, number, body
            )
        return cast("Callable[[list[str], int], web.StreamResponse]", answer)(offsets, number)

    application = web.Application(client_max_size=1 << 30)
    application.router.add_post("/_bulk", bulk)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", requests
    finally:
        await runner.cleanup()
