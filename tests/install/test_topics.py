"""The topics, on a real broker."""

import time

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from pipeline.errors import ServerRefused
from pipeline.install.topics import create_topics, plan_topics, wanted_topics
from tests.install.conftest import MakeSettings

DAY_MS = 86_400_000


def test_read_topics_bound_what_producers_may_date(make_settings: MakeSettings, prefix: str) -> None:
    settings = make_settings(events={"retention_days": 30, "max_future_seconds": 600})
    read, dead_letters = wanted_topics(settings, partitions=4)
    assert read.name == f"{prefix}.logs"
    assert read.configs == {
        "message.timestamp.before.max.ms": str(31 * DAY_MS),
        "message.timestamp.after.max.ms": "600000",
    }
    assert dead_letters.name == f"{prefix}.dead-letters"
    assert dead_letters.configs["retention.ms"] == str(30 * DAY_MS)


def test_topics_read_by_pattern_are_not_ours_to_create(make_settings: MakeSettings, prefix: str) -> None:
    settings = make_settings(kafka={"topics": (), "topic_pattern": "logs-.*"})
    assert [spec.name for spec in wanted_topics(settings, partitions=4)] == [f"{prefix}.dead-letters"]


async def test_topics_are_created_once(make_settings: MakeSettings) -> None:
    settings = make_settings()
    wanted = wanted_topics(settings, partitions=3)
    plan = await plan_topics(settings.kafka, wanted)
    assert plan.missing == tuple(wanted)
    await create_topics(settings.kafka, plan.missing)
    await create_topics(settings.kafka, plan.missing)  # as a setup that ran at the same time
    again = await plan_topics(settings.kafka, wanted)
    assert again.missing == ()
    assert again.remarks == ()


async def test_an_existing_topic_is_left_as_it_is_and_remarked_upon(
    make_settings: MakeSettings, prefix: str
) -> None:
    settings = make_settings()
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers[0])
    await admin.start()
    try:
        await admin.create_topics([NewTopic(f"{prefix}.logs", 1, 1)])
    finally:
        await admin.close()
    plan = await plan_topics(settings.kafka, wanted_topics(settings, partitions=3))
    assert [spec.name for spec in plan.missing] == [f"{prefix}.dead-letters"]
    assert any(
        remark.startswith(f"topic {prefix}.logs exists with message.timestamp.before.max.ms = ")
        for remark in plan.remarks
    )


@pytest.mark.parametrize(("days", "accepted"), [(0, True), (-90, True), (-92, False), (2, False)])
async def test_the_broker_refuses_records_dated_outside_the_bounds(
    make_settings: MakeSettings, prefix: str, days: int, accepted: bool
) -> None:
    settings = make_settings()
    await create_topics(settings.kafka, wanted_topics(settings, partitions=1)[:1])
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers[0])
    await producer.start()
    try:
        stamp = time.time_ns() // 1_000_000 + days * DAY_MS
        sending = await producer.send(f"{prefix}.logs", b"{}", timestamp_ms=stamp)
        if accepted:
            await sending
        else:
            with pytest.raises(KafkaError, match=r"(?i)timestamp"):
                await sending
    finally:
        await producer.stop()


async def test_more_replicas_than_brokers_are_refused_with_kafkas_reason(make_settings: MakeSettings) -> None:
    settings = make_settings()
    with pytest.raises(ServerRefused, match=r"refused to create the topic .*replication factor"):
        await create_topics(settings.kafka, wanted_topics(settings, partitions=1, replication_factor=3))
