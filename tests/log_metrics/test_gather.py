"""Metrics derived from events: the quick way counts what the rules say, and cardinality stays bounded."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import given, strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from pipeline.encode.fast_path import BatchEncoder
from pipeline.events.document import Coordinates, DocumentBuilder
from pipeline.log_metrics import gather
from pipeline.log_metrics.gather import LogMetrics
from pipeline.log_metrics.rules import MISSING, Rule, load_rules
from pipeline.sample import sample_events
from pipeline.settings import Events, Index

TOPIC = "logs"
NOW = 1_705_314_600.0
NOW_MS = int(NOW * 1000)
RULES = load_rules()


class Record(NamedTuple):
    offset: int
    timestamp: int
    value: bytes | None


def event(**fields: Any) -> dict[str, Any]:
    return {
        "timestamp": "2024-01-15T10:30:00.000Z",
        "level": "INFO",
        "service": "api",
        "component": "http_server",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "message": "m",
        **fields,
    }


def records_of(values: Iterable[bytes | None]) -> list[Record]:
    return [Record(offset, int(NOW * 1000), value) for offset, value in enumerate(values)]


def counted(events: Iterable[Any], rules: Iterable[Rule] = RULES, now: float = NOW) -> dict[str, float]:
    """Encode events with metrics, as a worker does; gives what is exposed, by name and labels."""
    metrics = LogMetrics(rules, clock=lambda: now)
    encoder = BatchEncoder(DocumentBuilder(Events(), Index()), metrics)
    values = [each if isinstance(each, bytes) else orjson.dumps(each) for each in events]
    encoder.encode(TOPIC, 0, records_of(values), NOW_MS)
    return exposed(metrics)


def exposed(metrics: LogMetrics) -> dict[str, float]:
    return {
        name_of(sample.name, sample.labels): sample.value
        for family in metrics.collect()
        for sample in family.samples
    }


def name_of(name: str, labels: dict[str, str]) -> str:
    return name + "{" + ",".join(f"{label}={value}" for label, value in sorted(labels.items())) + "}"


# --- the definition ---------------------------------------------------------------------------------------


def field(document: dict[str, Any], path: str) -> Any:
    if not path.startswith("context."):
        return document.get(path, MISSING)
    context = document.get("context")
    return context.get(path.removeprefix("context."), MISSING) if isinstance(context, dict) else MISSING


def by_definition(records: Sequence[Record], rules: Iterable[Rule]) -> dict[str, float]:
    """Apply every rule to every document by itself; counters and the counts and sums of histograms."""
    builder = DocumentBuilder(Events(), Index())
    totals: Counter[str] = Counter()
    for record in records:
        for document in builder.documents(
            record.value, Coordinates(TOPIC, 0, record.offset, record.timestamp), NOW_MS
        ):
            for rule in rules:
                if rule.type != "gauge":
                    totals.update(one(document.fields, rule))
    return dict(totals)


def one(document: dict[str, Any], rule: Rule) -> dict[str, float]:
    if not all(condition.holds(field(document, name)) for name, condition in rule.when.items()):
        return {}
    labels = {name: label.text(field(document, label.field or "")) for name, label in rule.labels.items()}
    if rule.value is None:
        return {name_of(rule.name, labels): 1}
    number = field(document, rule.value)
    if type(number) not in {int, float} or not 0 <= number <= 2**63:
        return {}
    if rule.type == "counter":
        return {name_of(rule.name, labels): number * rule.scale}
    return {
        name_of(f"{rule.name}_count", labels): 1,
        name_of(f"{rule.name}_sum", labels): number * rule.scale,
    }


def comparable(series: dict[str, float]) -> dict[str, Any]:
    """Leave out gauges, single buckets, the pipeline's own metrics, and series of nothing."""
    kept = {rule.name for rule in RULES if rule.type != "gauge"}
    return {
        name: pytest.approx(value)
        for name, value in series.items()
        if value and name.partition("{")[0].removesuffix("_count").removesuffix("_sum") in kept
    }


def test_sample_traffic_is_counted_as_the_rules_say() -> None:
    traffic = sample_events(6000, seed=4, end_ms=int(NOW * 1000), span_seconds=1800, incident="error-spike")
    records = [Record(n, each.timestamp_ms, each.value) for n, each in enumerate(traffic)]
    metrics = LogMetrics(RULES, clock=lambda: NOW)
    encoder = BatchEncoder(DocumentBuilder(Events(), Index()), metrics)
    for start in range(0, len(records), 700):
        encoder.encode(TOPIC, 0, records[start : start + 700], NOW_MS)
        metrics.flush()
    found = exposed(metrics)
    assert comparable(found) == comparable(by_definition(records, RULES))
    # The rules find everything that the guide's alerts and dashboards ask for.
    names = {name.partition("{")[0] for name, value in found.items() if value}
    expected = {rule.name for rule in RULES if rule.type != "histogram"}
    expected |= {f"{rule.name}_count" for rule in RULES if rule.type == "histogram"}
    assert expected <= names


SCALARS = st.sampled_from(
    ["x", "", "claude-api", "Integration created", "GET", 0, 1, 200, 17, 2.5, 1e300, -1, True, False, None]
) | st.text(max_size=5)
ANYTHING = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.text(max_size=2), SCALARS, max_size=2)
CONTEXTS = st.dictionaries(
    st.sampled_from(
        sorted({"z", *(f.split(".")[1] for r in RULES for f in (*r.fields, r.value or "") if "." in f)})
    ),
    ANYTHING,
    max_size=8,
)
EVENTS = st.builds(
    lambda fields, context: event(**fields, context=context),
    st.fixed_dictionaries(
        {},
        optional={
            "service": ANYTHING,
            "component": st.sampled_from(["integration_service", "webhook_processor", "other"]) | ANYTHING,
            "level": st.sampled_from(["ERROR", "warn", "INFO", "fatal", 30, None, "odd", ["x"]]),
            "message": st.sampled_from(["Integration created", "Integration failed: x"]) | ANYTHING,
            "timestamp": st.sampled_from(["2024-01-15T10:30:00.000Z", "2024-01-15 10:30", 5, None]),
        },
    ),
    CONTEXTS,
)


@given(st.lists(EVENTS, max_size=12), st.integers(1, 5))
def test_whatever_the_events_hold_they_are_counted_as_the_rules_say(
    events: list[dict[str, Any]], step: int
) -> None:
    records = records_of([orjson.dumps(each) for each in events])
    metrics = LogMetrics(RULES, clock=lambda: NOW)
    encoder = BatchEncoder(DocumentBuilder(Events(), Index()), metrics)
    for start in range(0, len(records), step):
        encoder.encode(TOPIC, 0, records[start : start + step], NOW_MS)
    assert comparable(exposed(metrics)) == comparable(by_definition(records, RULES))


def test_every_record_counts_whatever_it_is() -> None:
    values = [None, b"", b"nope", b"[]", b"[1]", b"\xff", b'{"a":1}', b'[{"level":"info"},{"level":"warn"}]']
    metrics = LogMetrics(RULES, clock=lambda: NOW)
    encoder = BatchEncoder(DocumentBuilder(Events(), Index()), metrics)
    encoder.encode(TOPIC, 0, records_of(values), NOW_MS)
    found = {n: v for n, v in exposed(metrics).items() if n.startswith("log_events_total")}
    assert found == {
        "log_events_total{component=unknown,level=unknown,service=unknown}": 7,
        "log_events_total{component=unknown,level=INFO,service=unknown}": 1,
        "log_events_total{component=unknown,level=WARN,service=unknown}": 1,
    }


# --- histograms -------------------------------------------------------------------------------------------


def timed(*times: Any) -> list[dict[str, Any]]:
    return [event(context={"processing_time_ms": time}) for time in times]


def test_a_value_on_a_bound_belongs_to_its_bucket() -> None:
    found = counted(timed(5, 5.001, 100, 30_000, 30_001))
    bucket = "log_processing_time_seconds_bucket{{component=http_server,le={},service=api}}".format
    assert [found[bucket(bound)] for bound in ("0.005", "0.01", "0.05", "0.1", "10.0", "30.0", "+Inf")] == [
        1, 2, 2, 3, 3, 4, 5,
    ]  # fmt: skip
    assert found["log_processing_time_seconds_sum{component=http_server,service=api}"] == pytest.approx(
        60.111001
    )


@pytest.mark.parametrize("value", ["12", [1], {"a": 1}, -1, True, 1e300, 1e400])
def test_what_is_no_duration_is_refused_and_counted(value: Any) -> None:
    odd = (
        b'{"timestamp":"2024-01-15T10:30:00.000Z","level":"INFO","service":"api","component":"http_server",'
        + (b'"context":{"processing_time_ms":%b}}' % (b"1e400" if value == 1e400 else orjson.dumps(value)))
    )
    found = counted([*timed(1), odd])
    assert found["log_processing_time_seconds_count{component=http_server,service=api}"] == 1
    if value != 1e400:  # that is no JSON to orjson: the event is kept as text
        assert found["logpipe_log_metric_values_refused_total{metric=log_processing_time_seconds}"] == 1


def test_a_null_is_nothing_that_could_be_refused() -> None:
    found = counted(timed(None, 1))
    assert found["log_processing_time_seconds_count{component=http_server,service=api}"] == 1
    assert found["logpipe_log_metric_values_refused_total{metric=log_processing_time_seconds}"] == 0


def test_histograms_carry_a_trace_as_an_example() -> None:
    registry = CollectorRegistry()
    metrics = LogMetrics(RULES, registry, clock=lambda: NOW)
    encoder = BatchEncoder(DocumentBuilder(Events(), Index()), metrics)
    encoder.encode(TOPIC, 0, records_of([orjson.dumps(each) for each in timed(70)]), NOW_MS)
    encode, _ = choose_encoder("application/openmetrics-text; version=1.0.0")
    assert (
        'log_processing_time_seconds_bucket{component="http_server",le="0.1",service="api"} 1.0 '
        '# {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 0.07'
    ) in encode(registry).decode()


# --- gauges -----------------------------------------------------------------------------------------------


def reading(stamp: str, value: Any, **more: Any) -> dict[str, Any]:
    return event(timestamp=stamp, context={"source": "github", "queue_depth": value, **more})


def depth(found: dict[str, float]) -> tuple[float | None, float | None]:
    return (
        found.get("webhook_queue_depth{source=github}"),
        found.get("webhook_queue_depth_updated_timestamp_seconds{source=github}"),
    )


def test_of_readings_the_newest_event_counts_in_whatever_order() -> None:
    readings = [reading("2024-01-15T10:29:00.000Z", 5), reading("2024-01-15T10:28:00.000Z", 900)]
    for order in (readings, readings[::-1]):
        assert depth(counted(order)) == (5, NOW - 60)
        metrics = LogMetrics(RULES, clock=lambda: NOW)
        for each in order:
            metrics.count({**each, "@timestamp": each["timestamp"]})
            metrics.flush()
        assert depth(exposed(metrics)) == (5, NOW - 60)


def test_a_stale_reading_is_not_shown_and_a_new_one_brings_it_back() -> None:
    now = NOW
    metrics = LogMetrics(RULES, clock=lambda: now)
    metrics.count({**reading("", 5), "@timestamp": "2024-01-15T10:29:00.000Z"})
    assert depth(exposed(metrics))[0] == 5
    now += 241
    assert depth(exposed(metrics)) == (None, None)
    metrics.count({**reading("", 6), "@timestamp": "2024-01-15T10:34:00.000Z"})
    assert depth(exposed(metrics))[0] == 6


def test_a_clock_that_is_ahead_does_not_win_for_ever() -> None:
    now = NOW
    metrics = LogMetrics(RULES, clock=lambda: now)
    metrics.count({**reading("", 5), "@timestamp": "2024-01-16T10:00:00.000Z"})
    assert depth(exposed(metrics)) == (5, NOW)
    now += 10
    metrics.count({**reading("", 6), "@timestamp": "2024-01-15T10:30:05.000Z"})
    assert depth(exposed(metrics))[0] == 6


# --- bounds -----------------------------------------------------------------------------------------------


def test_beyond_the_cap_events_are_counted_under_other() -> None:
    rule = Rule(
        name="things_total", type="counter", help="h", max_label_sets=3,
        when={"context.thing": {"exists": True}}, labels={"thing": "context.thing", "kind": {"constant": "k"}},
    )  # fmt: skip
    events = [event(context={"thing": f"t{n}"}) for n in range(10) for _ in range(n + 1)]
    found = counted(events, [rule])
    assert {n: v for n, v in found.items() if n.startswith("things")} == {
        "things_total{kind=k,thing=t0}": 1,
        "things_total{kind=k,thing=t1}": 2,
        "things_total{kind=k,thing=t2}": 3,
        "things_total{kind=k,thing=other}": sum(range(4, 11)),
    }
    assert found["logpipe_log_metric_folded_total{metric=things_total}"] == sum(range(4, 11))
    assert found["logpipe_log_metric_label_sets{metric=things_total}"] == 4


CAPPED = [
    Rule(
        name="all_total", type="counter", help="h", max_label_sets=4,
        labels={"service": "service", "level": {"field": "level", "default": "?"}},
    ),
    Rule(
        name="routes_total", type="counter", help="h", max_label_sets=3, value="context.n",
        labels={"service": "service", "route": "context.route"},
    ),
    Rule(
        name="one_service_total", type="counter", help="h", max_label_sets=2,
        when={"service": "s1"}, labels={"component": "component"},
    ),
    Rule(name="components_total", type="counter", help="h", max_label_sets=2, labels={"c": "component"}),
]  # fmt: skip


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["s1", "s2", "s3", "s4", "s5", "other"]),
            st.sampled_from(["c1", "c2", "c3"]),
            st.sampled_from(["INFO", "ERROR"]),
            st.dictionaries(st.sampled_from(["route", "n"]), st.integers(0, 3)),
        ),
        max_size=60,
    ),
    st.integers(1, 60),
)
def test_services_without_a_series_left_count_as_if_each_were_looked_at(
    drawn: list[tuple[str, str, str, dict[str, int]]], flush_every: int
) -> None:
    events = [
        event(service=service, component=component, level=level, context=context)
        for service, component, level, context in drawn
    ]
    together, alone = LogMetrics(CAPPED, clock=lambda: NOW), LogMetrics(CAPPED, clock=lambda: NOW)
    for start in range(0, len(events), flush_every):
        for each in events[start : start + flush_every]:
            together.count(each)
        together.flush()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gather, "_MOST_REMEMBERED", 0)  # nothing is known of the events before
        for each in events:
            alone.count(each)
    assert exposed(together) == exposed(alone)


def test_what_is_folded_keeps_the_constants_of_its_own_rule() -> None:
    events = [
        event(
            context={
                "external_service": "claude-api",
                "model": f"m{n}",
                "input_tokens": 1,
                "output_tokens": 3,
            }
        )
        for n in range(600)
    ]
    found = counted(events)
    tokens = {
        direction: sum(
            value
            for name, value in found.items()
            if name.startswith("claude_api_tokens_total") and f"direction={direction}" in name
        )
        for direction in ("input", "output")
    }
    assert tokens == {"input": 600, "output": 1800}


def test_a_number_at_the_root_that_is_not_there_is_not_refused() -> None:
    rule = Rule(name="bytes_total", type="counter", help="h", value="bytes")
    present = Rule(name="sized_total", type="counter", help="h", when={"bytes": {"exists": True}})
    found = counted([event(bytes=5), event(), event(bytes=None), event(bytes=2)], [rule, present])
    assert found["bytes_total{}"] == 7
    assert found["sized_total{}"] == 2
    assert found["logpipe_log_metric_values_refused_total{metric=bytes_total}"] == 0


def test_a_webhook_without_a_time_is_no_webhook_that_was_processed() -> None:
    webhook = {"webhook_event": "push", "source": "github", "queue_depth": 3}
    found = counted(
        [
            event(component="webhook_processor", context={**webhook, "processing_time_ms": None}),
            event(
                component="webhook_processor", service="other", context={**webhook, "processing_time_ms": 1}
            ),
        ]
    )
    assert {n: v for n, v in found.items() if n.startswith("webhooks_processed_total")} == {
        "webhooks_processed_total{outcome=success,service=api,source=github}": 0,
        "webhooks_processed_total{outcome=success,service=other,source=github}": 1,
    }
    assert depth(found) == (3, NOW)


def test_rules_of_one_series_take_their_own_numbers() -> None:
    rules = [
        Rule(name="b_total", type="counter", help="h", when={"context.d": name}, value=f"context.{name}")
        for name in ("x", "y")
    ]
    context = {"x": 1, "y": 100}
    found = counted([event(context={"d": "x", **context}), event(context={"d": "y", **context})], rules)
    assert found["b_total{}"] == 101


def test_of_stamps_with_different_digits_the_later_is_the_newer() -> None:
    stamps = ["2024-01-15T10:29:00.123900Z", "2024-01-15T10:29:00.123Z"]
    assert depth(counted([reading(stamp, len(stamp)) for stamp in stamps]))[0] == 27


def test_a_null_number_is_missing_to_a_condition_too() -> None:
    rule = Rule(
        name="timed_total", type="counter", help="h", when={"context.processing_time_ms": {"exists": True}}
    )
    found = counted(timed(None, 1, None, 2), [*RULES, rule])
    assert found["timed_total{}"] == 2


def flood(metrics: LogMetrics, number: int, make: Callable[[int], dict[str, Any]]) -> Iterator[None]:
    """Encode so many events, five hundred at a time, and yield after each time."""
    encoder = BatchEncoder(DocumentBuilder(Events(), Index()), metrics)
    for start in range(0, number, 500):
        encoder.encode(
            TOPIC, 0, records_of([orjson.dumps(make(n)) for n in range(start, start + 500)]), NOW_MS
        )
        yield


def test_combinations_of_capped_labels_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "_MOST_REMEMBERED", 8000)
    metrics = LogMetrics(RULES, clock=lambda: NOW)

    # No label has more than 300 values, and so no metric too many; their combinations are without end.
    def make(n: int) -> dict[str, Any]:
        context = {"exception_type": f"e{n}", "stage": f"s{n % 299}", "hit": n % 293}
        return event(component=f"c{n % 300}", context=context)

    for _ in flood(metrics, 20_000, make):
        assert metrics.remembered < 12_000  # it is looked at between two chunks
    found = exposed(metrics)
    assert sum(v for n, v in found.items() if n.startswith("integration_stages_total")) == 20_000
    assert sum(v for n, v in found.items() if n.startswith("log_exceptions_total")) == 20_000


def test_changing_names_weigh_what_they_take() -> None:
    metrics = LogMetrics(RULES, clock=lambda: NOW)

    def make(n: int) -> dict[str, Any]:
        return event(context={f"order-{n}-{name:030}": 1 for name in range(60)})

    before = metrics.remembered
    for _ in flood(metrics, 500, make):
        pass
    # A name is a text of 40 characters, and stands in a tuple: 6 kB an event, of 100 bytes each.
    assert metrics.remembered - before > 500 * 50


def test_a_flood_of_names_and_values_stays_within_the_caps() -> None:
    metrics = LogMetrics(RULES, clock=lambda: NOW)

    def make(n: int) -> dict[str, Any]:
        return event(
            service=f"s{n}",
            component=f"c{n % 7}",
            level=f"level{n}" if n % 3 == 0 else "ERROR",
            message=f"m{n}",
            context={
                f"name{n}": 1, "http_status": n, "route": f"/{n}", "method": "GET",
                "integration_type": f"i{n}", "exception_type": f"E{n}", "queue_depth": n, "source": str(n),
            },
        )  # fmt: skip

    for _ in flood(metrics, 6000, make):
        pass
    found = exposed(metrics)
    series = Counter(name.partition("{")[0] for name in found)
    assert all(number <= 501 for name, number in series.items() if not name.endswith("_bucket"))
    assert found["logpipe_log_metric_folded_total{metric=http_requests_total}"] == 5500
    assert sum(v for n, v in found.items() if n.startswith("log_events_total")) == 6000


def test_label_values_are_cut_and_cleaned() -> None:
    odd = "a\nb\0c" + "d" * 1000
    (name,) = (n for n in counted([event(service=odd)]) if n.startswith("log_events_total"))
    assert name == f"log_events_total{{component=http_server,level=INFO,service=a b c{'d' * 123}}}"


def test_a_rule_on_fields_of_the_root_is_found_in_every_event() -> None:
    rule = Rule(
        name="logins_total", type="counter", help="h",
        when={"message": {"matches": "logged in"}}, labels={"user": "user_id"},
    )  # fmt: skip
    events = [
        event(message="Ann logged in", user_id="ann"),
        event(message="nothing"),
        event(message="Bob logged in", context={"processing_time_ms": 3}),
    ]
    found = counted(events, [*RULES, rule])
    assert found["logins_total{user=ann}"] == 1
    assert found["logins_total{user=unknown}"] == 1
    assert found["log_events_total{component=http_server,level=INFO,service=api}"] == 3


def test_counting_changes_no_document() -> None:
    traffic = list(sample_events(3000, seed=9, end_ms=int(NOW * 1000)))
    records = [Record(n, each.timestamp_ms, each.value) for n, each in enumerate(traffic)]
    builder = DocumentBuilder(Events(), Index())
    plain = BatchEncoder(builder).encode(TOPIC, 0, records, NOW_MS)
    assert BatchEncoder(builder, LogMetrics(RULES)).encode(TOPIC, 0, records, NOW_MS) == plain
