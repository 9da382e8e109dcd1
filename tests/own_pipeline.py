"""A pipeline of a test's own on the shared servers: its topic, group and indices, and what is in them."""

import asyncio
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from aiohttp import ClientSession
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from elasticsearch import AsyncElasticsearch

from pipeline.events.indices import DAY_MS, Indices
from pipeline.install import run_setup
from pipeline.sample import sample_events
from pipeline.sample.produce import produce
from pipeline.sandbox import Servers
from pipeline.sandbox.ports import free_port
from pipeline.settings import Settings, load_settings

__all__ = ["PARTITIONS", "SLOW", "Pipeline", "documents", "own_pipeline", "stop"]

PARTITIONS = 4

# Small requests, one at a time: so that there is a middle to be interrupted in.
SLOW = {
    "LOGPIPE_ELASTICSEARCH__BULK_MAX_BYTES": "200000",
    "LOGPIPE_ELASTICSEARCH__MAX_CONCURRENT_REQUESTS": "1",
    "LOGPIPE_ELASTICSEARCH__MAX_IN_FLIGHT_BYTES": "2000000",
    "LOGPIPE_KAFKA__MAX_POLL_RECORDS": "500",
}


async def _configs(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    """Give a topic's configuration as its broker has it."""
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    return {entry[0]: entry[1] for resource in answer.resources for entry in resource[4]}


class Pipeline:
    """A topic, a group and indices of a test's own, and what is in them."""

    def __init__(self, servers: Servers) -> None:
        self.name = f"e2e-{uuid4().hex[:8]}"
        self.servers = servers
        self.port = free_port()
        self.client = AsyncElasticsearch(servers.elasticsearch_url, request_timeout=60)

    def environment(self, **settings: str) -> dict[str, str]:
        return {
            "LOGPIPE_KAFKA__BOOTSTRAP_SERVERS": self.servers.kafka_bootstrap,
            "LOGPIPE_KAFKA__TOPICS": self.name,
            "LOGPIPE_KAFKA__GROUP_ID": self.name,
            "LOGPIPE_KAFKA__SESSION_TIMEOUT_SECONDS": "6",
            "LOGPIPE_ELASTICSEARCH__HOSTS": self.servers.elasticsearch_url,
            "LOGPIPE_INDEX__PREFIX": self.name,
            "LOGPIPE_HTTP__PORT": str(self.port),
            **settings,
        }

    @property
    def settings(self) -> Settings:
        return load_settings(
            overrides={
                "kafka": {
                    "bootstrap_servers": [self.servers.kafka_bootstrap],
                    "topics": [self.name],
                    "group_id": self.name,
                },
                "elasticsearch": {"hosts": [self.servers.elasticsearch_url]},
                "index": {"prefix": self.name},
            }
        )

    async def create_topic(self, name: str | None = None, partitions: int = PARTITIONS) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.servers.kafka_bootstrap)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name or self.name, partitions, 1)])
        finally:
            await admin.close()

    async def delete_topic(self, name: str) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.servers.kafka_bootstrap)
        await admin.start()
        try:
            await admin.delete_topics([name])
            while name in await admin.list_topics():
                await asyncio.sleep(0.1)
        finally:
            await admin.close()

    async def alter_topic(self, name: str, configs: dict[str, str]) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.servers.kafka_bootstrap)
        await admin.start()
        try:
            topic = ConfigResource(ConfigResourceType.TOPIC, name, configs)
            await admin.alter_configs([topic])
            # The broker takes it over a moment after the controller has noted it.
            while not configs.items() <= (await _configs(admin, name)).items():
                await asyncio.sleep(0.1)
        finally:
            await admin.close()

    async def send(
        self,
        values: Iterable[bytes | None],
        *,
        topic: str | None = None,
        partition: int | None = None,
        **options: Any,
    ) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.servers.kafka_bootstrap, acks="all", **options)
        await producer.start()
        try:
            for sent in [
                await producer.send(topic or self.name, value, key=b"k", partition=partition)
                for value in values
            ]:
                await sent
        finally:
            await producer.stop()

    async def send_samples(self, count: int, *, seed: int = 0) -> dict[str, int]:
        """Send sample traffic; gives how many events belong to each index."""
        events = sample_events(count, seed=seed, end_ms=time.time_ns() // 1_000_000, span_seconds=2 * 86_400)
        days = await produce(self.settings.kafka, events)
        indices = Indices(self.settings.index, self.settings.events)
        return {indices.name(day * DAY_MS): number for day, number in days.items()}

    async def counts(self) -> dict[str, int]:
        await self.client.indices.refresh(index=f"{self.name}-*")
        rows = (await self.client.indices.stats(index=f"{self.name}-*", metric="docs"))["indices"]
        return {index: int(row["primaries"]["docs"]["count"]) for index, row in rows.items()}

    async def indexed(self, count: int, within_seconds: float = 60) -> dict[str, int]:
        """Wait until so many documents are there."""
        deadline = time.monotonic() + within_seconds
        while sum((counts := await self.counts()).values()) < count and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
        return counts

    async def documents(self) -> list[dict[str, Any]]:
        await self.client.indices.refresh(index=f"{self.name}-*")
        answer = await self.client.search(index=f"{self.name}-*", size=10_000, sort="_doc")
        return [hit["_source"] for hit in answer["hits"]["hits"]]

    async def delete_indices(self) -> None:
        """Delete what the test has indexed; the server refuses to delete by wildcard."""
        for index in await self.client.indices.get(
            index=[f"{self.name}-*", f"{self.name}.fingerprints*", f"{self.name}.traces-*"]
        ):
            await self.client.indices.delete(index=index)

    async def committed(self) -> dict[int, int]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.servers.kafka_bootstrap, group_id=self.name)
        await consumer.start()
        try:
            partitions = [TopicPartition(self.name, number) for number in range(PARTITIONS)]
            return {each.partition: await consumer.committed(each) or 0 for each in partitions}
        finally:
            await consumer.stop()

    async def commit(self, offsets: Mapping[TopicPartition, tuple[int, str]]) -> None:
        """Commit for the group while it has no member."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.servers.kafka_bootstrap, group_id=self.name, enable_auto_commit=False
        )
        await consumer.start()
        try:
            consumer.assign(list(offsets))
            await consumer.commit(offsets)
        finally:
            await consumer.stop()

    async def ends(self) -> dict[int, int]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.servers.kafka_bootstrap)
        await consumer.start()
        try:
            partitions = [TopicPartition(self.name, number) for number in range(PARTITIONS)]
            return {each.partition: end for each, end in (await consumer.end_offsets(partitions)).items()}
        finally:
            await consumer.stop()

    async def metrics(self) -> dict[str, float]:
        async with (
            ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.port}/metrics") as response,
        ):
            lines = (await response.text()).splitlines()
        return {
            name: float(value)
            for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        }


@asynccontextmanager
async def own_pipeline(servers: Servers) -> AsyncIterator[Pipeline]:
    """Create topic and templates, and take away what is in Elasticsearch afterwards."""
    one = Pipeline(servers)
    await one.create_topic()
    await run_setup(one.settings, dry_run=False, without_ilm=True, report=lambda _: None)
    try:
        yield one
    finally:
        await one.delete_indices()
        await one.client.indices.delete_index_template(name=f"{one.name}*")
        await one.client.cluster.delete_component_template(name=f"{one.name}@*")
        await one.client.close()


def documents(metrics: Mapping[str, float], outcome: str) -> float:
    """Count the documents of all partitions with this outcome."""
    return sum(
        value
        for name, value in metrics.items()
        if name.startswith("logpipe_documents_total") and f'outcome="{outcome}"' in name
    )


def stop(process: "subprocess.Popen[bytes]") -> list[str]:
    """End a worker in order; gives the lines of its log."""
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=40)[0].decode()
    assert process.returncode == 0, output
    assert "Traceback" not in output, output
    return output.splitlines()
