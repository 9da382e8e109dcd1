"""`logpipe doctor`: what is worked out from what the servers say, and the whole on the real ones."""

import asyncio
import json
import re
from datetime import date

import pytest

from pipeline.diagnostics.day_volume import DayVolume, volume_finding
from pipeline.diagnostics.prognosis import (
    FieldCounts,
    IndexFacts,
    count_fields,
    days_kept,
    field_findings,
    index_findings,
    lifecycle_plan,
    partition_finding,
    shard_finding,
)
from pipeline.diagnostics.verdicts import verdicts
from tests.logpipe import logpipe
from tests.own_pipeline import Pipeline

PHASES = {"hot": "0ms", "warm": "7d", "cold": "30d", "delete": "90d"}
INDEX = IndexFacts("app-2026.01.15", "app-policy", (), 2, 40, 1000, None)


def test_indices_that_are_well_make_one_finding() -> None:
    (finding,) = index_findings([INDEX, INDEX._replace(name="app-2026.01.16")], "app-policy")
    assert finding.good
    assert index_findings([], "app-policy")[0].good is None


@pytest.mark.parametrize(
    ("facts", "good", "told"),
    [
        (INDEX._replace(error_step="no such node"), False, "no such node"),
        (INDEX._replace(blocks=("read_only_allow_delete",)), False, "Free disk space"),
        (INDEX._replace(policy=None), None, r"another policy \(none\)"),
        (INDEX._replace(fields=990), None, "990 of 1000"),
    ],
)
def test_what_is_wrong_with_an_index_is_said_with_what_to_do(
    facts: IndexFacts, good: bool | None, told: str
) -> None:
    (finding,) = index_findings([facts], "app-policy")
    assert finding.good is good
    assert re.search(told, finding.detail), finding


@pytest.mark.parametrize(
    ("shards", "kept", "good", "told"),
    [
        (100, 90.0, True, "176 more until the first index is deleted"),
        (950, 90.0, False, "reached in 25 days"),
        (100, None, None, "no index is ever deleted"),
        (960, None, False, "reached in 20 days"),
    ],
)
def test_the_shards_until_the_limit(shards: int, kept: float | None, good: bool | None, told: str) -> None:
    finding = shard_finding(shards=shards, nodes=1, per_node=1000, own=4, shards_a_day=2, kept=kept)
    assert finding.good is good, finding
    assert told in finding.detail


@pytest.mark.parametrize(
    ("documents", "gigabytes", "shards", "good", "told"),
    [
        (90_000_000, 15, 1, True, "which fits"),
        (90_000_000, 15, 3, None, "1 would do"),
        (90_000_000, 45, 3, True, "which fits"),
        (90_000_000, 120, 2, False, "index.shards = 3"),
        (900_000_000, 40, 3, False, "index.shards = 5"),
    ],
)
def test_the_shards_that_fit_a_day(
    documents: int, gigabytes: int, shards: int, good: bool | None, told: str
) -> None:
    day = DayVolume("app-2026.01.15", shards, documents, gigabytes * 10**9)
    finding = volume_finding([day, day._replace(name="app-2026.01.16", stored_bytes=1, documents=1)])
    assert finding.good is good, finding
    assert told in finding.detail
    assert volume_finding([]).good is None


def test_the_lifecycle_is_simulated_by_the_date_in_the_name() -> None:
    plan = lifecycle_plan(
        PHASES, ["app-2026.01.15", "app-2026.01.20", "app-2025.10.01", "app-undated"], date(2026, 1, 22)
    )
    assert [(stay.name, stay.phase, stay.next_phase, stay.next_on) for stay in plan] == [
        ("app-2025.10.01", "deleted", None, None),
        ("app-2026.01.15", "warm", "cold", date(2026, 2, 14)),
        ("app-2026.01.20", "hot", "warm", date(2026, 1, 27)),
    ]
    assert days_kept(PHASES) == 90
    assert days_kept({"hot": "0ms"}) is None


def test_fields_of_the_sample_that_conflict_are_counted() -> None:
    mapping = {"dynamic": "false", "properties": {"n": {"type": "long"}, "k": {"type": "keyword"}}}
    counts: dict[tuple[str, str], FieldCounts] = {}
    for document in ({"n": "x"}, {"n": 1, "k": None}, {"n": "y", "other": 1}):
        count_fields(verdicts(document, mapping), counts)
    (finding,) = field_findings(counts, 3)
    assert finding.good is False
    assert finding.subject == "field n"
    assert "2 of 3 documents ('x' is no long" in finding.detail
    assert field_findings({}, 3)[0].good is True
    assert field_findings({}, 0)[0].good is None, "what compared nothing proves nothing"


def test_workers_without_a_partition_are_told() -> None:
    assert partition_finding("t", 4, 8).good is None
    assert partition_finding("t", 8, 8).good is True


async def test_on_the_real_servers_a_conflict_to_come_is_found(pipeline: Pipeline) -> None:
    await pipeline.send([b'{"message":"m"}'] * 3)
    await pipeline.client.index(index=f"{pipeline.name}-2024.01.15", document={"message": "m"}, refresh=True)
    well = await asyncio.to_thread(logpipe, "doctor", "--json", settings=pipeline.environment())
    told = json.loads(well.stdout)
    assert (well.returncode, told["bad"]) == (0, 0), told
    subjects = {finding["subject"] for finding in told["findings"]}
    assert {
        "kafka",
        "elasticsearch",
        "setup",
        "shards",
        "shards a day",
        "sample",
        f"topic {pipeline.name}",
    } <= subjects
    (volume,) = [one["detail"] for one in told["findings"] if one["subject"] == "shards a day"]
    assert volume.startswith(f"{pipeline.name}-2024.01.15, the largest day, holds 1 documents")
    # Somebody has mapped a field of the index of today otherwise than it is logged.
    await pipeline.client.cluster.put_component_template(
        name=f"{pipeline.name}@custom",
        template={"mappings": {"properties": {"took": {"type": "long", "ignore_malformed": False}}}},
    )
    await pipeline.send([b'{"took":"long"}'])
    ill = await asyncio.to_thread(logpipe, "doctor", settings=pipeline.environment())
    assert ill.returncode == 1
    assert "bad  field took: conflicts in 1 of 4 documents" in ill.stdout.decode()
