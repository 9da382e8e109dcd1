"""Several workers' metrics as those of one process."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

from pipeline.log_metrics.gather import LogMetrics
from pipeline.log_metrics.rules import load_rules
from pipeline.telemetry.families import dump_families, dump_metrics, load_families
from pipeline.telemetry.merged import MergedMetrics, SupervisorTelemetry
from pipeline.telemetry.metrics import Telemetry


def exposition(records: int, in_flight: int, offset: int = 0) -> bytes:
    telemetry = Telemetry()
    telemetry.records.labels("logs").inc(records)
    telemetry.in_flight_records.set(in_flight)
    telemetry.request_seconds.observe(0.3)
    telemetry.committed.labels("logs", 0).set(offset)
    return dump_families(telemetry.registry)


def openmetrics(registry: CollectorRegistry) -> str:
    encode, _ = choose_encoder("application/openmetrics-text; version=1.0.0")
    return encode(registry).decode()


def values(merged: MergedMetrics) -> dict[str, float]:
    return {
        sample.name + "".join(f" {name}={value}" for name, value in sample.labels.items()): sample.value
        for family in merged.collect()
        for sample in family.samples
    }


def merged_of(*expositions: bytes) -> MergedMetrics:
    merged = MergedMetrics()
    for run, text in enumerate(expositions):
        merged.begin(run)
        merged.update(run, text)
    return merged


def test_counters_histograms_and_gauges_are_summed_by_name_and_labels() -> None:
    both = values(merged_of(exposition(3, 10), exposition(4, 20)))
    assert both["logpipe_records_total topic=logs"] == 7
    assert both["logpipe_in_flight_records"] == 30
    assert both["logpipe_bulk_request_seconds_count"] == 2
    assert both["logpipe_bulk_request_seconds_sum"] == pytest.approx(0.6)
    assert both["logpipe_bulk_request_seconds_bucket le=0.25"] == 0
    assert both["logpipe_bulk_request_seconds_bucket le=0.5"] == 2
    assert both["logpipe_bulk_request_seconds_bucket le=+Inf"] == 2


def test_labels_in_another_order_are_the_same_labels() -> None:
    merged = MergedMetrics()
    for run, labels in enumerate(({"x": "1", "y": "2"}, {"y": "2", "x": "1"})):
        family = Metric("a", "", "counter")
        family.add_sample("a_total", labels, 1)
        merged.begin(run)
        merged.update(run, dump_metrics([family]))
    assert values(merged) == {"a_total x=1 y=2": 2}


def test_what_makes_no_sense_as_a_sum_is_not_summed() -> None:
    one, two = exposition(1, 1, offset=900), exposition(1, 1, offset=1000)
    both = values(merged_of(one, two))
    assert both["logpipe_committed_offset partition=0 topic=logs"] == 1000
    assert [value for name, value in both.items() if name.startswith("logpipe_build_info")] == [1]
    assert not [name for name in both if "_created" in name]
    alone = values(merged_of(one))
    assert both["process_start_time_seconds"] == alone["process_start_time_seconds"]


def test_what_may_be_stuck_in_one_worker_has_its_number() -> None:
    merged = MergedMetrics()
    for run, worker, in_flight in ((0, 0, 10), (1, 1, 20)):
        merged.begin(run, worker)
        merged.update(run, delayed(in_flight))
    both = values(merged)
    assert both["logpipe_in_flight_records worker=0"] == 10
    assert both["logpipe_in_flight_records worker=1"] == 20
    assert both["logpipe_last_indexed_timestamp_seconds worker=1"] == 1020
    assert both["logpipe_event_loop_delay_seconds_count worker=0"] == 1
    assert both["logpipe_records_total topic=logs"] == 2, "what is counted by partition or topic is summed"
    labelled = {name.partition(" ")[0] for name in both if "worker=" in name}
    assert {
        "logpipe_assigned_partitions",
        "logpipe_back_pressure_seconds_total",
        "logpipe_bulk_concurrency_limit",
        "logpipe_bulk_size_limit_bytes",
        "logpipe_event_loop_delay_seconds_bucket",
        "logpipe_event_loop_delay_seconds_count",
        "logpipe_event_loop_delay_seconds_sum",
        "logpipe_in_flight_bytes",
        "logpipe_in_flight_records",
        "logpipe_kafka_silent_seconds",
        "logpipe_last_indexed_timestamp_seconds",
    } == labelled


def test_a_worker_s_number_outlives_its_processes_and_none_is_added() -> None:
    merged = MergedMetrics()
    for run in range(5):
        merged.begin(run, 3)
        merged.update(run, delayed(run))
        if run < 4:
            merged.end(run)
    after = values(merged)
    assert after["logpipe_in_flight_records worker=3"] == 4
    assert after["logpipe_event_loop_delay_seconds_count worker=3"] == 5, "counted over all its processes"
    assert {name for name in after if "worker=" in name and "worker=3" not in name} == set()


def delayed(in_flight: int) -> bytes:
    telemetry = Telemetry()
    telemetry.records.labels("logs").inc()
    telemetry.in_flight_records.set(in_flight)
    telemetry.last_indexed.set(1000 + in_flight)
    telemetry.event_loop_delay.observe(0.002)
    return dump_families(telemetry.registry)


def test_an_infinite_sum_reaches_the_supervisor() -> None:
    telemetry = Telemetry()
    telemetry.records.labels("logs").inc(float("inf"))
    telemetry.in_flight_records.set(float("nan"))
    merged = merged_of(dump_families(telemetry.registry))
    both = values(merged)
    assert both["logpipe_records_total topic=logs"] == float("inf")
    assert both["logpipe_in_flight_records"] != both["logpipe_in_flight_records"]
    merged.end(0)
    assert values(merged)["logpipe_records_total topic=logs"] == float("inf")


def test_what_an_ended_worker_had_in_flight_is_read_again() -> None:
    telemetry = Telemetry()
    for partition, consumed, indexed, dead in (("0", 100, 60, 5), ("1", 7, 7, 0)):
        telemetry.consumed.labels("logs", partition).inc(consumed)
        telemetry.documents.labels("logs", partition, "indexed").inc(indexed)
        telemetry.documents.labels("logs", partition, "dead_lettered").inc(dead)
    counted = dump_families(telemetry.registry)
    merged = merged_of(counted, counted)
    assert not [name for name in values(merged) if "read_again" in name]
    for run, lost in ((0, 35), (1, 70)):
        merged.end(run)
        sums = {name: value for name, value in values(merged).items() if "logpipe_documents" in name}
        read_again = {name: value for name, value in sums.items() if "read_again" in name}
        assert read_again == {"logpipe_documents_total outcome=read_again partition=0 topic=logs": lost}
    all_consumed = [value for name, value in sums.items() if name.startswith("logpipe_documents_consumed")]
    all_settled = [value for name, value in sums.items() if name.startswith("logpipe_documents_total")]
    assert (sum(all_consumed), sum(all_settled)) == (214, 214)


def test_an_ended_worker_leaves_its_counters_and_takes_its_gauges_along() -> None:
    merged = merged_of(exposition(3, 10), exposition(4, 20))
    merged.end(0)
    after = values(merged)
    assert after["logpipe_records_total topic=logs"] == 7
    assert after["logpipe_bulk_request_seconds_count"] == 2
    assert after["logpipe_in_flight_records"] == 20
    merged.begin(2)
    merged.update(2, exposition(1, 5))
    merged.end(1)
    after = values(merged)
    assert after["logpipe_records_total topic=logs"] == 8
    assert after["logpipe_in_flight_records"] == 5


def test_a_silent_worker_leaves_its_counters_until_it_answers_again() -> None:
    merged = merged_of(exposition(3, 10), exposition(4, 20))
    merged.silent(0)
    quiet = values(merged)
    assert (quiet["logpipe_records_total topic=logs"], quiet["logpipe_in_flight_records"]) == (7, 20)
    merged.update(0, exposition(5, 11))
    again = values(merged)
    assert (again["logpipe_records_total topic=logs"], again["logpipe_in_flight_records"]) == (9, 31)


def test_an_answer_that_comes_after_the_end_counts_for_nothing() -> None:
    merged = merged_of(exposition(3, 10))
    merged.end(0)
    merged.update(0, exposition(5, 10))
    merged.silent(0)
    assert values(merged)["logpipe_records_total topic=logs"] == 3


@pytest.mark.parametrize(
    "data",
    [b"<html>a page</html>", b'[1]\n"end"', b'{"name":"a"}\n"end"', b'{"a":1}\n"end"', b'1}\n"end"', b""],
)
def test_what_is_no_exposition_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"no metric famil|JSON|character|empty|content"):
        list(load_families(data))


def test_what_was_cut_anywhere_is_refused() -> None:
    whole = exposition(3, 10)
    for length in range(0, len(whole), 97):
        with pytest.raises(ValueError, match="no metric families"):
            list(load_families(whole[:length]))


def test_workers_that_have_ended_are_kept_as_one() -> None:
    merged = merged_of(*[exposition(3, 10)] * 20)
    for run in range(20):
        merged.end(run)
    assert values(merged)["logpipe_records_total topic=logs"] == 60
    assert len(merged._ended) == 1  # noqa: SLF001 - else each scrape reads all that ever ended
    assert values(merged)["logpipe_records_total topic=logs"] == 60


def test_a_worker_that_ends_while_all_are_merged_is_counted_once() -> None:
    merged = merged_of(*[exposition(3, 10)] * 4)
    for run in range(3):
        merged.end(run)
    scrape = merged.collect()
    next(scrape)
    merged.end(3)
    assert sum(1 for family in scrape if family.name == "logpipe_documents") <= 1
    assert values(merged)["logpipe_records_total topic=logs"] == 12


def test_both_formats_are_written_with_the_supervisors_own_metrics() -> None:
    telemetry = SupervisorTelemetry()
    for run in (0, 1):
        telemetry.merged.begin(run)
        telemetry.merged.update(run, exposition(3, 10))
    telemetry.workers.set(2)
    telemetry.restarts.inc()
    text = generate_latest(telemetry.registry).decode()
    assert 'logpipe_records_total{topic="logs"} 6.0' in text
    assert "logpipe_workers 2.0" in text
    assert "logpipe_worker_restarts_total 1.0" in text
    assert "logpipe_worker_scrape_failures_total 0.0" in text
    text = openmetrics(telemetry.registry)
    assert 'logpipe_records_total{topic="logs"} 6.0' in text
    assert text.endswith("# EOF\n")


def derived(**events: int) -> bytes:
    """What a worker exposes that has read so many events, each with a reading of the queue's depth."""
    registry = CollectorRegistry()
    metrics = LogMetrics(load_rules(), registry, clock=lambda: 1_700_000_000.0)
    for stamp, depth in events.items():
        metrics.count(
            {
                "@timestamp": f"2023-11-14T22:{stamp[1:3]}:00.000Z",
                "level": "INFO",
                "service": "webhooks",
                "component": "webhook_receiver",
                "trace_id": f"trace-{depth}",
                "context": {"source": "github", "queue_depth": depth, "processing_time_ms": depth},
            }
        )
    return dump_families(registry)


def test_of_gauges_made_from_events_the_newest_reading_counts_whoever_has_it() -> None:
    old, new = derived(m10=900, m11=700), derived(m12=5)
    for order in ((old, new), (new, old)):
        both = values(merged_of(*order))
        assert both["webhook_queue_depth source=github"] == 5
        assert both["webhook_queue_depth_updated_timestamp_seconds source=github"] == 1_700_000_000 - 80
        assert both["log_events_total component=webhook_receiver level=INFO service=webhooks"] == 3


def test_exemplars_survive() -> None:
    telemetry = SupervisorTelemetry()
    telemetry.merged.begin(0)
    telemetry.merged.update(0, derived(m10=900))
    assert '# {trace_id="trace-900"} 0.9' in openmetrics(telemetry.registry)


def test_the_least_ready_worker_says_whether_all_are() -> None:
    expositions = []
    for good in (1, 0):
        telemetry = Telemetry()
        telemetry.ready.set(good)
        telemetry.dependency_up.labels("kafka").set(1)
        telemetry.dependency_up.labels("elasticsearch").set(good)
        expositions.append(dump_families(telemetry.registry))
    both = values(merged_of(*expositions))
    assert both["logpipe_ready"] == 0
    assert both["logpipe_dependency_up dependency=elasticsearch"] == 0
    assert both["logpipe_dependency_up dependency=kafka"] == 1
