"""Elasticsearch's side: the documents of a range of offsets, in their order."""

from collections.abc import Sequence
from typing import Any

from elastic_transport import OrjsonSerializer
from elasticsearch import AsyncElasticsearch

from pipeline.audit.comparison import Found
from pipeline.audit.result import Range
from pipeline.events.ids import read_id

__all__ = ["KEEP_ALIVE", "SERIALIZERS", "Documents", "DocumentsById"]

KEEP_ALIVE = "5m"
"""How long Elasticsearch keeps what it showed at the beginning, from one page to the next."""
SERIALIZERS = dict.fromkeys(("application/json", "application/vnd.elasticsearch+json"), OrjsonSerializer())
# The second where others have made the index: by Elasticsearch's own mapping `kafka.topic` is cut into words.
_TOPIC_FIELDS = ("kafka.topic", "kafka.topic.keyword")
# The most that `index.max_result_window` allows by default.
_PAGE_DOCUMENTS = 10_000
# So few that each could be in ten indices, and all of them are in one page.
_IDS_A_PAGE = 1_000


class Documents:
    """The documents of a range in the order of their offsets, a page at a time."""

    def __init__(self, client: AsyncElasticsearch, pit: str, wanted: Range) -> None:
        self.passed = 0
        """Documents at offsets that were not asked for."""
        self._client = client
        self._pit = pit
        self._wanted = wanted
        self._page: list[Found] = []
        self._next = 0
        self._early: dict[int, list[Found]] = {}
        """Documents that came before their turn, by their offset."""
        # A page asks for a window of offsets that it can just hold, so that a shard need not sort more.
        self._from = wanted.start
        self._window = _PAGE_DOCUMENTS
        self._after: list[int] | None = None

    async def at(self, offset: int) -> list[Found]:
        """Give the documents of an offset; to be asked for in growing order."""
        found: list[Found] = []
        while True:
            found += self._early.pop(offset, ())
            if self._next == len(self._page):
                if self._from >= self._wanted.end:
                    return found
                await self._turn()
                continue
            hit = self._page[self._next]
            if hit.offset > offset:
                return found
            self._next += 1
            if hit.offset == offset:
                found.append(hit)
            else:
                self.passed += 1

    async def _turn(self) -> None:
        topic, partition, _, end = self._wanted
        upto = min(self._from + self._window, end)
        answer = await self._client.search(
            size=_PAGE_DOCUMENTS,
            pit={"id": self._pit, "keep_alive": KEEP_ALIVE},
            query={
                "bool": {
                    "filter": [
                        {"bool": {"should": [{"term": {name: topic}} for name in _TOPIC_FIELDS]}},
                        {"term": {"kafka.partition": partition}},
                        {"range": {"kafka.offset": {"gte": self._from, "lt": upto}}},
                    ]
                }
            },
            sort=[{"kafka.offset": {"order": "asc", "unmapped_type": "long"}}, {"_shard_doc": "asc"}],
            search_after=self._after,
            source=False,
            track_total_hits=False,
            # Half an answer would make documents look missing.
            allow_partial_search_results=False,
            filter_path="pit_id,hits.hits._id,hits.hits._index,hits.hits.sort",
        )
        self._pit = str(answer.get("pit_id", self._pit))
        hits: list[dict[str, Any]] = answer.get("hits", {}).get("hits", [])
        found = [Found(hit["sort"][0], hit["_id"], hit["_index"]) for hit in hits]
        self._page = [one for one in found if self._is_in_its_place(one, upto)]
        self._next = 0
        if len(hits) == _PAGE_DOCUMENTS:
            # Perhaps not all of the window: the next page begins behind the last document, in a smaller one.
            self._from, self._after = max(self._from, hits[-1]["sort"][0]), hits[-1]["sort"]
            self._window = max(self._window // 2, 1)
        else:
            self._from, self._after = upto, None
            if len(hits) < _PAGE_DOCUMENTS // 2:
                self._window *= 2

    def _is_in_its_place(self, one: Found, upto: int) -> bool:
        """Tell whether a document is at the offset that it was found by; else it is kept for its own, or left out.

        Documents of earlier versions may hold an event's own `kafka.offset` beside the record's. Which of them is
        the record's says the id; sorted is by the lowest, so that none comes too late.
        """
        parts = read_id(one.id)
        if parts is None:
            return True  # not made by this pipeline: that is for the comparison to say
        offset = parts.offset
        if parts[:2] != self._wanted[:2] or not self._from <= offset < upto:
            return False
        if offset == one.offset:
            return True
        early = self._early.setdefault(offset, [])
        if (moved := one._replace(offset=offset)) not in early:
            early.append(moved)
        return False


class DocumentsById:
    """Documents that do not say in a field that can be searched which record they are of: found by their ids."""

    def __init__(self, client: AsyncElasticsearch, pit: str) -> None:
        self._client = client
        self._pit = pit

    async def of(self, ids: Sequence[str]) -> dict[str, list[Found]]:
        """Find documents by their ids, in whatever index they are."""
        found: dict[str, list[Found]] = {}
        for start in range(0, len(ids), _IDS_A_PAGE):
            some = ids[start : start + _IDS_A_PAGE]
            answer = await self._client.search(
                size=_PAGE_DOCUMENTS,
                pit={"id": self._pit, "keep_alive": KEEP_ALIVE},
                query={"ids": {"values": list(some)}},
                source=False,
                track_total_hits=False,
                allow_partial_search_results=False,
                filter_path="pit_id,hits.hits._id,hits.hits._index",
            )
            self._pit = str(answer.get("pit_id", self._pit))
            for hit in answer.get("hits", {}).get("hits", []):
                found.setdefault(hit["_id"], []).append(Found(0, hit["_id"], hit["_index"]))
        return found
