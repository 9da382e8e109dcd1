"""Documents, given as JSON text, into indices made by our template, and what became of them."""

from collections.abc import Iterator
from itertools import count
from typing import Any, NamedTuple

from elasticsearch import Elasticsearch

__all__ = ["TIME", "Indexer", "Item"]

TIME = '"@timestamp":"2024-01-15T10:30:00.123Z"'


class Item(NamedTuple):
    """What became of a document."""

    status: int
    reason: str


class Indexer:
    """Index documents that are given as JSON text, into indices made by our template."""

    def __init__(self, client: Elasticsearch, prefix: str) -> None:
        self.client = client
        self._names = (f"{prefix}-{number}" for number in count())
        self.index = next(self._names)

    def start_new_index(self) -> None:
        self.index = next(self._names)

    def add(self, *members: str) -> list[Item]:
        """Index a document for each text, the members of a JSON object; a time is added."""
        return self.add_documents(f"{{{TIME},{text}}}" for text in members)

    def add_documents(self, documents: Iterator[str]) -> list[Item]:
        lines = [line for document in documents for line in ('{"create":{}}', document)]
        body = "\n".join([*lines, ""]).encode("utf-8", "surrogatepass")
        answer = self.client.perform_request(
            "POST",
            f"/{self.index}/_bulk",
            headers={"accept": "application/json", "content-type": "application/x-ndjson"},
            body=body,
        )
        return [_item(entry["create"]) for entry in answer.body["items"]]

    def search(self, **what: Any) -> Any:
        self.client.indices.refresh(index=self.index)
        return self.client.search(index=self.index, **what).body

    def sources(self) -> list[Any]:
        hits = self.search(size=1000, sort="_doc")["hits"]["hits"]
        return [hit["_source"] for hit in hits]

    def types(self) -> dict[str, str]:
        found = self.client.indices.get_mapping(index=self.index).body[self.index]["mappings"]
        return {name: field["type"] for name, field in found["properties"].items()}


def _item(entry: Any) -> Item:
    error, reasons = entry.get("error"), []
    while error:
        reasons.append(str(error.get("reason")))
        error = error.get("caused_by")
    return Item(entry["status"], " <- ".join(reasons))
