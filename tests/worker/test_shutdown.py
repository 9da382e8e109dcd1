"""The end of a worker: in order, in bounded time and without loss, whatever state it is in."""

import asyncio
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from tests.logpipe import running
from tests.own_pipeline import Pipeline

AWAY = "http://127.0.0.1:9"
# Two last words of 4 s each, and the interpreter's own end on a busy machine.
SPARE_SECONDS = 14.0


async def ended(process: "subprocess.Popen[bytes]", within_seconds: float) -> str:
    """Wait for the end of a process that has been told to; gives what it wrote."""
    output, _ = await asyncio.to_thread(process.communicate, timeout=within_seconds)
    return output.decode()


async def joined(pipeline: Pipeline) -> None:
    """Wait until a worker has partitions."""
    async with asyncio.timeout(40):
        while True:
            try:
                metrics = await pipeline.metrics()
                # Of several workers each has a series of its own.
                if any(metrics[name] for name in metrics if name.startswith("logpipe_assigned_partitions")):
                    return
            except OSError:
                pass
            await asyncio.sleep(0.1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells what is caught")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("later_seconds", [0, 0.2, 0.5, 1, 2])
@pytest.mark.parametrize("command", ["index", "run"])
async def test_a_signal_as_soon_as_it_can_be_heard(
    command: str, later_seconds: float, number: signal.Signals
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = "{}:{}".format(*silent.getsockname())
        settings = {"LOGPIPE_KAFKA__BOOTSTRAP_SERVERS": address, "LOGPIPE_HTTP__PORT": "0"}
        with running(command, settings=settings) as process:
            async with asyncio.timeout(40):
                while not catches(process.pid, signal.SIGTERM):
                    await asyncio.sleep(0.002)
            await asyncio.sleep(later_seconds)
            process.send_signal(number)
            output = await ended(process, SPARE_SECONDS)
    assert process.returncode == 0, output
    assert "Traceback" not in output, output


def catches(pid: int, number: signal.Signals) -> bool:
    """Tell whether a process has a handler for a signal."""
    status = dict(line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(status["SigCgt"], 16) >> (number - 1) & 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_while_kafka_does_not_answer_at_the_start(number: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = "{}:{}".format(*silent.getsockname())
        settings = {"LOGPIPE_KAFKA__BOOTSTRAP_SERVERS": address, "LOGPIPE_HTTP__PORT": "0"}
        with running("index", settings=settings) as process:
            connection, _ = await asyncio.to_thread(silent.accept)
            with connection:
                process.send_signal(number)
                output = await ended(process, SPARE_SECONDS)
    assert process.returncode == 0, output
    assert "Traceback" not in output, output


async def test_sigterm_while_elasticsearch_is_away(pipeline: Pipeline) -> None:
    await pipeline.send([b"{}"] * 100)
    away = pipeline.environment(LOGPIPE_ELASTICSEARCH__HOSTS=AWAY, LOGPIPE_SHUTDOWN__TIMEOUT_SECONDS="2")
    with running("index", settings=away) as process:
        await joined(pipeline)
        await asyncio.sleep(1)
        process.send_signal(signal.SIGTERM)
        output = await ended(process, 2 + SPARE_SECONDS)
    assert process.returncode == 0, output
    assert "100 records are read again by the worker that comes next" in output
    await finish(pipeline, 100)


async def test_a_second_sigterm_stops_at_once_without_loss(pipeline: Pipeline) -> None:
    await pipeline.send([b"{}"] * 100)
    away = pipeline.environment(LOGPIPE_ELASTICSEARCH__HOSTS=AWAY, LOGPIPE_SHUTDOWN__TIMEOUT_SECONDS="300")
    with running("index", settings=away) as process:
        await joined(pipeline)
        await asyncio.sleep(1)
        process.send_signal(signal.SIGTERM)
        await asyncio.sleep(2)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        output = await ended(process, SPARE_SECONDS)
    assert process.returncode == 1, output
    assert "Traceback" not in output, output
    await finish(pipeline, 100)


async def finish(pipeline: Pipeline, count: int) -> None:
    """Let another worker do what is left; the one before has left the group, so that it does at once."""
    with running("index", settings=pipeline.environment()) as process:
        await joined(pipeline)
        assert sum((await pipeline.indexed(count)).values()) == count
        process.send_signal(signal.SIGTERM)
        output = await ended(process, SPARE_SECONDS)
    assert process.returncode == 0, output
    assert await pipeline.committed() == await pipeline.ends()


async def test_sigterm_in_the_middle_of_joining(pipeline: Pipeline) -> None:
    """The broker lets a member wait for the others; one that has stopped makes that long."""
    patient = {"LOGPIPE_KAFKA__SESSION_TIMEOUT_SECONDS": "45"}
    with running("index", settings=pipeline.environment(**patient)) as first:
        await joined(pipeline)
        first.send_signal(signal.SIGSTOP)
        with running("index", settings=pipeline.environment(**patient, LOGPIPE_HTTP__PORT="0")) as second:
            await joining(pipeline)
            began = time.monotonic()
            second.send_signal(signal.SIGTERM)
            output = await ended(second, SPARE_SECONDS)
        assert second.returncode == 0, (output, time.monotonic() - began)
        assert "Traceback" not in output, output
        first.send_signal(signal.SIGCONT)


async def test_sigterm_of_a_member_that_waits_for_the_others_in_a_rebalance(pipeline: Pipeline) -> None:
    patient = {"LOGPIPE_KAFKA__SESSION_TIMEOUT_SECONDS": "20"}
    with running("index", settings=pipeline.environment(**patient, LOGPIPE_HTTP__PORT="0")) as stopped:
        await joined_members(pipeline, 1)
        with running("index", settings=pipeline.environment(**patient)) as waiting:
            await joined_members(pipeline, 2)
            await joined(pipeline)
            stopped.send_signal(signal.SIGSTOP)
            with running("index", settings=pipeline.environment(**patient, LOGPIPE_HTTP__PORT="0")):
                await joining(pipeline)
                await asyncio.sleep(4)  # the next heartbeat tells it to join again
                waiting.send_signal(signal.SIGTERM)
                output = await ended(waiting, SPARE_SECONDS)
    assert waiting.returncode == 0, output
    assert "Traceback" not in output, output


@pytest.mark.parametrize("in_flight", [0, 100])
async def test_sigterm_while_kafka_has_gone(pipeline: Pipeline, in_flight: int) -> None:
    hosts = {"LOGPIPE_ELASTICSEARCH__HOSTS": AWAY} if in_flight else {}
    settings = pipeline.environment(**hosts, LOGPIPE_SHUTDOWN__TIMEOUT_SECONDS="2")
    await pipeline.send([b"{}"] * (in_flight or 100))
    with running("index", settings=settings) as process:
        await joined(pipeline)
        await asyncio.sleep(1)
        pipeline.servers.kafka.suspend()
        try:
            await asyncio.sleep(8)  # longer than the session: the heartbeat fails too
            process.send_signal(signal.SIGTERM)
            output = await ended(process, 2 + SPARE_SECONDS)
        finally:
            pipeline.servers.kafka.resume()
    assert process.returncode == 0, output
    assert "Traceback" not in output, output
    await finish(pipeline, 100)


async def joining(pipeline: Pipeline) -> None:
    async with asyncio.timeout(40):
        while (await group(pipeline))[0] != "PreparingRebalance":
            await asyncio.sleep(0.1)


async def joined_members(pipeline: Pipeline, count: int) -> None:
    async with asyncio.timeout(40):
        while await group(pipeline) != ("Stable", count):
            await asyncio.sleep(0.1)


async def group(pipeline: Pipeline) -> tuple[str, int]:
    """Ask the broker for the state of the group and the number of its members."""
    admin = AIOKafkaAdminClient(bootstrap_servers=pipeline.servers.kafka_bootstrap)
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([pipeline.name])
        ((_, _, state, _, _, members, *_),) = answer.groups
        return state, len(members)
    finally:
        await admin.close()
