"""The worker's HTTP server: `/metrics` and `/health/live`, `/ready`, `/startup` below it, nothing else."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from pipeline.errors import SettingsError
from pipeline.health import Health
from pipeline.settings import Http

__all__ = ["serve"]


@asynccontextmanager
async def serve(settings: Http, registry: CollectorRegistry, health: Health) -> AsyncIterator[str]:
    """Serve while the context lasts; gives the base URL.

    Raises SettingsError when the address cannot be bound.
    """

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    application = web.Application()
    application.router.add_get("/metrics", metrics)
    application.router.add_get("/health/live", _answer(health.live))
    application.router.add_get("/health/ready", _answer(health.ready))
    application.router.add_get("/health/startup", _answer(health.startup))
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port)
        try:
            await site.start()
        except OSError as error:
            raise SettingsError(
                f"http.port = {settings.port}: cannot listen there on {settings.host}: {error.strerror}; "
                "set another, or 0 for any free one"
            ) from error
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def _answer(check: Callable[[], tuple[bool, dict[str, Any]]]) -> Callable[[web.Request], Any]:
    async def answer(_: web.Request) -> web.Response:
        good, body = check()
        body["timestamp"] = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return web.json_response(
            body, status=200 if good else 503, dumps=lambda value: orjson.dumps(value).decode()
        )

    return answer
