"""Alertmanager itself, on a loopback port, asked by its HTTP API."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from tests.monitoring.server_process import running_server

__all__ = ["Alertmanager", "running_alertmanager"]

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

    async def reload(self) -> None:
        """Have it read its configuration again."""
        async with self._session.post("/-/reload") as response:
            assert response.status == 200, await response.text()


@asynccontextmanager
async def running_alertmanager(
    configuration: Path, directory: Path, *, port: int | None = None
) -> AsyncIterator[Alertmanager]:
    """Run Alertmanager while the block lasts; its log is in the directory. A Prometheus needs to know its port."""
    arguments = [
        f"--config.file={configuration}",
        f"--storage.path={directory / 'data'}",
        "--cluster.listen-address=",
        "--log.level=debug",
    ]
    log = directory / "alertmanager.log"
    async with running_server("alertmanager", arguments, log, port=port) as session:
        yield Alertmanager(session)
