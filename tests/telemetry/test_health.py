"""What the health endpoints say of a worker, and what its counters are before anything has happened."""

from prometheus_client import generate_latest

from pipeline.telemetry.health import Health
from pipeline.telemetry.metrics import Telemetry


def healthy() -> Health:
    health = Health()
    health.kafka = health.assigned = True
    health.partitions = 3
    return health


def test_a_worker_with_all_that_it_needs_is_ready_and_says_no_more() -> None:
    ready, body = healthy().ready()
    assert ready
    assert body == {
        "status": "ready",
        "checks": {"kafka": True, "elasticsearch": True, "dead_letters": True},
    }


def test_a_worker_without_a_partition_is_ready_and_says_that_it_has_none() -> None:
    health = healthy()
    health.partitions = 0
    ready, body = health.ready()
    assert ready
    assert body["note"].startswith("this worker has no partition")


def test_a_silent_kafka_is_the_reason_beside_those_of_elasticsearch() -> None:
    health = healthy()
    health.kafka, health.kafka_silent_seconds = False, 34.4
    health.elasticsearch, health.reason = False, "Elasticsearch does not answer"
    ready, body = health.ready()
    assert not ready
    assert body["reason"] == "no Kafka broker has answered for 34 s; Elasticsearch does not answer"


def test_to_join_the_group_is_not_to_lack_kafka() -> None:
    health = Health()
    health.kafka = True
    ready, body = health.ready()
    assert not ready
    assert (body["checks"]["kafka"], health.dependencies()["kafka"]) == (False, True)
    assert "joined" in body["reason"]


def test_counters_with_known_labels_begin_at_0_and_have_no_times_of_creation() -> None:
    telemetry = Telemetry()
    telemetry.begin_partitions([("logs", 0)])
    text = generate_latest(telemetry.registry).decode()
    for series in (
        'logpipe_bulk_requests_total{result="failed"} 0.0',
        'logpipe_documents_total{outcome="dead_lettered",partition="0",topic="logs"} 0.0',
        'logpipe_records_expired_total{partition="0",topic="logs"} 0.0',
        'logpipe_records_total{topic="logs"} 0.0',
    ):
        assert series in text
    assert "_created" not in text
