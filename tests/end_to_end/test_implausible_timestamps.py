"""Records whose Kafka timestamp cannot be true, all the way: indexed once, counted, and found by the audit."""

import asyncio
import time
from contextlib import suppress
from typing import Any

import orjson
import pytest
from aiohttp import ClientError
from aiokafka import AIOKafkaProducer

from pipeline.audit import audit
from pipeline.events.timestamps import from_epoch_ms
from tests.logpipe import running
from tests.own_pipeline import Pipeline, stop

# -1 is a producer's word for "none", which aiokafka replaces by the time; these are 1970 and a week ahead.
IMPLAUSIBLE_MS = (1234, time.time_ns() // 1_000_000 + 7 * 86_400_000)


@pytest.fixture
async def sent(pipeline: Pipeline) -> Pipeline:
    """Send an event with, and one without, a time of its own for each timestamp; and an old one that overflows."""
    # Kafka's own limit is an hour ahead.
    await pipeline.alter_topic(pipeline.name, {"message.timestamp.after.max.ms": str(30 * 86_400_000)})
    now_ms = time.time_ns() // 1_000_000
    event: dict[str, Any] = {"level": "info", "message": "m"}
    dated = {**event, "timestamp": from_epoch_ms(now_ms).text}
    records = [(each, stamp) for stamp in IMPLAUSIBLE_MS for each in (event, dated)]
    records.append((event, now_ms - 200 * 86_400_000))
    producer = AIOKafkaProducer(bootstrap_servers=pipeline.servers.kafka_bootstrap)
    await producer.start()
    try:
        for each, stamp in records:
            await producer.send_and_wait(pipeline.name, orjson.dumps(each), partition=0, timestamp_ms=stamp)
    finally:
        await producer.stop()
    return pipeline


async def settled(pipeline: Pipeline, documents: int) -> dict[str, float]:
    """Give a worker's metrics once it has settled so many documents."""
    async with asyncio.timeout(60):
        while True:
            with suppress(ClientError):
                metrics = await pipeline.metrics()
                outcomes = [n for name, n in metrics.items() if name.startswith("logpipe_documents_total{")]
                if sum(outcomes) >= documents:
                    return metrics
            await asyncio.sleep(0.2)


async def test_each_is_indexed_once_where_it_lives_and_a_replay_changes_nothing(sent: Pipeline) -> None:
    today = f"{sent.name}-{time.strftime('%Y.%m.%d', time.gmtime())}"
    for group in ("first", "second"):
        environment = sent.environment(LOGPIPE_KAFKA__GROUP_ID=f"{sent.name}-{group}")
        with running("index", settings=environment) as process:
            metrics = await settled(sent, 5)
            stop(process)
        assert metrics[f'logpipe_records_implausible_timestamp_total{{topic="{sent.name}"}}'] == 4
        assert metrics['logpipe_documents_without_day_total{index="undated"}'] == 2
        assert metrics['logpipe_documents_without_day_total{index="overflow"}'] == 1
    assert await sent.counts() == {today: 2, f"{sent.name}-undated": 2, f"{sent.name}-overflow": 1}
    result = await audit(sent.settings, to_end=True)
    assert (result.records, result.indexed, result.clean) == (5, 5, True)
    mapping = await sent.client.indices.get_mapping(index=f"{sent.name}-undated,{sent.name}-overflow")
    for index in mapping.values():
        assert index["mappings"]["properties"]["unmapped"]["type"] == "flattened"
