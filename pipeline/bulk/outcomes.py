"""The table: what Elasticsearch's answer means for a document, or for a whole request.

Sources: observed on Elasticsearch 9.1 for the operation `create`. docs/documents.md shows the same table, and the
tests go through it row by row.
"""

from enum import Enum
from typing import Any

__all__ = ["Outcome", "RequestOutcome", "classify", "classify_request", "innermost_cause"]


class Outcome(Enum):
    """What becomes of a document after Elasticsearch has answered for it."""

    INDEXED = "indexed"
    ALREADY_THERE = "already_there"
    """An earlier delivery of the same record: success."""
    RETRY = "retry"
    """Passes by itself: sent again with backoff, for as long as it takes."""
    RETRY_ONCE = "retry_once"
    """May pass: sent again once, then dead-lettered."""
    REJECTED = "rejected"
    """The document's own fault: salvaged if a field can be named, else dead-lettered."""


class RequestOutcome(Enum):
    """What becomes of a request that was refused as a whole."""

    RETRY = "retry"
    SPLIT = "split"
    """Sent again in halves; a single document is dead-lettered."""
    FORBIDDEN = "forbidden"
    """Our credentials or our address are wrong: nothing more is read until that is mended."""


_OUTCOMES: dict[tuple[int, str | None], Outcome] = {
    (200, None): Outcome.INDEXED,
    (201, None): Outcome.INDEXED,
    # `create` found the id.
    (409, None): Outcome.ALREADY_THERE,
    # Full queue, memory, or the flood-stage watermark (a cluster_block_exception of status 429 since 7.x).
    (429, None): Outcome.RETRY,
    (502, None): Outcome.RETRY,
    # Shards not allocated, no elected node.
    (503, None): Outcome.RETRY,
    (504, None): Outcome.RETRY,
    # A write block set by an operator or a policy: it is lifted in time, and the document is fine.
    (403, "cluster_block_exception"): Outcome.RETRY,
    # In passing while a policy deletes the index; for good when no index may be created.
    (404, "index_not_found_exception"): Outcome.RETRY_ONCE,
    # A document that is no object: the one server error that does not pass.
    (500, "not_x_content_exception"): Outcome.REJECTED,
    (500, None): Outcome.RETRY,
}


def classify(status: int, error_type: str | None) -> Outcome:
    """Look an item up by status and type of error, then by status alone; anything else is rejected."""
    return _OUTCOMES.get((status, error_type)) or _OUTCOMES.get((status, None), Outcome.REJECTED)


def classify_request(status: int) -> RequestOutcome:
    """Look a refused request up by its HTTP status."""
    if status in {400, 413}:
        # Too large, or one document of it makes the whole body unreadable: the halves tell which.
        return RequestOutcome.SPLIT
    if status in {408, 429} or status >= 500:  # noqa: PLR2004 - HTTP's own numbers
        return RequestOutcome.RETRY
    return RequestOutcome.FORBIDDEN


def innermost_cause(error: Any) -> str:
    """Give the reason at the end of the `caused_by` chain: the outer ones say only where it happened."""
    reason = ""
    while isinstance(error, dict):
        reason = str(error.get("reason") or error.get("type") or reason)
        error = error.get("caused_by")
    return reason or str(error)
