"""What shippers send is indexed without a refusal, found by time, level, service and trace, and bounded in names."""

import itertools
from typing import Any

import orjson
import pytest
from elasticsearch import Elasticsearch

from pipeline.encode.fast_path import BatchEncoder
from pipeline.events.document import DocumentBuilder
from pipeline.settings import Events, Index
from tests.events.both_paths import Record
from tests.events.formats.cases import CASES, Case

pytestmark = pytest.mark.server

WORKLOADS = 60


@pytest.fixture
def index(installed: str, client: Elasticsearch) -> str:
    name = f"{installed}-2026.11.23"
    client.indices.delete(index=name, ignore_unavailable=True)
    return name


def documents(cases: list[Case]) -> list[list[dict[str, Any]]]:
    encoder = BatchEncoder(DocumentBuilder(Events(), Index()))
    found = []
    for offset, case in enumerate(cases):
        (payload,) = encoder.encode(
            "logs", 0, [Record(offset, case.timestamp_ms, case.value)], case.timestamp_ms
        )
        found.append([orjson.loads(line) for line in payload.body.splitlines()[1::2]])
    return found


def add(client: Elasticsearch, index: str, sources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for number, source in enumerate(sources):
        lines += [{"create": {"_index": index, "_id": str(number)}}, source]
    answer = client.bulk(operations=lines, refresh=True)
    return [item["create"] for item in answer["items"]]


def test_every_sample_is_indexed_and_found(client: Elasticsearch, index: str) -> None:
    by_case = documents(CASES)
    sources = [source for each in by_case for source in each]
    refused = [item for item in add(client, index, sources) if item["status"] != 201]
    assert refused == []
    number = itertools.count()
    searches: list[dict[str, Any]] = []
    wanted = []
    for case, each in zip(CASES, by_case, strict=True):
        for source in each:
            terms = [
                {"term": {name: source[name]}}
                for name in ("level", "service", "trace_id")
                if type(source.get(name)) is str
            ]
            terms.append({"term": {"@timestamp": source["@timestamp"]}})
            searches += [
                {"index": index},
                {"size": 1000, "_source": False, "query": {"bool": {"filter": terms}}},
            ]
            wanted.append((case.name, str(next(number))))
    answers = client.msearch(searches=searches)["responses"]
    lost = [
        name
        for (name, identifier), answer in zip(wanted, answers, strict=True)
        if identifier not in {hit["_id"] for hit in answer["hits"]["hits"]}
    ]
    assert lost == []


def test_labels_of_many_workloads_leave_the_names_to_the_events(client: Elasticsearch, index: str) -> None:
    sources = [
        {
            "@timestamp": "2026-11-23T10:15:30.123Z",
            "kubernetes": {
                "pod_name": f"pod-{number}",
                "labels": {f"team.example/{number}-{label}": "x" for label in range(10)},
                "annotations": {f"note.example/{number}-{label}": "x" for label in range(10)},
            },
            "docker": {"labels": {f"com.example.{number}": "x"}},
            "attributes": {f"app.{number}": number},
            "resource": {f"res.{number}": "x"},
            "fields": {f"field{number}": "x"},
            "mdc": {f"mdc{number}": "x"},
            "labels": {f"label{number}": "x"},
        }
        for number in range(WORKLOADS)
    ]
    assert {item["status"] for item in add(client, index, sources)} == {201}
    names = client.field_caps(index=index, fields="*", filters="-metadata")["fields"]
    assert not [name for name in names if any(part in name for part in ("team.", "note.", "app.", "mdc1"))]
    query = {"term": {"kubernetes.labels.team.example/7-3": "x"}}
    assert client.count(index=index, query=query)["count"] == 1


@pytest.mark.parametrize("kept", ["yesterday", [2026, 11, 28], "0001-01-01T00:00:00Z", 0])
def test_a_kept_timestamp_is_not_indexed_as_a_date(client: Elasticsearch, index: str, kept: Any) -> None:
    (item,) = add(client, index, [{"@timestamp": "2026-11-23T10:15:30.123Z", "timestamp": kept}])
    assert item["status"] == 201
    assert set(client.field_caps(index=index, fields="timestamp")["fields"]["timestamp"]) == {"keyword"}
