"""A server that answers bulk requests as Elasticsearch would, and does nothing else.

    python -m benchmarks.sink [--reject-one | --reject-all]

With `--reject-one` it refuses one document of every request for good, with `--reject-all` every one. It prints its
URL, serves on a free port of the loopback interface, and ends when its standard input does.
"""

import asyncio
import http.client
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import uvloop
from aiohttp import web

__all__ = ["Rejects", "application", "documents_received", "running_sink"]


class Rejects(StrEnum):
    """Which documents of a request are refused."""

    NONE = "--reject-none"
    ONE = "--reject-one"
    """The one in the middle."""
    ALL = "--reject-all"


_HOST = "127.0.0.1"
_STOP_SECONDS = 5
_ANSWER_SECONDS = 10
_HEADERS = {
    "x-elastic-product": "Elasticsearch",
    "content-type": "application/vnd.elasticsearch+json;compatible-with=9",
}
# What Elasticsearch answers for each document to who asks for the statuses only (by `filter_path`), and what
# to who does not: three shards, an id and an index name of the usual lengths.
_STATUS_ITEM = b'{"create":{"status":201}}'
_ID_ITEM = b'{"create":{"_id":"%b","status":201}}'
# As long as ours are.
_SOME_ID = b"claude-code-bot.logs-0-000000012345-1705276800000"
_FULL_ITEM = (
    b'{"create":{"_index":"claude-code-bot-2024.01.15","_id":"3rYGppABcDeFgHiJkLmN","_version":1,'
    b'"result":"created","_shards":{"total":2,"successful":1,"failed":0},"_seq_no":123456,'
    b'"_primary_term":1,"status":201}}'
)
# What Elasticsearch 9.1 says of a text where the mapping wants a number.
_REJECTED_ITEM = (
    b'{"create":{"_id":"%b","status":400,"error":{"type":"document_parsing_exception",'
    b'"reason":"[1:187] failed to parse '
    b"field [message] of type [long] in document with id 'of-this-request'. Preview of field's value: 'x'\","
    b'"caused_by":{"type":"illegal_argument_exception","reason":"For input string: \\"x\\""}}}}'
)
# Routing stands before the index, where there is any.
_ACTION_ID = re.compile(rb'^\{"create":\{[^}]*"_id":"([^"]*)"\}\}$', re.MULTILINE)
_OF_FIRST_ERRORS = b'.fingerprints"'
_LINES_PER_DOCUMENT = 2
_DOCUMENTS: web.AppKey[list[int]] = web.AppKey("documents", list)
_REJECTS: web.AppKey[Rejects] = web.AppKey("rejects", Rejects)


def application(rejects: Rejects = Rejects.NONE) -> web.Application:
    """Make the server: `POST /_bulk`, and `GET /documents`, which tells how many events it has taken."""
    server = web.Application()
    server[_DOCUMENTS] = [0]
    server[_REJECTS] = rejects
    server.router.add_post("/_bulk", _bulk)
    server.router.add_put("/_bulk", _bulk)
    server.router.add_get("/documents", _documents)
    return server


async def _bulk(request: web.Request) -> web.Response:
    """Count the documents and say that each was created, but for those that are to be refused."""
    lines = 0
    first = b""
    chunks = []
    rejects = request.app[_REJECTS]
    async for chunk in request.content.iter_any():
        lines += chunk.count(b"\n")
        first = first or chunk
        if rejects is not Rejects.NONE:
            chunks.append(chunk)
    documents = lines // _LINES_PER_DOCUMENT
    # Notes on errors seen for the first time come from the worker itself, beside the events.
    events = documents if _OF_FIRST_ERRORS not in first.split(b"\n", 1)[0] else 0
    rejected = _rejected(rejects, events)
    request.app[_DOCUMENTS][0] += events - len(rejected)
    asked = request.query.get("filter_path", "")
    if "_id" not in asked and not rejected:
        items = [_STATUS_ITEM if asked else _FULL_ITEM] * documents
    else:
        # Whoever is refused one looks at the ids: here they are the ones that were sent.
        ids = _ACTION_ID.findall(b"".join(chunks)) if rejected else [_SOME_ID] * documents
        items = [_ID_ITEM % each for each in ids]
        for position in rejected:
            items[position] = _REJECTED_ITEM % ids[position]
    errors = b"true" if rejected else b"false"
    body = b'{"errors":%s,"took":1,"items":[%s]}' % (errors, b",".join(items))
    return web.Response(body=body, headers=_HEADERS)


def _rejected(rejects: Rejects, documents: int) -> range:
    """Give the places of the documents that are refused."""
    if rejects is Rejects.NONE or not documents:
        return range(0)
    return range(documents) if rejects is Rejects.ALL else range(documents // 2, documents // 2 + 1)


async def _documents(request: web.Request) -> web.Response:
    return web.json_response(request.app[_DOCUMENTS][0])


@contextmanager
def running_sink(rejects: Rejects = Rejects.NONE) -> Iterator[str]:
    """Run the sink as a process of its own; gives its URL."""
    command = [sys.executable, "-m", "benchmarks.sink", rejects]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
    ) as process:
        assert process.stdout  # noqa: S101 - for the type checker
        try:
            url = process.stdout.readline().strip()
            if not url:
                raise RuntimeError("the sink did not start")
            yield url
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def documents_received(url: str) -> int:
    """Ask a sink how many events it has taken so far."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/documents")
        return int(connection.getresponse().read())
    finally:
        connection.close()


async def _serve() -> None:
    rejects = Rejects(sys.argv[1]) if sys.argv[1:] else Rejects.NONE
    runner = web.AppRunner(application(rejects), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, _HOST, 0).start()
    host, port = runner.addresses[0][:2]
    print(f"http://{host}:{port}", flush=True)
    await asyncio.to_thread(sys.stdin.read)  # until the parent goes
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(_serve())
