"""Index templates beside ours, without a server."""

from fnmatch import fnmatchcase
from itertools import product
from typing import Any

import pytest
from hypothesis import given, strategies as st

from pipeline.events.indices import log_index_patterns
from pipeline.install.other_templates import (
    conflicting_templates,
    overriding_templates,
    patterns_overlap,
    templates_taken_over,
)
from pipeline.install.resources import Kind, Resource, load_resources
from pipeline.settings import Index

# The shortest name that two patterns have in common has no more letters than both together.
NAMES = ["".join(letters) for length in range(9) for letters in product("ab", repeat=length)]


def entry(name: str, priority: int, *patterns: str, composed_of: tuple[str, ...] = ()) -> dict[str, Any]:
    body = {"priority": priority, "index_patterns": list(patterns), "composed_of": list(composed_of)}
    return {"name": name, "index_template": body}


def template_of(prefix: str) -> Resource:
    return load_resources(Index(prefix=prefix))[-1]


def installed(prefix: str) -> dict[str, Any]:
    ours = template_of(prefix)
    return {"name": ours.name, "index_template": ours.body}


@pytest.mark.parametrize(
    ("name", "priority", "pattern", "wins"),
    [
        ("other", 501, "p-*", True),
        ("other", 501, "*", True),
        ("other", 501, "p-2026.*", True),
        ("other", 500, "p-*", False),
        ("other", 501, "q-*", False),
        ("p", 501, "p-*", False),
    ],
)
def test_a_template_wins_by_its_pattern_and_a_higher_priority(
    name: str, priority: int, pattern: str, wins: bool
) -> None:
    ours = Resource(Kind.INDEX_TEMPLATE, "p", {"priority": 500})
    there = [{"name": name, "index_template": {"priority": priority, "index_patterns": ["x", pattern]}}]
    found = overriding_templates(there, ours, "p-2026.11.23")
    assert found == ([f"{name} (priority {priority}, patterns x, {pattern})"] if wins else [])


@given(st.text("ab*", max_size=4), st.text("ab*", max_size=4))
def test_patterns_overlap_where_some_name_matches_both(one: str, other: str) -> None:
    both = any(fnmatchcase(name, one) and fnmatchcase(name, other) for name in NAMES)
    assert patterns_overlap(one, other) is both
    assert patterns_overlap(one, other) is patterns_overlap(other, one)


def test_patterns_of_the_length_of_index_names_are_compared_at_once() -> None:
    assert patterns_overlap("a*" * 100 + "b", "*a" * 100 + "*b")
    assert not patterns_overlap("a*" * 100 + "b", "*a" * 100 + "*c")


@pytest.mark.parametrize(
    "other", ["claude", "claude-code-bot-staging", "claude-code-bot-2", "claude-code-bot2", "logs"]
)
def test_no_prefix_is_in_the_way_of_another(other: str) -> None:
    for one, two in (("claude-code-bot", other), (other, "claude-code-bot")):
        ours, there = template_of(one), [installed(two)]
        assert conflicting_templates(there, ours) == []
        assert templates_taken_over(there, ours) == []
        for roll_suffix in ("", "-000001"):
            assert overriding_templates(there, ours, f"{one}-2026.11.23{roll_suffix}") == []
            theirs = Resource(Kind.INDEX_TEMPLATE, two, there[0]["index_template"])
            assert overriding_templates([installed(one)], theirs, f"{two}-2026.11.23{roll_suffix}") == []


def test_the_patterns_of_a_prefix_match_its_indices_and_none_of_a_longer_prefix() -> None:
    patterns = log_index_patterns("logs")
    for name in (
        "logs-2026.11.23",
        "logs-0001.01.01",
        "logs-2026.11.23-000001",
        "logs-undated",
        "logs-overflow",
    ):
        assert any(fnmatchcase(name, pattern) for pattern in patterns)
    for name in ("logs", "logs.fingerprints", "logs-staging-2026.11.23", "logs2-2026.11.23"):
        assert not any(fnmatchcase(name, pattern) for pattern in patterns)


def test_a_template_of_the_same_priority_for_the_same_indices_is_a_conflict() -> None:
    ours = template_of("p")
    same = ours.body["priority"]
    there = [
        entry("a", same, "p-2026.*"),
        entry("b", same, "q-*"),
        entry("c", same + 1, "p-2*"),
        entry("p", same, "p-*"),
    ]
    assert conflicting_templates(there, ours) == [f"a (priority {same}, patterns p-2026.*)"]


def test_a_template_that_an_earlier_version_installed_for_a_longer_prefix_would_be_taken_over() -> None:
    earlier = entry("p-2", 500, "p-2-*", composed_of=("p-2@settings", "p-2@mappings"))
    somebody_elses = entry("p-3", 500, "p-3-*", composed_of=())
    assert templates_taken_over([earlier, somebody_elses], template_of("p")) == ["p-2"]
    assert templates_taken_over([installed("p-2")], template_of("p")) == []
    unrelated = entry("p-staging", 500, "p-staging-*", composed_of=("p-staging@mappings",))
    assert templates_taken_over([unrelated], template_of("p")) == []
