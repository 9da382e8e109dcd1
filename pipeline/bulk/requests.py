"""The `_bulk` request: how it is sent, and what its answer says. The meaning is in `outcomes.py`."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
from elastic_transport import ApiResponse, Serializer
from elasticsearch import AsyncElasticsearch

from pipeline.bulk.outcomes import innermost_cause

__all__ = [
    "BulkAnswer",
    "BulkItem",
    "BulkSummary",
    "BytesSerializer",
    "all_created",
    "bulk_serializers",
    "bulk_summary",
    "items_of",
    "request_item",
    "send_bulk",
]

# The status of every item is asked for: a filter for errors alone would drop the items that succeeded, and
# with them the positions that tie answers to documents.
_PARAMETERS = {"filter_path": "errors,took,items.*.status,items.*.error"}
_HEADERS = {"content-type": "application/x-ndjson", "accept": "application/json"}
_SUMMARY = re.compile(rb'\{"errors":(true|false),"took":(\d+)')
# The whole answer for a document that was created.
_CREATED = {"create": {"status": 201}}
_CREATED_BYTES = orjson.dumps(_CREATED)


class BytesSerializer(Serializer):
    """Pass bodies through as bytes both ways: ours are lines already, and answers are read by `items_of`."""

    def dumps(self, data: Any) -> bytes:
        """Take bytes only."""
        if not isinstance(data, bytes):
            raise TypeError(f"a bulk body is bytes, not {type(data).__name__}")
        return data

    def loads(self, data: bytes) -> bytes:
        """Leave the answer as it is."""
        return data


def bulk_serializers() -> dict[str, Serializer]:
    """Give the serializers of a client that is used for bulk requests alone."""
    serializer = BytesSerializer()
    return dict.fromkeys(
        (
            "application/json",
            "application/vnd.elasticsearch+json",
            "application/x-ndjson",
            "application/vnd.elasticsearch+x-ndjson",
            "text/*",
        ),
        serializer,
    )


async def send_bulk(client: AsyncElasticsearch, body: bytes) -> ApiResponse[Any]:
    """Send lines as `bulk_lines` makes them; the client's serializers give the answer as bytes.

    Raises what the client does: ApiError, TransportError, UnsupportedProductError.
    """
    return await client.perform_request("POST", "/_bulk", params=_PARAMETERS, headers=_HEADERS, body=body)


class BulkItem(NamedTuple):
    """What Elasticsearch answered for one document."""

    status: int
    error_type: str
    reason: str


BulkAnswer = list[BulkItem] | None
"""What was answered for each document of a part; None when all were created."""


class BulkSummary(NamedTuple):
    """What an answer says of the whole request: whether any document was refused, and Elasticsearch's own time."""

    errors: bool
    took_ms: int


def bulk_summary(answer: bytes) -> BulkSummary | None:
    """Read the beginning of a bulk answer; None when it is none, or was not asked for these."""
    match = _SUMMARY.match(answer)
    return match and BulkSummary(match[1] == b"true", int(match[2]))


def all_created(answer: bytes, documents: int) -> bool:
    """Tell by comparing bytes instead of decoding: far cheaper, and exact for this one form of answer."""
    items = b",".join([_CREATED_BYTES] * documents)
    return answer.startswith(b'{"errors":false,') and answer.endswith(b'"items":[%b]}' % items)


def items_of(answer: bytes, documents: Sequence[int]) -> list[BulkAnswer] | None:
    """Read what was answered for parts of so many documents each; None when it is no answer to them.

    One refused document is no reason to look at the thousands beside it one by one.
    """
    try:
        results: list[Any] = orjson.loads(answer)["items"]
        if len(results) != sum(documents):
            return None
        items: list[BulkAnswer] = []
        position = 0
        for number in documents:
            some = results[position : position + number]
            position += number
            created = some.count(_CREATED) == number
            items.append(None if created else [_item(next(iter(one.values()))) for one in some])
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration):
        return None
    return items


def _item(result: dict[str, Any]) -> BulkItem:
    error = result.get("error")
    if not isinstance(error, dict):
        return BulkItem(int(result["status"]), "", str(error or ""))
    outer = str(error.get("reason", ""))
    inner = innermost_cause(error)
    # The outer reason names the field, the innermost says what is wrong with it.
    return BulkItem(
        int(result["status"]), str(error.get("type", "")), outer if inner in outer else f"{outer}: {inner}"
    )


def request_item(status: int, body: Any) -> BulkItem:
    """Read what was said of a request that was refused as a whole."""
    try:
        error = orjson.loads(body)["error"]
        return BulkItem(status, str(error["type"]), innermost_cause(error))
    except (ValueError, KeyError, TypeError):
        return BulkItem(status, f"http_{status}", repr(body[:200]) if body else "no reason given")
