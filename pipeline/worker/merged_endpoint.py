"""What the supervisor's HTTP server says of its workers: one `/metrics`, one health."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import orjson
from aiohttp import ClientError, ClientSession, ClientTimeout, web

from pipeline.settings import Http
from pipeline.telemetry.families import CONTENT_TYPE
from pipeline.telemetry.merged import SupervisorTelemetry
from pipeline.telemetry.server import exposition, listen
from pipeline.version import version
from pipeline.worker.supervisor import Worker

__all__ = ["Endpoint", "merged_endpoint"]

_ANSWER_SECONDS = 2.0


class Endpoint(NamedTuple):
    """The workers' HTTP server."""

    url: str
    """Its base."""
    scrape: Callable[[], Awaitable[None]]
    """Ask every worker what it has counted."""


@asynccontextmanager
async def merged_endpoint(
    settings: Http, workers: Sequence[Worker], telemetry: SupervisorTelemetry
) -> AsyncIterator[Endpoint]:
    """Serve the workers' metrics and health as one while the context lasts.

    Raises SettingsError when the address cannot be bound.
    """
    async with ClientSession(timeout=ClientTimeout(total=_ANSWER_SECONDS)) as session:
        view = _MergedEndpoint(session, workers, telemetry)
        checks = {"live": view.live, "ready": view.ready, "startup": view.startup}
        async with listen(settings, view.metrics, checks) as url:
            yield Endpoint(url, view.scrape)


class _MergedEndpoint:
    def __init__(
        self, session: ClientSession, workers: Sequence[Worker], telemetry: SupervisorTelemetry
    ) -> None:
        self._session = session
        self._workers = workers
        self._telemetry = telemetry
        # One scrape at a time: an answer that came late would take a counter back.
        self._scraping = asyncio.Lock()
        self._started = False

    async def metrics(self, request: web.Request) -> web.Response:
        """Ask every worker, and answer for all."""
        async with self._scraping:
            await self._scrape_all()
            # Seconds, where there are many series: health is asked for meanwhile, and workers are looked after.
            return await asyncio.to_thread(exposition, request, self._telemetry.registry)

    async def scrape(self) -> None:
        """Ask every worker what it has counted."""
        async with self._scraping:
            await self._scrape_all()

    async def _scrape_all(self) -> None:
        answered = await asyncio.gather(*(self._scrape(worker) for worker in self._workers))
        self._telemetry.up.set(sum(answered))

    async def _scrape(self, worker: Worker) -> bool:
        run, url, merged = worker.run, worker.url, self._telemetry.merged
        if url is None:  # it has just started, or waits to be
            return False
        try:
            async with self._session.get(f"{url}/metrics", headers={"Accept": CONTENT_TYPE}) as response:
                if response.content_type != CONTENT_TYPE:
                    raise ClientError(f"what answers at {url} is no worker")
                merged.update(run, await response.read())
        except (ClientError, TimeoutError):
            merged.silent(run)
            self._telemetry.scrape_failures.inc()
            return False
        return True

    async def live(self) -> tuple[bool, dict[str, Any]]:
        """Tell that the supervisor runs; it replaces workers that end by itself."""
        return True, {"status": "alive"}

    async def ready(self) -> tuple[bool, dict[str, Any]]:
        """Tell whether every worker is ready; none is before it has been started."""
        if waiting := self._telemetry.waiting:
            return False, {"status": "not ready", "reason": "; ".join(waiting)}
        answers = await self._ask("ready")
        lacking = [answer for answer in answers.values() if answer["status"] != "ready"]
        body: dict[str, Any] = {"status": "not ready" if lacking else "ready", "workers": answers}
        if reasons := [answer["reason"] for answer in lacking if "reason" in answer]:
            # Mostly they all say the same, each with its own seconds.
            body["reason"] = f"{reasons[0]} ({len(lacking)} of {len(answers)} workers are not ready)"
        return not lacking, body

    async def startup(self) -> tuple[bool, dict[str, Any]]:
        """Tell whether every worker has joined the group, once.

        Also while a server is waited for before any is started: a restart would not bring it back.
        """
        if self._telemetry.waiting:
            return True, {"status": "waiting", "version": version()}
        if not self._started:
            answers = await self._ask("startup")
            self._started = all(answer["status"] == "started" for answer in answers.values())
        return self._started, {
            "status": "started" if self._started else "starting",
            "version": version(),
        }

    async def _ask(self, probe: str) -> dict[str, dict[str, Any]]:
        answers = await asyncio.gather(*(self._answer(worker, probe) for worker in self._workers))
        return {str(worker.number): answer for worker, answer in zip(self._workers, answers, strict=True)}

    async def _answer(self, worker: Worker, probe: str) -> dict[str, Any]:
        if worker.url is None:
            return {"status": "not running"}
        try:
            async with self._session.get(f"{worker.url}/health/{probe}") as response:
                body: dict[str, Any] = await response.json(loads=orjson.loads)
        except (ClientError, TimeoutError, ValueError):
            return {"status": "no answer"}
        told = ("status", "checks", "reason", "waiting", "note")
        return {name: body[name] for name in told if name in body}
