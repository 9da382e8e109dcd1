"""The table of outcomes, row by row, and the moving aside of a rejected field."""

from typing import Any

import orjson
import pytest

from pipeline.bulk.outcomes import Outcome, RequestOutcome, classify, classify_request, innermost_cause
from pipeline.bulk.salvage import field_of, salvage


@pytest.mark.parametrize(
    ("status", "error_type", "outcome"),
    [
        (200, None, Outcome.INDEXED),
        (201, None, Outcome.INDEXED),
        (409, "version_conflict_engine_exception", Outcome.ALREADY_THERE),
        (429, "es_rejected_execution_exception", Outcome.RETRY),
        (429, "cluster_block_exception", Outcome.RETRY),
        (429, "circuit_breaking_exception", Outcome.RETRY),
        (500, "node_closed_exception", Outcome.RETRY),
        (500, "not_x_content_exception", Outcome.REJECTED),
        (502, None, Outcome.RETRY),
        (503, "unavailable_shards_exception", Outcome.RETRY),
        (504, None, Outcome.RETRY),
        (403, "cluster_block_exception", Outcome.RETRY),
        (403, "security_exception", Outcome.REJECTED),
        (404, "index_not_found_exception", Outcome.RETRY_ONCE),
        (404, "something_else", Outcome.REJECTED),
        (400, "document_parsing_exception", Outcome.REJECTED),
        (400, "illegal_argument_exception", Outcome.REJECTED),
        (418, None, Outcome.REJECTED),
    ],
)
def test_outcome_of_an_item(status: int, error_type: str | None, outcome: Outcome) -> None:
    assert classify(status, error_type) is outcome


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (400, RequestOutcome.SPLIT),
        (413, RequestOutcome.SPLIT),
        (408, RequestOutcome.RETRY),
        (429, RequestOutcome.RETRY),
        (500, RequestOutcome.RETRY),
        (503, RequestOutcome.RETRY),
        (401, RequestOutcome.FORBIDDEN),
        (403, RequestOutcome.FORBIDDEN),
        (404, RequestOutcome.FORBIDDEN),
        (406, RequestOutcome.FORBIDDEN),
    ],
)
def test_outcome_of_a_request(status: int, outcome: RequestOutcome) -> None:
    assert classify_request(status) is outcome


def test_the_innermost_cause_is_shown() -> None:
    error = {"reason": "outer", "caused_by": {"reason": "middle", "caused_by": {"type": "inner"}}}
    assert innermost_cause(error) == "inner"
    assert innermost_cause("text") == "text"


@pytest.mark.parametrize(
    ("reason", "field"),
    [
        ("[1:23] failed to parse field [context.x] of type [long] in document with id 'a'", "context.x"),
        ("object mapping for [a] tried to parse field [a.b] as object, but found a concrete value", "a.b"),
        ("mapping set to strict, dynamic introduction of [foo] within [_doc] is not allowed", "foo"),
        ("mapping set to strict, dynamic introduction of [foo] within [bar] is not allowed", "bar.foo"),
        (
            'Document contains at least one immense term in field="context.y" (whose UTF8 encoding',
            "context.y",
        ),
        ("no field is named", None),
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


@pytest.mark.parametrize("reason", ["no field is named", "failed to parse field [not.there]"])
def test_nothing_to_move_is_no_salvage(reason: str) -> None:
    assert salvage(b'{"a":{"b":1}}', reason) is None
