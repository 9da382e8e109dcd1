"""The HTTP server: `/metrics`, `/health/live`, `/health/ready` and `/health/startup`, nothing else."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

from pipeline.errors import SettingsError
from pipeline.events.timestamps import from_epoch_ms
from pipeline.settings import Http
from pipeline.telemetry.families import CONTENT_TYPE, dump_families
from pipeline.telemetry.health import Health

__all__ = ["Check", "exposition", "listen", "serve"]

Answer = Callable[[web.Request], Awaitable[web.Response]]
Check = Callable[[], Awaitable[tuple[bool, dict[str, Any]]]]
_OWN = ("logpipe_", "process_")
_STEP_SECONDS = 0.01


@asynccontextmanager
async def serve(settings: Http, registry: CollectorRegistry, health: Health) -> AsyncIterator[str]:
    """Serve a worker's metrics and health while the context lasts; gives the base URL.

    Raises SettingsError when the address cannot be bound.
    """

    async def metrics(request: web.Request) -> web.Response:
        collected = _Collected(await _collect(registry))
        # A third of a second, where every cap of label sets is full: the events go on meanwhile.
        return await asyncio.to_thread(exposition, request, collected)

    checks = {"live": _at_once(health.live), "ready": _at_once(health.ready)}
    async with listen(settings, metrics, {**checks, "startup": _at_once(health.startup)}) as url:
        yield url


class _Collected(CollectorRegistry):
    """A registry of families that have been collected."""

    def __init__(self, families: Sequence[Metric]) -> None:
        super().__init__()
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Give them."""
        return iter(self._families)


async def _collect(registry: CollectorRegistry) -> list[Metric]:
    """Take every family, on the loop whose tasks change them, and let these run between those of the logs.

    The pipeline's own are of one moment: what was consumed has to be what was settled or is in flight.
    """
    families = []
    let_run_at = time.monotonic()
    for family in registry.collect():
        families.append(family)
        # Each time a whole batch of records may be taken: only after a while, or the scrape would take seconds.
        if not family.name.startswith(_OWN) and time.monotonic() - let_run_at > _STEP_SECONDS:
            await asyncio.sleep(0)
            let_run_at = time.monotonic()
    return families


def exposition(request: web.Request, registry: CollectorRegistry) -> web.Response:
    """Answer with the metrics, in the format the request asks for."""
    accepted = request.headers.get("Accept", "")
    if accepted == CONTENT_TYPE:
        return web.Response(body=dump_families(registry), headers={"Content-Type": CONTENT_TYPE})
    encode, content_type = choose_encoder(accepted)
    return web.Response(body=encode(registry), headers={"Content-Type": content_type})


@asynccontextmanager
async def listen(settings: Http, metrics: Answer, checks: Mapping[str, Check]) -> AsyncIterator[str]:
    """Serve `/metrics` and each check below `/health` while the context lasts; gives the base URL.

    Raises SettingsError when the address cannot be bound.
    """
    application = web.Application()
    application.router.add_get("/metrics", metrics)
    for name, check in checks.items():
        application.router.add_get(f"/health/{name}", _answer(check))
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


def _at_once(check: Callable[[], tuple[bool, dict[str, Any]]]) -> Check:
    async def result() -> tuple[bool, dict[str, Any]]:
        return check()

    return result


def _answer(check: Check) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        good, body = await check()
        body["timestamp"] = from_epoch_ms(time.time_ns() // 1_000_000).text
        return web.json_response(
            body, status=200 if good else 503, dumps=lambda value: orjson.dumps(value).decode()
        )

    return answer
