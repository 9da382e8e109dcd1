"""Workers and servers are killed, suspended and started again; topics vanish; the disk is full."""

import asyncio
import random
import signal
import time
from pathlib import Path

import psutil
import pytest

from pipeline.sandbox.ports import free_port
from tests.faults.proxy import FaultyProxy, reset_after_applying
from tests.faults.scenario import Scenario
from tests.own_pipeline import SLOW, stop

EVENTS = 30_000
LONG_ENOUGH_TO_BE_TOLD = 6


def told_once(server: str, lines: list[str]) -> None:
    """Both ends of the outage are in the log."""
    over = {"kafka": "Kafka answers again", "elasticsearch": "takes documents again"}[server]
    begins = [line for line in lines if f"{server.title()} at" in line and ", since " in line]
    ends = [line for line in lines if over in line]
    # On a busy machine the one that comes back may have to be waited for a second time.
    assert 1 <= len(begins) == len(ends) <= 2, "\n".join(lines)
    assert all("Nothing was lost." in line for line in ends)
    assert "ended after" in lines[-1]
    libraries_are_quiet(lines)


def libraries_are_quiet(lines: list[str]) -> None:
    """What a client says of each attempt is not in the log; that it has to join anew may be."""
    assert len([line for line in lines if "aiokafka" in line or "elastic_transport" in line]) <= 2, lines


@pytest.mark.timeout(600)
async def test_worker_killed_at_random_moments(scenario: Scenario, rounds: int) -> None:
    chance = random.Random(rounds)
    for number in range(rounds):
        await scenario.send(EVENTS, seed=number)
        await scenario.kill_a_worker(chance)
    with scenario.worker() as process:
        await scenario.finish(process)


@pytest.mark.timeout(600)
async def test_sigterm_under_full_load(scenario: Scenario, rounds: int) -> None:
    """The worker ends in order, with everything settled that it had read; the next one goes on from there."""
    indexed = 0
    for number in range(rounds):
        await scenario.send(EVENTS, seed=number)
        with scenario.worker(**SLOW) as process:
            await scenario.pipeline.indexed(indexed + 1000)
            stop(process)
            scenario.faults += 1
        indexed = sum((await scenario.pipeline.counts()).values())
        assert indexed < scenario.sent, "the load was over before the signal"
        assert sum((await scenario.pipeline.committed()).values()) == indexed
    with scenario.worker() as process:
        await scenario.finish(process)


async def test_worker_suspended_longer_than_its_session(scenario: Scenario) -> None:
    await scenario.send(EVENTS)
    scenario.settings = {"LOGPIPE_KAFKA__SESSION_TIMEOUT_SECONDS": "3"}
    with scenario.worker(**SLOW) as first:
        await scenario.pipeline.indexed(1000)
        first.send_signal(signal.SIGSTOP)
        scenario.faults = 1
        with scenario.worker(LOGPIPE_HTTP__PORT=str(free_port())) as second:
            await asyncio.sleep(6)
            first.send_signal(signal.SIGCONT)
            await asyncio.sleep(3)
            stop(first)
            await scenario.finish(second)


@pytest.mark.timeout(600)
async def test_workers_join_and_leave_every_two_seconds(scenario: Scenario, rounds: int) -> None:
    with scenario.worker(**SLOW) as steady:
        for number in range(rounds):
            await scenario.send(EVENTS, seed=number)
            with scenario.worker(LOGPIPE_HTTP__PORT=str(free_port())) as passing:
                await asyncio.sleep(2)
                stop(passing)
                scenario.faults += 1
        await scenario.finish(steady)


@pytest.mark.parametrize("server", ["kafka", "elasticsearch"])
async def test_server_killed_and_restarted(fragile: Scenario, server: str) -> None:
    target = getattr(fragile.pipeline.servers, server)
    await fragile.send(EVENTS)
    with fragile.worker() as process:
        await fragile.pipeline.indexed(1000)
        target.kill()
        fragile.faults = 1
        await asyncio.sleep(LONG_ENOUGH_TO_BE_TOLD)
        await asyncio.to_thread(target.start)
        await fragile.send(1000, seed=1)
        told_once(server, await fragile.finish(process))


@pytest.mark.parametrize("server", ["kafka", "elasticsearch"])
async def test_server_suspended_longer_than_the_session(fragile: Scenario, server: str) -> None:
    target = getattr(fragile.pipeline.servers, server)
    fragile.settings = {"LOGPIPE_KAFKA__SESSION_TIMEOUT_SECONDS": "3"}
    await fragile.send(EVENTS)
    with fragile.worker() as process:
        await fragile.pipeline.indexed(1000)
        target.suspend()
        fragile.faults = 1
        await asyncio.sleep(6)
        target.resume()
        await fragile.send(1000, seed=1)
        libraries_are_quiet(await fragile.finish(process))


async def test_topic_deleted_and_created_again(fragile: Scenario) -> None:
    name = fragile.pipeline.name
    await fragile.send(2000)
    with fragile.worker() as process:
        await fragile.committed()
        stop(process)
    await fragile.pipeline.delete_topic(name)
    fragile.faults = 1
    await fragile.pipeline.create_topic()
    await fragile.pipeline.send_samples(2000, seed=1)
    with fragile.worker() as process:
        await fragile.finish(process)
    # The events of both topics are there, though they have the same offsets.
    assert sum((await fragile.pipeline.counts()).values()) == 4000


async def test_disk_full(fragile: Scenario) -> None:
    settings = fragile.pipeline.client.cluster.put_settings
    watermarks = {
        f"cluster.routing.allocation.disk.watermark.{name}": "1000000gb"
        for name in ("low", "high", "flood_stage")
    }
    await fragile.send(EVENTS)
    with fragile.worker(**SLOW) as process:
        await fragile.pipeline.indexed(1000)
        await settings(
            persistent={
                "cluster.routing.allocation.disk.threshold_enabled": True,
                "cluster.info.update.interval": "10s",
                **watermarks,
            }
        )
        fragile.faults = 1
        await asyncio.sleep(14)
        assert process.poll() is None
        await settings(
            persistent={
                "cluster.routing.allocation.disk.threshold_enabled": False,
                **dict.fromkeys(watermarks),
            }
        )
        await fragile.pipeline.client.indices.put_settings(
            index=f"{fragile.pipeline.name}-*", settings={"index.blocks.read_only_allow_delete": None}
        )
        await fragile.finish(process)


async def test_clock_jumps(scenario: Scenario, tmp_path: Path) -> None:
    # The worker's wall clock jumps by up to a week, both ways, at every reading.
    (tmp_path / "sitecustomize.py").write_text(
        "import random, time\n"
        "real = time.time\n"
        "time.time = lambda: real() + random.uniform(-1, 1) * 604800\n"
        "time.time_ns = lambda: int(time.time() * 1e9)\n"
    )
    await scenario.send(EVENTS)
    expected = time.strftime("%Y.%m.%d", time.gmtime())
    with scenario.worker(PYTHONPATH=str(tmp_path)) as process:
        scenario.faults = 1
        await scenario.finish(process)
    assert max(await scenario.pipeline.counts()).endswith(expected)


async def test_out_of_file_descriptors(scenario: Scenario, proxy: FaultyProxy) -> None:
    await scenario.send(EVENTS)
    with scenario.worker(LOGPIPE_ELASTICSEARCH__HOSTS=proxy.url, **SLOW) as process:
        await scenario.pipeline.indexed(1000)
        watched = psutil.Process(process.pid)
        before = watched.rlimit(psutil.RLIMIT_NOFILE)
        watched.rlimit(psutil.RLIMIT_NOFILE, (3, before[1]))
        # Connections are lost and none can be opened.
        proxy.fault = reset_after_applying
        await asyncio.sleep(3)
        proxy.fault = None
        assert process.poll() is None
        watched.rlimit(psutil.RLIMIT_NOFILE, before)
        scenario.faults = proxy.faults
        await scenario.finish(process)
