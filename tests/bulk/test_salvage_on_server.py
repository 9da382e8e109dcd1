"""Salvage in an index that others have made: each conflict is read from what the real server says."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import orjson
import pytest
from elasticsearch import Elasticsearch

from pipeline.bulk.requests import items_of
from pipeline.bulk.salvage import salvage
from pipeline.encode.line_templates import action_line
from pipeline.settings import Salvage

# As Logstash's dynamic mapping makes it of its first events, with some of an older template.
MAPPINGS = {
    "host": {"type": "object"},
    "code": {"type": "long"},
    "user": {"type": "keyword"},
    "error": {"type": "text"},
    "context": {
        "properties": {
            "user": {"properties": {"id": {"type": "long"}}},
            "n": {"type": "long"},
            "a]b": {"type": "long"},
            "addr": {"type": "ip"},
            "name": {"type": "text", "fields": {"raw": {"type": "keyword"}}},
        }
    },
    "strict": {"type": "object", "dynamic": "strict"},
    "alias": {"type": "alias", "path": "code"},
}


@pytest.fixture(scope="module")
def foreign(elasticsearch_url: str) -> Iterator[tuple[Elasticsearch, str]]:
    name = f"foreign-{uuid4().hex[:8]}"
    with Elasticsearch(elasticsearch_url, request_timeout=60) as client:
        client.indices.create(
            index=name, mappings={"properties": MAPPINGS}, settings={"index.mapping.depth.limit": 4}
        )
        yield client, name
        client.indices.delete(index=name)


LONG = "y" * 40_000


@pytest.mark.parametrize(
    ("fields", "aside", "left"),
    [
        ({"context": {"user": "u7"}}, {"context.user": "u7"}, {"context": {}}),
        ({"context.user": "u7", "user": "u"}, {"context.user": "u7"}, {"user": "u"}),
        ({"host": "h2", "code": "E42"}, {"host": "h2", "code": "E42"}, {}),
        ({"host": ["a", "b"]}, {"host": '["a","b"]'}, {}),
        (
            {"context": {"user": {"id": "x", "name": "n"}}},
            {"context.user.id": "x"},
            {"context": {"user": {"name": "n"}}},
        ),
        (
            {"context": [{"user": "u", "t": 1}, {"n": 1}]},
            {"context.user": "u"},
            {"context": [{"t": 1}, {"n": 1}]},
        ),
        ({"context": {"n": {"x": 1}}}, {"context.n": '{"x":1}'}, {"context": {}}),
        ({"context": {"a]b": "x", "a": 1}}, {"context.a]b": "x"}, {"context": {"a": 1}}),
        ({"context": {"name": LONG}}, {"context.name": LONG}, {"context": {}}),
        ({"strict": {"b": {"c": 1}}}, {"strict.b": '{"c":1}'}, {"strict": {}}),
        ({"alias": 5}, {"alias": 5}, {}),
        ({"user.name": "n", "user": "u"}, {"user.name": "n"}, {"user": "u"}),
        ({"context": {"addr.v4": "x"}}, {"context.addr.v4": "x"}, {"context": {}}),
        ({"error.fingerprint": "f", "error": "text"}, {"error.fingerprint": "f"}, {"error": "text"}),
        ({"strict.n.m": 1}, {"strict.n.m": 1}, {}),
        ({"alias.x": 1}, {"alias.x": 1}, {}),
        ({"mixed": [1, {"b": 1}]}, {"mixed": '[1,{"b":1}]'}, {}),
        ({"context": {"mixed": ["a", {"b": 1}]}}, {"context.mixed": '["a",{"b":1}]'}, {"context": {}}),
        ({"deep": {"a": {"b": {"c": {"d": 1}}}}}, {"deep.a.b.c": '{"d":1}'}, {"deep": {"a": {"b": {}}}}),
        ({"fresh": [1, 1.5]}, {"fresh": "[1,1.5]"}, {}),
        (
            {"host": "h", "code": "c", "alias": 1, "strict": {"b": 1}, "context": {"n": "x", "addr": "x"}},
            {"host": "h", "code": "c", "alias": 1, "strict.b": 1, "context.n": "x", "context.addr": "x"},
            {"strict": {}, "context": {}},
        ),
    ],
)
def test_each_field_in_conflict_is_moved_aside_until_the_document_is_taken(
    foreign: tuple[Elasticsearch, str],
    fields: dict[str, Any],
    aside: dict[str, Any],
    left: dict[str, Any],
) -> None:
    source = orjson.dumps({"@timestamp": "2026-11-28T15:26:00Z", "message": "m", **fields})
    moved = []
    for _ in range(Salvage().max_fields):
        if (reason := index(foreign, source)) is None:
            break
        salvaged = salvage(source, reason)
        assert salvaged is not None, reason
        source, path = salvaged
        moved.append(path)
    made = orjson.loads(source)
    if moved[-1] == "unmapped":
        # An earlier example had a text where this one has an object, and this index does not have our mapping.
        made["unmapped"] = orjson.loads(made["unmapped"]["as_json"])
        moved.pop()
    assert sorted(moved) == sorted(aside)
    kept = {"@timestamp": "2026-11-28T15:26:00Z", "message": "m", **left, "tags": ["_mappingconflict"]}
    assert made == {**kept, "unmapped": aside}


def index(foreign: tuple[Elasticsearch, str], source: bytes) -> str | None:
    """Index a document; gives the reason, as the writer reads it, why it is refused."""
    client, name = foreign
    body = action_line(name, uuid4().hex) + source + b"\n"
    answer = client.perform_request(
        "POST",
        "/_bulk",
        headers={"accept": "application/json", "content-type": "application/x-ndjson"},
        body=body,
    )
    items = items_of(orjson.dumps(answer.body), [body], [1])
    assert items is not None
    (only,) = items
    if only is None or only[0].status == 201:
        return None
    return only[0].reason
