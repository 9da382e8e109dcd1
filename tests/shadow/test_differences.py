"""Two documents field by field: nothing that is the same differs, and each change is one field."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from pipeline.shadow.differences import MISSING, Difference, Written, differences, flattened, is_ignored
from tests.shadow.documents import DOCUMENTS, SCALARS


def fields(here: dict[str, Any], there: dict[str, Any], *ignored: str) -> list[tuple[str, str]]:
    return [(each.field, each.kind) for each in differences(Written(here), Written(there), ignored)]


@given(DOCUMENTS)
def test_a_document_equals_itself(document: dict[str, Any]) -> None:
    assert fields(document, document) == []


@given(DOCUMENTS, DOCUMENTS)
def test_both_ways_give_the_same_fields(one: dict[str, Any], other: dict[str, Any]) -> None:
    turned = {"only here": "only there", "only there": "only here", "changed": "changed"}
    assert fields(one, other) == [(name, turned[kind]) for name, kind in fields(other, one)]


@given(DOCUMENTS, SCALARS)
def test_a_field_that_one_side_has_more_is_the_only_difference(document: dict[str, Any], value: Any) -> None:
    more = {**document, "extra": {"field": value}}
    assert fields(more, document) == [("extra.field", "only here")]
    assert fields(document, more) == [("extra.field", "only there")]
    assert fields(more, document, "extra") == []


@given(DOCUMENTS)
def test_a_nested_document_equals_its_dotted_form(document: dict[str, Any]) -> None:
    leaves = flattened(document)
    assert flattened(leaves) == leaves


def test_a_path_that_is_spelt_twice_keeps_both_values() -> None:
    assert flattened({"a.b": 1, "a": {"b": 2}}) == {"a.b": [1, 2]}


@pytest.mark.parametrize(
    ("here", "there", "found"),
    [
        ({"n": 1}, {"n": 1.0}, []),
        ({"n": 1}, {"n": True}, ["n"]),
        ({"n": 1}, {"n": "1"}, ["n"]),
        ({"n": None}, {}, ["n"]),
        ({"l": [1, 2]}, {"l": [2, 1]}, ["l"]),
        ({"tags": ["a", "b"]}, {"tags": ["b", "a"]}, []),
        ({"tags": "a"}, {"tags": ["a"]}, []),
        ({"tags": ["a", "a"]}, {"tags": ["a"]}, ["tags"]),
        ({"@timestamp": "2024-01-15T10:30:00Z"}, {"@timestamp": "2024-01-15T10:30:00.000Z"}, []),
        ({"@timestamp": "2024-01-15T10:30:00Z"}, {"@timestamp": "2024-01-15T10:30:00.001Z"}, ["@timestamp"]),
        ({"a": {"b": 1}}, {"a.b": 1}, []),
        ({"a": {}}, {}, ["a"]),
        ({"l": [{"x": 1}]}, {"l": [{"x": 1.0}]}, []),
        ({"l": [{"x": 1}]}, {"l": [{"x": 2}]}, ["l"]),
    ],
)
def test_values_are_compared_as_json(here: dict[str, Any], there: dict[str, Any], found: list[str]) -> None:
    assert [name for name, _kind in fields(here, there)] == found


@pytest.mark.parametrize(
    ("here", "there", "is_same"),
    [
        ("logs-2024.01.15", "logs-2024.01.15", True),
        ("logs-2024.01.15", "logs-2024.01.16", False),
        ("logs-app-prod", ".ds-logs-app-prod-2024.01.15-000003", True),
        ("logs-app", ".ds-logs-app-prod-2024.01.15-000003", False),
        ("logstash", "logstash-2024.01.15-000001", True),
        ("logstash", "logstash-000001", True),
        ("logstash", "logstash-other-000001", False),
    ],
)
def test_an_alias_or_a_stream_is_the_index_behind_it(here: str, there: str, is_same: bool) -> None:
    assert (differences(Written({}, here), Written({}, there)) == []) is is_same
    assert differences(Written({}), Written({}, there)) == []


@given(st.lists(st.sampled_from(["a", "b", "a.b", "c"]), max_size=3))
def test_a_field_is_ignored_with_all_below_it(ignored: list[str]) -> None:
    assert is_ignored("a.b.c", ignored) == bool({"a", "a.b"} & set(ignored))
    assert not is_ignored("ab", ignored)


def test_ids_are_compared_where_ours_has_one() -> None:
    assert differences(Written({}, None, "1"), Written({}, "i", "2")) == [Difference("_id", "1", "2")]
    assert differences(Written({}, None, None), Written({}, "i", "2")) == []
    assert Difference("a", MISSING, 1).kind == "only there"
