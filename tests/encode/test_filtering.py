"""What the filters of a run make of records: documents, dead letters, and what is dropped."""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import given, strategies as st

from pipeline.encode.fast_path import BatchEncoder, Payload
from pipeline.encode.filtering import Filtering
from pipeline.encode.lines import bulk_lines
from pipeline.encode.own_functions import OwnFunctionError, OwnFunctions
from pipeline.events.document import Coordinates, Document, DocumentBuilder
from pipeline.logstash.compiler import Context
from pipeline.logstash.configuration import Pipeline, compile_pipeline
from pipeline.logstash.own_rules import without_own_rules
from pipeline.logstash.parse import parse
from pipeline.logstash.run_settings import compile_filters_of
from pipeline.sample import sample_events
from pipeline.settings import Settings

TOPIC = "logs"
NOW = 1_705_314_600_000
"""2024-01-15T10:30:00Z"""
JSON_INPUT = 'input { kafka { topics => ["logs"] codec => json } }'
DAILY = 'output { elasticsearch { index => "claude-code-bot-%{+YYYY.MM.dd}" } }'
INFO = {"timestamp": "2024-01-15T09:00:00.000Z", "level": "INFO", "message": "up"}


class Sent(NamedTuple):
    offset: int
    timestamp: int
    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()


def filtering_of(
    section: str,
    output: str = DAILY,
    kafka: str = JSON_INPUT,
    functions: dict[str, Callable[..., Any]] | None = None,
    **settings: dict[str, Any],
) -> Filtering:
    configuration = parse(f"{kafka} filter {{ {section} }} {output}")
    context = Context(functions=functions or {}, timeout=0.2, wrap=OwnFunctions(0.2).wrap)
    return made(compile_pipeline(configuration, context), **settings)


def made(pipeline: Pipeline, **settings: dict[str, Any]) -> Filtering:
    known = Settings(**settings)  # type: ignore[arg-type]
    return Filtering(pipeline, DocumentBuilder(known.events, known.index), known)


def documents(filtering: Filtering, *events: Any, **sent: Any) -> list[Document]:
    """Make the documents of one record."""
    value = orjson.dumps(events[0] if len(events) == 1 else list(events))
    return filtering.documents(value, Coordinates(TOPIC, 0, 7, NOW), NOW, **sent)


def encode(filtering: Filtering, values: Iterable[bytes | None]) -> list[Payload]:
    records = [Sent(offset, NOW, value) for offset, value in enumerate(values)]
    builder = DocumentBuilder(Settings().events, Settings().index)
    return BatchEncoder(builder, filtering=filtering).encode(TOPIC, 0, records, NOW)


PLAIN: dict[str, Any] = {"normalise": False}
DROP = 'if [level] == "DEBUG" { drop { } }'


# --- the two ways to normalise ----------------------------------------------------------------------------


def test_a_document_is_exactly_logstashs_where_nothing_is_normalised() -> None:
    filtering = filtering_of('mutate { add_tag => ["seen"] }', events=PLAIN)
    (document,) = documents(filtering, INFO)
    assert orjson.loads(document.source) == {
        **INFO,
        "@timestamp": "2024-01-15T10:30:00.000Z",
        "@version": "1",
        "event": {"original": orjson.dumps(INFO).decode()},
        "tags": ["seen"],
    }
    assert document.id == "logs-0-000000000007-1705314600000"
    assert document.index_name == "claude-code-bot-2024.01.15"


def test_the_pipelines_own_rules_run_after_the_filters() -> None:
    filtering = filtering_of(
        'mutate { rename => { "severity" => "level" } add_field => { "team" => "web" } }'
    )
    event = {"timestamp": "2024-01-14T23:00:00Z", "severity": "err", "message": "down"}
    (document,) = documents(filtering, event)
    assert document.index_name == "claude-code-bot-2024.01.14"
    assert document.fields["@timestamp"] == "2024-01-14T23:00:00.000Z"
    assert document.fields["level"] == "ERROR"
    assert document.fields["tags"] == ["error"]
    assert document.fields["team"] == "web"
    assert document.fields["kafka"] == {"topic": TOPIC, "partition": 0, "offset": 7}
    assert not {"@version", "event", "@metadata"} & document.fields.keys()


def test_a_time_that_a_filter_has_set_is_the_documents() -> None:
    filtering = filtering_of('date { match => ["when", "dd/MMM/yyyy:HH:mm:ss Z"] }')
    (document,) = documents(
        filtering, {"when": "14/Jan/2024:10:30:00 +0000", "timestamp": "2024-01-15T01:00:00Z"}
    )
    assert document.fields["@timestamp"] == "2024-01-14T10:30:00.000Z"
    assert document.index_name == "claude-code-bot-2024.01.14"
    assert document.fields["unmapped"] == {"timestamp": "2024-01-15T01:00:00Z"}


def test_a_time_of_the_events_own_holds_where_no_filter_sets_one() -> None:
    filtering = filtering_of('mutate { add_field => { "team" => "web" } }')
    (document,) = documents(filtering, {"@timestamp": "2024-01-14T10:30:00.5Z", "message": "up"})
    assert document.fields["@timestamp"] == "2024-01-14T10:30:00.500Z"


def test_an_event_that_no_filter_touches_is_as_without_filters() -> None:
    filtering = filtering_of('if [level] == "ERROR" { mutate { add_field => { "team" => "web" } } }')
    envelope = {
        "@timestamp": "2024-01-15T10:00:00Z",
        "agent": {"type": "filebeat"},
        "message": '{"level":"info","msg":"up","time":"2024-01-15T09:59:59Z"}',
    }
    values = [orjson.dumps(INFO), orjson.dumps(envelope), b"no json", b"", None, b"[1]", b'[{"a":1},{"b":2}]']
    builder = DocumentBuilder(Settings().events, Settings().index)
    for value in values:
        place = Coordinates(TOPIC, 0, 7, NOW)
        assert filtering.documents(value, place, NOW) == builder.documents(value, place, NOW)


def test_a_payload_that_no_filter_has_read_is_unpacked_all_the_same() -> None:
    filtering = filtering_of('mutate { add_field => { "team" => "web" } remove_field => ["agent"] }')
    envelope = {
        "@timestamp": "2024-01-15T10:00:00Z",
        "agent": {"type": "filebeat"},
        "message": '{"level":"error","message":"down","timestamp":"2024-01-15T09:59:59Z","agent":"own"}',
    }
    (document,) = documents(filtering, envelope)
    fields = document.fields
    assert (fields["level"], fields["message"], fields["team"]) == ("ERROR", "down", "web")
    assert fields["@timestamp"] == "2024-01-15T09:59:59.000Z"
    assert "agent" not in fields


def test_what_a_filter_has_set_is_not_undone_by_the_payload() -> None:
    filtering = filtering_of('json { source => "message" } mutate { replace => { "level" => "WARN" } }')
    envelope = {
        "agent": {"type": "filebeat"},
        "@timestamp": "2024-01-15T10:00:00Z",
        "message": '{"level":"error"}',
    }
    (document,) = documents(filtering, envelope)
    assert document.fields["level"] == "WARN"


def test_lines_that_the_codec_reads_as_text_stay_text() -> None:
    plain = 'input { kafka { topics => ["logs"] } }'
    filtering = filtering_of(
        'grok { match => { "message" => "%{WORD:verb} %{NUMBER:took:int}" } }', kafka=plain
    )
    (document,) = filtering.documents(b"GET 12", Coordinates(TOPIC, 0, 7, NOW), NOW)
    assert (document.fields["message"], document.fields["verb"], document.fields["took"]) == (
        "GET 12",
        "GET",
        12,
    )
    assert "event" not in document.fields


# --- what is dropped, and what becomes several ------------------------------------------------------------


def test_what_is_dropped_is_counted_by_its_filter() -> None:
    filtering = filtering_of(f'{DROP} if [message] == "no" {{ drop {{ }} }}')
    values = [orjson.dumps({**INFO, "level": level}) for level in ("DEBUG", "INFO", "DEBUG")]
    (payload,) = encode(
        filtering, [*values, orjson.dumps({"message": "no"}), b'[{"level":"DEBUG"},{"level":"WARN"}]']
    )
    assert payload.documents == 2
    assert payload.filtered is not None
    assert payload.filtered.dropped == {"drop, line 1": 4}
    assert payload.outcomes == 6


def test_all_of_a_chunk_may_be_dropped() -> None:
    (payload,) = encode(filtering_of(DROP), [b'{"level":"DEBUG"}'] * 3)
    assert (payload.documents, payload.body, payload.outcomes) == (0, b"", 3)


def test_clones_have_ids_of_their_own() -> None:
    filtering = filtering_of('clone { clones => ["copy"] }')
    ids = [document.id for document in documents(filtering, INFO)]
    assert ids == ["logs-0-000000000007-1705314600000.0", "logs-0-000000000007-1705314600000.1"]


def test_an_empty_record_is_no_event_for_logstash() -> None:
    filtering = filtering_of(DROP, events=PLAIN)
    assert filtering.documents(b" ", Coordinates(TOPIC, 0, 7, NOW), NOW) == []
    assert filtering.take().dropped == {"codec": 1}


def test_a_record_of_too_many_events_is_a_dead_letter() -> None:
    filtering = filtering_of('split { field => "list" }', events={"max_array_events": 10})
    (document,) = documents(filtering, {"list": list(range(1, 12))})
    assert document.refused is not None
    assert document.refused[0] == "too_many_events"


@given(st.lists(st.sampled_from(["INFO", "DEBUG", "ERROR", "debug", None, 7, ["DEBUG"]]), max_size=300))
def test_the_hot_path_drops_what_the_definition_drops(levels: list[Any]) -> None:
    values = [orjson.dumps({**INFO, "level": level}) for level in levels]
    expected = [
        document
        for offset, value in enumerate(values)
        for document in filtering_of(DROP).documents(value, Coordinates(TOPIC, 0, offset, NOW), NOW)
    ]
    payloads = encode(filtering_of(DROP), values)
    assert sum(payload.outcomes for payload in payloads) == len(values)
    found = b"".join(payload.body for payload in payloads).splitlines()
    assert [orjson.loads(line) for line in found[::2]] == [
        {"create": {"_index": document.index_name, "_id": document.id}} for document in expected
    ]
    assert [orjson.loads(line) for line in found[1::2]] == [document.fields for document in expected]


CONFIGURATIONS = [
    "",
    DROP,
    'if [level] == "ERROR" { mutate { add_field => { "team" => "web" } } }',
    'if "a" in [message] { drop { } } else if [component] { mutate { uppercase => ["component"] } }',
    'if [service] in ["x", "y"] or [trace_id] =~ /^0/ { mutate { add_tag => ["seen"] } }',
    'if ![user_id] { mutate { add_field => { "anonymous" => "yes" } } }',
    'mutate { add_field => { "team" => "web" } }',
    'if [context][status] == "x" { drop { } }',
    'date { match => ["timestamp", "ISO8601"] } mutate { remove_field => ["timestamp"] add_field => { "a" => "b" } }',
    'if [level] == "ERROR" { mutate { add_tag => ["error"] } } mutate { add_field => { "a" => "%{service}" } }',
    'if [level] == "ERROR" { mutate { add_tag => ["error", "more"] } } if [level] == "DEBUG" { drop { } }',
    'mutate { rename => { "service" => "service_name" } convert => { "user_id" => "string" } }',
    'mutate { add_field => { "agent" => "x" } } if [level] > 3 { drop { } }',
    'mutate { copy => { "@timestamp" => "seen_at" } lowercase => ["level"] }',
    'date { match => ["timestamp", "UNIX"] } grok { match => { "message" => "%{WORD:verb} %{GREEDYDATA:rest}" } }',
    'drop { percentage => 40 } uuid { target => "id" }',
    'mutate { remove_field => ["timestamp", "message", "context", "level"] }',
    'mutate { replace => { "message" => "" } } if [component] =~ /a/ { mutate { remove_field => ["service"] } }',
    'mutate { add_field => { "event" => "x" } }',
]
ROUTING = [
    "if [level] > 3 { drop { } }",
    'if [level] == "WARN" { mutate { add_field => { "[@metadata][skip]" => "yes" } } }',
    'mutate { add_field => { "[@metadata][p]" => "x" } } date { match => ["timestamp", "ISO8601"] }',
    'mutate { replace => { "component" => "a%" } }',
    'date { match => ["old", "ISO8601"] } mutate { lowercase => ["component"] }',
]
SPECIAL = [
    *(b"no json", b"[]", b"[1,2]", b"{}", b'"text"', b"12", b"null"),
    *(b'{"n":123456789012345678901234567890}', b'{"tags":["x"],"level":"ERROR"}', b'{"@timestamp":1}'),
    *(b'{"service_name":"mine","level":"ERROR"}', b'{"fields":{"service":"x"},"message":"{}"}'),
    *(
        b'[{"level":"ERROR","service":"api"},{"level":"DEBUG"}]',
        b'{"component":"up","timestamp":"2001-01-01T00:00:00.000Z"}',
    ),
    *(
        b'{"timestamp":"2024-02-30T00:00:00.000Z","component":"a"}',
        b'{"old":"1999-01-01T00:00:00Z","component":"b"}',
    ),
    *(
        b'{"timestamp":"2024-01-15T10:00:00.000Z","component":"up"}',
        b'{"timestamp":1705312800,"component":"up"}',
    ),
]


ROUTED = """output {
    if [level] == "ERROR" { elasticsearch { index => "errors" } }
    else if [service] == "api" { elasticsearch { index => "api-%{+YYYY.MM.dd}" pipeline => "%{[@metadata][p]}" } }
    else if [@metadata][skip] { } else { elasticsearch { index => "web-%{component}-%{+YYYY.MM.dd}" } }
}"""
WAYS = [(DAILY, True), (DAILY, False), (ROUTED, True)]


@pytest.mark.parametrize("filters", [*CONFIGURATIONS, *ROUTING])
@pytest.mark.parametrize(("output", "normalise"), WAYS)
def test_the_hot_path_and_the_definition_agree(filters: str, output: str, normalise: bool) -> None:
    events: dict[str, Any] = {"normalise": normalise}
    traffic = sample_events(60, seed=3, end_ms=NOW, span_seconds=3600)
    values = [*SPECIAL, *(event.value for event in traffic), *SPECIAL]
    definition = filtering_of(filters, output, events=events)
    documents = [
        document
        for offset, value in enumerate(values)
        for document in definition.documents(value, Coordinates(TOPIC, 0, offset, NOW), NOW)
    ]
    lines = bulk_lines(document for document in documents if document.refused is None)
    filtering = filtering_of(filters, output, events=events)
    payloads = encode(filtering, values)
    found = b"".join(payload.body for payload in payloads).splitlines()
    assert [orjson.loads(line) for line in found] == [orjson.loads(line) for line in lines]
    refused = [one.reason for payload in payloads for one in payload.dead]
    assert refused == [one.refused[1] for one in documents if one.refused is not None]
    counted = definition.take()
    assert counted.dropped == sum(
        (one.filtered.dropped for one in payloads if one.filtered is not None), Counter()
    )
    # Once more, with all indices known.
    again = BatchEncoder(DocumentBuilder(Settings().events, Settings().index), filtering=filtering)
    records = [Sent(offset, NOW, value) for offset, value in enumerate(values)]
    assert [
        orjson.loads(line) for one in again.encode(TOPIC, 0, records, NOW) for line in one.body.splitlines()
    ] == [orjson.loads(line) for line in lines]


def test_an_empty_filter_section_leaves_everything_on_the_hot_path() -> None:
    values = [event.value for event in sample_events(50, seed=3, end_ms=NOW, span_seconds=3600)]
    builder = DocumentBuilder(Settings().events, Settings().index)
    records = [Sent(offset, NOW, value) for offset, value in enumerate(values)]
    without = BatchEncoder(builder).encode(TOPIC, 0, records, NOW)
    assert [payload.body for payload in encode(filtering_of(""), values)] == [one.body for one in without]


# --- where documents go -----------------------------------------------------------------------------------


def routed(filtering: Filtering, *events: Any) -> list[tuple[str, str]]:
    return [(one.index_name, one.id) for one in documents(filtering, *events)]


OURS = "logs-0-000000000007-1705314600000"


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize(
    ("output", "event", "expected"),
    [
        ('index => "web"', {}, ("web", OURS)),
        ('index => "%{app}-%{+YYYY.MM.dd}"', {"app": "shop"}, ("shop-2024.01.15", OURS)),
        ('index => "web" document_id => "%{id}"', {"id": "a/1"}, ("web", "a/1")),
        ("data_stream => true", {}, ("logs-generic-default", OURS)),
    ],
)
def test_an_output_says_where_a_document_goes(
    output: str, event: dict[str, Any], expected: tuple[str, str], normalise: bool
) -> None:
    filtering = filtering_of(
        "", f"output {{ elasticsearch {{ {output} }} }}", events={"normalise": normalise}
    )
    assert routed(filtering, event) == [expected]


CONDITIONAL = """output { if [level] == "TRACE" { elasticsearch { index => "a" } }
    else { elasticsearch { index => "claude-code-bot-%{+YYYY.MM.dd}" } } }"""
THROUGH = 'output { elasticsearch { index => "claude-code-bot-%{+YYYY.MM.dd}" pipeline => "p" } }'
TOPIC_ID = "mZ4k9QxLQ2yA3b5c6d7e8w"


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("output", ["", DAILY, CONDITIONAL, THROUGH])
@pytest.mark.parametrize("filters", ["", 'mutate { add_field => { "by" => "us" } }'])
def test_a_record_has_one_shard_of_an_index_whichever_way_it_takes(
    filters: str, output: str, normalise: bool
) -> None:
    record = Sent(5000, NOW, orjson.dumps(INFO))
    builder = DocumentBuilder(Settings().events, Settings().index)
    place = Coordinates(TOPIC, 0, record.offset, NOW, builder.ids.topic_key(TOPIC_ID, NOW))
    filtering = filtering_of(filters, output, events={"normalise": normalise})
    bodies = [
        *(one.body for one in BatchEncoder(builder).encode(TOPIC, 0, [record], NOW, TOPIC_ID)),
        *(
            one.body
            for one in BatchEncoder(builder, filtering=filtering).encode(TOPIC, 0, [record], NOW, TOPIC_ID)
        ),
        b"".join(bulk_lines(filtering.documents(record.value, place, NOW))),
    ]
    targets = [orjson.loads(body.splitlines()[0])["create"] for body in bodies]
    assert [{name: one.get(name) for name in ("_index", "_id", "routing")} for one in targets] == [
        {"_index": "claude-code-bot-2024.01.15", "_id": "logs-0-mZ4k9QxLQ2yA-000000005000", "routing": "0.4"}
    ] * 3


def test_an_index_of_the_configurations_own_and_an_id_of_its_own_have_no_routing() -> None:
    builder = DocumentBuilder(Settings().events, Settings().index)
    place = Coordinates(TOPIC, 0, 5000, NOW, builder.ids.topic_key(TOPIC_ID, NOW))
    for section in ('index => "web"', 'index => "claude-code-bot-2024.01.15" document_id => "i"'):
        filtering = filtering_of("", f"output {{ elasticsearch {{ {section} }} }}")
        (document,) = filtering.documents(orjson.dumps(INFO), place, NOW)
        assert b"routing" not in bulk_lines([document])[0]


def test_conditions_say_which_output() -> None:
    output = """output { if [app] == "shop" { elasticsearch { index => "shop" } }
        else if [app] == "both" { elasticsearch { index => "a" } elasticsearch { index => "b" } } }"""
    filtering = filtering_of("", output)
    assert routed(filtering, {"app": "shop"}) == [("shop", OURS)]
    assert routed(filtering, {"app": "both"}) == [("a", f"{OURS}.0"), ("b", f"{OURS}.1")]
    assert routed(filtering, {"app": "x"}) == []
    assert filtering.take().dropped == {"output": 1}


@pytest.mark.parametrize(
    ("output", "event", "action", "source"),
    [
        ('index => "web" pipeline => "p" routing => "%{r}"', {"r": "x"},
         {"create": {"pipeline": "p", "routing": "x", "_index": "web", "_id": OURS}}, None),
        ('index => "web" document_id => "i"', {}, {"index": {"_index": "web", "_id": "i"}}, None),
        ('index => "web" document_id => "i" action => "create"', {}, {"create": {"_index": "web", "_id": "i"}}, None),
        ('index => "web" document_id => "i" action => "delete"', {}, {"delete": {"_index": "web", "_id": "i"}}, b""),
        ('index => "web" document_id => "i" action => "update" doc_as_upsert => true', {},
         {"update": {"retry_on_conflict": 3, "_index": "web", "_id": "i"}}, b'{"doc":'),
        ('index => "web" document_id => "i" action => "update" upsert => \'{"n":1}\'', {},
         {"update": {"retry_on_conflict": 3, "_index": "web", "_id": "i"}}, b'{"doc":'),
    ],
)  # fmt: skip
def test_actions_reach_the_lines(
    output: str, event: dict[str, Any], action: dict[str, Any], source: bytes | None
) -> None:
    filtering = filtering_of("", f"output {{ elasticsearch {{ {output} }} }}", events=PLAIN)
    first, second = bulk_lines(documents(filtering, event))
    assert orjson.loads(first) == action
    if source is None:
        assert orjson.loads(second)["@version"] == "1"
    elif source:
        assert second.startswith(source)
        assert orjson.loads(second).keys() - {"doc"} <= {"doc_as_upsert", "upsert"}
    else:
        assert second == b"\n"


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize(
    ("output", "event", "reason"),
    [
        ('index => "logs-%{app}"', {}, "still has a field"),
        ('index => "logs-%{app}"', {"app": "Shop"}, "not a name of an index"),
        ('index => "%{app}"', {"app": "a,b"}, "not a name of an index"),
        ('index => "%{app}"', {"app": "x" * 300}, "not a name of an index"),
        ('index => "a" document_id => "%{i}"', {"i": "x" * 600}, "longer than 512 bytes"),
        ('index => "a" action => "update"', {}, "needs a document_id"),
        ('index => "a" action => "%{what}"', {"what": "drop"}, "is not one of"),
        ('index => "a" document_id => "1" action => "update" upsert => "[]"', {}, "not a JSON object"),
    ],
)
def test_what_cannot_go_anywhere_is_a_dead_letter(
    output: str, event: dict[str, Any], reason: str, normalise: bool
) -> None:
    filtering = filtering_of(
        "", f"output {{ elasticsearch {{ {output} }} }}", events={"normalise": normalise}
    )
    (document,) = documents(filtering, event)
    assert document.refused is not None
    assert reason in document.refused[1]
    assert document.id == OURS
    (payload,) = encode(filtering, [orjson.dumps(event)])
    assert (payload.documents, len(payload.dead), payload.outcomes) == (0, 1, 1)


def test_the_day_of_an_index_is_within_the_window() -> None:
    output = 'output { elasticsearch { index => "web-%{+YYYY.MM.dd}" } }'
    filtering = filtering_of("", output)
    assert routed(filtering, {"timestamp": "2023-01-15T00:00:00Z"}) == [("web-2024.01.15", OURS)]
    late = filtering.documents(b'{"message":"late"}', Coordinates(TOPIC, 0, 7, NOW - 200 * 86_400_000), NOW)
    assert [one.index_name for one in late] == ["claude-code-bot-overflow"]


def test_events_cannot_make_indices_without_end() -> None:
    output = 'output { elasticsearch { index => "web-%{n}" } }'
    filtering = filtering_of("", output, filters={"max_indices": 3})
    (payload,) = encode(filtering, [orjson.dumps({"n": n % 5}) for n in range(10)])
    assert (payload.documents, len(payload.dead)) == (6, 4)
    assert {one.error_type for one in payload.dead} == {"too_many_indices"}


def test_documents_with_ids_of_their_own_travel_with_their_record_alone() -> None:
    output = 'output { elasticsearch { index => "web" document_id => "%{i}" } }'
    (payload,) = encode(filtering_of("", output), [b'{"i":1}', b'[{"i":2},{"i":3}]'])
    assert [(one.offset, one.documents) for one in payload.alone] == [(0, 1), (1, 2)]
    assert (payload.documents, payload.outcomes) == (0, 3)


# --- functions of one's own, and other faults -------------------------------------------------------------


def boom(_event: dict[str, Any]) -> None:
    raise ValueError("boom")


def end_the_process(_event: dict[str, Any]) -> None:
    raise SystemExit(3)


def loop(event: dict[str, Any]) -> dict[str, Any]:
    while True:
        event["n"] = 1


def nest(event: dict[str, Any]) -> dict[str, Any]:
    event["self"] = event
    return event


def wreck_then_raise(event: dict[str, Any]) -> None:
    event.clear()
    raise KeyError("gone")


class WorstError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def raise_the_worst(_event: dict[str, Any]) -> None:
    raise WorstError


NONSENSE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "raises": boom,
    "raises what cannot be told": raise_the_worst,
    "ends the process": end_the_process,
    "loops": loop,
    "nests without end": nest,
    "wrecks the event": wreck_then_raise,
    "a number": lambda _event: 7,
    "a set": lambda event: {**event, "x": {1, 2}},
    "names that are numbers": lambda event: {**event, 1: 2},
    "a name below that is no text": lambda event: {**event, "x": {None: 2}},
    "a list of nonsense": lambda event: [event, "x"],
    "a time that is none": lambda event: {**event, "@timestamp": "soon"},
}


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("name", NONSENSE)
def test_a_function_that_fails_loses_nothing(name: str, normalise: bool) -> None:
    filtering = filtering_of(
        'python { function => "my:fault" }',
        functions={"my:fault": NONSENSE[name]},
        events={"normalise": normalise},
    )
    (payload,) = encode(filtering, [orjson.dumps(INFO)])
    source = orjson.loads(payload.body.splitlines()[1])
    assert source["message"] == "up"
    assert source["tags"] == ["_pythonexception"]
    assert payload.filtered is not None
    assert payload.filtered.failed == {"python, line 1": 1}
    assert payload.outcomes == 1


def test_a_function_may_give_what_json_cannot_hold() -> None:
    strange = {"big": 1 << 80, "nan": float("nan"), "broken": "a\ud800b"}
    for normalise in (True, False):
        filtering = filtering_of(
            'python { function => "my:strange" }',
            functions={"my:strange": lambda event: {**event, **strange}},
            events={"normalise": normalise},
        )
        (document,) = documents(filtering, INFO)
        read = orjson.loads(document.source)
        assert read["nan"] is None
        assert read["broken"].startswith("a\ufffd")
        assert int(read["big"]) == 1 << 80 if normalise else read["big"] == float(1 << 80)


def test_a_function_that_makes_an_event_huge_makes_a_dead_letter() -> None:
    filtering = filtering_of(
        'python { function => "my:grow" }',
        functions={"my:grow": lambda event: {**event, "x": "y" * 100_000_000}},
    )
    (payload,) = encode(filtering, [orjson.dumps(INFO)])
    assert [one.error_type for one in payload.dead] == ["document_too_large"]
    assert (payload.documents, payload.outcomes) == (0, 1)


def test_a_function_gives_several_events_or_none() -> None:
    filtering = filtering_of(
        'python { function => "my:spread" }',
        functions={"my:spread": lambda event: [dict(event, n=n) for n in range(event["n"])]},
    )
    assert [one.fields["n"] for one in documents(filtering, {"n": 3})] == [0, 1, 2]
    assert documents(filtering, {"n": 0}) == []
    assert filtering.take().dropped == {"python, line 1": 1}


def test_a_function_that_is_not_pure_is_told() -> None:
    functions = OwnFunctions(1.0)
    numbers = iter(range(1_000_000))
    impure = functions.wrap("my:count", lambda event: {**event, "n": next(numbers)})
    pure = functions.wrap("my:same", lambda event: {**event, "n": 1})
    for _ in range(1001):
        impure({})
        pure({})
    assert functions.take()[1] == {"my:count": 2}


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("output", [DAILY, 'output { elasticsearch { index => "web" } }'])
def test_a_record_that_is_nested_without_end_has_one_document(output: str, normalise: bool) -> None:
    filtering = filtering_of('mutate { add_tag => ["seen"] }', output, events={"normalise": normalise})
    for depth in (90, 300, 1000, 100_000):
        value = b'{"a":' * depth + b"1" + b"}" * depth
        (payload,) = encode(filtering, [value])
        assert payload.documents == 1
        assert orjson.loads(payload.body.splitlines()[1])


def test_a_function_that_never_ends_gets_less_and_less_time() -> None:
    functions = OwnFunctions(0.2)
    bounded = functions.wrap("my:loop", lambda event: event if "n" not in event else loop(event))
    allowed = []
    for _ in range(3):
        with pytest.raises(OwnFunctionError) as raised:
            bounded({"n": 1})
        allowed.append(str(raised.value).split(" s ")[0].split()[-1])
    assert allowed == ["0.2", "0.1", "0.05"]
    bounded({})
    with pytest.raises(OwnFunctionError, match=r"0\.2 s"):
        bounded({"n": 1})


def test_a_search_without_end_is_cut_off() -> None:
    filtering = filtering_of('grok { match => { "message" => "^(a+)+$" } }')
    (document,) = documents(filtering, {"message": "a" * 40 + "!"})
    assert document.fields["message"].endswith("!")
    assert document.fields["tags"] == ["_groktimeout"]


def test_filters_know_the_key_and_the_headers_of_a_record() -> None:
    kafka = 'input { kafka { topics => ["logs"] codec => json decorate_events => extended group_id => "g" } }'
    filters = (
        'mutate { add_field => { "k" => "%{[@metadata][kafka][key]} %{[@metadata][kafka][headers][h]}" } }'
    )
    filtering = filtering_of(filters, kafka=kafka)
    (document,) = documents(filtering, INFO, key=b"key", headers=(("h", b"v"),))
    assert document.fields["k"] == "key v"


def test_the_filters_of_a_folder_run_in_the_order_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "1.conf").write_text(f"{JSON_INPUT} filter {{ mutate {{ add_field => {{ 'a' => '1' }} }} }}")
    (tmp_path / "2.conf").write_text("filter { mutate { add_field => { 'b' => '%{a}2' } } }")
    settings = Settings(filters={"file": tmp_path, "python": ["tests.encode.functions:enrich"]})
    filtering = Filtering(
        compile_filters_of(settings.filters), DocumentBuilder(settings.events, settings.index), settings
    )
    (document,) = documents(filtering, INFO)
    assert (document.fields["b"], document.fields["enriched"]) == ("12", "12")


# --- filters that say what the pipeline's own rules do ----------------------------------------------------

GUIDE = """
    if [fields][service] == "claude-code-bot" {
      json { source => "message" }
      date { match => [ "timestamp", "ISO8601" ] target => "@timestamp" }
      mutate { add_field => { "service_name" => "claude-code-bot" } remove_field => [ "timestamp" ] }
      if [level] == "ERROR" { mutate { add_tag => [ "error" ] } }
    }
"""


def enveloped(value: bytes) -> bytes:
    envelope = {
        "@timestamp": "2024-01-15T10:29:00.000Z",
        "agent": {"type": "filebeat"},
        "fields": {"service": "claude-code-bot"},
        "message": value.decode(),
    }
    return orjson.dumps(envelope)


@pytest.mark.parametrize("wrap", [bytes, enveloped])
def test_the_guides_own_configuration_gives_what_the_pipeline_gives_without_it(
    wrap: Callable[[bytes], bytes],
) -> None:
    events = sample_events(300, seed=5, end_ms=NOW, span_seconds=3600)
    values = [wrap(event.value) for event in events if event.value.startswith(b"{") and is_json(event.value)]
    records = [Sent(offset, NOW, value) for offset, value in enumerate(values)]
    builder = DocumentBuilder(Settings().events, Settings().index)
    without = b"".join(one.body for one in BatchEncoder(builder).encode(TOPIC, 0, records, NOW))
    assert b"".join(one.body for one in encode(filtering_of(GUIDE), values)) == without
    # One filter more, and all of them run.
    run = filtering_of(f"{GUIDE} mutate {{ add_field => {{ 'ran' => '1' }} }}")
    for offset, value in enumerate(values):
        (ran,) = run.documents(value, Coordinates(TOPIC, 0, offset, NOW), NOW)
        (plain,) = builder.documents(value, Coordinates(TOPIC, 0, offset, NOW), NOW)
        assert ran.fields.pop("ran") == "1"
        assert {**ran.fields, "tags": sorted(ran.fields.get("tags", []))} == {
            **plain.fields,
            "tags": sorted(plain.fields.get("tags", [])),
        }


def is_json(value: bytes) -> bool:
    try:
        orjson.loads(value)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("section", "left"),
    [
        (GUIDE, 0),
        ('date { match => ["timestamp", "ISO8601"] remove_field => "timestamp" }', 0),
        ('date { match => ["timestamp", "ISO8601"] } mutate { remove_field => ["timestamp"] }', 0),
        (f'date {{ match => ["timestamp", "ISO8601"] }} {DROP}', 1),
        ('mutate { remove_field => ["timestamp"] }', 1),
        ('date { match => ["timestamp", "ISO8601"] timezone => "Europe/Berlin" }', 1),
        ('date { match => ["timestamp", "ISO8601"] } if [timestamp] == "x" { drop { } }', 2),
        ('date { match => ["timestamp", "ISO8601"] } mutate { add_tag => ["seen"] }', 2),
        (f"{GUIDE} {DROP}", 2),
        ('mutate { add_field => { "service_name" => "other" } }', 1),
        ('mutate { add_field => { "a" => "b" } add_field => { "service_name" => "claude-code-bot" } }', 1),
    ],
)
def test_only_what_the_rules_do_as_well_is_left_to_them(section: str, left: int) -> None:
    statements = parse(f"filter {{ {section} }}").statements("filter")
    assert len(without_own_rules(statements, "claude-code-bot")) == left
