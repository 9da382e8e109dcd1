"""Whether Elasticsearch answers while there is nothing to send: else it would look well until the next event."""

import asyncio
from http import HTTPStatus

from elastic_transport import TransportError
from elasticsearch import ApiError, AsyncElasticsearch, UnsupportedProductError

from pipeline.bulk.client import cut_tracebacks
from pipeline.bulk.requests import request_item
from pipeline.bulk.sender import IdleProblem
from pipeline.bulk.writer import BulkWriter

__all__ = ["Pulse"]

_ASK_SECONDS = 5.0
_SILENT = "does not answer"


class Pulse:
    """Ask for a sign of life whenever no bulk request has been answered for some seconds; `run` must be running."""

    def __init__(self, client: AsyncElasticsearch, writer: BulkWriter, hosts: int) -> None:
        """Take the client of the bulk requests, which asks each of so many hosts in turn and repeats nothing."""
        self._client = client
        self._writer = writer
        self._hosts = hosts
        self._answers = 0

    async def run(self) -> None:
        """Look every five seconds, until cancelled."""
        while True:
            await asyncio.sleep(_ASK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Ask, unless a request has been answered since the last look; tell the writer what was answered."""
        answers, self._answers = self._answers, self._writer.answers
        if self._writer.answers == answers:
            problem = await self._problem()
            # Else a request has been answered meanwhile, and knows better.
            if self._writer.answers == answers:
                self._writer.idle_problem = problem

    async def _problem(self) -> IdleProblem | None:
        """Say why no host answers, or not to this user; None when one does."""
        problem = None
        for _ in range(self._hosts):
            problem = await self._asked_once()
            if problem is None:
                return None
        return problem

    async def _asked_once(self) -> IdleProblem | None:
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                # No right is needed for it but to be known; what else it answers does not matter.
                await self._client.perform_request("GET", "/", headers={"accept": "application/json"})
        except UnsupportedProductError as error:
            # A proxy's page, say.
            return IdleProblem(_SILENT, str(error))
        except ApiError as error:
            status = error.meta.status
            if status == HTTPStatus.UNAUTHORIZED:
                return IdleProblem(
                    "forbids writing", f"HTTP {status}: {request_item(status, error.body).reason}"
                )
            if status >= HTTPStatus.BAD_GATEWAY:
                return IdleProblem(_SILENT, f"HTTP {status}: {request_item(status, error.body).reason}")
        except TransportError as error:
            cut_tracebacks(error)
            return IdleProblem(_SILENT, f"{type(error).__name__}: {error.message}")
        except TimeoutError:
            return IdleProblem(_SILENT, f"no answer within {_ASK_SECONDS:.0f} s")
        return None
