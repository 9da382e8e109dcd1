"""Several workers of one consumer group: starts their processes, replaces those that end, ends them all."""

import asyncio
import logging
import os
import signal
import socket
from asyncio.subprocess import DEVNULL, Process
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from pipeline.errors import SettingsError
from pipeline.settings import WORKER_PIPE_VARIABLE, Settings
from pipeline.stopping import done_unless
from pipeline.telemetry.families import load_families
from pipeline.telemetry.merged import SupervisorTelemetry
from pipeline.worker.indexer import LEAVE_SECONDS
from pipeline.worker.supervisor_log import GOOD_LIFE_SECONDS, SupervisorLog
from pipeline.worker.worker_pipe import LAST_WORDS_SECONDS, Order

__all__ = ["Supervisor", "Worker", "available_cores"]

log = logging.getLogger(__name__)

# What a worker needs to start, or to end, besides what it is given for the records in flight.
_SPARE_SECONDS = 5.0
_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


class Worker:
    """One of the workers: a process, and after it the next."""

    def __init__(self, number: int, command: Sequence[str]) -> None:
        self.number = number
        self.command = command
        self.run = -1
        """Which process of all this is, by a number that is used once."""
        self.process: Process | None = None
        self.problem = ""
        """Why it could not be started."""
        self.url: str | None = None
        """Where its metrics are, once it has said so."""
        self._line: asyncio.StreamWriter | None = None

    def attach(self, run: int, process: Process, line: asyncio.StreamWriter) -> None:
        """Note the process that is this worker now."""
        self.run, self.process, self._line = run, process, line

    def detach(self) -> None:
        """Note that the process has ended."""
        self.process = self.url = self._line = None

    def order(self, order: Order) -> None:
        """Tell the worker to stop, if it runs."""
        if self._line is not None and not self._line.is_closing():
            self._line.write(order.value)

    def kill(self) -> bool:
        """End the process without asking; True when there was one."""
        if self.process is None or self.process.returncode is not None:
            return False
        self.process.kill()
        return True


class Supervisor:
    """Keep `number` workers running, each as the process that `command` starts, and one for each of `beside`."""

    def __init__(
        self,
        settings: Settings,
        command: Sequence[str],
        number: int,
        telemetry: SupervisorTelemetry,
        beside: Sequence[Sequence[str]] = (),
    ) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._log = SupervisorLog(telemetry)
        self._runs = count()
        self._stopping = asyncio.Event()
        self._failure = 0
        commands = [*[command] * number, *beside]
        self.workers = [Worker(each, command) for each, command in enumerate(commands)]
        telemetry.workers.set(len(commands))

    async def run(
        self,
        before: Callable[[], Coroutine[Any, Any, None]] | None = None,
        scrape: Callable[[], Awaitable[object]] | None = None,
    ) -> int:
        """Work until SIGTERM or SIGINT, then let the workers end in order; a second signal ends them at once.

        `before` is waited for before any worker is started; `scrape` asks them how they do, for the log.
        Gives the exit code: 0, or the first that is not of a worker that was told to end.

        Raises SettingsError when a worker finds a setting wrong: the next would find the same; and what `before` does.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)
        if before is not None:
            await done_unless(self._stopping, before())
            if self._stopping.is_set():
                return 0
        async with asyncio.TaskGroup() as tasks:
            enforcing = tasks.create_task(self._enforce_the_end())
            telling = tasks.create_task(self._log.run(scrape))
            async with asyncio.TaskGroup() as keeping:
                for worker in self.workers:
                    keeping.create_task(self._keep(worker), name=f"worker {worker.number}")
            enforcing.cancel()
            telling.cancel()
        self._log.end()
        if self._failure == SettingsError.exit_code:
            raise SettingsError("a worker found a setting wrong, see above; all workers are stopped")
        return self._failure

    def _signalled(self) -> None:
        if self._stopping.is_set():
            log.warning("stopping the workers at once")
            self._tell(Order.STOP_AT_ONCE)
        else:
            log.info("stopping %d workers", len(self.workers))
            self._stop()

    def _stop(self) -> None:
        self._stopping.set()
        self._tell(Order.STOP)

    def _tell(self, order: Order) -> None:
        for worker in self.workers:
            worker.order(order)

    async def _enforce_the_end(self) -> None:
        await self._stopping.wait()
        leaving = LEAVE_SECONDS + LAST_WORDS_SECONDS + _SPARE_SECONDS
        await asyncio.sleep(self._settings.shutdown.timeout_seconds + leaving)
        for worker in self.workers:
            if worker.kill():
                log.error("worker %d did not end in time and was killed", worker.number)

    async def _keep(self, worker: Worker) -> None:
        """Run a worker again and again until told to stop."""
        run = self._settings.run
        loop = asyncio.get_running_loop()
        wait = run.restart_initial_seconds
        while not self._stopping.is_set():
            started = loop.time()
            code = await self._live(worker)
            if self._stopping.is_set() or code == SettingsError.exit_code:
                self._failure = self._failure or _exit_code(code)
                self._stop()
                return
            if loop.time() - started >= GOOD_LIFE_SECONDS:
                # The next wait begins small again.
                wait = run.restart_initial_seconds
            self._log.ended(worker.number, worker.problem if code is None else _in_words(code), wait)
            if await self._stops_within(wait):
                return
            wait = min(wait * 2, run.restart_max_seconds)
            self._telemetry.restarts.inc()

    async def _stops_within(self, seconds: float) -> bool:
        """Sleep, unless it is time to stop before."""
        try:
            async with asyncio.timeout(seconds):
                return await self._stopping.wait()
        except TimeoutError:
            return False

    async def _live(self, worker: Worker) -> int | None:
        """Run one process from its start to its end; gives its exit code, None when it did not even start."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *worker.command,
                    stdin=DEVNULL,
                    env=self._environment(worker, theirs),
                    pass_fds=[theirs.fileno()],
                )
            except OSError as error:
                ours.close()
                worker.problem = f"it could not be started: {error}"
                return None
        reader, line = await asyncio.open_connection(sock=ours)
        worker.attach(next(self._runs), process, line)
        self._telemetry.merged.begin(worker.run, worker.number)
        self._log.started(worker.number, process.pid)
        if self._stopping.is_set():
            worker.order(Order.STOP)
        try:
            last_words = b""
            with suppress(ConnectionError):  # it has ended without reading an order
                worker.url = (await reader.readline()).decode().strip() or None
                last_words = await reader.read()
            line.close()
            code = await process.wait()
            with suppress(ValueError):  # it was killed, perhaps in the middle of a word
                await asyncio.to_thread(deque, load_families(last_words), 0)
                self._telemetry.merged.update(worker.run, last_words)
            return code
        finally:
            line.close()
            self._telemetry.merged.end(worker.run)
            worker.detach()

    def _environment(self, worker: Worker, line: socket.socket) -> dict[str, str]:
        environment = {
            **os.environ,
            WORKER_PIPE_VARIABLE: str(line.fileno()),
            "LOGPIPE_HTTP__HOST": "127.0.0.1",
            "LOGPIPE_HTTP__PORT": "0",
        }
        instance = self._settings.kafka.group_instance_id
        if instance is not None:
            environment["LOGPIPE_KAFKA__GROUP_INSTANCE_ID"] = f"{instance}-{worker.number}"
        return environment


def available_cores() -> int:
    """Count the cores this process may use: its affinity, and a container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _CGROUP_QUOTA.read_text("ascii").split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


def _in_words(code: int) -> str:
    return f"it was killed by {signal.Signals(-code).name}" if code < 0 else f"its exit code is {code}"


def _exit_code(code: int | None) -> int:
    """Tell how a worker ended: killed by SIGTERM before it could listen to it is in order too."""
    if code is None or code == -signal.SIGTERM:
        return 0
    return code if code >= 0 else 128 - code
