"""What the supervisor's HTTP server says of its workers: one `/metrics`, one health."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import ClientError, ClientSession, ClientTimeout, web

from pipeline.settings import Http
from pipeline.telemetry.families import CONTENT_TYPE
from pipeline.telemetry.merged import SupervisorTelemetry
from pipeline.telemetry.server import exposition, listen
from pipeline.version import version
from pipeline.worker.supervisor import Worker

__all__ = ["merged_endpoint"]

_ANSWER_SECONDS = 2.0


@asynccontextmanager
async def merged_endpoint(
    settings: Http, workers: Sequence[Worker], telemetry: SupervisorTelemetry
) -> AsyncIterator[str]:
    """Serve the workers' metrics and health as one while the context lasts; gives the base URL.

    Raises SettingsError when the address cannot be bound.
    """
    async with ClientSession(timeout=ClientTimeout(total=_ANSWER_SECONDS)) as session:
        view = _MergedEndpoint(session, workers, telemetry)
        checks = {"live": view.live, "ready": view.ready, "startup": view.startup}
        async with listen(settings, view.metrics, checks) as url:
            yield url


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
            answered = await asyncio.gather(*(self._scrape(worker) for worker in self._workers))
            self._telemetry.up.set(sum(answered))
            # Seconds, where there are many series: health is asked for meanwhile, and workers are looked after.
            return await asyncio.to_thread(exposition, request, self._telemetry.registry)

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
        good = all(answer["status"] == "ready" for answer in answers.values())
        return good, {"status": "ready" if good else "not ready", "workers": answers}

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
