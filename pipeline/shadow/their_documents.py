"""Elasticsearch's side: all documents that Logstash has written of the time that is compared."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

from elasticsearch import ApiError, AsyncElasticsearch, TransportError

from pipeline.errors import SettingsError
from pipeline.shadow.differences import Written

__all__ = ["their_documents"]

_KEEP_ALIVE: Final = "5m"
_PAGE: Final = 1000
_NOT_FOUND: Final = 404


async def their_documents(
    client: AsyncElasticsearch, against: str, where: str | None, from_ms: int | None
) -> AsyncIterator[list[Written]]:
    """Give the documents of these indices a page at a time, as they are at the first request.

    `where` is a query as one types it into Kibana with Lucene's syntax; `from_ms` leaves out what has an earlier
    `@timestamp`. The client has to read JSON by the standard library: integers may have more than 64 bits.

    Raises SettingsError for indices that do not exist, ApiError and TransportError as the client does.
    """
    names = [name.strip() for name in against.split(",") if name.strip()]
    with suppress(ApiError):  # a user that may only read: what is older than the refresh interval is visible
        await client.indices.refresh(index=names)
    try:
        opened = await client.open_point_in_time(index=names, keep_alive=_KEEP_ALIVE)
    except ApiError as error:
        if error.meta.status == _NOT_FOUND:
            raise SettingsError(f"--against {against!r}: there is no such index") from None
        raise
    pit, after = str(opened["id"]), None
    try:
        while True:
            answer = await client.search(
                size=_PAGE,
                pit={"id": pit, "keep_alive": _KEEP_ALIVE},
                query=_query(where, from_ms),
                sort=[{"_shard_doc": "asc"}],
                search_after=after,
                track_total_hits=False,
                # Half an answer would make documents look missing.
                allow_partial_search_results=False,
                filter_path="pit_id,hits.hits._id,hits.hits._index,hits.hits._source,hits.hits.sort",
            )
            pit = str(answer.get("pit_id", pit))
            hits: list[dict[str, Any]] = answer.get("hits", {}).get("hits", [])
            if hits:
                yield [Written(hit.get("_source", {}), hit["_index"], hit["_id"]) for hit in hits]
            if len(hits) < _PAGE:
                return
            after = hits[-1]["sort"]
    finally:
        with suppress(ApiError, TransportError):  # it expires by itself
            await client.close_point_in_time(id=pit)


def _query(where: str | None, from_ms: int | None) -> dict[str, Any]:
    filters: list[dict[str, Any]] = []
    if where is not None:
        filters.append({"query_string": {"query": where}})
    if from_ms is not None:
        filters.append({"range": {"@timestamp": {"gte": from_ms, "format": "epoch_millis"}}})
    return {"bool": {"filter": filters}}
