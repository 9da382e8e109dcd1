"""Salvage: the field is read from what Elasticsearch says, and it alone is moved aside."""

from typing import Any

import orjson
import pytest

from pipeline.bulk.salvage import field_of, salvage


@pytest.mark.parametrize(
    ("reason", "field"),
    [
        ("[1:23] failed to parse field [context.x] of type [long] in document with id 'a'", "context.x"),
        (
            "[1:22] object mapping for [context.user] tried to parse field [user] as object, but found",
            "context.user",
        ),
        ("[1:11] object mapping for [tags] tried to parse field [null] as object, but found", "tags"),
        ("[1:21] failed to parse field [a]b] of type [long] in document with id 'x'.", "a]b"),
        ("mapper [context.new] cannot be changed from type [long] to [float]", "context.new"),
        ("[1:11] Cannot write to a field alias [code].", "code"),
        ("Flattened field [flat] contains one immense field whose keyed encoding exceeds", "flat"),
        ("mapping set to strict, dynamic introduction of [foo] within [_doc] is not allowed", "foo"),
        ("mapping set to strict, dynamic introduction of [foo] within [bar] is not allowed", "bar.foo"),
        (
            'Document contains at least one immense term in field="context.y" (whose UTF8 encoding',
            "context.y",
        ),
        ("can't merge a non object mapping [context.user] with an object mapping", "context.user"),
        ("Can't merge a non-nested mapping [a.b] with a nested mapping", "a.b"),
        ("can't merge a nested mapping [a] with a non-nested mapping", "a"),
        (
            "Could not dynamically add mapping for field [h.n]. Existing mapping for [host] must be of type object",
            "host",
        ),
        (
            "[1:128] failed to parse: Limit of mapping depth [6] has been exceeded due to object field [q.a.b]",
            "q.a.b",
        ),
        ("Limit of mapping depth [20] has been exceeded due to object field [q.a]", "q.a"),
        ("no field is named", None),
        # What the event says is quoted behind what the server says.
        ("[1:9] failed to parse: object mapping for [level] tried to parse field [level]", None),
    ],
)
def test_the_field_is_read_from_the_reason(reason: str, field: str | None) -> None:
    assert field_of(reason) == field


@pytest.mark.parametrize(
    ("document", "path", "rest", "aside"),
    [
        ({"a": {"b": 1, "c": 2}}, "a.b", {"a": {"c": 2}}, 1),
        ({"a.b": 1}, "a.b", {}, 1),
        ({"a": {"b.c": {"d": 1}}}, "a.b.c.d", {"a": {"b.c": {}}}, 1),
        ({"a": {"x": 1}, "a.b": {"c": "t"}}, "a.b.c", {"a": {"x": 1}, "a.b": {}}, "t"),
        ({"a": [1, 2]}, "a", {}, "[1,2]"),
        ({"user": 1, "context": {"user": "u"}}, "context.user", {"user": 1, "context": {}}, "u"),
        ({"a": [{"b": 1, "c": 2}, {"c": 3}]}, "a.b", {"a": [{"c": 2}, {"c": 3}]}, 1),
    ],
)
def test_the_field_moves_aside(document: dict[str, Any], path: str, rest: dict[str, Any], aside: Any) -> None:
    salvaged = salvage(orjson.dumps(document), f"failed to parse field [{path}] of type [long]")
    assert salvaged is not None
    assert orjson.loads(salvaged[0]) == {**rest, "unmapped": {path: aside}, "tags": ["_mappingconflict"]}
    assert salvaged[1] == path


def test_what_is_aside_already_and_the_tags_stay() -> None:
    source = orjson.dumps({"a": 1, "unmapped": {"x": 2}, "tags": ["error"]})
    salvaged = salvage(source, "failed to parse field [a]")
    assert salvaged is not None
    assert orjson.loads(salvaged[0]) == {"unmapped": {"x": 2, "a": 1}, "tags": ["error", "_mappingconflict"]}


@pytest.mark.parametrize(
    "path",
    ["not.there", "a.b.c", "b", "kafka.offset", "kafka", "@timestamp", "unmapped", "a.c", "kaf"],
)
def test_nothing_to_move_is_no_salvage(path: str) -> None:
    document = {"a": {"b": {"d": 1}}, "kafka": {"offset": 7}, "@timestamp": "2024", "unmapped": {"x": 1}}
    assert salvage(orjson.dumps(document), f"failed to parse field [{path}] of type [long]") is None


def test_a_reason_that_names_no_field_is_no_salvage() -> None:
    assert salvage(b'{"a":1}', "no field is named") is None


def test_a_further_field_of_a_text_takes_the_text_with_it() -> None:
    salvaged = salvage(
        b'{"a":{"name":"long"}}', "[1:9] failed to parse field [a.name.raw] of type [keyword] in"
    )
    assert salvaged is not None
    assert salvaged[1] == "a.name"
    assert orjson.loads(salvaged[0])["unmapped"] == {"a.name": "long"}


OBJECT = (
    "failed to parse field [%s] of type [keyword] in document with id 'i'. Preview of field's value: '{x=1}'"
)
DYNAMIC = "Could not dynamically add mapping for field [n]. Existing mapping for [%s] must be of type object but found"


@pytest.mark.parametrize(
    ("document", "reason", "rest", "aside"),
    [
        ({"host.name": "h"}, OBJECT % "host", {}, {"host.name": "h"}),
        (
            {"host": "h", "host.name": "n", "host.os.kernel": 1},
            OBJECT % "host",
            {"host": "h"},
            {"host.name": "n", "host.os.kernel": 1},
        ),
        (
            {"obj": {"k.z": 1, "k": "v"}, "k.z": 2},
            OBJECT % "obj.k",
            {"obj": {"k": "v"}, "k.z": 2},
            {"obj.k.z": 1},
        ),
        ({"obj": [{"k.z": 1}, {"y": 1}]}, OBJECT % "obj.k", {"obj": [{}, {"y": 1}]}, {"obj.k.z": 1}),
        ({"host": {"x": 1}}, OBJECT % "host", {}, {"host": '{"x":1}'}),
        ({"host.name": "h"}, DYNAMIC % "host", {}, {"host.name": "h"}),
        ({"alias.x": 1}, "[1:99] Cannot write to a field alias [alias].", {}, {"alias.x": 1}),
        ({"error.fingerprint": "f"}, OBJECT % "error", {}, {"error.fingerprint": "f"}),
        (
            {"@timestamp": "t", "@timestamp.x": 1},
            OBJECT % "@timestamp",
            {"@timestamp": "t"},
            {"@timestamp.x": 1},
        ),
    ],
)
def test_what_is_spelt_below_a_field_of_one_value_moves_aside(
    document: dict[str, Any], reason: str, rest: dict[str, Any], aside: dict[str, Any]
) -> None:
    salvaged = salvage(orjson.dumps(document), reason)
    assert salvaged is not None
    assert orjson.loads(salvaged[0]) == {**rest, "unmapped": aside, "tags": ["_mappingconflict"]}


def test_tags_that_are_refused_do_not_come_back() -> None:
    source = orjson.dumps({"host": "h", "tags": ["error"]})
    for path in ("tags", "host"):
        salvaged = salvage(source, f"[1:9] object mapping for [{path}] tried to parse field [null] as object")
        assert salvaged is not None
        source = salvaged[0]
    assert orjson.loads(source) == {"unmapped": {"tags": '["error"]', "host": "h"}}


def test_what_was_moved_aside_becomes_one_text_where_that_conflicts_as_well() -> None:
    source = orjson.dumps({"a": 1, "unmapped": {"x": 2, "x.y": 3}})
    reason = "[1:9] failed to parse field [unmapped.x] of type [text] in document with id 'i'"
    salvaged = salvage(source, reason)
    assert salvaged is not None
    assert orjson.loads(salvaged[0]) == {"a": 1, "unmapped": {"as_json": '{"x":2,"x.y":3}'}}
    assert salvage(salvaged[0], reason) is None
