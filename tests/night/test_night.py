"""A night on call: what breaks is told by readiness, alerts, the log and `logpipe top` as the runbooks say.

Everything is real: the broker, three Elasticsearch nodes, `logpipe run` with two workers, Prometheus with the rules
that are shipped, Alertmanager with the configuration that is shipped (the variant that tells nobody; a test of its own
shows that nothing else differs). What is expected is read from the runbooks, section "What you see": page and product
cannot drift apart.

What is not real, and why:

- All times of the rules are a thirtieth (`quicker`: `for`, ranges, offsets, intervals), and Prometheus scrapes every
  two seconds instead of every minute: what the rules see in half an hour they see in a minute. Thresholds and
  expressions are as they are. The clocks of the pipeline run as always: readiness, lines and `top` take as long as
  they do at night.
- A gate stands in front of Elasticsearch for a key that expires and for requests that are slow: its security module is
  in no package registry, and no setting makes a node slow.
- A disk is full because the watermarks are lowered to what is used of it: the block of the indices is Elasticsearch's
  own. ElasticsearchDiskHigh, which needs 85 % of the disk itself, is shown by the tests of the rules.
"""

import asyncio
import base64
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from elasticsearch import AsyncElasticsearch

from pipeline.audit import audit
from pipeline.events.indices import Indices
from pipeline.install import run_setup
from pipeline.sandbox import Elasticsearch
from pipeline.sandbox.ports import free_port
from tests.monitoring.alerting import ALERTMANAGER
from tests.monitoring.alertmanager_process import running_alertmanager
from tests.monitoring.prometheus_process import running_prometheus
from tests.night.cluster import Cluster, running_cluster
from tests.night.gate import Gate, running_gate
from tests.night.on_call import OnCall
from tests.night.traffic import traffic
from tests.own_pipeline import Pipeline

FACTOR = 30
RATE = 60
SPIKE_RATE = 200
BACKLOG = 110_000
DAY_MS = 86_400_000
# Quick to try again, so that an act is short; and little at a time, so that what is slow shows.
SETTINGS = {
    "LOGPIPE_ELASTICSEARCH__RETRY_MAX_SECONDS": "3",
    "LOGPIPE_ELASTICSEARCH__SLOW_REQUEST_SECONDS": "1",
    "LOGPIPE_ELASTICSEARCH__BULK_MAX_BYTES": "400000",
    # What cannot be written because of the key is waited for so long at the end.
    "LOGPIPE_SHUTDOWN__TIMEOUT_SECONDS": "5",
}
KEYS = [base64.b64encode(f"key:{number}".encode()).decode() for number in range(2)]


class Night:
    """The stage: servers, a pipeline, and who is on call."""

    def __init__(self, cluster: Cluster, pipeline: Pipeline, on_call: OnCall, gate: Gate) -> None:
        self.cluster = cluster
        self.pipeline = pipeline
        self.on_call = on_call
        self.gate = gate
        self.client = AsyncElasticsearch(
            [node.url for node in cluster.nodes], request_timeout=30, max_retries=5
        )
        self.service: subprocess.Popen[bytes]

    def index(self, days_ago: int = 0) -> str:
        """Name the index of a day."""
        settings = self.pipeline.settings
        now_ms = time.time_ns() // 1_000_000
        return Indices(settings.index, settings.events).name(now_ms - days_ago * DAY_MS)

    def settings(self, **more: str) -> dict[str, str]:
        return self.pipeline.environment(LOGPIPE_ELASTICSEARCH__HOSTS=self.cluster.hosts, **SETTINGS, **more)

    def behind_the_gate(self, key: str) -> dict[str, str]:
        return self.settings() | {
            "LOGPIPE_ELASTICSEARCH__HOSTS": self.gate.url,
            "LOGPIPE_ELASTICSEARCH__API_KEY": key,
        }


# --- the acts -----------------------------------------------------------------------------------------------


async def a_broker_is_killed(night: Night) -> None:
    kafka, on_call = night.cluster.kafka, night.on_call
    kafka.kill()
    await on_call.sees("KafkaUnreachable", "no broker answers", fire=["KafkaUnreachable"])
    await asyncio.to_thread(kafka.start)
    await on_call.sees("KafkaUnreachable", "it is over", end=["KafkaUnreachable"])


async def a_broker_hangs(night: Night) -> None:
    kafka, on_call = night.cluster.kafka, night.on_call
    kafka.suspend()
    try:
        await on_call.sees("KafkaUnreachable", "no broker answers", fire=["KafkaUnreachable"])
    finally:
        kafka.resume()
    await on_call.sees("KafkaUnreachable", "it is over", end=["KafkaUnreachable"])


async def one_node_of_three_dies_and_then_the_others(night: Night) -> None:
    first, *others = night.cluster.nodes
    on_call = night.on_call
    first.kill()
    await on_call.sees("LogPipelineNotIndexing", "one node of several is away")
    for node in others:
        node.kill()
    await on_call.sees(
        "LogPipelineNotIndexing", "no node answers", fire=["LogPipelineNotIndexing", "LogPipelineNotReady"]
    )
    await night.cluster.start_again(first, *others)
    await on_call.sees(
        "LogPipelineNotIndexing", "it is over", end=["LogPipelineNotIndexing", "LogPipelineNotReady"]
    )


async def an_index_is_red(night: Night) -> None:
    on_call, client, index = night.on_call, night.client, night.index()
    await client.indices.put_settings(index=index, settings={"index.number_of_replicas": 0})
    node = await node_of_a_shard(night, index)
    node.kill()
    await on_call.sees("LogPipelineIndexWaiting", "it is red", fire=["LogPipelineIndexWaiting"])
    await night.cluster.start_again(node)
    await on_call.sees("LogPipelineIndexWaiting", "it is over", end=["LogPipelineIndexWaiting"])
    await client.indices.put_settings(index=index, settings={"index.number_of_replicas": 1})


async def node_of_a_shard(night: Night, index: str) -> Elasticsearch:
    """Give a node that has the only copy of a shard of the index."""
    await night.client.cluster.health(
        index=index, wait_for_status="green", wait_for_no_relocating_shards=True, timeout="20s"
    )
    shards = await night.client.cat.shards(index=index, format="json", h="node")
    # One that moves all the same is shown as `node -> address id node`.
    name = shards[0]["node"].split()[0]  # type: ignore[index]  # a list of objects, as JSON
    return next(node for node in night.cluster.nodes if node.directory.name == name)


async def an_index_is_blocked(night: Night) -> None:
    on_call, client, pipeline = night.on_call, night.client, night.pipeline
    blocked = night.index(days_ago=3)
    await client.indices.create(index=blocked, settings={"index.blocks.write": True})
    old = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 3 * 86_400))
    await pipeline.send([b'{"timestamp":"%sT10:00:00Z","level":"INFO","message":"late"}' % old.encode()] * 50)
    await on_call.sees("LogPipelineIndexWaiting", "it is blocked", fire=["LogPipelineIndexWaiting"])
    await client.indices.put_settings(index=blocked, settings={"index.blocks.write": None})
    await on_call.sees("LogPipelineIndexWaiting", "it is over", end=["LogPipelineIndexWaiting"])


async def errors_flood_in(night: Night) -> None:
    on_call, topic = night.on_call, night.pipeline.name
    async with traffic(night.cluster.kafka.bootstrap, topic, SPIKE_RATE, incident="error-spike"):
        await on_call.sees("HighErrorRate", "errors flood in", fire=["HighErrorRate", "NewErrorFingerprint"])
    await on_call.sees("HighErrorRate", "it is over", end=["HighErrorRate"])


async def a_disk_is_full(night: Night) -> None:
    on_call, client = night.on_call, night.client
    await client.cluster.put_settings(
        persistent={
            "cluster.routing.allocation.disk.threshold_enabled": True,
            "cluster.routing.allocation.disk.watermark.low": "1%",
            "cluster.routing.allocation.disk.watermark.high": "1%",
            "cluster.routing.allocation.disk.watermark.flood_stage": "1%",
        }
    )
    try:
        await on_call.sees(
            "LogPipelineIndexWaiting",
            "the disk is full",
            fire=["LogPipelineIndexWaiting", "LogPipelineNotReady"],
        )
    finally:
        await client.cluster.put_settings(persistent={"cluster.routing.allocation.disk.*": None})
    await on_call.sees(
        "LogPipelineIndexWaiting",
        "the disk has room again",
        end=["LogPipelineIndexWaiting", "LogPipelineNotReady"],
    )


async def elasticsearch_is_slow(night: Night) -> None:
    on_call, gate = night.on_call, night.gate
    gate.delay_seconds = 4
    await night.pipeline.send_samples(BACKLOG)
    await on_call.sees("LogPipelineLagGrowing", "Elasticsearch is slow", fire=["LogPipelineLagGrowing"])
    gate.delay_seconds = 0
    await on_call.sees("LogPipelineLagGrowing", "it is over", end=["LogPipelineLagGrowing"])


async def the_key_expires(night: Night) -> None:
    night.gate.key = KEYS[1]
    await night.on_call.sees(
        "LogPipelineNotIndexing", "the key is not valid any more", fire=["LogPipelineNotIndexing"]
    )


async def the_key_is_replaced(night: Night) -> None:
    """See that all is well after the restart, which takes a while on a busy machine."""
    await night.on_call.sees(
        "LogPipelineNotIndexing", "after the restart", end=["LogPipelineNotIndexing"], within_seconds=180
    )


ON_THE_NODES = [
    a_broker_is_killed,
    one_node_of_three_dies_and_then_the_others,
    an_index_is_red,
    an_index_is_blocked,
    a_broker_hangs,
    errors_flood_in,
    a_disk_is_full,
]


# --- the night ----------------------------------------------------------------------------------------------


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with running_cluster() as running:
        yield running


@pytest.fixture
async def night(cluster: Cluster, tmp_path: Path) -> AsyncIterator[Night]:
    pipeline = Pipeline(cluster.servers)
    port = free_port()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(pipeline.client.close)
        await pipeline.create_topic()
        await run_setup(pipeline.settings, dry_run=False, without_ilm=True, report=lambda _: None)
        gate = await stack.enter_async_context(running_gate(cluster.nodes[0].url))
        alertmanager = await stack.enter_async_context(
            running_alertmanager(ALERTMANAGER.with_name("alertmanager-local.yml"), tmp_path, port=port)
        )
        prometheus = await stack.enter_async_context(
            running_prometheus(
                f"127.0.0.1:{pipeline.port}",
                tmp_path / "prometheus",
                factor=FACTOR,
                alertmanager=f"127.0.0.1:{port}",
            )
        )
        on_call = OnCall(pipeline.port, prometheus, alertmanager, tmp_path / "logpipe.log")
        one = Night(cluster, pipeline, on_call, gate)
        stack.push_async_callback(one.client.close)
        yield one


async def begun(on_call: OnCall) -> None:
    """Wait until the service does its work: how long a busy machine takes to start it is no part of the night."""
    await on_call.sees("LogPipelineNotReady", "it is over", end=["LogPipelineNotReady"], within_seconds=180)


async def end(service: "subprocess.Popen[bytes]", on_call: OnCall) -> None:
    """End the service in order."""
    service.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(service.wait, 60) == 0, on_call.log()
    assert "Traceback" not in on_call.log()


@pytest.mark.timeout(1800)
async def test_each_fault_of_the_night_is_told_as_its_runbook_says_and_nothing_is_lost(night: Night) -> None:
    on_call, pipeline = night.on_call, night.pipeline
    async with traffic(night.cluster.kafka.bootstrap, pipeline.name, RATE):
        with on_call.service(night.settings()) as service:
            await begun(on_call)
            for act in ON_THE_NODES:
                await act(night)
            await end(service, on_call)
        night.gate.key = KEYS[0]
        with on_call.service(night.behind_the_gate(KEYS[0])) as service:
            await begun(on_call)
            await elasticsearch_is_slow(night)
            await the_key_expires(night)
            await end(service, on_call)
    with on_call.service(night.behind_the_gate(KEYS[1])) as service:
        await the_key_is_replaced(night)
        await everything_is_committed(pipeline)
        await end(service, on_call)
    result = await audit(pipeline.settings, to_end=True)
    assert (result.missing, result.duplicated, result.dead) == (0, 0, 0)
    assert result.clean


async def everything_is_committed(pipeline: Pipeline) -> None:
    ends = await pipeline.ends()
    async with asyncio.timeout(90):
        while await pipeline.committed() != ends:
            await asyncio.sleep(0.3)
