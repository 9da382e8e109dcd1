"""The table: (status, error type) of a bulk item → what becomes of the document.

Sources: observed on Elasticsearch 9.1 for the operation `create`; the README shows the same table.
"""

from enum import Enum
from typing import Any

__all__ = ["Outcome", "classify", "innermost_cause", "retry_request"]


class Outcome(Enum):
    """What becomes of a document after Elasticsearch has answered."""

    INDEXED = "indexed"
    ALREADY_THERE = "already_there"
    RETRY = "retry"
    REJECTED = "rejected"


_BY_STATUS = {
    200: Outcome.INDEXED,
    201: Outcome.INDEXED,
    # `create` found the id: an earlier delivery of the same record.
    409: Outcome.ALREADY_THERE,
    # Rejected by a full queue or memory, or by the flood-stage watermark: passes.
    429: Outcome.RETRY,
    502: Outcome.RETRY,
    # Shards not allocated, no elected node.
    503: Outcome.RETRY,
    504: Outcome.RETRY,
}


def classify(status: int, error_type: str | None) -> Outcome:  # noqa: ARG001 - part of the table's key
    """Look an item up."""
    return _BY_STATUS.get(status, Outcome.REJECTED)


def retry_request(status: int) -> bool:
    """Tell whether a whole request that was refused with this HTTP status may pass later, unchanged."""
    return status in {408, 429} or status >= 500  # noqa: PLR2004 - HTTP's own numbers


def innermost_cause(error: Any) -> str:
    """Give the reason at the end of the `caused_by` chain: the outer ones say only where it happened."""
    reason = ""
    while isinstance(error, dict):
        reason = str(error.get("reason") or error.get("type") or reason)
        error = error.get("caused_by")
    return reason or str(error)
