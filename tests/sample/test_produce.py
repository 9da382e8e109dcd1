"""Sample traffic as `logpipe generate` sends it."""

import time
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from pipeline.errors import SettingsError
from pipeline.sample import EVENTS_PER_REQUEST
from pipeline.sample.produce import PROFILES, Traffic, plan_traffic
from tests.logpipe import logpipe
from tests.own_pipeline import PARTITIONS, Pipeline

NOW_MS = 1_769_781_600_000


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"count": 100_000, "rate": None, "days": 3.0, "live": False}),
        ({"rate": 200.0, "seconds": 60.0}, {"count": 12_000, "rate": 200.0, "live": False}),
        ({"rate": 0.1, "seconds": 1.0}, {"count": 1}),
        ({"profile": "peak", "live": True, "seconds": 10.0}, {"count": 33_000, "rate": 3300.0}),
        ({"incident": "error-spike"}, {"incident_from": 0.9}),
        ({"incident": "error-spike", "live": True, "rate": 9.0}, {"incident_from": 0.0, "count": 100_000}),
        (
            {"incident": "error-spike", "live": True, "rate": 9.0, "incident_from": 0.5},
            {"incident_from": 0.5},
        ),
    ],
)
def test_what_was_not_asked_for_is_filled_in(options: dict[str, Any], expected: dict[str, Any]) -> None:
    traffic = plan_traffic(**options)
    assert {name: getattr(traffic, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"incident": "flood"}, "--incident = 'flood'.*webhook-lag"),
        ({"profile": "idle"}, "--profile = 'idle'.*normal, peak, burst"),
        ({"profile": "peak", "rate": 1.0}, "--profile and --rate"),
        ({"rate": 1.0, "seconds": 1.0, "count": 1}, "--seconds and --count"),
        ({"live": True, "rate": 1.0, "days": 1.0}, "--live and --days"),
        ({"live": True}, "--live needs --rate or --profile"),
        ({"seconds": 5.0}, "--seconds needs --rate or --profile"),
        ({"incident_from": 0.5}, "--incident-from needs --incident"),
    ],
)
def test_options_that_do_not_go_together_are_refused_by_name(options: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        plan_traffic(**options)


def test_profiles_are_the_guides_throughput_objectives() -> None:
    assert PROFILES == {"normal": 100, "peak": 500, "burst": 1000}
    for profile, requests in PROFILES.items():
        assert plan_traffic(profile=profile).rate == requests * EVENTS_PER_REQUEST


def times(traffic: Traffic) -> list[int]:
    return [event.timestamp_ms - NOW_MS for event in traffic.events(NOW_MS)]


def test_live_events_lie_ahead_and_others_behind() -> None:
    ahead = times(plan_traffic(live=True, rate=100.0, seconds=30.0))
    assert len(ahead) == 3000
    assert 0 <= min(ahead) < 1000
    assert 29_000 < max(ahead) <= 30_000
    assert max(times(plan_traffic(count=3000))) <= 0


def test_only_live_traffic_differs_from_run_to_run() -> None:
    for live, same in ((True, False), (False, True)):
        traffic = plan_traffic(count=100, rate=100.0, live=live)
        first = {event.trace_id for event in traffic.events(NOW_MS)}
        assert (first == {event.trace_id for event in traffic.events(NOW_MS + 1)}) == same
    seeded = plan_traffic(count=100, rate=100.0, live=True, seed=7)
    assert [*seeded.events(NOW_MS)] == [*seeded.events(NOW_MS)]


async def records(pipeline: Pipeline) -> "list[ConsumerRecord[bytes, bytes]]":
    partitions = [TopicPartition(pipeline.name, number) for number in range(PARTITIONS)]
    async with AIOKafkaConsumer(bootstrap_servers=pipeline.servers.kafka_bootstrap) as consumer:
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        wanted = sum((await consumer.end_offsets(partitions)).values())
        found: list[ConsumerRecord[bytes, bytes]] = []
        while len(found) < wanted:
            for batch in (await consumer.getmany(timeout_ms=1000)).values():
                found += batch
    return found


async def test_no_live_event_is_sent_before_it_has_happened(pipeline: Pipeline) -> None:
    began_ms = time.time_ns() // 1_000_000
    options = ("--live", "--rate", "200", "--seconds", "2", "--incident", "error-spike")
    result = logpipe("generate", *options, settings=pipeline.environment())
    ended_ms = time.time_ns() // 1_000_000
    assert result.returncode == 0, result.stderr.decode()
    found = await records(pipeline)
    assert len(found) == 400
    assert all(began_ms <= record.timestamp <= ended_ms for record in found)
    # The last event is due at the end of the two seconds.
    assert max(record.timestamp for record in found) - began_ms > 1000


async def test_what_is_not_live_is_of_the_days_before(pipeline: Pipeline) -> None:
    began_ms = time.time_ns() // 1_000_000
    result = logpipe("generate", "--count", "300", "--days", "1", settings=pipeline.environment())
    assert result.returncode == 0, result.stderr.decode()
    found = await records(pipeline)
    assert len(found) == 300
    assert min(record.timestamp for record in found) < began_ms - 12 * 3_600_000
    assert all(record.key for record in found)


def test_a_contradiction_exits_2() -> None:
    result = logpipe("generate", "--live")
    assert result.returncode == 2
    assert "--rate" in result.stderr.decode()
