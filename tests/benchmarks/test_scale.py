"""The simulation of a large deployment: the same figures give the same answer, and parts of it are held to reality."""

import pytest
from hypothesis import given, strategies as st

from benchmarks.scale import SIZES, Measured, markdown, measured, rebalance, simulate
from benchmarks.scale_measured import assign, count_requests
from benchmarks.sink import running_sink
from docs.source.scaling_tables import RATES, plan_for, plan_table
from pipeline.sandbox import Servers
from pipeline.settings import Elasticsearch, Kafka

ONE = Measured(us_per_event=5.0, start_seconds=2.0, memory_bytes=150e6)


def test_the_same_figures_give_the_same_table() -> None:
    assert markdown(ONE) == markdown(ONE)
    assert markdown(ONE) != markdown(ONE._replace(us_per_event=10.0))
    assert "| workers | 8 | 64 | 512 |" in markdown(measured())


@given(st.integers(1, 600), st.integers(1, 600))
def test_more_workers_ask_for_more_of_everything(one: int, other: int) -> None:
    few, many = (simulate(size, ONE, Kafka(), Elasticsearch()) for size in sorted([one, other]))
    assert few.broker <= many.broker._replace(brokers=max(many.broker.brokers, few.broker.brokers))
    for name in ("heartbeats_per_second", "commits_per_second", "assignment_bytes", "record_bytes"):
        assert getattr(few.group, name) <= getattr(many.group, name)
    for left, right in zip(few.cluster, many.cluster, strict=True):
        assert left <= right


def test_a_rebalance_waits_for_the_last_heartbeat_and_for_what_is_in_flight() -> None:
    kafka, quick, full = Kafka(), Elasticsearch(), Elasticsearch(max_in_flight_bytes=1 << 30)
    usual = rebalance(512, 100_000, kafka, quick)
    assert usual.seconds > kafka.session_timeout_seconds / 10
    assert usual.standing_seconds < usual.seconds
    assert rebalance(512, 100_000, kafka, full).seconds > usual.seconds
    slow = rebalance(512, 1, kafka, full)
    assert slow.seconds < kafka.session_timeout_seconds, "half a session is the most that is waited"
    assert rebalance(512, 100_000, kafka.model_copy(update={"session_timeout_seconds": 10.0}), quick) < usual


@pytest.mark.parametrize(
    ("members", "partitions"), [(1, 2), *((size, 2 * size) for size in SIZES), (500, 1000)]
)
def test_the_assignment_is_as_large_as_the_group_s_leader_writes_it(members: int, partitions: int) -> None:
    group = simulate(members, ONE, Kafka(), Elasticsearch()).group
    assigned = assign(members, partitions)
    assert group.partitions == partitions
    assert group.assignment_bytes == assigned.assignment_bytes
    assert assigned.most_partitions == 2
    assert group.record_bytes > assigned.assignment_bytes + members * assigned.subscription_bytes


def test_figures_of_a_part_of_the_benchmark_are_refused() -> None:
    part = {
        "end_to_end": {"ours_us_per_event": None, "rss_mb": 1.0},
        "start_to_first_document_seconds": 1.0,
    }
    with pytest.raises(ValueError, match="make bench"):
        Measured.read(part)


async def test_a_worker_asks_no_more_of_kafka_than_is_assumed(servers: Servers) -> None:
    with running_sink() as sink:
        seen = await count_requests(servers.kafka_bootstrap, sink, 1000, 3.0, settling_seconds=2.0)
    load = simulate(1, ONE, Kafka(), Elasticsearch())
    assert seen.events_per_second > 0
    assert 0 < seen.fetches_per_second <= load.broker.fetches_per_second * 1.5
    assert seen.commits_per_second <= load.group.commits_per_second + 0.5
    assert seen.heartbeats_per_second <= load.group.heartbeats_per_second + 1 / 3
    assert seen.connections <= load.broker.connections + 1


def test_the_page_has_the_figures_of_the_module() -> None:
    for rate in RATES:
        made = plan_for(rate)
        assert f" {made.workers.number:,} |" in plan_table()
        assert f" {made.elasticsearch.data_nodes:,} |" in plan_table()
