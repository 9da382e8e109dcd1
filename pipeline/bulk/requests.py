"""The `_bulk` request: how it is sent, and what its answer says. The meaning is in `outcomes.py`."""

import re
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import orjson
from elastic_transport import ApiResponse, Serializer
from elasticsearch import AsyncElasticsearch

from pipeline.bulk.body import BulkBody
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
    "operation_of",
    "request_item",
    "send_bulk",
    "target_of",
]

_PARAMETERS = {
    # Of every item: a filter for errors alone would drop the items that succeeded, and with them the positions.
    # The id costs 0.02 to 0.05 µs a document when all were created (measured), and tells what was answered for whom.
    "filter_path": "errors,took,items.*._id,items.*.status,items.*.error",
    # How long a document waits for the primary shard of its index, and all others of the request with it.
    "timeout": "5s",
}
_HEADERS = {"content-type": "application/x-ndjson", "accept": "application/json"}
_REPEATED = ", request: [BulkShardRequest"
_SUMMARY = re.compile(rb'\{"errors":(true|false),"took":(\d+)')
_CREATED = 201
# How the answer for a document that was created ends, and no other: a quote within a text is escaped.
_CREATED_END = b'"status":201}}'
_inner = itemgetter("create")
_status = itemgetter("status")
# An action line as `action_line` writes it; routing, where there is one, stands before the index.
_CREATE = b'{"create":{"'
_TARGET = re.compile(rb'\{"create":\{(?:"routing":"[^"\\]*",)?"_index":"([^"\\]*)","_id":"([^"\\]*)"\}\}\n?')


class BytesSerializer(Serializer):
    """Pass bodies through both ways: ours are lines already, and answers are read by `items_of`."""

    def __init__(self, *, compress: bool = False) -> None:
        self._compress = compress

    def dumps(self, data: Any) -> Any:
        """Take what `send_bulk` sends; a client that compresses wants it as bytes."""
        if not isinstance(data, BulkBody):
            raise TypeError(f"a bulk body is a BulkBody, not {type(data).__name__}")
        return data.joined() if self._compress else data

    def loads(self, data: bytes) -> bytes:
        """Leave the answer as it is."""
        return data


def bulk_serializers(*, compress: bool = False) -> dict[str, Serializer]:
    """Give the serializers of a client that is used for bulk requests alone, and whether it compresses them."""
    serializer = BytesSerializer(compress=compress)
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


async def send_bulk(client: AsyncElasticsearch, body: BulkBody) -> ApiResponse[Any]:
    """Send lines as `bulk_lines` makes them; the client has `bulk_serializers`, which give the answer as bytes.

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
    """Tell by counting bytes instead of decoding: far cheaper, and the order of the items does not matter."""
    return (
        answer.startswith(b'{"errors":false,')
        and answer.endswith(b"]}")
        and answer.count(_CREATED_END) == documents
    )


def target_of(action: bytes) -> tuple[str, str]:
    """Read index and id out of an action line."""
    if match := _TARGET.fullmatch(action):
        return match[1].decode(), match[2].decode()
    # Not one of `action_line`: an id of somebody else's, or a document that is written over.
    (target,) = orjson.loads(action).values()
    return target["_index"], target["_id"]


def operation_of(action: bytes) -> str:
    """Read what an action line asks for: create, index, update, delete."""
    return "create" if action.startswith(_CREATE) else action[2 : action.index(b'"', 2)].decode()


def items_of(answer: bytes, bodies: Sequence[bytes], documents: Sequence[int]) -> list[BulkAnswer] | None:
    """Read what was answered for parts of so many documents each; None when it is no answer to them.

    One refused document is no reason to look at the thousands beside it one by one. Items are tied to documents by
    their ids; an answer that holds no ids at all is taken in order.
    """
    try:
        results = _results(orjson.loads(answer)["items"])
        if len(results) != sum(documents):
            return None
        statuses = list(map(_status, results))
        items: list[BulkAnswer] = []
        position = 0
        for body, number in zip(bodies, documents, strict=True):
            end = position + number
            if statuses[position:end].count(_CREATED) == number:
                items.append(None)
            elif _in_order(body, results[position:end]):
                items.append([_item(one) for one in results[position:end]])
            else:
                return _items_by_id(results, bodies)
            position = end
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return items


def _results(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Take what was answered out of its operation: `create`, but for summaries of traces that are written over."""
    try:
        return list(map(_inner, items))
    except KeyError:
        return [result for item in items for result in item.values()]


def _in_order(body: bytes, results: Sequence[dict[str, Any]]) -> bool:
    answered = [one.get("_id") for one in results]
    return not any(answered) or answered == _ids(body)


def _items_by_id(results: Sequence[dict[str, Any]], bodies: Sequence[bytes]) -> list[BulkAnswer] | None:
    """Find the answer to each document; None when there is none to one of them, or one too many."""
    by_id = {one["_id"]: _item(one) for one in results}
    if len(by_id) != len(results):
        return None
    return [[by_id.pop(identifier) for identifier in _ids(body)] for body in bodies]


def _ids(body: bytes) -> list[str]:
    return [target_of(action)[1] for action in body.splitlines(keepends=True)[::2]]


def _item(result: dict[str, Any]) -> BulkItem:
    error = result.get("error")
    if not isinstance(error, dict):
        return BulkItem(int(result["status"]), "", str(error or ""))
    # Of a shard that is away it repeats all documents that were for it: they are nothing for a log.
    outer = str(error.get("reason", "")).partition(_REPEATED)[0]
    inner = innermost_cause(error).partition(_REPEATED)[0]
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
