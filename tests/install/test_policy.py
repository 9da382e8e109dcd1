"""The ILM policy and all index settings, given to Elasticsearch's own parsers (x-pack-core)."""

import json
import subprocess
import sys
from typing import Any

import pytest

from pipeline.install import Kind, load_resources
from pipeline.install.plan import normal_form
from pipeline.sandbox import x_pack_core
from pipeline.sandbox.java import java_library
from pipeline.settings import Index

OURS = load_resources(Index())[0].body

ALLOCATE = {"min_age": "7d", "actions": {"allocate": {"number_of_replicas": 0}}}
GUIDE = {
    "policy": {
        "phases": {
            "hot": {"actions": {"rollover": {"max_size": "50gb", "max_age": "1d"}}},
            "warm": ALLOCATE,
            "cold": {**ALLOCATE, "min_age": "30d"},
            "delete": {"min_age": "90d"},
        }
    }
}
GUIDE_DELETING_NOTHING = {
    "policy": {"phases": {**GUIDE["policy"]["phases"], "delete": {"min_age": "90d", "actions": {}}}}
}
POLICIES = {"ours": OURS, "guide": GUIDE, "guide deleting nothing": GUIDE_DELETING_NOTHING}
COMPONENTS = {
    f"{roll}: {resource.name}": normal_form(Kind.COMPONENT, resource.body)["template"]["settings"]
    for roll in ("day", "ilm")
    for resource in load_resources(Index.model_validate({"roll": roll}))
    if resource.kind is Kind.COMPONENT and "settings" in resource.body["template"]
}


@pytest.fixture(scope="module")
def parsed() -> dict[str, Any]:
    answer = subprocess.run(
        [
            *(sys.executable, "-m", "tests.install.policy_parser"),
            str(java_library()),
            ":".join(map(str, x_pack_core().classpath)),
        ],
        input=json.dumps(
            {"policies": POLICIES, "settings": {**COMPONENTS, "wrong": {"index.lifecycle.nam": "p"}}}
        ),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    result: dict[str, Any] = json.loads(answer.stdout)
    return result


def test_our_policy_is_accepted_and_read_as_it_is_meant(parsed: dict[str, Any]) -> None:
    assert parsed["policies"]["ours"]["policy"]["phases"] == {
        "hot": {
            "min_age": "0ms",
            "actions": {
                "set_priority": {"priority": 100},
                "rollover": {"max_primary_shard_size": "50gb", "max_age": "1d"},
            },
        },
        "warm": {
            "min_age": "7d",
            "actions": {
                "set_priority": {"priority": 50},
                "allocate": {"number_of_replicas": 0, "include": {}, "exclude": {}, "require": {}},
            },
        },
        "cold": {
            "min_age": "30d",
            "actions": {
                "set_priority": {"priority": 0},
                "allocate": {"number_of_replicas": 0, "include": {}, "exclude": {}, "require": {}},
            },
        },
        "delete": {"min_age": "90d", "actions": {"delete": {"delete_searchable_snapshot": True}}},
    }


def test_our_policy_as_the_server_gives_it_back_is_no_difference(parsed: dict[str, Any]) -> None:
    given_back = {"policy": parsed["policies"]["ours"]["policy"]}
    assert normal_form(Kind.POLICY, given_back) == normal_form(Kind.POLICY, OURS)


def test_the_guides_policy_is_refused(parsed: dict[str, Any]) -> None:
    assert parsed["policies"]["guide"] == {"refused": "Required [actions]"}


def test_empty_actions_are_accepted_but_would_delete_nothing(parsed: dict[str, Any]) -> None:
    phases = parsed["policies"]["guide deleting nothing"]["policy"]["phases"]
    assert phases["delete"] == {"min_age": "90d", "actions": {}}


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_index_setting_is_one_of_elasticsearchs(parsed: dict[str, Any], name: str) -> None:
    assert parsed["settings"][name] is None


def test_a_misspelt_setting_would_be_noticed(parsed: dict[str, Any]) -> None:
    assert "unknown setting [index.lifecycle.nam]" in parsed["settings"]["wrong"]
