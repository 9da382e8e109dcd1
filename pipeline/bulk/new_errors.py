"""Errors seen for the first time, ever: each fingerprint's first event is kept in an index of its own.

The document's id is the fingerprint and it is only ever created, so that of all workers, and after any restart,
exactly one is told that the error is new. What fails here is tried again and never holds up the events.
"""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import orjson
from elastic_transport import TransportError
from elasticsearch import ApiError, AsyncElasticsearch, UnsupportedProductError

from pipeline.bulk.body import BulkBody
from pipeline.bulk.outcomes import Outcome, classify
from pipeline.bulk.requests import items_of, send_bulk
from pipeline.encode.fast_path import bulk_lines
from pipeline.events.document import Document
from pipeline.log_metrics.errors import FirstSeen, LogErrors
from pipeline.telemetry.metrics import Telemetry
from pipeline.telemetry.troubles import ELASTICSEARCH, Trouble

__all__ = ["NewErrors", "fingerprints_index"]

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_WAIT_SECONDS = 10.0
_KEPT = ("@timestamp", "level", "service", "component", "trace_id", "span_id", "kafka")
_LONGEST_TEXT = 8000
_REFUSED_FOR_EVER = (Outcome.DOCUMENT, Outcome.UNKNOWN)


def fingerprints_index(prefix: str) -> str:
    """Name the index of the first events; it is none of the log indices, and no lifecycle deletes it."""
    return f"{prefix}.fingerprints"


class NewErrors:
    """Write down the first event of each fingerprint, and count those that nobody had seen."""

    def __init__(
        self, client: AsyncElasticsearch, prefix: str, errors: LogErrors, telemetry: Telemetry
    ) -> None:
        self._client = client
        self._index = fingerprints_index(prefix)
        self._errors = errors
        self._telemetry = telemetry
        self._problem: str | None = None

    def troubles(self) -> Iterator[Trouble]:
        """Say whether new errors cannot be written."""
        if self._problem is not None:
            yield Trouble(
                key="new errors",
                what=f"new errors cannot be written to the index {self._index}",
                over=f"new errors can be written to the index {self._index} again",
                why=self._problem,
                means="Their events are indexed all the same; the first event of an error is kept later",
                next_try=f"They are tried every {_WAIT_SECONDS:.0f} s",
                grace_seconds=2 * _WAIT_SECONDS,
                part_of=ELASTICSEARCH,
            )

    async def run(self) -> None:
        """Look every second for errors that this worker had not seen, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            found = self._errors.take_new()
            if found and not await self._write(found):
                self._telemetry.new_error_failures.inc()
                self._errors.give_back(found)
                await asyncio.sleep(_WAIT_SECONDS)

    async def _write(self, found: list[FirstSeen]) -> bool:
        """Create the documents; False when it has to be tried again."""
        bodies = [b"".join(bulk_lines([self._document(error)])) for error in found]
        try:
            response = await send_bulk(self._client, BulkBody(bodies))
        except (ApiError, TransportError, UnsupportedProductError) as error:
            self._problem = str(error)
            return False
        answers = items_of(response.body, bodies, [1] * len(found))
        if answers is None:
            self._problem = f"no answer but {response.body[:200]!r}"
            return False
        self._problem = None
        again = []
        for first, answer in zip(found, answers, strict=True):
            if answer is None:
                self._errors.is_new(first)
                continue
            (item,) = answer
            outcome = classify(item.status, item.error_type, item.reason)
            if outcome is Outcome.INDEXED:
                self._errors.is_new(first)
            elif outcome in _REFUSED_FOR_EVER:
                # It would be refused for ever. It is counted, and its events are in the log indices.
                self._telemetry.new_error_failures.inc()
                log.warning("%s refuses a new error: HTTP %d %s", self._index, item.status, item.reason)
            elif outcome is not Outcome.ALREADY_THERE:
                again.append(first)
        self._errors.give_back(again)
        return True

    def _document(self, error: FirstSeen) -> Document:
        fields = first_event(error)
        return Document(self._index, error.fingerprint, orjson.dumps(fields), fields)


def first_event(error: FirstSeen) -> dict[str, Any]:
    """Make the document of an error's first event."""
    event = error.event
    context = event.get("context")
    context = context if isinstance(context, dict) else {}
    return {
        **{name: event[name] for name in _KEPT if name in event},
        "message": str(event.get("message"))[:_LONGEST_TEXT],
        "error.fingerprint": error.fingerprint,
        "error.type": context.get("exception_type"),
        "error.stack_trace": str(context.get("stack_trace") or "")[:_LONGEST_TEXT],
        "version": context.get("version"),
        "event.action": "first_seen",
    }
