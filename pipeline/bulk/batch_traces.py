"""The pipeline's own traces as the worker sees them: a few calls a batch, which do nothing while they are off."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from elastic_transport import ApiResponse

from pipeline.encode.fast_path import Payload
from pipeline.kafka.dead_letters import SourceRecord
from pipeline.kafka.ledger import Span

__all__ = ["CLOSE_SECONDS", "NO_TRACES", "BatchTraces", "NoTraces", "Part", "Request"]

CLOSE_SECONDS = 4.0
"""How long `close` takes at most."""


class Part(Protocol):
    """What a trace tells of the documents of one batch in a request."""

    @property
    def span(self) -> Span:
        """The batch."""

    @property
    def documents(self) -> int:
        """How many documents of it."""


class Request(Protocol):
    """A bulk request that is being sent."""

    def answered(self, response: ApiResponse[Any]) -> None:
        """Note the answer."""


class BatchTraces(Protocol):
    """One trace for each batch that is chosen, from its delivery until it is settled."""

    def delivered(
        self, span: Span, records: Sequence[SourceRecord], payloads: Sequence[Payload], started_ns: int
    ) -> None:
        """Begin the trace of a batch, if it is to have one; it was taken at `started_ns` and transformed until now.

        The ledger's span stands for the batch from here on.
        """

    def sending(self, parts: Sequence[Part], body_bytes: int) -> AbstractContextManager[Request]:
        """Trace a bulk request while the context lasts; an exception that leaves it is the request's end."""

    def event(self, span: Span, name: str, documents: int) -> None:
        """Note what has happened to some documents of a batch."""

    def settled(self, span: Span) -> None:
        """End the trace of a batch of which nothing is left."""

    async def close(self) -> None:
        """Send what there is, for a few seconds at most."""


class NoTraces:
    """Trace nothing."""

    def __init__(self) -> None:
        self._nothing = nullcontext(self)

    def delivered(self, *_: object) -> None:
        """Do nothing."""

    def sending(self, *_: object) -> AbstractContextManager[Request]:
        """Do nothing."""
        return self._nothing

    def answered(self, *_: object) -> None:
        """Do nothing."""

    def event(self, *_: object) -> None:
        """Do nothing."""

    def settled(self, *_: object) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""


NO_TRACES = NoTraces()
