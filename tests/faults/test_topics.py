"""Topics vanish, come again, grow, lose records to retention: what is there is read, and what is not is told."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete

from pipeline.audit import Unread, audit
from pipeline.kafka.client import group_offsets
from tests.faults.proxy import FaultyProxy, unavailable
from tests.faults.scenario import Scenario
from tests.logpipe import logpipe
from tests.own_pipeline import PARTITIONS, Pipeline, stop

SOON = {"LOGPIPE_KAFKA__METADATA_MAX_AGE_SECONDS": "1"}
LATEST = {**SOON, "LOGPIPE_KAFKA__START_AT": "latest"}
EVENTS = 2000


@asynccontextmanager
async def administration(pipeline: Pipeline) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=pipeline.servers.kafka_bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def metric(pipeline: Pipeline, name: str) -> float:
    """Add up all series of a metric; 0 while the worker does not answer."""
    try:
        metrics = await pipeline.metrics()
    except OSError:
        return 0
    return sum(value for key, value in metrics.items() if key.partition("{")[0] == name)


async def until(pipeline: Pipeline, name: str, least: float) -> None:
    async with asyncio.timeout(60):
        while await metric(pipeline, name) < least:
            await asyncio.sleep(0.2)


async def has_begun(pipeline: Pipeline) -> None:
    """Wait until a worker has committed where it reads each partition from."""
    async with asyncio.timeout(60), administration(pipeline) as admin:
        while len(await group_offsets(admin, pipeline.name)) < PARTITIONS:
            await asyncio.sleep(0.2)


async def delete_records(pipeline: Pipeline, before: dict[int, int]) -> None:
    """Do what retention does: remove what is below these offsets."""
    async with administration(pipeline) as admin:
        await admin.delete_records(
            {
                TopicPartition(pipeline.name, number): RecordsToDelete(before_offset=offset)
                for number, offset in before.items()
            }
        )


def kill(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("stopped", [False, True], ids=["at work", "while no worker runs"])
async def test_topic_made_anew_in_an_outage(scenario: Scenario, proxy: FaultyProxy, stopped: bool) -> None:
    pipeline = scenario.pipeline
    scenario.settings = {**SOON, "LOGPIPE_ELASTICSEARCH__HOSTS": proxy.url}
    await scenario.send(EVENTS)
    with scenario.worker() as process:
        await scenario.committed()
        proxy.fault = unavailable
        await pipeline.send_samples(EVENTS, seed=1)
        await until(pipeline, "logpipe_in_flight_records", 1)
        if stopped:
            kill(process)
        await pipeline.delete_topic(pipeline.name)
        await pipeline.create_topic()
        scenario.faults, scenario.sent = 1, 0
        # More than the old one had: its positions are there in the new one too.
        await scenario.send(3 * EVENTS, seed=2)
        if not stopped:
            await until(pipeline, "logpipe_topics_recreated_total", 1)
        proxy.fault = None
        if not stopped:
            await scenario.finish(process)
    if stopped:
        with scenario.worker() as process:
            await scenario.finish(process)


async def test_commit_for_an_earlier_topic_counts_for_nothing(scenario: Scenario) -> None:
    """The commits of a group may outlive a topic: a worker that lives on writes them again."""
    pipeline = scenario.pipeline
    await scenario.send(EVENTS)
    with scenario.worker() as process:
        await scenario.committed()
        stop(process)
    async with administration(pipeline) as admin:
        left = await group_offsets(admin, pipeline.name)
    await pipeline.delete_topic(pipeline.name)
    await pipeline.create_topic()
    scenario.faults, scenario.sent = 1, 0
    await scenario.send(2 * EVENTS, seed=1)
    await pipeline.commit({partition: (each.offset, each.metadata) for partition, each in left.items()})
    told = await asyncio.to_thread(logpipe, "audit", settings=pipeline.environment())
    assert "has been made anew since the group" in told.stdout.decode()
    with scenario.worker() as process:
        await scenario.finish(process)


async def test_topic_deleted_beside_another(scenario: Scenario) -> None:
    pipeline, other = scenario.pipeline, f"{scenario.pipeline.name}.other"
    await pipeline.create_topic(other)
    scenario.settings = {**SOON, "LOGPIPE_KAFKA__TOPICS": f"{pipeline.name},{other}"}
    await scenario.send(EVENTS)
    with scenario.worker(log_level="WARNING") as process:
        await scenario.committed()
        await pipeline.send([b"{}"] * 100, topic=other)
        await pipeline.indexed(EVENTS + 100)
        await pipeline.delete_topic(other)
        scenario.faults = 1
        for seed in range(1, 4):
            await scenario.send(EVENTS, seed=seed)
            await scenario.committed(within_seconds=20)
        assert await metric(pipeline, "logpipe_topics_missing") == 1
        await pipeline.create_topic(other)
        await pipeline.send([b"{}"] * 50, topic=other)
        await pipeline.indexed(4 * EVENTS + 150)
        await scenario.committed()
        process.send_signal(signal.SIGTERM)
        output = process.communicate(timeout=40)[0].decode()
    assert process.returncode == 0, output
    assert "does not exist" in output
    assert len(output.splitlines()) < 100, output
    await scenario.count()


async def test_topic_missing_at_the_start_does_not_hold_up_the_others(scenario: Scenario) -> None:
    pipeline, other = scenario.pipeline, f"{scenario.pipeline.name}.later"
    scenario.settings = {**SOON, "LOGPIPE_KAFKA__TOPICS": f"{other},{pipeline.name}"}
    await scenario.send(EVENTS)
    with scenario.worker() as process:
        await scenario.committed()
        scenario.faults = 1
        await pipeline.create_topic(other)
        await pipeline.send([b"{}"] * 50, topic=other)
        await pipeline.indexed(EVENTS + 50)
        await scenario.finish(process)


@pytest.mark.timeout(300)
async def test_latest_is_the_end_once(scenario: Scenario, proxy: FaultyProxy) -> None:
    """Neither an idle restart nor a kill in an outage skips anything, nor do more partitions."""
    pipeline = scenario.pipeline
    scenario.settings = {**LATEST, "LOGPIPE_ELASTICSEARCH__HOSTS": proxy.url}
    await pipeline.send_samples(500)  # before the group begins: not for it
    with scenario.worker() as process:
        await has_begun(pipeline)
        stop(process)
    await scenario.send(1000, seed=1)
    proxy.fault = unavailable
    with scenario.worker() as process:
        await until(pipeline, "logpipe_in_flight_records", 1000)
        await scenario.send(1000, seed=2)
        kill(process)
        scenario.faults = 1
    proxy.fault = None
    async with administration(pipeline) as admin:
        await admin.create_partitions({pipeline.name: NewPartitions(PARTITIONS + 1)})
    await pipeline.send([b"{}"] * 100, partition=PARTITIONS)
    scenario.sent += 100
    with scenario.worker() as process:
        await pipeline.indexed(2100)
        async with administration(pipeline) as admin:
            await admin.create_partitions({pipeline.name: NewPartitions(PARTITIONS + 2)})
        await pipeline.send([b"{}"] * 100, partition=PARTITIONS + 1)
        scenario.sent += 100
        assert sum((await pipeline.indexed(2200)).values()) == 2200
        await scenario.finish(process)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("start_at", ["earliest", "latest"])
async def test_records_that_expire_before_they_are_read(
    scenario: Scenario, proxy: FaultyProxy, start_at: str
) -> None:
    pipeline = scenario.pipeline
    scenario.settings = {"LOGPIPE_KAFKA__START_AT": start_at, "LOGPIPE_ELASTICSEARCH__HOSTS": proxy.url}
    with scenario.worker() as process:
        await has_begun(pipeline)
        await pipeline.send([b"{}"] * 10, partition=0)
        await pipeline.indexed(10)
        stop(process)
    await pipeline.send([b"{}"] * 90, partition=0)
    await delete_records(pipeline, {0: 50})
    scenario.faults = 1
    # What no worker has met yet.
    told = await asyncio.to_thread(logpipe, "audit", settings=pipeline.environment())
    assert told.returncode == 1
    assert f"{pipeline.name}/0@10-49  expired before being read" in told.stdout.decode()
    with scenario.worker() as process:
        await pipeline.indexed(60)
        assert await metric(pipeline, "logpipe_records_expired_total") == 40
        await scenario.committed()
        stop(process)
    result = await audit(pipeline.settings)
    assert not result.clean
    assert (result.missing, result.duplicated, result.expired) == (0, 0, 40)
    assert result.unread == [Unread("expired", pipeline.name, 0, 10, 50)]
    # Under a worker that stands still; what it has fetched is not lost.
    with scenario.worker() as process:
        await has_begun(pipeline)
        process.send_signal(signal.SIGSTOP)
        await pipeline.send([b"{}"] * 100, partition=0)
        await delete_records(pipeline, {0: 180})
        process.send_signal(signal.SIGCONT)
        async with asyncio.timeout(60):
            while (await pipeline.committed())[0] < 200:
                await asyncio.sleep(0.2)
        stop(process)
    result = await audit(pipeline.settings)
    assert (result.missing, result.duplicated) == (0, 0)
    assert 40 <= result.expired <= 120
    assert sum((await pipeline.counts()).values()) + result.expired == 200


async def test_pattern_leaves_the_dead_letters_alone(scenario: Scenario) -> None:
    pipeline = scenario.pipeline
    scenario.settings = {
        **SOON,
        "LOGPIPE_KAFKA__TOPICS": "",
        "LOGPIPE_KAFKA__TOPIC_PATTERN": pipeline.name,
    }
    await scenario.send(100)
    await pipeline.send([b"a letter"], topic=f"{pipeline.name}.dead-letters")
    with scenario.worker() as process:
        await scenario.committed()
        await pipeline.create_topic(f"{pipeline.name}.more")
        await pipeline.send([b"{}"] * 10, topic=f"{pipeline.name}.more")
        assert sum((await pipeline.indexed(110)).values()) == 110
        await asyncio.sleep(2)
        assert sum((await pipeline.counts()).values()) == 110
        await scenario.finish(process)


async def test_an_open_transaction_is_seen(scenario: Scenario) -> None:
    pipeline = scenario.pipeline
    with scenario.worker() as process:
        await has_begun(pipeline)
        producer = AIOKafkaProducer(
            bootstrap_servers=pipeline.servers.kafka_bootstrap, transactional_id=f"{pipeline.name}-tx"
        )
        await producer.start()
        try:
            await producer.begin_transaction()
            await producer.send_and_wait(pipeline.name, b"{}", partition=0)
            await pipeline.send([b"{}"] * 3, partition=0)
            await until(pipeline, "logpipe_consumer_lag_records", 4)
            assert await metric(pipeline, "logpipe_consumer_readable_lag_records") == 0
            await producer.commit_transaction()
        finally:
            await producer.stop()
        await pipeline.indexed(4)
        # The marker at the end is no record, and nothing that is left to do.
        await scenario.committed()
        async with asyncio.timeout(60):
            while await metric(pipeline, "logpipe_consumer_lag_records"):
                await asyncio.sleep(0.2)
        scenario.sent = 4
        await scenario.finish(process)
