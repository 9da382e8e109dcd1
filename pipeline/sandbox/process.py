"""One server as a process that can be started, stopped, killed, suspended and started again."""

import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path

from pipeline.errors import SandboxError
from pipeline.sandbox.aot_cache import aot_cache_file, reading_options, recording_options
from pipeline.sandbox.artifacts import Report
from pipeline.sandbox.java import java_environment
from pipeline.sandbox.ports import free_port, refuse_taken_port

__all__ = ["ServerProcess"]

_WATCHDOG = Path(__file__).with_name("watchdog.py")
_POLL_SECONDS = 0.05
_LOG_TAIL_LINES = 40


class ServerProcess:
    """What is common to the servers: a process, its log and its home, which outlives the process.

    A subclass says how the server is started (`_prepare`) and when it is there (`_answers`).

    name -- what to call the server in messages
    directory -- its home, made when missing: configuration, data and log
    port -- where clients connect; one is chosen if None
    port_option -- what a user sets that port by
    start_timeout_seconds -- how long it may take until it answers
    remove_when_orphaned -- remove the directory if this process dies without stopping the server
    cache -- where jars and AOT caches are kept (see `cache.cache_directory`)
    record -- make an AOT cache when the server is stopped (see `training.py`)
    report -- told what is going on
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        *,
        port: int | None,
        port_option: str,
        start_timeout_seconds: float = 120,
        remove_when_orphaned: bool = False,
        cache: Path | None = None,
        record: bool = False,
        report: Report | None = None,
    ) -> None:
        self.name = name
        self.directory = directory.absolute()
        self.port = port or free_port()
        self._port_option = port_option
        self._token = ""
        """Given to each process that is launched, and asked for: what listens at the port may be another server."""
        self.log = self.directory / "server.log"
        self._start_timeout_seconds = start_timeout_seconds
        self._remove_when_orphaned = remove_when_orphaned
        self._cache = cache
        self._record = record
        self._report = report
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None
        self._launched_at = 0.0

    def _prepare(self) -> list[str]:
        """Make the home ready and return the command; called before every start."""
        raise NotImplementedError

    def _java_options(self) -> list[str]:
        """Return the options of the server's JVM, its class or module path included."""
        raise NotImplementedError

    def _answers(self) -> bool:
        """Tell whether the server, the one with the token, does its work by now; may raise OSError if it does not."""
        raise NotImplementedError

    @property
    def aot_cache(self) -> Path:
        """The file that makes this server start quickly, recorded already or not."""
        return aot_cache_file(self._java_options(), self.directory, self._cache)

    @property
    def aot_recording(self) -> Path:
        """Where a recording server writes what is to become its AOT cache."""
        return self.aot_cache.with_suffix(".aot-new")

    @property
    def running(self) -> bool:
        """Whether the process exists (a suspended one does)."""
        return self._watchdog is not None and self._watchdog.poll() is None

    @property
    def pid(self) -> int:
        """The server's own process id, for signals and for measuring; SandboxError if it is not running."""
        if self._pid is None or not self.running:
            raise SandboxError(f"{self.name} is not running")
        return self._pid

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises SandboxError, with the end of its log, when it gives up or takes too long; it is stopped then.
        """
        self.launch()
        self.wait_until_ready()

    def refuse_taken_port(self) -> None:
        """Raise SandboxError when something else listens at the port; does nothing if the server is running."""
        if not self.running:
            refuse_taken_port(self.port, self.name, self._port_option)

    def launch(self) -> None:
        """Start the process without waiting for the server to answer; does nothing if it is running.

        Raises SandboxError when it cannot be started, or its port is taken.
        """
        if self.running:
            return
        self.refuse_taken_port()
        self._token = uuid.uuid4().hex
        self.directory.mkdir(parents=True, exist_ok=True)
        command = self._prepare()
        with self.log.open("ab") as log:
            self._watchdog = subprocess.Popen(  # noqa: S603 - a command made here
                [
                    *(sys.executable, "-I", "-S", str(_WATCHDOG), str(os.getpid())),
                    str(self.directory) if self._remove_when_orphaned else "",
                    *command,
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=java_environment(),
                start_new_session=True,  # a Ctrl-C in the terminal is for this process: it stops the servers
            )
            self._pid = None
        self._launched_at = time.monotonic()
        assert self._watchdog.stdout  # noqa: S101 - for the type checker
        with self._watchdog.stdout as answer:
            line = answer.readline()
        if not line:
            self._watchdog.wait()
            raise self._failure("could not be started")
        self._pid = int(line)

    def wait_until_ready(self) -> None:
        """Wait until a launched server answers; raises as `start` does."""
        deadline = self._launched_at + self._start_timeout_seconds
        while not self._is_ready():
            if not self.running:
                raise self._failure("ended before it answered")
            if time.monotonic() > deadline:
                self.kill()
                raise self._failure(f"did not answer within {self._start_timeout_seconds:.0f} s")
            time.sleep(_POLL_SECONDS)
        if self._report:
            self._report(f"{self.name} is up after {time.monotonic() - self._launched_at:.1f} s")

    def ask_to_stop(self) -> None:
        """Ask the server to stop (SIGTERM) without waiting; does nothing if it is not running."""
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)  # a suspended process would not hear it

    def stop(self, timeout_seconds: float = 15) -> None:
        """Ask the server to stop and kill it if it does not in time; does nothing if it is not running."""
        self.ask_to_stop()
        if not self._ends_within(timeout_seconds):
            self.kill()

    def kill(self) -> None:
        """End the process at once, as a power cut would (SIGKILL); does nothing if it is not running."""
        self._signal(signal.SIGKILL)
        self._ends_within(None)

    def suspend(self) -> None:
        """Freeze the process (SIGSTOP): its connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a suspended process go on (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def restart(self) -> None:
        """Stop the server if it runs, then start it on the same port and data."""
        self.stop()
        self.start()

    def _quick_start_options(self) -> list[str]:
        return recording_options(self.aot_recording) if self._record else reading_options(self.aot_cache)

    def _signal(self, number: signal.Signals) -> None:
        if self._watchdog is not None and self.running:
            with suppress(ProcessLookupError):  # it ended just now
                # Interrupted in the middle of a launch the server's id is not known; it ends with its watchdog.
                os.kill(self._pid or self._watchdog.pid, number)

    def _ends_within(self, timeout_seconds: float | None) -> bool:
        if self._watchdog is None:
            return True
        try:
            self._watchdog.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _is_ready(self) -> bool:
        try:
            return self._answers()
        except OSError:
            return False

    def _failure(self, what: str) -> SandboxError:
        lines = self.log.read_text("utf-8", errors="replace").splitlines()
        tail = "\n".join(lines[-_LOG_TAIL_LINES:])
        return SandboxError(f"{self.name} {what}; its log, {self.log}, ends with:\n{tail}")
