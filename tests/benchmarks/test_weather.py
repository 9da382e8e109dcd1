"""The weather table: traffic of each kind is what its name says, and each kind is measured."""

from collections import Counter
from typing import Any

import orjson
import pytest

from benchmarks import weather
from benchmarks.figures import Figures
from benchmarks.weather import KINDS, measure_weather
from benchmarks.weather_traffic import TRAFFIC, weather_events
from pipeline.sandbox import Servers


def objects(kind: str, count: int = 500) -> list[dict[str, Any]]:
    found = []
    for event in weather_events(kind, count):
        try:
            value = orjson.loads(event.value)
        except orjson.JSONDecodeError:  # one in two thousand
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


@pytest.mark.parametrize("kind", TRAFFIC)
def test_traffic_is_the_same_at_every_call(kind: str) -> None:
    assert list(weather_events(kind, 50)) == list(weather_events(kind, 50))


@pytest.mark.parametrize("kind", ["error_storm", "error_storm_with_ids"])
def test_half_of_a_storm_are_errors_with_stack_traces(kind: str) -> None:
    traces = [str(event["context"].get("stack_trace", "")) for event in objects(kind) if "context" in event]
    long = [trace for trace in traces if len(trace) > 1500]
    assert 200 < len(long) < 300
    assert max(map(len, long)) < 3500


def test_ids_make_each_message_another_one() -> None:
    failed = [event["message"] for event in objects("error_storm_with_ids") if "(request" in event["message"]]
    assert len(set(failed)) == len(failed) > 200


@pytest.mark.parametrize(("kind", "number"), [("services_20", 20), ("services_200", 200)])
def test_services_are_as_many_as_it_says(kind: str, number: int) -> None:
    services = Counter(event.get("service") for event in objects(kind, 3000))
    assert len(services) == number


@pytest.mark.server
@pytest.mark.timeout(180)
def test_each_kind_is_measured_beside_the_base(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [kind._replace(part=1.0) for kind in KINDS if kind.name in {"base", "dead_letters"}]
    monkeypatch.setattr(weather, "KINDS", kinds)
    said: list[str] = []
    rows = measure_weather(servers.kafka_bootstrap, 1000, 1, said.append)
    assert [row.kind.name for row in rows] == ["base", "dead_letters"]
    assert rows[0].times_base == 1
    assert all(row.us_per_event > 0 and row.events == 1000 for row in rows)
    figures = Figures(date="2024-01-15", machine={}, weather=rows).as_json()["weather"]
    assert figures["base"]["us_per_event"] == round(rows[0].us_per_event, 3)
    assert figures["tags"]["us_per_event"] is None
