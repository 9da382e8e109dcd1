"""Who is on call: asks readiness, alerts, the log and `logpipe top` whether they say what the runbook says."""

import asyncio
import re
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from aiohttp import ClientError, ClientSession

from tests.logpipe import COMMAND, environment, logpipe
from tests.monitoring.alertmanager_process import Alertmanager
from tests.monitoring.prometheus_process import Prometheus
from tests.night.runbook_page import Seen, cases

__all__ = ["OnCall"]

_AGAIN_SECONDS = 0.3
# Of a line of the log: the time, then its level.
_WORSE_THAN_INFO = re.compile(r"^\S+Z (?:WARN|ERROR) .*$", re.MULTILINE)


class OnCall:
    """Look at one pipeline."""

    def __init__(self, port: int, prometheus: Prometheus, alertmanager: Alertmanager, log: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._prometheus = prometheus
        self._alertmanager = alertmanager
        self._log = log
        self._log_mark = 0
        self._within_seconds = 0.0

    @contextmanager
    def service(self, settings: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
        """Run the service as users do; its log goes on in the same file. It is killed at the latest at the end."""
        with self._log.open("ab") as output:
            process = subprocess.Popen(
                [*COMMAND, "run", "--workers", "2"],
                env=environment(settings),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def log(self) -> str:
        """Give what was written since the last case was seen."""
        return self._log.read_text()[self._log_mark :]

    async def sees(
        self,
        alert: str,
        case: str,
        *,
        fire: Sequence[str] = (),
        end: Sequence[str] = (),
        within_seconds: float = 60,
    ) -> None:
        """Wait until all say what the page of the alert says of this case; within a minute.

        fire -- alerts that are to fire in Prometheus and to arrive at Alertmanager
        end -- alerts that neither has any more
        """
        seen = cases(alert)[case]
        self._within_seconds = within_seconds
        began = time.monotonic()
        await asyncio.gather(
            self._until(seen, "readiness", self._readiness),
            self._until(seen, "log", self._lines),
            *(self._until(seen, f"alert {name}", self._fires(name)) for name in fire),
            *(self._until(seen, f"end of alert {name}", self._has_ended(name)) for name in end),
        )
        # Last, and once: to start a command again and again would take the machine from all others.
        await self._until(seen, "logpipe top", self._top)
        self._log_mark = len(self._log.read_text())
        self._note(f"{alert}, {case}: {time.monotonic() - began:.1f} s")

    async def _until(self, seen: Seen, what: str, missing: Callable[[Seen], Awaitable[str]]) -> None:
        """Wait until nothing is missing any more."""
        began = time.monotonic()
        while problem := await missing(seen):
            assert time.monotonic() < began + self._within_seconds, f"{seen.case}: {what}: {problem}"
            await asyncio.sleep(_AGAIN_SECONDS)
        self._note(f"    {what}: {time.monotonic() - began:.1f} s")

    @staticmethod
    def _note(text: str) -> None:
        """Say how long it took; pytest shows it after a failure, and with `-s`."""
        print(text, flush=True)  # noqa: T201

    async def _readiness(self, seen: Seen) -> str:
        try:
            async with ClientSession() as session, session.get(f"{self.url}/health/ready") as response:
                status, body = response.status, await response.text()
        except ClientError as error:
            return repr(error)
        wrong = status != seen.status or not _all_in(seen.readiness, body)
        return f"{status} {body}, and not {seen.status} with {seen.readiness}" if wrong else ""

    async def _lines(self, seen: Seen) -> str:
        log = self.log()
        if seen.log:
            return "" if _all_in(seen.log, log) else f"no {seen.log} in\n{log}"
        assert not _WORSE_THAN_INFO.search(log), f"{seen.case}: there is more in the log than INFO:\n{log}"
        return ""

    async def _top(self, seen: Seen) -> str:
        answer = await asyncio.to_thread(
            logpipe, "top", "--once", "--url", self.url, "--interval", "0.5", settings={}
        )
        screen = answer.stdout.decode()
        # "not ready" has "ready" in it.
        shown = all(re.search(f"(?<!not ){text}", screen) for text in seen.top)
        return "" if shown else f"no {seen.top} in\n{screen}{answer.stderr.decode()}"

    def _fires(self, name: str) -> Callable[[Seen], Awaitable[str]]:
        async def missing(_: Seen) -> str:
            states = await self._prometheus.states()
            if states.get(name) != "firing":
                return f"Prometheus has {states}"
            arrived = await self._arrived()
            return "" if name in arrived else f"Alertmanager has {arrived}"

        return missing

    def _has_ended(self, name: str) -> Callable[[Seen], Awaitable[str]]:
        async def missing(_: Seen) -> str:
            states = await self._prometheus.states()
            if name in states:
                return f"Prometheus has {states}"
            arrived = await self._arrived()
            return f"Alertmanager has {arrived}" if name in arrived else ""

        return missing

    async def _arrived(self) -> set[str]:
        return {alert["labels"]["alertname"] for alert in await self._alertmanager.alerts()}


def _all_in(patterns: Sequence[str], text: str) -> bool:
    return all(re.search(pattern, text) for pattern in patterns)
