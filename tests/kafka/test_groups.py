"""A consumer group that another application uses: said as such, with the setting, and not tried for ever."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from pipeline.install.check import Finding, check_servers
from pipeline.kafka.groups import ConsumerGroup, explain_conflict
from tests.logpipe import logpipe, running
from tests.own_pipeline import Pipeline

pytestmark = pytest.mark.server


@asynccontextmanager
async def another_application(pipeline: Pipeline) -> AsyncIterator[None]:
    """Be in the group as a consumer of Java is by default: with the range assignor."""
    consumer = AIOKafkaConsumer(
        pipeline.name,
        bootstrap_servers=pipeline.servers.kafka_bootstrap,
        group_id=pipeline.name,
        client_id="billing",
        partition_assignment_strategy=(RangePartitionAssignor,),
    )
    await consumer.start()
    try:
        yield
    finally:
        await consumer.stop()


def group_finding(pipeline: Pipeline, findings: list[Finding]) -> tuple[bool | None, str]:
    (found,) = [one for one in findings if one.subject == f"consumer group {pipeline.name}"]
    return found.good, found.detail


@pytest.mark.parametrize(
    ("group", "conflict"),
    [
        (ConsumerGroup("", "", ()), False),
        (ConsumerGroup("consumer", "roundrobin", ("logpipe at 10.0.0.1",)), False),
        (ConsumerGroup("consumer", "", ("billing at 10.0.0.1",)), False),  # in the middle of a rebalance
        (ConsumerGroup("consumer", "range", ()), False),
        (ConsumerGroup("consumer", "range", ("billing at 10.0.0.1",)), True),
        (ConsumerGroup("connect", "sessioned", ("connect at 10.0.0.1",)), True),
    ],
)
def test_a_group_is_in_conflict_by_the_assignor_of_its_members(group: ConsumerGroup, conflict: bool) -> None:
    assert (explain_conflict("logs", group) is not None) is conflict


def test_no_more_than_three_members_are_listed() -> None:
    text = explain_conflict("logs", ConsumerGroup("consumer", "range", tuple("abcde")))
    assert text is not None
    assert "(a, b, c and 2 more)" in text


async def test_check_counts_the_members_or_says_whose_they_are(pipeline: Pipeline) -> None:
    kafka = pipeline.settings.kafka.model_copy(update={"group_id": pipeline.name})
    settings = pipeline.settings.model_copy(update={"kafka": kafka})
    assert group_finding(pipeline, await check_servers(settings)) == (True, "has 0 members now")
    async with another_application(pipeline):
        good, detail = group_finding(pipeline, await check_servers(settings))
    assert good is False
    assert "(billing at 127.0.0.1)" in detail
    assert "'range'" in detail


async def test_neither_index_nor_run_tries_again_and_both_name_the_setting(pipeline: Pipeline) -> None:
    environment = pipeline.environment(LOGPIPE_HTTP__PORT="0")
    async with another_application(pipeline):
        for command, code in (("index", 2), ("run", 3)):
            # In a thread: the other member has to go on with its heartbeats.
            result = await asyncio.to_thread(logpipe, command, settings=environment)
            text = result.stderr.decode() + result.stdout.decode()
            assert result.returncode == code, text
            assert f"kafka.group_id = '{pipeline.name}'" in text
            assert "billing at 127.0.0.1" in text
            assert "ACL" not in text
            assert "Traceback" not in text


async def test_a_worker_whose_group_was_taken_ends_with_the_reason(pipeline: Pipeline) -> None:
    environment = pipeline.environment(LOGPIPE_KAFKA__SESSION_TIMEOUT_SECONDS="1", LOGPIPE_HTTP__PORT="0")
    await pipeline.send([b"{}"])
    with running("index", settings=environment) as worker:
        assert await pipeline.indexed(1)
        worker.send_signal(signal.SIGSTOP)
        await asyncio.sleep(2)  # its session ends
        async with another_application(pipeline):
            worker.send_signal(signal.SIGCONT)
            output = (await asyncio.to_thread(worker.communicate, timeout=60))[0].decode()
    assert worker.returncode == 2, output
    assert f"error: kafka.group_id = '{pipeline.name}'" in output
    assert "Traceback" not in output
