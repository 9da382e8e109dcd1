"""Lines of trace events as the worker writes them, of one row each."""

from typing import Any

from pipeline.events.timestamps import from_epoch_ms

__all__ = ["line"]

START_MS = 1_705_314_600_000


def line(
    mark: int,
    at_ms: int = 0,
    *,
    trace_id: str = "t",
    source: str = "logs/0",
    service: str = "api",
    component: str = "http_server",
    level: str = "INFO",
    message: str = "Request received",
    user_id: str | None = None,
    integration_id: str | None = None,
    fingerprint: str | None = None,
) -> list[Any]:
    stamp = from_epoch_ms(START_MS + at_ms).text
    fields = [service, component, level, message, user_id, integration_id]
    return [trace_id, source, 1, [mark, stamp, *fields, *([] if fingerprint is None else [fingerprint])]]
