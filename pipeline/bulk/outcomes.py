"""The table: what Elasticsearch's answer means for a document, or for a whole request, by whose fault it is.

Sources: observed on Elasticsearch 9.1 for the operation `create`; what 7.17 and OpenSearch say otherwise is from their
source code. docs/documents.md shows the same rows; the tests
hold the two against each other and go through them row by row.
"""

from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple

__all__ = [
    "CHANGES",
    "REQUEST_ROWS",
    "ROWS",
    "Outcome",
    "RequestOutcome",
    "RequestRow",
    "Row",
    "classify",
    "classify_request",
    "innermost_cause",
]


class Outcome(Enum):
    """What becomes of a document after Elasticsearch has answered for it."""

    INDEXED = "indexed"
    ALREADY_THERE = "already_there"
    """An earlier delivery of the same record: success."""
    DOCUMENT = "the document"
    """Its own fault: salvaged if a field can be named, else dead-lettered."""
    INDEX = "the index"
    """Its index takes none: waits in the index's room, dead-lettered after `index_wait.max_seconds`."""
    PASSING = "passing"
    """The index's or the cluster's: waits likewise, dead-lettered only when other indices take documents."""
    CLUSTER = "the cluster"
    """Waits for as long as it takes; not ready."""
    RIGHTS = "our rights"
    """The same, and nothing more is read."""
    UNKNOWN = "unknown"
    """The document's only if its index takes others; until that shows it waits."""
    FLOOD = "flood"
    """Its own fault, as of too many others: waits until somebody has looked, see `flood.py`. In no row."""


class Row(NamedTuple):
    """A row of the table; the first that fits holds."""

    statuses: range
    error_type: str | None
    """None for any."""
    words: str | None
    """What the reason contains; None for anything."""
    outcome: Outcome


def _row(status: int, error_type: str | None, words: str | None, outcome: Outcome) -> Row:
    return Row(range(status, status + 1), error_type, words, outcome)


_ARGUMENT = "illegal_argument_exception"
# Statuses with types: of one server there are a few dozen.
_MOST_REMEMBERED = 256

ROWS = (
    _row(200, None, None, Outcome.INDEXED),
    _row(201, None, None, Outcome.INDEXED),
    # `create` found the id.
    _row(409, None, None, Outcome.ALREADY_THERE),
    # A template of this cluster from which no index can be made.
    _row(400, "mapper_parsing_exception", "Failed to parse mapping", Outcome.CLUSTER),
    _row(400, _ARGUMENT, "unknown setting [", Outcome.CLUSTER),
    _row(400, _ARGUMENT, "composable template [", Outcome.CLUSTER),
    _row(400, "invalid_alias_name_exception", None, Outcome.CLUSTER),
    _row(400, "document_parsing_exception", None, Outcome.DOCUMENT),
    _row(400, "mapper_parsing_exception", None, Outcome.DOCUMENT),
    _row(400, "strict_dynamic_mapping_exception", None, Outcome.DOCUMENT),
    _row(400, "parsing_exception", None, Outcome.DOCUMENT),
    _row(400, "x_content_parse_exception", None, Outcome.DOCUMENT),
    _row(400, _ARGUMENT, "immense term", Outcome.DOCUMENT),
    _row(400, _ARGUMENT, "mapper [", Outcome.DOCUMENT),
    _row(400, _ARGUMENT, "object mapping", Outcome.DOCUMENT),
    _row(400, _ARGUMENT, "Limit of ", Outcome.DOCUMENT),
    # By itself too large for the server.
    _row(413, None, None, Outcome.DOCUMENT),
    # A document that is no object: the one server error that does not pass.
    _row(500, "not_x_content_exception", None, Outcome.DOCUMENT),
    # `index.default_pipeline` names one that there is not.
    _row(400, _ARGUMENT, "pipeline with id [", Outcome.INDEX),
    _row(400, _ARGUMENT, "no write index is defined for alias", Outcome.INDEX),
    _row(400, "index_closed_exception", None, Outcome.INDEX),
    # A shard is full: the others of the index take documents, this one never again.
    _row(400, _ARGUMENT, "documents per shard", Outcome.INDEX),
    _row(400, _ARGUMENT, "number of documents in the index cannot exceed", Outcome.INDEX),
    # Mappings of others: `_routing` is required, or a type of 6.x.
    _row(400, "routing_missing_exception", None, Outcome.INDEX),
    _row(400, _ARGUMENT, "final mapping would have more than 1 type", Outcome.INDEX),
    _row(400, "invalid_index_name_exception", None, Outcome.INDEX),
    # Two requests made the index at the same time.
    _row(400, "resource_already_exists_exception", None, Outcome.PASSING),
    # The whole cluster is read-only, or makes no index, as OpenSearch says when its disks are full.
    _row(403, "cluster_block_exception", "/cluster ", Outcome.CLUSTER),
    _row(403, "index_create_block_exception", None, Outcome.CLUSTER),
    # The flood-stage watermark, as before 7.5.
    _row(403, "cluster_block_exception", "allow delete", Outcome.CLUSTER),
    # A block set by an operator or a policy: write, read-only, metadata.
    _row(403, "cluster_block_exception", None, Outcome.INDEX),
    # Shards that are not allocated; full queues and memory of the nodes that hold them.
    _row(408, None, None, Outcome.PASSING),
    # The flood-stage watermark: a disk is full.
    _row(429, "cluster_block_exception", None, Outcome.CLUSTER),
    _row(429, None, None, Outcome.PASSING),
    # `cluster.max_shards_per_node` is reached: no index can be created.
    _row(400, None, "shards open", Outcome.CLUSTER),
    # `action.auto_create_index` forbids the name; in passing also while a policy deletes the index.
    _row(404, "index_not_found_exception", None, Outcome.CLUSTER),
    # A shard that is on its way elsewhere, something of the cluster's that a pipeline asks for.
    _row(404, None, None, Outcome.PASSING),
    _row(401, None, None, Outcome.RIGHTS),
    _row(403, None, None, Outcome.RIGHTS),
    Row(range(500, 600), None, None, Outcome.PASSING),
)


CHANGES = {
    ("update", 404): Outcome.DOCUMENT,
    ("update", 409): Outcome.PASSING,
    ("delete", 404): Outcome.ALREADY_THERE,
    ("delete", 409): Outcome.PASSING,
}
"""What other answers mean than they do for `create` and `index`: there is nothing to update, or to delete; others were
quicker. The document to update has to be there, and so has its index."""


def classify(status: int, error_type: str, reason: str = "", operation: str = "create") -> Outcome:
    """Look an item up; what no row knows is UNKNOWN."""
    changed = CHANGES.get((operation, status))
    if changed is not None:
        return changed
    for words, outcome in _rows_of(status, error_type):
        if words is None or words in reason:
            return outcome
    return Outcome.UNKNOWN


@lru_cache(_MOST_REMEMBERED)
def _rows_of(status: int, error_type: str) -> list[tuple[str | None, Outcome]]:
    """Give the words and outcomes of the rows that are of this status and type: every document is looked up."""
    return [
        (words, outcome)
        for statuses, known_type, words, outcome in ROWS
        if status in statuses and known_type in {None, error_type}
    ]


class RequestOutcome(Enum):
    """What becomes of a request that was refused as a whole."""

    RETRY = "sent again whole"
    SPLIT = "sent again in halves"
    """A single document is looked at as if it had been refused by itself."""
    FORBIDDEN = "nothing more is read"
    """Our credentials, our address or the server's version are wrong."""


class RequestRow(NamedTuple):
    """A row of the table of requests; the first that fits holds."""

    statuses: range
    error_type: str | None
    outcome: RequestOutcome


REQUEST_ROWS = (
    # What a server of an older major version says to this client.
    RequestRow(range(400, 401), "media_type_header_exception", RequestOutcome.FORBIDDEN),
    # Too large, or one document of it makes the whole body unreadable: the halves tell which.
    RequestRow(range(400, 401), None, RequestOutcome.SPLIT),
    RequestRow(range(413, 414), None, RequestOutcome.SPLIT),
    RequestRow(range(408, 409), None, RequestOutcome.RETRY),
    RequestRow(range(429, 430), None, RequestOutcome.RETRY),
    RequestRow(range(500, 600), None, RequestOutcome.RETRY),
)


def classify_request(status: int, error_type: str = "") -> RequestOutcome:
    """Look a refused request up; any other status is FORBIDDEN."""
    for statuses, known_type, outcome in REQUEST_ROWS:
        if status in statuses and known_type in {None, error_type}:
            return outcome
    return RequestOutcome.FORBIDDEN


def innermost_cause(error: Any) -> str:
    """Give the reason at the end of the `caused_by` chain: the outer ones say only where it happened."""
    reason = ""
    while isinstance(error, dict):
        reason = str(error.get("reason") or error.get("type") or reason)
        error = error.get("caused_by")
    return reason or str(error)
