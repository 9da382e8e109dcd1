"""`logpipe explain`: why a document is as it is, what its mapping does with it, and where it is."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch, BadRequestError

from pipeline.diagnostics.story import Story, tell
from pipeline.diagnostics.verdicts import verdicts
from pipeline.diagnostics.whereabouts import read_place
from pipeline.errors import SettingsError
from pipeline.events.document import Coordinates, DocumentBuilder
from pipeline.settings import Settings
from tests.logpipe import logpipe, running
from tests.own_pipeline import Pipeline, stop

NOW_MS = 1_705_314_700_000
PLACE = Coordinates("app.logs", 3, 1042, 1_705_314_600_500)


def story(event: object, place: Coordinates = PLACE) -> Story:
    settings = Settings()
    builder = DocumentBuilder(settings.events, settings.index)
    (one,) = tell(json.dumps(event).encode(), place, builder, NOW_MS)
    return one


def test_the_story_of_the_guide_s_event() -> None:
    one = story(
        {"timestamp": "2024-01-15T10:30:00.123Z", "level": "warning", "service": "api", "message": "m"}
    )
    assert one.document.format == "guide"
    assert one.why_time == "the event's `timestamp` is '2024-01-15T10:30:00.123Z'"
    assert one.why_level == "`level` is 'warning'"
    assert one.why_index == "the day of `@timestamp`, in UTC"
    steps = {step.field: (step.before, step.after) for step in one.steps}
    assert steps["level"] == ("warning", "WARN")
    assert steps["timestamp"] == ("2024-01-15T10:30:00.123Z", None)
    assert steps["service_name"] == (None, "claude-code-bot")
    assert "message" not in steps


@pytest.mark.parametrize(
    ("event", "time"),
    [
        ({"message": "m"}, "the event has no time of its own: Kafka's timestamp of the record"),
        ({"timestamp": "noon"}, "`timestamp` is there and is no date: Kafka's timestamp of the record"),
        ({"@timestamp": "2024-01-15T10:30:00Z"}, "the event's `@timestamp` is '2024-01-15T10:30:00Z'"),
    ],
)
def test_which_rule_read_the_time(event: dict[str, Any], time: str) -> None:
    assert story(event).why_time == time


def test_why_another_index_than_that_of_the_event_s_day() -> None:
    assert "outside events.retention_days" in story({"timestamp": "2014-01-15T10:30:00Z"}).why_index
    undated = story({"message": "m"}, PLACE._replace(timestamp_ms=-1))
    assert "the index without a day" in undated.why_index
    assert undated.why_time.endswith("the time of reading")


def test_an_array_has_a_story_for_each_event() -> None:
    settings = Settings()
    told = tell(
        b'[{"level":"info"},{"level":40}]', PLACE, DocumentBuilder(settings.events, settings.index), NOW_MS
    )
    assert [one.document.fields["level"] for one in told] == ["INFO", "WARN"]
    assert "number in the array" in told[1].why_id


def test_a_place_is_read_in_each_of_its_forms() -> None:
    assert read_place("app.logs/3/1042") == ("app.logs", 3, 1042, None, "")
    assert read_place("app.logs/3@1042") == ("app.logs", 3, 1042, None, "")
    assert read_place("my-app.logs-3-000000001042-1705314600500.2") == (
        "my-app.logs",
        3,
        1042,
        1_705_314_600_500,
        "",
    )
    assert read_place("app.logs-3-mZ4k9QxLT2yA-000000001042") == ("app.logs", 3, 1042, None, "mZ4k9QxLT2yA")
    with pytest.raises(SettingsError, match="topic/partition/offset"):
        read_place("app.logs")


MAPPING: Mapping[str, Any] = {
    "dynamic": "false",
    "properties": {
        "n": {"type": "long"},
        "m": {"type": "integer", "ignore_malformed": True},
        "d": {"type": "double"},
        "b": {"type": "boolean"},
        "at": {"type": "date"},
        "ip": {"type": "ip"},
        "k": {"type": "keyword", "ignore_above": 5},
        "o": {"properties": {"k": {"type": "keyword"}}},
        "f": {"type": "flattened"},
        "off": {"type": "object", "enabled": False},
    },
}
CASES: list[tuple[dict[str, Any], str]] = [
    ({"n": 1}, "searchable"),
    ({"n": "1"}, "searchable"),
    ({"n": 1.5}, "searchable"),
    ({"n": "x"}, "conflict"),
    ({"n": True}, "conflict"),
    ({"n": 1 << 70}, "conflict"),
    ({"n": {"a": 1}}, "conflict"),
    ({"n": [1, "2"]}, "searchable"),
    ({"m": "x"}, "kept"),
    ({"m": 1 << 40}, "kept"),
    ({"d": "1e3"}, "searchable"),
    ({"d": "x"}, "conflict"),
    ({"b": "true"}, "searchable"),
    ({"b": 1}, "conflict"),
    ({"at": "2024-01-15T10:30:00Z"}, "searchable"),
    ({"at": "noon"}, "conflict"),
    ({"ip": "10.0.0.1"}, "searchable"),
    ({"ip": "host"}, "conflict"),
    ({"k": "short"}, "searchable"),
    ({"k": "longer"}, "kept"),
    ({"k": 12}, "searchable"),
    ({"k": {"a": 1}}, "conflict"),
    ({"o": {"k": "v"}}, "searchable"),
    ({"o": "text"}, "conflict"),
    ({"f": {"a": {"b": 1}}}, "searchable"),
    ({"f": "text"}, "conflict"),
    ({"off": {"a": 1}}, "kept"),
    ({"other": 1}, "kept"),
    ({"n": None}, "kept"),
]


@pytest.mark.parametrize(("document", "outcome"), CASES, ids=json.dumps)
def test_the_verdict_on_a_field(document: dict[str, Any], outcome: str) -> None:
    (verdict, *_) = verdicts(document, MAPPING)
    assert verdict.outcome == outcome, verdict


def test_new_fields_get_the_type_of_the_dynamic_template() -> None:
    mapping = {
        "dynamic": "true",
        "subobjects": False,
        "dynamic_templates": [{"ms": {"match": "*_ms", "mapping": {"type": "double"}}}],
        "properties": {"a": {"type": "keyword"}},
    }
    found = {
        one.field: one for one in verdicts({"took_ms": 1, "a.b": "x", "n": 1, "wait_ms": "long"}, mapping)
    }
    assert (found["took_ms"].outcome, found["took_ms"].type) == ("new", "double")
    assert found["a.b"].outcome == "new", "names have dots there"
    assert found["n"].type == "long"
    assert found["wait_ms"].outcome == "conflict"
    assert verdicts({"n": 1}, {"dynamic": "strict"})[0].outcome == "conflict"


async def test_elasticsearch_agrees_with_the_verdicts(elasticsearch_url: str) -> None:
    index = "verdicts-on-fields"
    async with AsyncElasticsearch(elasticsearch_url) as client:
        await client.indices.create(index=index, mappings=MAPPING)
        try:
            for document, outcome in CASES:
                try:
                    answer = await client.index(index=index, document=document, refresh=True)
                except BadRequestError:
                    assert outcome == "conflict", document
                    continue
                assert outcome != "conflict", document
                found = await client.search(
                    index=index, query={"exists": {"field": next(iter(document))}}, source=False, size=100
                )
                searchable = answer["_id"] in {hit["_id"] for hit in found["hits"]["hits"]}
                assert searchable is (outcome == "searchable"), document
        finally:
            await client.indices.delete(index=index)


@pytest.mark.timeout(300)  # one command after the other, each of which starts Python and connects
async def test_a_record_is_explained_from_kafka_to_where_it_is(pipeline: Pipeline) -> None:
    async def explained(what: str) -> dict[str, Any]:
        result = await asyncio.to_thread(logpipe, "explain", what, "--json", settings=pipeline.environment())
        assert result.returncode == 0, result.stderr.decode()
        (told,) = json.loads(result.stdout)
        return dict(told)

    await pipeline.send([b'{"level":"err","message":"m","context":{"took_ms":5}}'], partition=1)
    waiting = await explained(f"{pipeline.name}/1/0")
    (document,) = waiting["documents"]
    assert document["level"] == {"value": "ERROR", "because": "`level` is 'err'"}
    assert document["now"].startswith("Not indexed yet")
    with running("index", settings=pipeline.environment()) as process:
        await pipeline.indexed(1)
        stop(process)
    (document,) = (await explained(document["id"]["value"]))["documents"]
    assert document["now"] == f"In Elasticsearch, in {document['index']['value']}."
    assert {one["field"]: one["outcome"] for one in document["fields"]}["level"] == "searchable"
    shown = await asyncio.to_thread(
        logpipe, "explain", f"{pipeline.name}/1/0", settings=pipeline.environment()
    )
    assert '~ level "err" → "ERROR"' in shown.stdout.decode()
    nothing = await asyncio.to_thread(
        logpipe, "explain", f"{pipeline.name}/1/7", settings=pipeline.environment()
    )
    assert nothing.returncode == 1
    assert "there is no dead letter of it" in nothing.stderr.decode()


@pytest.mark.server
def test_a_record_from_stdin_needs_no_server() -> None:
    event = json.dumps(
        {"level": 50, "time": time.time_ns() // 1_000_000, "msg": "m", "pid": 1, "hostname": "h"}
    )
    result = logpipe("explain", "--offline", stdin=event.encode())
    assert result.returncode == 0, result.stderr.decode()
    text = result.stdout.decode()
    assert "format      pino" in text
    assert "message is taken from msg" in text
    assert "ERROR" in text
    assert logpipe("explain", "x").returncode == 2
