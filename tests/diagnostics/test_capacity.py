"""What a rate of events needs: never less than the costs say, never beyond a limit without a word."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from pipeline.diagnostics import measured_costs as costs
from pipeline.diagnostics.capacity import (
    DAY_SECONDS,
    Assumptions,
    Phase,
    Plan,
    Traffic,
    fitting_shards,
    plan,
    policy_phases,
)
from pipeline.diagnostics.capacity_limits import LARGEST_SHARD_BYTES, MOST_SHARD_DOCUMENTS

PHASES = (Phase("hot", 0, 1), Phase("warm", 7, 0), Phase("cold", 30, 0), Phase("delete", 90, 0))
RATES = st.floats(min_value=0.01, max_value=1e8)
TRAFFIC = st.builds(
    Traffic,
    RATES,
    st.floats(min_value=1, max_value=1e6),
    st.sampled_from([{"guide": 1.0}, {"guide": 0.5, "logger": 0.2, "shipper": 0.3}, {"shipper": 1.0}]),
    st.floats(min_value=0, max_value=1),
    st.integers(min_value=1, max_value=5000),
)
ASSUMED = st.builds(
    Assumptions,
    peak=st.floats(min_value=1, max_value=20),
    headroom=st.floats(min_value=0, max_value=0.9),
    spare_workers=st.integers(0, 5),
    node_cores=st.integers(1, 128),
    node_disk_bytes=st.floats(min_value=1e9, max_value=1e14),
    shards_per_node=st.integers(1, 5000),
    data_nodes=st.integers(0, 500),
    shards=st.integers(0, 1024),
)
DAYS = st.integers(1, 3650)


def needs(made: Plan) -> list[float]:
    kafka, real = made.kafka, made.elasticsearch
    return [
        made.workers.number,
        made.workers.partitions,
        made.workers.memory_bytes,
        kafka.in_bytes_per_second,
        kafka.disk_bytes,
        real.documents_per_day,
        real.bulk_bytes_per_second,
        real.cores_at_peak,
        real.shards,
        real.all_shards,
        real.disk_bytes,
        real.data_nodes,
    ]


@given(TRAFFIC, RATES, DAYS, ASSUMED)
def test_more_events_never_need_less(one: Traffic, rate: float, days: int, assumed: Assumptions) -> None:
    less, more = sorted([one.events_per_second, rate])
    few = needs(plan(replace(one, events_per_second=less), days, PHASES, assumed))
    many = needs(plan(replace(one, events_per_second=more), days, PHASES, assumed))
    assert all(before <= after for before, after in zip(few, many, strict=True))


@given(TRAFFIC, DAYS, ASSUMED)
def test_workers_carry_the_peak_with_what_shall_stay_free(
    traffic: Traffic, days: int, assumed: Assumptions
) -> None:
    workers = plan(traffic, days, PHASES, assumed).workers
    busy = traffic.events_per_second * assumed.peak * workers.us_per_event / 1e6
    assert (workers.number - assumed.spare_workers) * (1 - assumed.headroom) >= busy * (1 - 1e-9)
    assert workers.partitions >= workers.number, "one without a partition stands idle"


@given(TRAFFIC, DAYS, ASSUMED)
def test_what_is_above_a_limit_is_said(traffic: Traffic, days: int, assumed: Assumptions) -> None:
    made = plan(traffic, days, PHASES, assumed)
    real, said = made.elasticsearch, " ".join(made.limits)
    assert ("max_shards_per_node" in said) == (real.all_shards > real.data_nodes * assumed.shards_per_node)
    assert ("in one index" in said) == (real.shards > 1024)
    assert ("one group should have" in said) == (made.workers.number > 512)
    assert ("too few by CPU" in said) == (real.nodes_by["CPU"] > real.data_nodes)
    assert ("too few by disk" in said) == (real.nodes_by["disk"] > real.data_nodes)
    assert ("deletes an index after 90 days" in said) == (days > 90)
    large = max(real.bytes_per_day / LARGEST_SHARD_BYTES, real.documents_per_day / MOST_SHARD_DOCUMENTS)
    assert ("Set more shards" in said) == (large > real.shards)


@given(TRAFFIC, DAYS, ASSUMED)
def test_without_a_number_of_nodes_or_shards_each_is_enough(
    traffic: Traffic, days: int, assumed: Assumptions
) -> None:
    made = plan(traffic, days, PHASES, replace(assumed, data_nodes=0, shards=0))
    real = made.elasticsearch
    assert real.all_shards <= real.data_nodes * assumed.shards_per_node
    assert real.data_nodes == max(real.nodes_by.values()) >= max(one.copies for one in real.phases)
    assert real.shards * real.phases[0].copies >= real.nodes_by["CPU"], (
        "each such node takes part in indexing"
    )


@given(TRAFFIC, DAYS, ASSUMED)
def test_every_day_that_is_kept_is_in_one_phase(traffic: Traffic, days: int, assumed: Assumptions) -> None:
    real = plan(traffic, days, PHASES, assumed).elasticsearch
    assert sum(one.days for one in real.phases) == days
    assert real.disk_bytes == pytest.approx(
        sum(real.bytes_per_day * one.days * one.copies for one in real.phases)
    )
    assert [one.phase for one in real.phases] == ["hot", "warm", "cold"][: len(real.phases)]


def test_units() -> None:
    traffic = Traffic(1000, 364, errors=0, services=1)
    made = plan(traffic, 90, PHASES, Assumptions(peak=2, compression=0.5, kafka_days=1, kafka_replicas=3))
    assert made.workers.us_per_event == pytest.approx(costs.WORKER_US + 364 * costs.WORKER_US_PER_BYTE)
    assert made.workers.cores_at_peak == pytest.approx(2000 * made.workers.us_per_event / 1e6)
    assert made.kafka.in_bytes_per_second == made.kafka.out_bytes_per_second == 2000 * 364 * 0.5
    assert made.kafka.replication_bytes_per_second == 2 * 2000 * 364 * 0.5
    assert made.kafka.disk_bytes == 1000 * 364 * 0.5 * DAY_SECONDS * 3
    real = made.elasticsearch
    assert real.documents_per_day == 86_400_000
    assert real.bulk_bytes_per_second == 2000 * (364 + costs.BULK_BYTES_ADDED)
    assert [(one.phase, one.days, one.copies, one.shards) for one in real.phases] == [
        ("hot", 7, 2, 14 * real.shards),
        ("warm", 23, 1, 23 * real.shards),
        ("cold", 60, 1, 60 * real.shards),
    ]


def test_what_is_dearer_costs_more() -> None:
    def cost(**more: object) -> float:
        return plan(
            Traffic(1000, **more),  # type: ignore[arg-type]
            1,
            PHASES,
            Assumptions(),
        ).workers.us_per_event

    plain = cost()
    assert cost(errors=0.5) > cost(errors=0.1) > plain
    assert cost(formats={"shipper": 1.0}) > cost(formats={"logger": 1.0}) > plain
    assert cost(services=1000) > cost(services=50) > cost(services=20) > plain
    assert cost(event_bytes=5000) > plain


@pytest.mark.parametrize(("services", "least", "most"), [(1, 0, 0), (10, 0.01, 3), (10**6, 0.1, 30)])
def test_services_beyond_those_measured_cost_what_most_did(services: int, least: float, most: float) -> None:
    assert least <= costs.services_us(services) <= most
    assert costs.services_us(services + 1) >= costs.services_us(services)


def test_nodes_that_cannot_carry_the_average_never_catch_up() -> None:
    made = plan(Traffic(1_000_000), 1, PHASES, Assumptions(data_nodes=1))
    assert made.catch_up_seconds == math.inf
    assert plan(Traffic(1_000_000), 1, PHASES, Assumptions()).catch_up_seconds < 3600


@pytest.mark.parametrize(
    ("documents", "stored", "nodes", "copies", "shards"),
    [
        (1, 1, 1, 2, 1),
        (86_400_000, 14e9, 1, 2, 1),
        (1e9, 10e9, 1, 2, 5),
        (1e8, 500e9, 1, 2, 10),
        (1e8, 10e9, 9, 2, 5),
    ],
)
def test_shards_that_fit_a_day(documents: float, stored: float, nodes: int, copies: int, shards: int) -> None:
    assert fitting_shards(documents, stored, nodes=nodes, copies=copies) == shards


def test_phases_are_those_of_a_policy() -> None:
    policy = {
        "policy": {
            "phases": {
                "delete": {"actions": {"delete": {}}},
                "hot": {"actions": {}},
                "warm": {"actions": {"allocate": {"number_of_replicas": 0}}},
                "cold": {"actions": {}},
            }
        }
    }
    ages = {"hot": 0.0, "warm": 2.0, "cold": 5.0, "delete": 9.0}
    assert policy_phases(policy, ages, 2) == (
        Phase("hot", 0.0, 2),
        Phase("warm", 2.0, 0),
        Phase("cold", 5.0, 0),
        Phase("delete", 9.0, 0),
    )
