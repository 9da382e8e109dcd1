"""How full Elasticsearch's disks are: above its watermarks a node takes no shards, and at last no documents."""

import asyncio
import logging

import orjson
from elastic_transport import TransportError
from elasticsearch import ApiError, AsyncElasticsearch, UnsupportedProductError
from prometheus_client import Gauge

__all__ = ["Disks"]

log = logging.getLogger(__name__)

_ASK_SECONDS = 60.0
_ANSWER_SECONDS = 5.0
_PATH = "/_cat/allocation?format=json&h=disk.percent"


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
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                answer = await self._client.perform_request(
                    "GET", _PATH, headers={"accept": "application/json"}
                )
            nodes = [
                float(node["disk.percent"]) for node in orjson.loads(answer.body) if node["disk.percent"]
            ]
        except (ApiError, TransportError, UnsupportedProductError, TimeoutError) as error:
            log.debug("Elasticsearch does not tell how full its disks are: %s", error)
            return
        except (ValueError, TypeError, LookupError) as error:
            log.debug("Elasticsearch's answer is not how full its disks are: %r", error)
            return
        # The row of shards without a node has no disk.
        if nodes:
            self._used.set(max(nodes) / 100)
