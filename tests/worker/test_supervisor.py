"""Several workers under one supervisor: each event once, one `/metrics`, and no process left behind."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiohttp import ClientSession, web

from pipeline.errors import ServerUnavailable, SettingsError
from pipeline.install.check import Finding
from pipeline.sandbox.ports import free_port
from pipeline.settings import Settings, load_settings
from pipeline.telemetry.merged import SupervisorTelemetry
from pipeline.telemetry.server import exposition
from pipeline.worker.merged_endpoint import merged_endpoint
from pipeline.worker.preparation import until_servers_answer
from pipeline.worker.supervisor import Supervisor, available_cores
from tests.logpipe import logpipe, running
from tests.own_pipeline import SLOW, Pipeline, documents, stop

# --- with workers that are no more than a script --------------------------------------------------------

# Says where it is, then notes its orders; stops as it is told.
OBEDIENT = """
import os, socket, sys
line = socket.socket(fileno=int(os.environ["LOGPIPE_WORKER_PIPE"])).makefile("rw")
print("http://127.0.0.1:9", file=line, flush=True)
with open(sys.argv[1], "a") as notes:
    for order in line:
        notes.write(order)
        notes.flush()
        if order == "stop at once\\n":
            sys.exit(1)
        if sys.argv[2] == "quick":
            sys.exit(0)
"""


def supervisor(number: int, *command: str, **settings: Any) -> tuple[Supervisor, SupervisorTelemetry]:
    telemetry = SupervisorTelemetry()
    quick = {"restart_initial_seconds": 0.05, "restart_max_seconds": 0.2}
    loaded = load_settings(overrides={"run": quick, **settings})
    return Supervisor(loaded, [sys.executable, "-c", *command], number, telemetry), telemetry


async def until_all_are_up(supervised: Supervisor) -> list[int]:
    async with asyncio.timeout(20):
        while not all(worker.url for worker in supervised.workers):
            await asyncio.sleep(0.02)
    return [worker.process.pid for worker in supervised.workers if worker.process]


async def test_a_signal_stops_every_worker_in_order(tmp_path: Path) -> None:
    supervised, _ = supervisor(2, OBEDIENT, str(tmp_path / "orders"), "quick")
    running = asyncio.create_task(supervised.run())
    pids = await until_all_are_up(supervised)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0
    assert (tmp_path / "orders").read_text() == "stop\n" * 2
    assert not any(map(psutil.pid_exists, pids))


async def test_a_second_signal_stops_every_worker_at_once(tmp_path: Path) -> None:
    supervised, _ = supervisor(2, OBEDIENT, str(tmp_path / "orders"), "slow")
    running = asyncio.create_task(supervised.run())
    await until_all_are_up(supervised)
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(0.3)
    assert not running.done()
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 1
    assert sorted((tmp_path / "orders").read_text().splitlines()) == [
        "stop",
        "stop",
        "stop at once",
        "stop at once",
    ]


async def test_a_worker_that_does_not_obey_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("pipeline.worker.supervisor.LEAVE_SECONDS", 0)
    monkeypatch.setattr("pipeline.worker.supervisor._SPARE_SECONDS", 0.2)
    supervised, _ = supervisor(
        1, OBEDIENT, str(tmp_path / "orders"), "slow", shutdown={"timeout_seconds": 0.2}
    )
    running = asyncio.create_task(supervised.run())
    await until_all_are_up(supervised)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 128 + signal.SIGKILL


async def test_a_wrong_setting_stops_all_workers() -> None:
    script = "import os, sys, time; time.sleep(0.2); sys.exit(2)"
    supervised, telemetry = supervisor(3, script)
    async with asyncio.timeout(20):
        with pytest.raises(SettingsError):
            await supervised.run()
    assert telemetry.registry.get_sample_value("logpipe_worker_restarts_total") == 0


@pytest.mark.parametrize("command", ["import sys; sys.exit(3)", "", "import os; os.kill(os.getpid(), 9)"])
async def test_a_worker_that_ends_is_started_again_with_growing_waits(command: str) -> None:
    supervised, telemetry = supervisor(1, command)
    running = asyncio.create_task(supervised.run())
    async with asyncio.timeout(20):
        while (telemetry.registry.get_sample_value("logpipe_worker_restarts_total") or 0) < 4:
            await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(5):
        await running


async def test_a_command_that_cannot_be_started_is_tried_again() -> None:
    telemetry = SupervisorTelemetry()
    settings = load_settings(overrides={"run": {"restart_initial_seconds": 0.05}})
    supervised = Supervisor(settings, ["/nowhere/none-such"], 1, telemetry)
    running = asyncio.create_task(supervised.run())
    async with asyncio.timeout(5):
        while not telemetry.registry.get_sample_value("logpipe_worker_restarts_total"):
            await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(5):
        assert await running == 0


async def test_workers_get_a_port_and_a_membership_of_their_own(tmp_path: Path) -> None:
    script = """
import os, sys
names = "HTTP__HOST", "HTTP__PORT", "KAFKA__GROUP_INSTANCE_ID"
with open(sys.argv[1] + "/" + str(os.getpid()), "w") as file:
    print(*(os.environ["LOGPIPE_" + name] for name in names), file=file)
sys.exit(2)
"""
    supervised, _ = supervisor(2, script, str(tmp_path), kafka={"group_instance_id": "here"})
    with pytest.raises(SettingsError):
        await supervised.run()
    said = {file.read_text().strip() for file in tmp_path.iterdir()}  # noqa: ASYNC240 - nobody waits
    assert said
    assert said <= {"127.0.0.1 0 here-0", "127.0.0.1 0 here-1"}


LAST_WORDS = """
import asyncio, sys, time
import uvloop
from prometheus_client import CollectorRegistry, Counter
from pipeline.worker.worker_pipe import supervised
from pipeline.telemetry.families import dump_families
registry = CollectorRegistry()
counter = Counter("things", "T", registry=registry)
async def work():
    stopping = asyncio.Event()
    def last_words():
        if sys.argv[1] == "slow":  # in the meantime it is told something else
            time.sleep(0.5)
        return dump_families(registry)
    async with supervised("http://127.0.0.1:9", stopping.set, stopping.set, last_words):
        counter.inc(5)
        if sys.argv[1] == "crash":
            raise SystemExit(3)
        await stopping.wait()
        counter.inc(7)
uvloop.run(work())
"""


@pytest.mark.parametrize(("how", "things"), [("stop", 24), ("slow", 24), ("crash", 10)])
async def test_what_a_worker_counted_before_it_ended_is_in_the_sums(how: str, things: int) -> None:
    supervised, telemetry = supervisor(2, LAST_WORDS, how)
    running = asyncio.create_task(supervised.run())
    if how != "crash":
        await until_all_are_up(supervised)
    else:
        async with asyncio.timeout(20):
            while (telemetry.registry.get_sample_value("things_total") or 0) < things:
                await asyncio.sleep(0.02)
    os.kill(os.getpid(), signal.SIGTERM)
    if how == "slow":
        await asyncio.sleep(0.2)
        os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(20):
        await running
    counted = telemetry.registry.get_sample_value("things_total") or 0
    assert counted >= things if how == "crash" else counted == things


def test_a_worker_whose_supervisor_is_gone_ends_in_order() -> None:
    ours, theirs = socket.socketpair()
    with (
        theirs,
        subprocess.Popen(
            [sys.executable, "-c", LAST_WORDS, "stop"],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "LOGPIPE_WORKER_PIPE": str(theirs.fileno())},
        ) as process,
    ):
        theirs.close()
        try:
            assert ours.recv(100).startswith(b"http://")
            ours.close()
            assert process.wait(20) == 0
        finally:
            process.kill()


def test_there_is_at_least_one_core() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


def test_a_wrong_number_of_workers_is_refused() -> None:
    assert logpipe("run", "--workers", "0").returncode == 2
    result = logpipe("run", settings={"LOGPIPE_RUN__WORKERS": "-1"})
    assert result.returncode == 2
    assert "run.workers" in result.stderr.decode()


async def test_metrics_are_merged_and_written_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """With many series that takes seconds, in which health is to be answered and workers are to be looked after."""
    threads = []

    def noted(*arguments: Any) -> web.Response:
        threads.append(threading.get_ident())
        return exposition(*arguments)

    monkeypatch.setattr("pipeline.worker.merged_endpoint.exposition", noted)
    settings = load_settings(overrides={"http": {"host": "127.0.0.1", "port": 0}})
    async with (
        merged_endpoint(settings.http, [], SupervisorTelemetry()) as endpoint,
        ClientSession() as session,
        session.get(f"{endpoint.url}/metrics") as response,
    ):
        assert "logpipe_workers" in await response.text()
    assert threads != [threading.get_ident()]
    assert len(threads) == 1


async def test_run_without_its_servers_waits_is_not_ready_and_says_why() -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    away = {
        "LOGPIPE_HTTP__PORT": str(port),
        "LOGPIPE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "LOGPIPE_ELASTICSEARCH__HOSTS": "http://127.0.0.1:9",
    }
    with running("run", "--workers", "2", settings=away) as process:
        async with asyncio.timeout(60):
            while True:
                with suppress(OSError):
                    status, body = await get(f"{url}/health/ready")
                    if "reason" in body:
                        break
                await asyncio.sleep(0.1)
        started, said = await get(f"{url}/health/startup")
        async with ClientSession() as session, session.get(f"{url}/metrics") as response:
            exposed = await response.text()
        assert workers(process.pid) == []
        process.send_signal(signal.SIGTERM)
        output = (await asyncio.to_thread(process.communicate, timeout=60))[0].decode()
    assert process.returncode == 0, output
    assert status == 503
    assert "kafka.bootstrap_servers" in body["reason"]
    assert "elasticsearch.hosts" in body["reason"]
    # A restart would bring no server back.
    assert (started, said["status"]) == (200, "waiting")
    assert 'logpipe_dependency_up{dependency="kafka"} 0.0' in exposed
    assert 'logpipe_dependency_up{dependency="elasticsearch"} 0.0' in exposed
    assert "logpipe_ready 0.0" in exposed
    assert output.count("kafka: no answer") == 1, output


async def test_workers_start_when_what_was_away_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    away = Finding("kafka", False, "no answer", "waits")
    red = Finding("elasticsearch", False, "cluster is red: mine-1", "starts")
    looks = iter([[away, red], [away, red], [Finding("kafka", True, "answers"), red]])

    async def look(_: Settings) -> list[Finding]:
        return next(looks)

    monkeypatch.setattr("pipeline.worker.preparation.check_servers", look)
    monkeypatch.setattr("pipeline.worker.preparation._AGAIN_SECONDS", 0.01)
    telemetry = SupervisorTelemetry()
    shown = []

    async def watch() -> None:
        while True:
            shown.append((telemetry.waiting, telemetry.registry.get_sample_value("logpipe_ready")))
            await asyncio.sleep(0.001)

    watching = asyncio.create_task(watch())
    await until_servers_answer(load_settings(), telemetry)
    watching.cancel()
    assert (("kafka: no answer",), 0) in shown
    assert telemetry.waiting == ()
    assert telemetry.registry.get_sample_value("logpipe_ready") is None, "the workers say so from now on"


async def test_what_does_not_pass_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look(_: Settings) -> list[Finding]:
        return [
            Finding("kafka", False, "no answer", "waits"),
            Finding("index template x", False, "is missing; `logpipe setup` installs it"),
        ]

    monkeypatch.setattr("pipeline.worker.preparation.check_servers", look)
    with pytest.raises(ServerUnavailable, match="index template x: is missing; `logpipe setup`"):
        await until_servers_answer(load_settings(), SupervisorTelemetry())


# --- on the real servers ----------------------------------------------------------------------------------


@contextmanager
def two_workers(pipeline: Pipeline, **settings: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Start the service; whatever is left of it afterwards is killed."""
    children: set[psutil.Process] = set()
    with running("run", "--workers", "2", settings=pipeline.environment(**settings)) as process:
        try:
            yield process
        finally:
            children.update(workers(process.pid))
            process.poll()
            for child in children:
                child.kill()


def workers(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


async def get(url: str) -> tuple[int, dict[str, Any]]:
    async with ClientSession() as session, session.get(url) as response:
        return response.status, await response.json()


async def until_ready(pipeline: Pipeline, process: "subprocess.Popen[bytes]") -> dict[str, Any]:
    """Wait until every worker has joined: each asks for the other to join again."""
    async with asyncio.timeout(60):
        while process.poll() is None:
            try:
                status, body = await get(f"http://127.0.0.1:{pipeline.port}/health/ready")
                if status == 200:
                    return body
            except OSError:
                pass
            await asyncio.sleep(0.1)
    assert process.stdout
    raise AssertionError(process.stdout.read().decode())


async def until_none_is_left(processes: list[psutil.Process], within_seconds: float) -> None:
    async with asyncio.timeout(within_seconds):
        while any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in processes):
            await asyncio.sleep(0.1)


def total(metrics: Mapping[str, float], name: str) -> float:
    return sum(value for sample, value in metrics.items() if sample.split("{")[0] == name)


async def own_metrics(worker: psutil.Process) -> dict[str, float]:
    """Ask a worker itself; it listens on loopback alone."""
    (address,) = [one.laddr for one in worker.net_connections() if one.status == psutil.CONN_LISTEN]
    assert address.ip == "127.0.0.1"
    async with (
        ClientSession() as session,
        session.get(f"http://127.0.0.1:{address.port}/metrics") as response,
    ):
        lines = [line.rsplit(" ", 1) for line in (await response.text()).splitlines() if line[0] != "#"]
    return {name: float(value) for name, value in lines}


async def test_two_workers_share_the_partitions_and_index_each_event_once(pipeline: Pipeline) -> None:
    with two_workers(pipeline) as process:
        ready = await until_ready(pipeline, process)
        expected = await pipeline.send_samples(20_000)
        assert await pipeline.indexed(20_000) == expected
        await asyncio.sleep(1.5)
        each = [await own_metrics(worker) for worker in workers(process.pid)]
        metrics = await pipeline.metrics()
        live, _ = await get(f"http://127.0.0.1:{pipeline.port}/health/live")
        started, body = await get(f"http://127.0.0.1:{pipeline.port}/health/startup")
        stop(process)
    assert [one["logpipe_assigned_partitions"] for one in each] == [2, 2]
    assert documents(metrics, "indexed") == 20_000
    for name in (
        "logpipe_records_total",
        "logpipe_bulk_request_seconds_count",
        "logpipe_assigned_partitions",
    ):
        assert total(metrics, name) == sum(total(one, name) for one in each)
    assert (metrics["logpipe_workers"], metrics["logpipe_workers_up"]) == (2, 2)
    assert metrics["logpipe_worker_restarts_total"] == 0
    checks = {"kafka": True, "elasticsearch": True, "dead_letters": True}
    assert ready["workers"] == {number: {"status": "ready", "checks": checks} for number in ("0", "1")}
    assert (live, started, body["status"]) == (200, 200, "started")
    assert await pipeline.counts() == expected
    assert await pipeline.committed() == await pipeline.ends()


async def test_a_killed_worker_is_replaced_and_nothing_is_lost_or_counted_back(pipeline: Pipeline) -> None:
    with two_workers(pipeline, **SLOW) as process:
        await until_ready(pipeline, process)
        sending = asyncio.create_task(pipeline.send_samples(60_000))
        await pipeline.indexed(6_000)
        before = await pipeline.metrics()
        killed = workers(process.pid)[0]
        killed.kill()
        statuses, scrapes = [0], [before]
        while (
            sum((counts := await pipeline.counts()).values()) < 60_000
            or scrapes[-1]["logpipe_workers_up"] < 2
            or statuses[-1] != 200
        ):
            status, _ = await get(f"http://127.0.0.1:{pipeline.port}/health/ready")
            statuses.append(status)
            scrapes.append(await pipeline.metrics())
            await asyncio.sleep(0.3)
        expected = await sending
        pids = {worker.pid for worker in workers(process.pid)}
        stop(process)
    assert counts == await pipeline.counts() == expected
    assert await pipeline.committed() == await pipeline.ends()
    assert len(pids) == 2
    assert killed.pid not in pids
    assert 503 in statuses
    assert scrapes[-1]["logpipe_worker_restarts_total"] == 1
    sums = [name for name in before if name.split("{")[0].endswith(("_total", "_bucket", "_count", "_sum"))]
    assert total(before, "logpipe_records_total") > 0
    for earlier, later in pairwise(scrapes):
        assert [name for name in sums if later.get(name, 0) < earlier.get(name, 0)] == []


async def test_a_worker_that_does_not_answer_is_left_out_and_counted(pipeline: Pipeline) -> None:
    with two_workers(pipeline) as process:
        await until_ready(pipeline, process)
        before = await pipeline.metrics()
        stopped = workers(process.pid)[0]
        stopped.suspend()
        began = time.monotonic()
        during = await pipeline.metrics()
        assert time.monotonic() - began < 5
        status, body = await get(f"http://127.0.0.1:{pipeline.port}/health/ready")
        stopped.resume()
        stop(process)
    assert (during["logpipe_workers_up"], during["logpipe_worker_scrape_failures_total"]) == (1, 1)
    assert during["process_cpu_seconds_total"] >= before["process_cpu_seconds_total"]
    assert during["process_resident_memory_bytes"] < before["process_resident_memory_bytes"]
    assert (status, body["workers"]["0"]["status"]) == (503, "no answer")


async def test_sigterm_under_load_exits_0_and_leaves_no_process(pipeline: Pipeline) -> None:
    with two_workers(pipeline, **SLOW) as process:
        await until_ready(pipeline, process)
        # While it sends, not all can have been indexed.
        sending = asyncio.create_task(pipeline.send_samples(60_000))
        await pipeline.indexed(4_000)
        left = workers(process.pid)
        assert len(left) == 2
        stop(process)
        await until_none_is_left(left, within_seconds=1)
    assert sum((await pipeline.counts()).values()) < 60_000
    expected = await sending
    with two_workers(pipeline) as process:
        assert await pipeline.indexed(60_000) == expected
        stop(process)
    assert await pipeline.counts() == expected
    assert await pipeline.committed() == await pipeline.ends()


async def test_a_signal_to_the_whole_process_group_is_one_signal(pipeline: Pipeline) -> None:
    """A terminal's Ctrl-C and systemd reach the workers as well as the supervisor."""
    with two_workers(pipeline, **SLOW) as process:
        await until_ready(pipeline, process)
        await pipeline.send_samples(20_000)
        await pipeline.indexed(2_000)
        for each in workers(process.pid):
            each.send_signal(signal.SIGTERM)
        stop(process)


async def test_no_worker_outlives_a_killed_supervisor(pipeline: Pipeline) -> None:
    with two_workers(pipeline, **SLOW) as process:
        await until_ready(pipeline, process)
        # While it sends, not all can have been indexed.
        sending = asyncio.create_task(pipeline.send_samples(60_000))
        await pipeline.indexed(4_000)
        left = workers(process.pid)
        assert len(left) == 2
        process.kill()
        await until_none_is_left(left, within_seconds=30)
    assert sum((await pipeline.counts()).values()) < 60_000
    expected = await sending
    with two_workers(pipeline) as process:
        assert await pipeline.indexed(60_000) == expected
        stop(process)
    assert await pipeline.committed() == await pipeline.ends()
