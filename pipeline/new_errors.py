"""Errors seen for the first time, ever: each fingerprint's first event is kept in an index of its own.

The document's id is the fingerprint and it is only ever created, so that of all workers, and after any restart,
exactly one is told that the error is new. What fails here is tried again and never holds up the events.
"""

import asyncio
import logging
from typing import Any

import orjson
from elastic_transport import TransportError
from elasticsearch import ApiError, AsyncElasticsearch, UnsupportedProductError

from pipeline.log_errors import FirstSeen, LogErrors
from pipeline.telemetry import Telemetry

__all__ = ["NewErrors", "fingerprints_index"]

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_WAIT_SECONDS = 10.0
_HEADERS = {"content-type": "application/x-ndjson", "accept": "application/json"}
_PARAMETERS = {"filter_path": "items.*.status,items.*.error.reason"}
_KEPT = ("@timestamp", "level", "service", "component", "trace_id", "span_id", "kafka")
_CREATED, _CONFLICT, _TOO_MANY_REQUESTS, _UNAVAILABLE = 201, 409, 429, 503
_LONGEST_TEXT = 8000


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
        lines = [
            line
            for error in found
            for line in (
                orjson.dumps({"create": {"_index": self._index, "_id": error.fingerprint}}),
                orjson.dumps(first_event(error)),
            )
        ]
        try:
            answer = await self._client.perform_request(
                "POST",
                "/_bulk",
                params=_PARAMETERS,
                headers=_HEADERS,
                body=b"".join(line + b"\n" for line in lines),
            )
            items = [item["create"] for item in orjson.loads(answer.body)["items"]]
        except (ApiError, TransportError, UnsupportedProductError, ValueError, KeyError, TypeError) as error:
            log.warning("new errors cannot be written to %s yet: %s", self._index, error)
            return False
        again = []
        for first, item in zip(found, items, strict=False):
            status = item["status"]
            if status == _CREATED:
                self._errors.is_new(first)
            elif status in {_TOO_MANY_REQUESTS, _UNAVAILABLE}:
                again.append(first)
            elif status != _CONFLICT:
                # It would be refused for ever. It is counted, and its events are in the log indices.
                self._telemetry.new_error_failures.inc()
                log.warning("%s refuses a new error: HTTP %s %s", self._index, status, item.get("error"))
        self._errors.give_back(again)
        return True


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
