"""What a summary tells of a story."""

from typing import Any

import orjson
import pytest

from pipeline.errors import SettingsError
from pipeline.sample import sample_events
from pipeline.settings import Traces
from pipeline.trace_stories.emission import FIELDS
from pipeline.trace_stories.flows import chosen_flows, load_flows
from pipeline.trace_stories.fold import Story
from pipeline.trace_stories.shapes import Shapes
from pipeline.trace_stories.summary import summarise
from tests.trace_stories.rows import line

SHAPES = Shapes(chosen_flows(Traces()))


def summary_of(*rows: list[Any]) -> dict[str, Any]:
    story = Story()
    story.add(rows, 500)
    return summarise("abc", story, SHAPES, closed=True)


def request(**last: Any) -> list[list[Any]]:
    return [
        line(1, 0, user_id="user-1"),
        line(2, 4, component="auth_middleware", message="Request authenticated"),
        line(3, 150, component="database", message="Query executed"),
        line(4, **{"at_ms": 160, "message": "Request completed", **last}),
    ]


def test_a_request_in_time_is_ok_and_cut_into_its_steps() -> None:
    summary = summary_of(*request())
    assert {
        name: summary[name] for name in ("flow", "outcome", "duration_ms", "expected_ms", "critical_ms")
    } == {
        "flow": "api_request",
        "outcome": "ok",
        "duration_ms": 160,
        "expected_ms": 200,
        "critical_ms": 146,
    }
    assert [(step["name"], step["duration_ms"]) for step in summary["steps"]] == [
        ("request", 0),
        ("authentication", 4),
        ("business_logic", 146),
        ("response", 10),
    ]
    assert summary["components"] == ["http_server", "auth_middleware", "database"]
    assert summary["user_ids"] == ["user-1"]
    assert summary["largest_gap"]["duration_ms"] == 146
    assert summary["largest_gap"]["before_component"] == "database"


@pytest.mark.parametrize(
    ("rows", "outcome"),
    [
        (request(at_ms=201), "slow"),
        (request()[:-1], "incomplete"),
        (request(level="ERROR", message="Request failed"), "error"),
        ([line(1, message="anything", component="job_runner")], "ok"),
    ],
)
def test_outcomes(rows: list[list[Any]], outcome: str) -> None:
    assert summary_of(*rows)["outcome"] == outcome


def test_the_first_error_is_the_first_by_time_whatever_its_offset() -> None:
    summary = summary_of(
        line(1, 20, level="ERROR", message="second", fingerprint="b"),
        line(2, 10, level="ERROR", message="first", component="database", fingerprint="a"),
    )
    assert summary["first_error"]["message"] == "first"
    assert summary["first_error"]["fingerprint"] == "a"
    assert summary["error_count"] == 2


def test_an_integration_is_none_of_the_webhooks_although_it_begins_as_one() -> None:
    summary = summary_of(
        line(1, 0, component="webhook_receiver", message="Webhook received"),
        line(2, 30, component="integration_service", message="Integration requested"),
    )
    assert summary["flow"] == "integration_creation"
    assert not summary["complete"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("flows = 1", "flows"),
        ('[[flows]]\nname = "a"\n', "expected_seconds"),
        ('[[flows]]\nname = "A b"\nbegins=[{}]\nends=[{}]\nexpected_seconds=1\n', "name"),
        (
            '[[flows]]\nname = "a"\nbegins=[{message="("}]\nends=[{}]\nexpected_seconds=1\n',
            "regular expression",
        ),
        ('[[flows]]\nname = "none"\nbegins=[{}]\nends=[{}]\nexpected_seconds=1\n', "taken"),
    ],
)
def test_wrong_flows_are_refused_by_name(text: str, word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        load_flows(text, "flows.toml")


def test_the_flows_of_the_guide_are_found_in_sample_traffic() -> None:
    stories: dict[str, Story] = {}
    for mark, event in enumerate(
        sample_events(20_000, seed=3, end_ms=1_705_314_600_000, span_seconds=20_000)
    ):
        try:
            fields = orjson.loads(event.value)
        except ValueError:
            continue
        if "component" in fields and isinstance(fields.get("timestamp"), str):
            stories.setdefault(event.trace_id, Story()).add(
                [["t", "logs/0", 1, [mark, fields["timestamp"], *[fields[name] for name in FIELDS]]]], 500
            )
    summaries = [summarise(name, story, SHAPES, closed=True) for name, story in stories.items()]
    flows = {
        name: [each for each in summaries if each["flow"] == name] for name in (f.name for f in SHAPES.flows)
    }
    for name, some in flows.items():
        assert some, name
        assert sum(each["complete"] for each in some) > 0.8 * len(some), name
        assert any(
            len(each["steps"]) == len(flow.steps)
            for each in some
            for flow in SHAPES.flows
            if flow.name == name
        )
