import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson
import pytest

from pipeline.errors import SettingsError
from pipeline.sample import EVENTS_PER_REQUEST, INCIDENTS, SampleEvent, sample_events

END_MS = 1_769_781_600_000  # 2026-01-30T14:00:00Z
DAY_SECONDS = 86_400
SPAN_MS = 3 * DAY_SECONDS * 1000
COUNT = 30_000
FIELDS = [
    "timestamp",
    "level",
    "service",
    "component",
    "trace_id",
    "span_id",
    "user_id",
    "integration_id",
    "message",
    "context",
]

Event = dict[str, Any]
Story = list[tuple[int, Event]]


def is_json(value: bytes) -> bool:
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return False
    return True


def unpack(value: bytes) -> Event:
    """Decode a line, out of its envelope where it has one, with the level as the guide writes it."""
    event: Event = orjson.loads(value)
    if "fields" in event:
        event = orjson.loads(event["message"])
    event["level"] = "WARN" if event["level"] == "warning" else event["level"].upper()
    return event


def decoded(events: Iterable[SampleEvent]) -> Iterator[tuple[int, Event]]:
    return ((event.timestamp_ms, unpack(event.value)) for event in events if is_json(event.value))


def stories_of(events: Iterable[tuple[int, Event]]) -> list[Story]:
    stories: dict[str, Story] = defaultdict(list)
    for timestamp_ms, event in events:
        stories[event["trace_id"]].append((timestamp_ms, event))
    return list(stories.values())


def percentile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(math.floor(len(ordered) * share), len(ordered) - 1)]


def in_last_tenth(timestamp_ms: int) -> bool:
    return timestamp_ms >= END_MS - SPAN_MS // 10


@pytest.fixture(scope="module")
def lines() -> list[SampleEvent]:
    return list(sample_events(COUNT, end_ms=END_MS))


@pytest.fixture(scope="module")
def events(lines: list[SampleEvent]) -> list[tuple[int, Event]]:
    return list(decoded(lines))


@pytest.fixture(scope="module")
def stories(events: list[tuple[int, Event]]) -> list[Story]:
    return stories_of(events)


def with_component(stories: list[Story], component: str) -> list[Story]:
    return [story for story in stories if any(event["component"] == component for _, event in story)]


@pytest.mark.parametrize("count", [0, 1, 2, 7, 100, 12_345])
@pytest.mark.parametrize("span_seconds", [0.001, 1, 60, 3600, 30 * DAY_SECONDS])
def test_exactly_as_many_as_asked_in_time_order_within_the_span(count: int, span_seconds: float) -> None:
    made = list(sample_events(count, end_ms=END_MS, span_seconds=span_seconds))
    times = [event.timestamp_ms for event in made]
    assert len(made) == count
    assert times == sorted(times)
    assert all(END_MS - math.ceil(span_seconds * 1000) <= time <= END_MS for time in times)


def test_the_seed_decides_every_byte() -> None:
    first = list(sample_events(3000, seed=7, end_ms=END_MS))
    assert first == list(sample_events(3000, seed=7, end_ms=END_MS))
    assert first != list(sample_events(3000, seed=8, end_ms=END_MS))


def test_the_span_is_filled_to_both_ends_and_every_day_has_its_share(lines: list[SampleEvent]) -> None:
    assert lines[0].timestamp_ms - (END_MS - SPAN_MS) < 60_000
    assert END_MS - lines[-1].timestamp_ms < 60_000
    days = Counter(datetime.fromtimestamp(line.timestamp_ms / 1000, UTC).date() for line in lines)
    assert len(days) == 4
    assert min(days.values()) > COUNT * 0.08


def test_days_are_busier_than_nights(lines: list[SampleEvent]) -> None:
    hours = Counter(datetime.fromtimestamp(line.timestamp_ms / 1000, UTC).hour for line in lines)
    assert sum(hours[hour] for hour in range(8, 16)) > 2 * sum(hours[hour] for hour in range(8))


def test_the_first_lines_of_a_huge_run_come_at_once() -> None:
    made = itertools.islice(sample_events(10**12, end_ms=END_MS), 1000)
    assert len(list(made)) == 1000


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"count": -1}, "count = -1"),
        ({"count": 1, "span_seconds": 0}, "span_seconds = 0"),
        ({"count": 1, "span_seconds": -5.0}, "span_seconds = -5.0"),
        ({"count": 1, "span_seconds": math.nan}, "span_seconds = nan"),
        ({"count": 1, "incident": "flood"}, "incident = 'flood'.*error-spike"),
        ({"count": 1, "incident": "error-spike", "incident_from": 1.5}, "incident_from = 1.5"),
    ],
)
def test_a_wrong_argument_is_refused_by_name_before_the_first_line(
    arguments: dict[str, Any], named: str
) -> None:
    with pytest.raises(SettingsError, match=named):
        sample_events(**arguments, end_ms=END_MS)


def test_lines_are_as_large_as_the_guides(lines: list[SampleEvent]) -> None:
    assert 350 <= sum(len(line.value) for line in lines) / COUNT <= 450


def test_all_but_one_in_2000_lines_are_json(lines: list[SampleEvent]) -> None:
    broken = [line for line in lines if not is_json(line.value)]
    assert COUNT / 4000 < len(broken) < COUNT / 1000
    assert any(line.value.startswith(b"{") for line in broken), "cut off"
    assert any(not line.value.startswith(b"{") for line in broken), "plain text"


def test_levels_have_their_shares(events: list[tuple[int, Event]]) -> None:
    levels = Counter(event["level"] for _, event in events)
    assert set(levels) == {"ERROR", "WARN", "INFO", "DEBUG"}
    assert 0.01 <= levels["ERROR"] / COUNT <= 0.02
    assert 0.05 <= levels["WARN"] / COUNT <= 0.07
    assert 0.05 <= levels["DEBUG"] / COUNT <= 0.15


@pytest.mark.parametrize(
    ("is_odd", "least"),
    [
        pytest.param(lambda event: "fields" in event, COUNT // 400, id="filebeat envelope"),
        pytest.param(
            lambda event: re.search(r"[+-]\d\d:\d\d$", event.get("timestamp", "")), COUNT // 600, id="offset"
        ),
        pytest.param(lambda event: event.get("level", "X").islower(), COUNT // 400, id="lower-case level"),
        pytest.param(lambda event: event.get("level") == "warning", 1, id="warning"),
    ],
)
def test_a_small_share_is_written_otherwise(
    lines: list[SampleEvent], is_odd: Callable[[Event], Any], least: int
) -> None:
    odd = [line for line in lines if is_json(line.value) and is_odd(orjson.loads(line.value))]
    assert least <= len(odd) <= COUNT // 100


def test_an_envelope_is_what_filebeat_ships(lines: list[SampleEvent]) -> None:
    envelopes = [
        event for line in lines if is_json(line.value) and "fields" in (event := orjson.loads(line.value))
    ]
    for envelope in envelopes:
        assert envelope["fields"] == {"service": "claude-code-bot"}
        assert {"@timestamp", "host", "agent", "log"} <= set(envelope)
        assert list(orjson.loads(envelope["message"])) == FIELDS


def test_every_event_has_the_guides_fields_and_its_own_time(events: list[tuple[int, Event]]) -> None:
    for timestamp_ms, event in events:
        assert list(event) == FIELDS
        written = datetime.fromisoformat(event["timestamp"])
        assert (written - datetime.fromtimestamp(0, UTC)) / timedelta(milliseconds=1) == timestamp_ms
        assert re.fullmatch("[0-9a-f]{32}", event["trace_id"])
        assert re.fullmatch("[0-9a-f]{16}", event["span_id"])
        assert event["message"]
        assert re.fullmatch(r"\d+\.\d+\.\d+", event["context"]["version"])


def test_span_ids_are_distinct_and_the_trace_id_is_the_events(
    lines: list[SampleEvent], events: list[tuple[int, Event]]
) -> None:
    assert len({event["span_id"] for _, event in events}) == len(events)
    assert all(unpack(line.value)["trace_id"] == line.trace_id for line in lines if is_json(line.value))


def test_what_an_event_timed_lies_within_its_trace(stories: list[Story]) -> None:
    timed = 0
    for story in stories:
        # Where a trace's first line is unreadable, its beginning is not known.
        if story[0][1]["message"] not in {"Request received", "Webhook received", "Job started"}:
            continue
        for timestamp_ms, event in story:
            took_ms = event["context"].get("processing_time_ms")
            if took_ms is not None:
                timed += 1
                assert took_ms >= 0
                assert timestamp_ms - took_ms >= story[0][0]
    assert timed > COUNT / 2


def test_an_answer_took_as_long_as_its_trace(stories: list[Story]) -> None:
    requests = [
        story
        for story in stories
        if story[0][1]["message"] == "Request received" and "http_status" in story[-1][1]["context"]
    ]
    assert len(requests) > COUNT / 20
    for story in requests:
        assert story[-1][1]["context"]["processing_time_ms"] == story[-1][0] - story[0][0]


def test_a_request_is_received_authenticated_and_answered(stories: list[Story]) -> None:
    requests = with_component(stories, "auth_middleware")
    methods = set()
    statuses: Counter[int] = Counter()
    for story in requests:
        assert {event["service"] for _, event in story} == {"api"}
        answer = story[-1][1]
        if "http_status" in answer["context"]:
            methods.add(answer["context"]["method"])
            statuses[answer["context"]["http_status"]] += 1
            assert re.fullmatch(r"/v1(/[a-z]+|/\{integration_id\})+", answer["context"]["route"])
            assert ("{integration_id}" in answer["context"]["route"]) == (
                answer["integration_id"] is not None
            )
            assert answer["user_id"].startswith("user-")
    assert methods == {"GET", "POST", "PATCH", "DELETE"}
    assert {200, 201, 204, 401, 404, 422, 429} <= set(statuses)


def test_requests_are_as_fast_as_the_guide_wants(events: list[tuple[int, Event]]) -> None:
    took = [
        event["context"]["processing_time_ms"]
        for _, event in events
        if event["message"] == "Request completed" and event["context"]["http_status"] < 300
    ]
    assert percentile(took, 0.5) < 100
    assert percentile(took, 0.95) < 500


def test_a_webhook_is_received_validated_processed_and_answered(stories: list[Story]) -> None:
    webhooks = with_component(stories, "webhook_processor")
    assert len(webhooks) > COUNT / 50
    usual = ["Webhook received", "Webhook validated", "Query executed", "Webhook processed", "Response sent"]
    assert sum([event["message"] for _, event in story] == usual for story in webhooks) > len(webhooks) / 2
    for story in webhooks:
        assert all("github_issue_id" not in event["context"] for _, event in story)
        for _, event in story:
            if event["message"] in {"Webhook received", "Webhook processed"}:
                assert event["context"]["source"] == "github"
                assert event["context"]["queue_depth"] >= 0


def test_an_integration_goes_from_its_issue_to_its_pull_request(stories: list[Story]) -> None:
    created = 0
    for story in with_component(stories, "integration_service"):
        ended = story[-1][1]
        if ended["message"] != "Integration created successfully" or len(story) < 20:
            continue
        created += 1
        assert (ended["service"], ended["component"]) == ("api", "integration_service")
        assert ended["context"]["integration_type"]
        assert ended["context"]["github_issue_id"].isdigit()
        assert ended["context"]["processing_time_ms"] < 1_800_000
        assert len({event["integration_id"] for _, event in story}) == 1
        stages = [event["context"]["stage"] for _, event in story if "stage" in event["context"]]
        whole = ["requirements_analysis", "code_generation", "code_review", "pr_creation"]
        assert [stage for stage in whole if stage in stages] == stages
        assert {event["context"].get("external_service") for _, event in story} >= {
            "claude-api",
            "github-api",
        }
    assert created > COUNT / 500


def test_most_integrations_stay_within_the_guides_15_minutes(events: list[tuple[int, Event]]) -> None:
    took = [
        event["context"]["processing_time_ms"]
        for _, event in events
        if event["message"] == "Integration created successfully"
    ]
    assert 60_000 < percentile(took, 0.5) < 600_000
    assert percentile(took, 0.99) < 900_000


def test_a_failed_integration_says_why() -> None:
    events = decoded(sample_events(2 * COUNT, end_ms=END_MS))  # they are rare
    failed = [event for _, event in events if event["message"].startswith("Integration failed")]
    assert failed
    for event in failed:
        assert (event["level"], event["component"]) == ("ERROR", "integration_service")
        assert {"reason", "integration_type", "processing_time_ms"} <= set(event["context"])
    assert len({event["context"]["reason"] for event in failed}) > 3


def test_external_calls_tell_their_limits_and_tokens(events: list[tuple[int, Event]]) -> None:
    calls = [event for _, event in events if "external_service" in event["context"]]
    assert {event["context"]["external_service"] for event in calls} == {"claude-api", "github-api"}
    for event in calls:
        context = event["context"]
        assert {"http_status", "rate_limit_remaining", "processing_time_ms"} <= set(context)
        assert "method" not in context, "or it would be counted as a request to us"
        if context["external_service"] == "claude-api" and event["level"] == "INFO":
            assert context["input_tokens"] > 0
            assert context["output_tokens"] > 0


def test_queries_name_their_table(events: list[tuple[int, Event]]) -> None:
    queries = [event for _, event in events if event["message"] in {"Query executed", "Slow query"}]
    for event in queries:
        assert event["component"] == "database"
        assert {"db_operation", "db_table", "rows", "processing_time_ms"} <= set(event["context"])
        assert (event["level"] == "WARN") == (event["context"]["processing_time_ms"] >= 100)


def test_exceptions_come_with_their_type_and_stack_trace(events: list[tuple[int, Event]]) -> None:
    raised = [event for _, event in events if "exception_type" in event["context"]]
    assert len({event["context"]["exception_type"] for event in raised}) > 10
    for event in raised:
        assert event["level"] == "ERROR"
        exception = event["context"]["exception_type"]
        assert f"{exception}:" in event["message"]
        assert event["context"]["stack_trace"].startswith("Traceback (most recent call last):\n")
        assert re.search(rf"^(\w+\.)*{exception}: ", event["context"]["stack_trace"], re.MULTILINE)


def test_a_deployment_changes_the_version(events: list[tuple[int, Event]]) -> None:
    deployed = [(time, event) for time, event in events if event["message"] == "Deployment started"]
    assert len(deployed) == 1
    time, deployment = deployed[0]
    version = deployment["context"]["version"]
    assert all(event["context"]["version"] != version for before, event in events if before < time)
    # Stories that began before go on in the release that they find.
    assert all(event["context"]["version"] == version for after, event in events if after > time + 1_800_000)


def error_share(events: list[Event]) -> float:
    return len([event for event in events if event["level"] == "ERROR"]) / len(events)


def lowest_claude_limit(events: list[Event]) -> float:
    left: list[float] = [
        event["context"]["rate_limit_remaining"]
        for event in events
        if event["context"].get("external_service") == "claude-api" and event["level"] == "INFO"
    ]
    return -percentile(left, 0.5)


def deepest_queue(events: list[Event]) -> float:
    depths: list[float] = [event["context"].get("queue_depth", 0) for event in events]
    return max(depths)


def slowest_requests(events: list[Event]) -> float:
    return percentile(
        (
            event["context"]["processing_time_ms"]
            for event in events
            if event["message"] == "Request completed" and event["context"]["http_status"] < 300
        ),
        0.95,
    )


@pytest.mark.parametrize(
    ("incident", "figure", "usual_at_most", "incident_at_least"),
    [
        # The last column is what the guide's alert on it needs.
        pytest.param("error-spike", error_share, 0.04, 0.1, id="error-spike"),
        pytest.param("api-rate-limit", lowest_claude_limit, -1000, -100, id="api-rate-limit"),
        pytest.param("webhook-lag", deepest_queue, 100, 5000, id="webhook-lag"),
        pytest.param("slow-responses", slowest_requests, 500, 2000, id="slow-responses"),
    ],
)
def test_an_incident_shows_in_the_last_tenth_only(
    incident: str,
    figure: Callable[[list[Event]], float],
    usual_at_most: float,
    incident_at_least: float,
) -> None:
    made = list(decoded(sample_events(COUNT, end_ms=END_MS, incident=incident)))
    before = [event for timestamp_ms, event in made if not in_last_tenth(timestamp_ms)]
    during = [event for timestamp_ms, event in made if in_last_tenth(timestamp_ms)]
    assert figure(before) <= usual_at_most
    assert figure(during) >= incident_at_least


def test_there_are_the_incidents_that_the_guide_alerts_on() -> None:
    assert INCIDENTS == ("error-spike", "api-rate-limit", "webhook-lag", "slow-responses")


def test_an_error_spike_follows_a_release() -> None:
    made = list(decoded(sample_events(COUNT, end_ms=END_MS, incident="error-spike")))
    releases = [time for time, event in made if event["message"] == "Deployment started"]
    assert len(releases) == 2
    assert 0 <= releases[-1] - (END_MS - SPAN_MS // 10) < 600_000


def test_refused_calls_fail_integrations_during_a_rate_limit() -> None:
    made = decoded(sample_events(COUNT, end_ms=END_MS, incident="api-rate-limit"))
    reasons = Counter(
        event["context"]["reason"]
        for time, event in made
        if in_last_tenth(time) and event["message"].startswith("Integration failed")
    )
    assert reasons["rate_limited"] > 0


# --- what the alerts see ----------------------------------------------------------------------------------


class Sight(NamedTuple):
    """What the guide's metrics say after some minutes of traffic."""

    server_errors: dict[str, float]
    p95_ms: dict[str, float]
    integration_failures: int
    integration_success: float
    claude_requests_left: float
    deepest_queue: list[int]
    requests: int


def seen(events: Iterable[SampleEvent]) -> Sight:
    statuses: dict[str, list[int]] = defaultdict(list)
    took: dict[str, list[int]] = defaultdict(list)
    ended: Counter[bool] = Counter()
    left, depths = [], []
    for _, event in decoded(events):
        context = event["context"]
        if {"method", "route", "http_status"} <= set(context):
            statuses[event["service"]].append(context["http_status"])
            took[event["service"]].append(context["processing_time_ms"])
        if event["message"].startswith(("Integration created", "Integration failed")):
            ended[event["level"] == "INFO"] += 1
        if context.get("external_service") == "claude-api":
            left.append(context["rate_limit_remaining"])
        if "queue_depth" in context:
            depths.append(context["queue_depth"])
    return Sight(
        {service: sum(one >= 500 for one in all_) / len(all_) for service, all_ in statuses.items()},
        {service: percentile(all_, 0.95) for service, all_ in took.items()},
        ended[False],
        ended[True] / ended.total(),
        percentile(left, 0.5),
        depths,
        sum(map(len, statuses.values())),
    )


def live(seconds: int, incident: str | None = None, rate: int = 300) -> Iterator[SampleEvent]:
    return sample_events(
        seconds * rate, end_ms=END_MS, span_seconds=seconds, incident=incident, incident_from=0.0, steady=True
    )


@pytest.mark.parametrize(
    "make", [lambda: live(300), lambda: sample_events(90_000, end_ms=END_MS)], ids=["live", "days"]
)
def test_usual_traffic_keeps_the_guides_objectives(make: Callable[[], Iterator[SampleEvent]]) -> None:
    usual = seen(make())
    assert set(usual.server_errors) == {"api", "webhooks"}
    # The objective is 0.1 %; a handful of errors either way is chance.
    assert all(share < 0.002 for share in usual.server_errors.values())
    assert all(p95_ms < 500 for p95_ms in usual.p95_ms.values())
    assert usual.integration_success > 0.9
    assert usual.claude_requests_left > 1000
    assert max(usual.deepest_queue) < 100


def test_an_error_spike_shows_within_a_minute() -> None:
    spike = seen(live(60, "error-spike"))
    assert all(share > 0.2 for share in spike.server_errors.values())
    assert spike.integration_failures >= 20
    assert spike.integration_success < 0.6


def test_a_rate_limit_shows_within_a_minute() -> None:
    assert seen(live(60, "api-rate-limit")).claude_requests_left < 80


def test_webhooks_lag_soon_after_the_incident_has_begun_and_to_its_end() -> None:
    depths = seen(live(60, "webhook-lag")).deepest_queue
    soon = next(number for number, depth in enumerate(depths) if depth > 1000)
    assert soon < len(depths) / 20
    assert min(depths[len(depths) // 10 :]) > 1000


def test_responses_are_slow_within_a_minute() -> None:
    assert all(p95_ms > 2500 for p95_ms in seen(live(60, "slow-responses")).p95_ms.values())


def test_errors_of_a_spike_are_answered_with_5xx_of_both_kinds() -> None:
    statuses = {
        event["context"]["http_status"]
        for _, event in decoded(live(60, "error-spike"))
        if event["message"] == "Request failed"
    }
    assert statuses == {500, 503}


def test_an_incident_from_the_start_begins_with_the_broken_release() -> None:
    made = list(decoded(live(60, "error-spike")))
    releases = [event["context"]["version"] for _, event in made if event["message"] == "Deployment started"]
    assert releases == ["1.10.0"]
    assert {event["context"]["version"] for _, event in made} == {"1.10.0"}


def test_steady_traffic_has_no_hours() -> None:
    thirds: Counter[int] = Counter(
        (event.timestamp_ms - END_MS + DAY_SECONDS * 1000) * 3 // (DAY_SECONDS * 1000)
        for event in sample_events(30_000, end_ms=END_MS, span_seconds=DAY_SECONDS, steady=True)
    )
    assert all(abs(thirds[third] - 10_000) < 500 for third in range(3))


def test_events_per_request_is_what_a_profile_counts_on() -> None:
    assert 100_000 / seen(live(100, rate=1000)).requests == pytest.approx(EVENTS_PER_REQUEST, rel=0.03)
