"""Alertmanager itself, on a loopback port, asked by its HTTP API."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession

from pipeline.sandbox.ports import free_port
from tests.monitoring.tools import find

__all__ = ["Alertmanager", "running_alertmanager"]

_START_SECONDS = 30

Labels = Mapping[str, str]


class Alertmanager:
    """A running Alertmanager: tell it alerts, ask what it makes of them."""

    def __init__(self, session: ClientSession) -> None:
        self._session = session

    async def tell(
        self,
        alerts: Iterable[Labels],
        *,
        annotations: Labels | None = None,
        ends_at: datetime | None = None,
    ) -> None:
        """Send alerts as Prometheus does; those that end in the past are resolved."""
        ends = {"endsAt": ends_at.astimezone(UTC).isoformat()} if ends_at else {}
        body = [{"labels": dict(labels), "annotations": dict(annotations or {}), **ends} for labels in alerts]
        async with self._session.post("/api/v2/alerts", json=body) as response:
            assert response.status == 200, await response.text()

    async def alerts(self) -> list[dict[str, Any]]:
        """Return all alerts with labels, receivers and status."""
        async with self._session.get("/api/v2/alerts") as response:
            assert response.status == 200, await response.text()
            answer: list[dict[str, Any]] = await response.json()
            return answer


@asynccontextmanager
async def running_alertmanager(configuration: Path, directory: Path) -> AsyncIterator[Alertmanager]:
    """Run Alertmanager while the block lasts; its log is in the directory."""
    port = free_port()
    log = directory / "alertmanager.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: ASYNC220 - it takes a moment, and nothing else is going on
            [
                find("alertmanager"),
                f"--config.file={configuration}",
                f"--storage.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--cluster.listen-address=",
                "--log.level=debug",
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        async with ClientSession(f"http://127.0.0.1:{port}") as session:
            deadline = time.monotonic() + _START_SECONDS
            while not await _ready(session):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                await asyncio.sleep(0.05)
            yield Alertmanager(session)
    finally:
        process.kill()
        process.wait()


async def _ready(session: ClientSession) -> bool:
    try:
        async with session.get("/-/ready") as response:
            return response.status == 200
    except ClientError:
        return False
