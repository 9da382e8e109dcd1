"""What one worker asks of Kafka, counted at its connections, and how large a group's assignment is.

    python -m benchmarks.scale_measured

These are the figures that `benchmarks/scale.py` multiplies; it takes half a minute for each rate.
"""

import asyncio
import logging
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from itertools import cycle
from typing import Any, NamedTuple, Self
from unittest.mock import patch

import uvloop
from aiokafka import AIOKafkaProducer
from aiokafka.cluster import ClusterMetadata
from aiokafka.conn import AIOKafkaConnection
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from aiokafka.structs import PartitionMetadata

from benchmarks.sink import running_sink
from benchmarks.traffic import create_topic, produce, sample_day
from pipeline.kafka.groups import ASSIGNOR
from pipeline.sandbox import start_sandbox
from pipeline.settings import Elasticsearch, Http, Kafka, Settings
from pipeline.telemetry.health import Health
from pipeline.telemetry.metrics import Telemetry, counted
from pipeline.telemetry.server import serve
from pipeline.worker.indexer import Indexer

__all__ = ["Assignment", "Requests", "assign", "count_requests", "count_requests_behind"]

_PARTITIONS = 4
_TICKS_PER_SECOND = 20
_SETTLING_SECONDS = 5.0
_SAMPLE_EVENTS = 2000
_RATES = (1000, 10_000)
_SECONDS = 20.0
_EVENTS_BEHIND = 600_000
# The rest is not at full speed.
_MOST_OF_ALL = 0.9
_LOOK_SECONDS = 0.02
# Of Kafka's protocol.
_FETCH, _OFFSET_COMMIT, _HEARTBEAT = 1, 8, 12


class Requests(NamedTuple):
    """What one worker has sent to the only broker while it indexed at a steady rate."""

    events_per_second: float
    fetches_per_second: float
    commits_per_second: float
    heartbeats_per_second: float
    other_per_second: float
    """Metadata, offsets of partitions and the like."""
    connections: int


class Assignment(NamedTuple):
    """What the leader of a group works out and sends to the coordinator."""

    seconds: float
    """CPU of the leader."""
    assignment_bytes: int
    """Of all members together, as in SyncGroup."""
    subscription_bytes: int
    """Of one member, as in JoinGroup."""
    most_partitions: int
    """Of one member."""


def assign(members: int, partitions: int, topic: str = "claude-code-bot.logs") -> Assignment:
    """Divide the partitions of a topic among members as the leader of a group does, by aiokafka's own code."""
    cluster = ClusterMetadata(metadata_max_age_ms=60_000)
    cluster._partitions[topic] = {  # noqa: SLF001 - it is else filled by a broker's answer
        number: PartitionMetadata(topic, number, 0, [0], [0], None) for number in range(partitions)
    }
    cluster._broker_partitions.clear()  # noqa: SLF001 - as above
    subscription = ConsumerProtocolMemberMetadata(0, [topic], b"")
    names = [f"logpipe-{uuid.UUID(int=number)}" for number in range(members)]
    begin = time.process_time()
    assigned = ASSIGNOR.assign(cluster, dict.fromkeys(names, subscription))
    encoded = [one.encode() for one in assigned.values()]
    return Assignment(
        time.process_time() - begin,
        sum(map(len, encoded)),
        len(subscription.encode()),
        max(len(numbers) for one in assigned.values() for _, numbers in one.assignment),
    )


@contextmanager
def _counted(client_id: str, counts: Counter[int], connections: set[int]) -> Iterator[None]:
    """Count what clients of this name send, by the key of the request."""
    original = AIOKafkaConnection.send

    def send(connection: AIOKafkaConnection, request: Any, *arguments: Any, **options: Any) -> Any:
        if connection._client_id == client_id:  # noqa: SLF001 - nothing else tells whose it is
            counts[request.API_KEY] += 1
            connections.add(id(connection))
        return original(connection, request, *arguments, **options)

    with patch.object(AIOKafkaConnection, "send", send):
        yield


async def count_requests(
    bootstrap: str,
    sink: str,
    events_per_second: int,
    seconds: float,
    settling_seconds: float = _SETTLING_SECONDS,
) -> Requests:
    """Produce at a steady rate, index it with one worker, and count what the worker asks of Kafka.

    What it asks within `settling_seconds` after its start is left out.
    """
    topic = f"bench.scale.{uuid.uuid4().hex[:8]}"
    await create_topic(bootstrap, topic, _PARTITIONS)
    async with asyncio.TaskGroup() as tasks, _Watched(bootstrap, topic, sink) as worker:
        producing = tasks.create_task(_produce(bootstrap, topic, events_per_second))
        await asyncio.sleep(settling_seconds)
        worker.begin()
        await asyncio.sleep(seconds)
        counted = worker.requests()
        producing.cancel()
    return counted


async def count_requests_behind(bootstrap: str, sink: str, events: int) -> Requests:
    """Produce all of the events beforehand, and count while one worker catches up."""
    topic = f"bench.scale.{uuid.uuid4().hex[:8]}"
    await produce(bootstrap, topic, sample_day(events), partitions=_PARTITIONS)
    async with _Watched(bootstrap, topic, sink) as worker:
        while not worker.records():  # noqa: ASYNC110 - the worker announces nothing
            await asyncio.sleep(_LOOK_SECONDS)
        worker.begin()
        while worker.records() < events * _MOST_OF_ALL:  # noqa: ASYNC110 - as above
            await asyncio.sleep(_LOOK_SECONDS)
        return worker.requests()


class _Watched:
    """A worker in this process, and what it has asked of Kafka since `begin`."""

    def __init__(self, bootstrap: str, topic: str, sink: str) -> None:
        # The client's name tells its requests from those of the producer.
        self._settings = Settings(
            kafka=Kafka(bootstrap_servers=(bootstrap,), topics=(topic,), group_id=topic, client_id=topic),
            elasticsearch=Elasticsearch(hosts=(sink,)),
            http=Http(port=0),
        )
        self._telemetry = Telemetry()
        self._counts: Counter[int] = Counter()
        self._connections: set[int] = set()
        self._stack = AsyncExitStack()
        self._before, self._begun = 0, 0.0

    async def __aenter__(self) -> Self:
        health = Health()
        indexer = Indexer(self._settings, self._telemetry, health)
        stack = self._stack
        stack.enter_context(_counted(self._settings.kafka.client_id, self._counts, self._connections))
        await stack.enter_async_context(serve(self._settings.http, self._telemetry.registry, health))
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        tasks.create_task(indexer.run())
        stack.callback(indexer.stop)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def begin(self) -> None:
        """Count from now on."""
        self._counts.clear()
        self._before, self._begun = self.records(), time.monotonic()

    def records(self) -> int:
        """Give how many records have been read."""
        return sum(value for _, value in counted(self._telemetry.records))

    def requests(self) -> Requests:
        """Give the rates since `begin`."""
        taken, seen = time.monotonic() - self._begun, self._counts.copy()
        fetches, commits, heartbeats = (
            seen.pop(key, 0) / taken for key in (_FETCH, _OFFSET_COMMIT, _HEARTBEAT)
        )
        read = (self.records() - self._before) / taken
        return Requests(read, fetches, commits, heartbeats, seen.total() / taken, len(self._connections))


async def _produce(bootstrap: str, topic: str, events_per_second: int) -> None:
    """Send whole batches twenty times a second, to one partition after the other."""
    values = [event.value for event in sample_day(_SAMPLE_EVENTS)]
    chosen = cycle(values)
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap, compression_type="lz4", max_batch_size=1 << 20
    ) as producer:
        due = time.monotonic()
        for tick in cycle(range(_PARTITIONS)):
            batch = producer.create_batch()
            for _ in range(events_per_second // _TICKS_PER_SECOND):
                batch.append(timestamp=time.time_ns() // 1_000_000, key=None, value=next(chosen))
            await producer.send_batch(batch, topic, partition=tick)
            due += 1 / _TICKS_PER_SECOND
            await asyncio.sleep(max(due - time.monotonic(), 0))


def _main() -> None:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    for members, partitions in ((8, 16), (64, 128), (500, 1000), (512, 1024), (4096, 8192)):
        print(members, "members,", partitions, "partitions:", assign(members, partitions), flush=True)
    with start_sandbox() as servers, running_sink() as sink:
        for rate in _RATES:
            print(uvloop.run(count_requests(servers.kafka_bootstrap, sink, rate, _SECONDS)), flush=True)
        print(uvloop.run(count_requests_behind(servers.kafka_bootstrap, sink, _EVENTS_BEHIND)), flush=True)


if __name__ == "__main__":
    _main()
