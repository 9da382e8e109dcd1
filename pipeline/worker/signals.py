"""Running a process's work until it is told to stop: by signals, or by its supervisor."""

import asyncio
import signal
from typing import Protocol

from pipeline.worker.worker_pipe import supervised

__all__ = ["Work", "run_until_signalled"]


class Work(Protocol):
    """What a process does until it is told to stop."""

    def stop(self) -> None:
        """Ask for an orderly end."""

    def counted(self) -> bytes:
        """Give all metrics, for a supervisor."""

    async def run(self) -> None:
        """Work until `stop`."""


async def run_until_signalled(indexer: Work, url: str) -> None:
    """Run a worker; SIGTERM and SIGINT stop it in order, a second one at once, still without loss.

    Under a supervisor, which is told the `url` of the metrics, orders come from there as well.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()

    def stop_at_once() -> None:
        if task is not None:
            task.cancel()

    def signalled() -> None:
        if signals_seen.is_set():
            stop_at_once()
        signals_seen.set()
        indexer.stop()

    signals_seen = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled)
    async with supervised(url, indexer.stop, stop_at_once, indexer.counted):
        await indexer.run()
