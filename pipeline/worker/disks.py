"""How full Elasticsearch's disks are: above its watermarks a node takes no shards, and at last no documents."""

import asyncio
from typing import Any

from elasticsearch import AsyncElasticsearch
from prometheus_client import Gauge

from pipeline.worker.cat import ask_cat

__all__ = ["Disks"]

_ASK_SECONDS = 60.0
_QUESTION = "allocation?format=json&h=disk.percent"


class Disks:
    """Ask Elasticsearch once a minute which part of its fullest disk is used; `run` must be running for that."""

    def __init__(self, client: AsyncElasticsearch, used: Gauge) -> None:
        """Take a client whose answers are bytes; `used` shows the part of the fullest data node's disk, 0 to 1."""
        self._client = client
        self._used = used

    async def run(self) -> None:
        """Ask every minute until cancelled."""
        while True:
            await self.ask()
            await asyncio.sleep(_ASK_SECONDS)

    async def ask(self) -> None:
        """Ask once; without an answer in time what was known stays."""
        used = await ask_cat(self._client, _QUESTION, _fullest)
        if used is not None:
            self._used.set(used)


def _fullest(nodes: list[dict[str, Any]]) -> float | None:
    """Give the part of the fullest disk; the row of shards without a node has none."""
    percent = [float(node["disk.percent"]) for node in nodes if node["disk.percent"]]
    return max(percent) / 100 if percent else None
