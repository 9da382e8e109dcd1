"""The lag of a group: worked out from two samples, and asked of the real broker."""

import asyncio
import json
import time
from collections.abc import Mapping

import pytest
from aiokafka import TopicPartition

from pipeline.diagnostics.lag import PartitionLag, Sample, measure_lag, partition_lags
from pipeline.errors import TopicMissing
from tests.logpipe import logpipe
from tests.own_pipeline import PARTITIONS, Pipeline

ONE = TopicPartition("t", 0)
NOW_MS = 1_700_000_000_000


def sample(at: float, committed: int | None, end: int, start: int = 0) -> Sample:
    return Sample(at, {} if committed is None else {ONE: committed}, {ONE: start}, {ONE: end})


def lag_of(
    first: Sample | None, second: Sample, oldest: Mapping[TopicPartition, int] | None = None
) -> PartitionLag:
    (one,) = partition_lags(first, second, oldest or {}, NOW_MS)
    return one


def test_lag_is_from_what_is_committed_to_the_end() -> None:
    one = lag_of(None, sample(0, 40, 100), {ONE: NOW_MS - 90_000})
    assert (one.committed, one.end, one.lag, one.seconds) == (40, 100, 60, 90.0)
    assert (one.committed_per_second, one.produced_per_second, one.eta_seconds) == (None, None, None)


def test_what_was_never_committed_counts_from_the_first_offset() -> None:
    assert lag_of(None, sample(0, None, 100, start=30)).lag == 70


def test_a_commit_beyond_the_end_is_no_negative_lag() -> None:
    assert lag_of(None, sample(0, 120, 100)).lag == 0


@pytest.mark.parametrize(
    ("before", "after", "eta"),
    [
        ((100, 1000), (300, 1000), 35.0),  # 20/s read, none made, 700 left
        ((100, 1000), (300, 1100), 80.0),  # 20/s read, 10/s made, 800 left
        ((100, 1000), (200, 1100), None),  # as fast as it grows
        ((100, 1000), (100, 1100), None),  # nothing is read
        ((1000, 1000), (1100, 1100), 0.0),  # nothing is left
    ],
)
def test_the_eta_is_of_the_rate_that_is_left_over(
    before: tuple[int, int], after: tuple[int, int], eta: float | None
) -> None:
    assert lag_of(sample(0, *before), sample(10, *after)).eta_seconds == eta


def test_a_timestamp_that_cannot_be_true_tells_no_age() -> None:
    assert lag_of(None, sample(0, 0, 1), {ONE: -1}).seconds is None
    assert lag_of(None, sample(0, 1, 1), {ONE: -1}).seconds == 0.0


async def test_the_real_broker_tells_lag_and_age(pipeline: Pipeline) -> None:
    await pipeline.send([b"{}"] * 10, partition=1)
    await pipeline.commit({TopicPartition(pipeline.name, 1): (4, "")})
    lag = await measure_lag(pipeline.settings, time.time_ns() // 1_000_000, rate_seconds=0.2)
    assert [one.lag for one in lag.partitions] == [0, 6, 0, 0]
    assert [one.committed for one in lag.partitions] == [None, 4, None, None]
    assert lag.records == 6
    assert lag.seconds is not None
    assert not lag.nothing_committed
    assert lag.eta_seconds is None, "nobody reads"
    with pytest.raises(TopicMissing, match="no-such-topic"):
        await measure_lag(pipeline.settings, 0, topics=["no-such-topic"])


async def test_the_command_exits_1_above_its_limit_and_without_a_commit(pipeline: Pipeline) -> None:
    await pipeline.send([b"{}"] * 3, partition=0)
    asked = ("lag", "--rate-seconds", "0")

    async def exit_code(*options: str) -> int:
        result = await asyncio.to_thread(logpipe, *asked, *options, settings=pipeline.environment())
        assert b"Traceback" not in result.stderr
        return result.returncode

    nothing = await asyncio.to_thread(logpipe, *asked, settings=pipeline.environment())
    assert nothing.returncode == 1
    assert "has committed nothing" in nothing.stderr.decode()
    await pipeline.commit({TopicPartition(pipeline.name, 0): (1, "")})
    assert await exit_code("--max", "2") == 0
    assert await exit_code("--max", "1") == 1
    assert await exit_code("--max", "1h") == 0
    assert await exit_code("--max", "soon") == 2
    told = await asyncio.to_thread(logpipe, *asked, "--json", settings=pipeline.environment())
    assert json.loads(told.stdout)["lag"] == 2
    assert len(json.loads(told.stdout)["partitions"]) == PARTITIONS
