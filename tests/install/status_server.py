"""An Elasticsearch that answers everything with one status."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

__all__ = ["status_server"]


@asynccontextmanager
async def status_server(status: int, body: Any) -> AsyncIterator[tuple[str, list[str]]]:
    """Serve on loopback; gives the URL and the requests so far."""
    requests: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        requests.append(f"{request.method} {request.path}")
        return web.json_response(body, status=status, headers={"x-elastic-product": "Elasticsearch"})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", requests
    finally:
        await runner.cleanup()
