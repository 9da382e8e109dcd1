"""Wanted objects against the server's, without a server."""

from typing import Any

import pytest

from pipeline.install.plan import Change, normal_form, plan_changes, self_contained
from pipeline.install.resources import Kind, Resource

COMPONENT = Resource(
    Kind.COMPONENT,
    "p@settings",
    {
        "template": {"settings": {"index.number_of_shards": 3, "index.codec": "best_compression"}},
        "version": 1,
    },
)


def plan_one(wanted: Resource, current: dict[str, Any] | None) -> list[Change]:
    return plan_changes([wanted], {wanted.path: current})


def test_what_is_missing_is_created_and_shown_whole() -> None:
    (change,) = plan_one(COMPONENT, None)
    assert change.creates
    assert str(change) == "create component template p@settings"
    assert change.diff.splitlines()[:2] == ["--- nothing", "+++ setup/_component_template/p@settings"]
    assert '+      "index.number_of_shards": "3"' in change.diff


def test_what_differs_is_updated_and_shown_line_by_line() -> None:
    current = {
        "template": {"settings": {"index": {"number_of_shards": "1", "codec": "best_compression"}}},
        "version": 1,
    }
    (change,) = plan_one(COMPONENT, current)
    assert not change.creates
    assert str(change) == "update component template p@settings"
    changed = [line for line in change.diff.splitlines() if line[0] in "+-"]
    assert changed == [
        "--- server/_component_template/p@settings",
        "+++ setup/_component_template/p@settings",
        '-      "index.number_of_shards": "1"',
        '+      "index.number_of_shards": "3"',
    ]


def test_what_is_there_is_left_alone() -> None:
    assert plan_one(COMPONENT, COMPONENT.body) == []


@pytest.mark.parametrize(
    ("sent", "given_back"),
    [
        ({"index.number_of_shards": 3}, {"index": {"number_of_shards": "3"}}),
        ({"number_of_shards": 3}, {"index": {"number_of_shards": "3"}}),
        ({"index": {"mapping": {"ignore_malformed": True}}}, {"index.mapping.ignore_malformed": "true"}),
        ({"index.query.default_field": ["a", "b"]}, {"index": {"query": {"default_field": ["a", "b"]}}}),
    ],
)
def test_settings_are_compared_however_they_are_written(
    sent: dict[str, Any], given_back: dict[str, Any]
) -> None:
    assert normal_form(Kind.COMPONENT, {"template": {"settings": sent}}) == normal_form(
        Kind.COMPONENT, {"template": {"settings": given_back}}
    )


def test_dates_that_the_server_adds_are_no_difference() -> None:
    assert plan_one(COMPONENT, {**COMPONENT.body, "created_date_millis": 1, "modified_date_millis": 2}) == []


def test_templates_are_tried_with_their_components_and_the_users_own_as_named() -> None:
    template = Resource(
        Kind.INDEX_TEMPLATE,
        "p",
        {
            "index_patterns": ["p-2*"],
            "composed_of": ["p@settings", "p@custom"],
            "template": {"mappings": {"dynamic": False}},
        },
    )
    (tried,) = self_contained([COMPONENT, template])
    assert tried.body == {
        "index_patterns": ["p-2*"],
        "composed_of": ["p@custom"],
        "template": {**COMPONENT.body["template"], "mappings": {"dynamic": False}},
    }
