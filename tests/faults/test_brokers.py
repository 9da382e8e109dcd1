"""Brokers move, go away, give damaged data; two workers claim one place: the rest goes on, and all is told."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession

from pipeline.audit import audit
from pipeline.sandbox import Servers
from pipeline.sandbox.ports import free_port
from tests.faults.scenario import Scenario
from tests.faults.test_topics import SOON, has_begun, metric, until
from tests.own_pipeline import PARTITIONS, stop

EVENTS = 2000


@pytest.mark.timeout(300)
@pytest.mark.parametrize("policy", ["stop", "skip"])
async def test_damaged_batch(fragile: Scenario, policy: str) -> None:
    """One flipped byte: its partition waits or skips the batch, the others are read on."""
    pipeline = fragile.pipeline
    fragile.settings = {"LOGPIPE_KAFKA__CORRUPT_BATCHES": policy}
    for number in range(PARTITIONS):
        for _ in range(3):
            await pipeline.send([b'{"message":"%d"}' % each for each in range(100)], partition=number)
    fragile.sent = 300 * PARTITIONS
    log = Path(pipeline.servers.kafka.directory, "data", f"{pipeline.name}-0", f"{0:020}.log")
    flip(log)
    fragile.faults = 1
    with fragile.worker() as process:
        expected = fragile.sent - (100 if policy == "skip" else 200)
        counts = await pipeline.indexed(expected)
        assert sum(counts.values()) == expected
        await until(pipeline, "logpipe_corrupt_batches_total", 1)
        await asyncio.sleep(2)
        assert process.poll() is None
        # The others are not held up.
        for number in range(1, PARTITIONS):
            await pipeline.send([b"{}"] * 10, partition=number)
        fragile.sent += 10 * (PARTITIONS - 1)
        expected += 10 * (PARTITIONS - 1)
        assert sum((await pipeline.indexed(expected)).values()) == expected
        assert await metric(pipeline, "logpipe_partition_stopped") == (policy == "stop")
        assert await metric(pipeline, "logpipe_corrupt_records_total") == (100 if policy == "skip" else 0)
        if policy == "skip":
            await fragile.committed()
        lines = [line for line in stop(process) if "damaged batch at offset 100" in line]
        assert len([line for line in lines if ", since " in line or "skipped" in line]) == 1, lines
    result = await audit(pipeline.settings, to_end=True)
    assert (result.duplicated, result.corrupt) == (0, 100)
    assert result.missing == (0 if policy == "skip" else 100)  # what is behind the damage is not indexed yet
    assert not result.clean
    flip(log)
    if policy == "stop":
        with fragile.worker() as process:
            await fragile.finish(process)


def flip(file: Path) -> None:
    """Change the byte in the middle, or change it back."""
    position = file.stat().st_size // 2
    with file.open("r+b") as opened:
        opened.seek(position)
        byte = opened.read(1)[0]
        opened.seek(position)
        opened.write(bytes([byte ^ 0x55]))


@asynccontextmanager
async def well_known_address(servers: Servers) -> AsyncIterator[str]:
    """A bootstrap address that leads to wherever the broker is: a name that resolves anew, as it were."""

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", servers.kafka.port)
            await asyncio.gather(pipe(reader, back), pipe(there, writer), return_exceptions=True)
        except OSError:
            pass
        writer.close()

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@pytest.mark.timeout(300)
async def test_kafka_back_at_another_address(fragile: Scenario) -> None:
    kafka, pipeline = fragile.pipeline.servers.kafka, fragile.pipeline
    async with well_known_address(pipeline.servers) as bootstrap:
        await fragile.send(EVENTS)
        with fragile.worker(LOGPIPE_KAFKA__BOOTSTRAP_SERVERS=bootstrap, **SOON) as process:
            await fragile.committed()
            kafka.kill()
            fragile.faults = 1
            async with asyncio.timeout(60):
                while await metric(pipeline, "logpipe_ready"):
                    await asyncio.sleep(0.2)
            kafka.port = free_port()
            kafka.bootstrap = f"127.0.0.1:{kafka.port}"
            await asyncio.to_thread(kafka.start)
            await fragile.send(EVENTS, seed=1)
            await fragile.finish(process)


async def test_two_workers_with_the_same_static_id(scenario: Scenario) -> None:
    """The one that came later has the partitions; the other ends and says why, and does not come back."""
    scenario.settings = {"LOGPIPE_KAFKA__GROUP_INSTANCE_ID": "the-only-one"}
    await scenario.send(EVENTS)
    with scenario.worker(LOGPIPE_HTTP__PORT="0") as older:
        await scenario.committed()
        with scenario.worker() as newer:
            scenario.faults = 1
            output = (await asyncio.to_thread(older.communicate, timeout=60))[0].decode()
            assert older.returncode == 2, output
            assert "kafka.group_instance_id = 'the-only-one': another worker" in output
            assert "Traceback" not in output
            await scenario.send(EVENTS, seed=1)
            await scenario.committed()
            assert await metric(scenario.pipeline, "logpipe_rebalances_total") == 0
            await scenario.finish(newer)


@pytest.mark.timeout(300)
async def test_sigterm_while_kafka_is_away(fragile: Scenario) -> None:
    kafka = fragile.pipeline.servers.kafka
    await fragile.send(EVENTS)
    with fragile.worker() as process:
        await fragile.committed()
        kafka.kill()
        fragile.faults = 1
        await asyncio.sleep(3)
        before = time.monotonic()
        process.send_signal(signal.SIGTERM)
        output = (await asyncio.to_thread(process.communicate, timeout=60))[0].decode()
        assert process.returncode == 0, output
        assert "Traceback" not in output
        assert time.monotonic() - before < 30
    await asyncio.to_thread(kafka.start)
    await fragile.send(EVENTS, seed=1)
    with fragile.worker() as process:
        await has_begun(fragile.pipeline)
        await fragile.finish(process)


async def kafka_answers(scenario: Scenario) -> tuple[bool, int, str]:
    """Tell what a worker says of Kafka: `dependency_up`, the status of its readiness, and its reason."""
    up = (await scenario.pipeline.metrics()).get('logpipe_dependency_up{dependency="kafka"}', 0.0)
    async with (
        ClientSession() as session,
        session.get(f"http://127.0.0.1:{scenario.pipeline.port}/health/ready") as response,
    ):
        body = await response.json()
        return bool(up), response.status, body.get("reason", "")


async def until_kafka(scenario: Scenario, *, answers: bool) -> str:
    """Wait until a worker says so, in every way in which it does; gives its reason."""
    async with asyncio.timeout(40):
        while (said := await kafka_answers(scenario))[:2] != ((True, 200) if answers else (False, 503)):
            await asyncio.sleep(0.2)
    return said[2]


@pytest.mark.timeout(300)
async def test_a_broker_that_stops_or_dies_is_told_of_and_so_is_its_return(fragile: Scenario) -> None:
    """A connection to a stopped process stays open: only that it does not answer shows."""
    kafka = fragile.pipeline.servers.kafka
    await fragile.send(EVENTS)
    with fragile.worker() as process:
        await fragile.committed()
        await until_kafka(fragile, answers=True)
        kafka.suspend()
        try:
            assert "no Kafka broker has answered for" in await until_kafka(fragile, answers=False)
        finally:
            kafka.resume()
        assert await until_kafka(fragile, answers=True) == ""
        kafka.kill()
        await until_kafka(fragile, answers=False)
        await asyncio.to_thread(kafka.start)
        await until_kafka(fragile, answers=True)
        fragile.faults = 2
        await fragile.send(EVENTS, seed=1)
        await fragile.finish(process)
