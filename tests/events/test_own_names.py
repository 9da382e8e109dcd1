"""Names of the pipeline's own, in every spelling that Elasticsearch takes for the same field, are moved aside."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from pipeline.events.field_names import set_aside, take_all
from tests.events.both_paths import transform_all, transform_one
from tests.events.own_names import check_own_fields, own_events, values_in

EVENT: dict[str, Any] = {"timestamp": "2024-01-15T10:30:00.123Z", "level": "error", "message": "m"}


@pytest.mark.parametrize(
    ("given_fields", "aside"),
    [
        (
            {"kafka.offset": 77, "kafka.partition": 3, "kafka.topic": "orders"},
            {"kafka.offset": 77, "kafka.partition": 3, "kafka.topic": "orders"},
        ),
        ({"kafka": {"offset": 77}}, {"kafka": '{"offset":77}'}),
        ({"kafka": {"offset": 77}, "kafka.offset": 78}, {"kafka": '{"offset":77}', "kafka.offset": 78}),
        ({"kafka.": 1, "kafka..offset": 2}, {"kafka.": 1, "kafka..offset": 2}),
        ({"unmapped.x": "v"}, {"unmapped.x": "v"}),
        ({"unmapped": {"x": 1}, "unmapped.x": 2}, {"unmapped": '{"x":1}', "unmapped.x": 2}),
        ({"error.fingerprint": "a"}, {"error.fingerprint": "a"}),
        ({"error": {"fingerprint": "a"}}, {"error.fingerprint": "a"}),
        ({"error": [{"fingerprint": "a"}, [{"fingerprint": ["b"]}], "c"]}, None),
        ({"error": {"fingerprint": "a"}, "error.fingerprint": "b"}, None),
        ({"message.keyword": "k"}, {"message.keyword": "k"}),
        ({"message": {"keyword": "k", "text": "t"}}, {"message.keyword": "k"}),
        ({"message": ["t", {"keyword": "k"}]}, {"message.keyword": "k"}),
        ({"log.level": "x"}, {"log.level": "x"}),
        ({"log": {"level": "x"}}, {"log.level": "x"}),
    ],
)
@pytest.mark.parametrize("level", ["error", "info"])
def test_own_names_are_moved_aside(
    given_fields: dict[str, Any], aside: dict[str, Any] | None, level: str
) -> None:
    indexed = transform_one({**EVENT, "level": level, **given_fields}).document
    check_own_fields(indexed)
    assert sorted(values_in(indexed), key=str) == sorted(
        [*values_in(given_fields), *made_by_the_pipeline(indexed, given_fields)], key=str
    )
    if aside is not None:
        assert indexed["unmapped"] == aside


def test_the_rest_of_an_object_stays_where_it_is() -> None:
    indexed = transform_one({**EVENT, "error": {"fingerprint": "a", "type": "E"}}).document
    assert indexed["error"] == {"type": "E"}
    assert indexed["error.fingerprint"] != "a"


@pytest.mark.parametrize(
    "name", ["kafkaesque", "kafka_offset", "unmapped_x", "errors", "context.kafka.offset"]
)
def test_other_names_are_not(name: str) -> None:
    indexed = transform_one({**EVENT, name: 1}).document
    assert indexed[name] == 1
    assert "unmapped" not in indexed


def test_own_names_below_the_context_are_other_fields() -> None:
    context = {"kafka": {"offset": 5}, "error.fingerprint": "x"}
    assert transform_one({**EVENT, "context": context}).document["context"] == context


def test_one_level_of_the_application_stays_when_the_pipeline_sets_none() -> None:
    event = {"level": "ERROR", "log.level": "a", "log": {"level": "b", "offset": 1}}
    indexed = transform_one(event).document
    assert (indexed["log.level"], indexed["log"], indexed["unmapped"]) == (
        "a",
        {"offset": 1},
        {"log.level": "b"},
    )


@pytest.mark.parametrize("more", [{}, {"fields": {"env": "prod"}}, {"@timestamp": "2024-01-15T10:30:01Z"}])
def test_a_dotted_service_makes_an_envelope_too(more: dict[str, Any]) -> None:
    inner = orjson.dumps({**EVENT, "trace_id": "T"}).decode()
    indexed = transform_one({"message": inner, "fields.service": "claude-code-bot", **more}).document
    assert (indexed["level"], indexed["message"], indexed["trace_id"]) == ("ERROR", "m", "T")
    assert indexed["fields.service"] == "claude-code-bot"


def test_a_dotted_service_of_others_passes_through() -> None:
    event = {"message": "m", "level": "error", "fields.service": "billing", "agent": {"type": "filebeat"}}
    indexed = transform_one(event).document
    assert {name: indexed[name] for name in event} == event
    assert "service_name" not in indexed


# --- any spelling ---------------------------------------------------------------------------------------


@given(own_events, st.sampled_from([{}, {"timestamp": "2024-01-15T10:30:00.123Z"}]), st.booleans())
@hypothesis_settings(max_examples=15 * hypothesis_settings().max_examples)
def test_any_spelling_gives_one_value_and_loses_none(
    event: dict[str, Any], time: dict[str, Any], in_envelope: bool
) -> None:
    value = {**event, **time}
    if in_envelope:
        value = {
            "message": orjson.dumps(value).decode(),
            "fields": {"service": "claude-code-bot"},
            "log": {"x": 1},
        }
    (indexed,) = transform_all(orjson.dumps(value))
    check_own_fields(indexed.document)
    kept = sorted(values_in(indexed.document), key=str)
    for each in values_in(event):
        kept.remove(each)


def made_by_the_pipeline(document: dict[str, Any], given_fields: dict[str, Any]) -> list[Any]:
    """List the values of a document of `EVENT` that were not in the fields given beside it."""
    logged = document["log"]["level"]
    made = ["2024-01-15T10:30:00.123Z", document["level"], logged, "claude-code-bot", "logs", 3, 7]
    if document["level"] == "ERROR":
        made += [document["error.fingerprint"], "error"]
    return made if "message" in given_fields else [*made, "m"]


# --- taking out -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "taken", "left"),
    [
        (
            {"a.b.c": 1, "a": {"b": {"c": 2}, "b.c": 3}, "a.b": {"c": 4}},
            [1, 3, 2, 4],
            {"a": {"b": {}}, "a.b": {}},
        ),
        ({"a": [{"b": [{"c": 1}, {"d": 2}]}, 5]}, [], None),
        ({"a": 1, "c": 2, "b": {"c": 3}}, [], {"a": 1, "c": 2, "b": {"c": 3}}),
        ({"a": {"b": {"c": {"d": 1}}}}, [{"d": 1}], {"a": {"b": {}}}),
    ],
)
def test_take_all_finds_every_spelling_of_a_path(
    fields: dict[str, Any], taken: list[Any], left: dict[str, Any] | None
) -> None:
    if left is None:
        taken, left = [1], {"a": [{"b": [{}, {"d": 2}]}, 5]}
    assert take_all(fields, "a.b.c") == taken
    assert fields == left


def test_what_is_moved_aside_under_one_name_stays_apart_however_long_the_name_is() -> None:
    long = "x" * 192
    aside: dict[str, Any] = {}
    # The second is what the third would be called.
    for path in (f"{long}12345678", f"{long}#2", f"{long}12345678", f"{long}12345678"):
        set_aside(aside, path, path)
    assert list(aside) == [f"{long}12345678", f"{long}#2", f"{long}#3", f"{long}#4"]
