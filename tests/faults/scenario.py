"""What every fault scenario shares: traffic, workers that are watched, and the count at the end."""

import asyncio
import random
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import psutil

from pipeline.audit import audit
from tests.faults.report import FaultReport, Row
from tests.logpipe import running
from tests.own_pipeline import SLOW, Pipeline, stop

__all__ = ["MOST_LINES", "QUICK", "Scenario"]

MOST_LINES = 40
"""Of a worker's log in a scenario: what is wrong is told once, and not for each attempt."""
_REGULAR = (" settled; ", "assigned ", "giving partitions up")
"""Lines that come with time and with rebalances."""

# Small requests that give up and try again soon: more happens in a minute.
QUICK = {
    "LOGPIPE_ELASTICSEARCH__BULK_MAX_BYTES": "300000",
    "LOGPIPE_ELASTICSEARCH__MAX_IN_FLIGHT_BYTES": "3000000",
    "LOGPIPE_ELASTICSEARCH__REQUEST_TIMEOUT_SECONDS": "2",
    "LOGPIPE_ELASTICSEARCH__RETRY_INITIAL_SECONDS": "0.05",
    "LOGPIPE_ELASTICSEARCH__RETRY_MAX_SECONDS": "0.5",
    "LOGPIPE_KAFKA__MAX_POLL_RECORDS": "1000",
}


@dataclass
class Scenario:
    """One scenario on a pipeline of its own."""

    name: str
    pipeline: Pipeline
    report: FaultReport
    sent: int = 0
    faults: int = 0
    settings: dict[str, str] = field(default_factory=dict)
    memory: list[float] = field(default_factory=list)
    throughput_ratio: float | None = None
    _peak_rss: int = 0
    _watched: list[psutil.Process] = field(default_factory=list)

    async def send(self, count: int, seed: int = 0) -> None:
        """Send sample traffic."""
        await self.pipeline.send_samples(count, seed=seed)
        self.sent += count

    @contextmanager
    def worker(self, log_level: str = "INFO", **settings: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Run a worker whose memory is watched."""
        environment = self.pipeline.environment(**{**QUICK, **self.settings, **settings})
        with running("--log-level", log_level, "index", settings=environment) as process:
            self._watched.append(psutil.Process(process.pid))
            yield process

    async def kill_a_worker(self, chance: random.Random) -> None:
        """Run a slow worker, and kill it at a random moment of its first seconds."""
        with self.worker(**SLOW) as process:
            await asyncio.sleep(chance.uniform(1.0, 3.5))
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.faults += 1

    def rss_mb(self) -> float:
        """Give the memory of the first worker now."""
        return round(self._watched[0].memory_info().rss / 1e6, 1)

    def look(self) -> None:
        """Note how much memory the workers take now."""
        for process in self._watched:
            try:
                self._peak_rss = max(self._peak_rss, process.memory_info().rss)
            except psutil.NoSuchProcess:
                continue

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Look at the memory ten times a second while the block lasts."""

        async def watch() -> None:
            while True:
                self.look()
                await asyncio.sleep(0.1)

        task = asyncio.create_task(watch())
        try:
            yield
        finally:
            task.cancel()

    async def committed(self, within_seconds: float = 90) -> None:
        """Wait until everything that was sent is committed."""
        ends = await self.pipeline.ends()
        async with asyncio.timeout(within_seconds):
            # The marker of a transaction is no record: it may stay behind the position.
            while await self.pipeline.committed() != ends:
                await asyncio.sleep(0.3)

    async def finish(self, process: "subprocess.Popen[bytes]", *, dead: int = 0) -> list[str]:
        """Wait for the last commit, stop the worker, and count; gives the lines of its log, which are few."""
        await self.committed()
        self.look()
        lines = stop(process)
        told = [line for line in lines if not any(words in line for words in _REGULAR)]
        assert len(told) <= MOST_LINES, "\n".join(told)
        await self.count(dead=dead)
        return lines

    async def count(self, *, dead: int = 0) -> None:
        """Audit: nothing missing, nothing twice, and as many dead letters as expected."""
        result = await audit(self.pipeline.settings, to_end=True)
        self.report.rows.append(
            Row(
                self.name,
                result.records,
                self.faults,
                result.missing,
                result.duplicated,
                result.dead,
                round(self._peak_rss / 1e6, 1),
                self.memory,
                self.throughput_ratio,
            )
        )
        assert (result.missing, result.duplicated, result.dead) == (0, 0, dead)
        assert result.records == self.sent
