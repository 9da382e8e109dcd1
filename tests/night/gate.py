"""A gate in front of Elasticsearch: it asks for an API key, and can be slow.

The module that checks keys is in no package registry, and no setting makes a real node slow.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import ClientSession, web

__all__ = ["Gate", "running_gate"]

_OF_A_CONNECTION = {"host", "connection", "transfer-encoding", "content-length", "authorization"}


class Gate:
    """What lets requests through to one node."""

    def __init__(self, node: str, session: ClientSession) -> None:
        self.url = ""
        self.key = ""
        """The key that is valid now."""
        self.delay_seconds = 0.0
        """How long each bulk request takes more than the node needs."""
        self._node = node
        self._session = session

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        body = await request.read()
        if request.headers.get("Authorization") != f"ApiKey {self.key}":
            # As Elasticsearch words it.
            error = {
                "type": "security_exception",
                "reason": "unable to authenticate with provided credentials",
            }
            cause = {**error, "additional_unsuccessful_credentials": "API key: api key is expired"}
            return web.json_response(
                {"error": cause, "status": 401}, status=401, headers={"X-elastic-product": "Elasticsearch"}
            )
        if request.path == "/_bulk":
            await asyncio.sleep(self.delay_seconds)
        async with self._session.request(
            request.method,
            self._node + request.rel_url.raw_path_qs,
            headers={name: value for name, value in request.headers.items() if _passes(name)},
            data=body,
        ) as answer:
            headers = {name: value for name, value in answer.headers.items() if _passes(name)}
            return web.Response(status=answer.status, body=await answer.read(), headers=headers)


def _passes(name: str) -> bool:
    return name.lower() not in _OF_A_CONNECTION


@asynccontextmanager
async def running_gate(node: str) -> AsyncIterator[Gate]:
    """Run the gate on loopback in front of the node at this URL."""
    async with ClientSession(auto_decompress=False) as session:
        gate = Gate(node, session)
        application = web.Application(client_max_size=1 << 30)
        application.router.add_route("*", "/{path:.*}", gate.handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        gate.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield gate
        finally:
            await runner.cleanup()
