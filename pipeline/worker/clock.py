"""What time it is: Elasticsearch's time, which its lifecycle deletes by, rather than that of this machine."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from elasticsearch import AsyncElasticsearch
from prometheus_client import Gauge

from pipeline.events.indices import EARLIEST_MS
from pipeline.worker.cat import ask_cat

__all__ = ["Clock"]

log = logging.getLogger(__name__)

_ASK_SECONDS = 60.0
_ASK_UNTIL_KNOWN_SECONDS = 5.0
# `_cat/health` tells whole seconds, and is asked over a network.
_MOST_DIFFERENCE_SECONDS = 60.0
_REMIND_SECONDS = 3600.0
_LATEST = 253_402_300_799
"""The end of the year 9999: the last time that can be written down."""


def _boot_time() -> float:
    """Give a time that nobody sets, in seconds; unlike the monotonic clock it goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _epoch(rows: list[dict[str, Any]]) -> float:
    """Give the time; raises ValueError when it is none that Elasticsearch can be living at."""
    epoch = float(rows[0]["epoch"])
    if not EARLIEST_MS / 1000 <= epoch <= _LATEST:
        raise ValueError(f"{epoch} is no time of today")
    return epoch


class Clock:
    """Tell the time by Elasticsearch's clock, once that is known; `run` must be running for it to be asked again.

    Between two answers the monotonic clock goes on, so that a jump of this machine's clock moves no event into the
    index of another day. As long as there was no answer, the time is that of this machine.
    """

    def __init__(
        self,
        client: AsyncElasticsearch,
        difference: Gauge,
        system_time: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = _boot_time,
    ) -> None:
        """Take a client whose answers are bytes; `difference` shows how far this machine's clock is ahead."""
        self._client = client
        self._difference = difference
        self._system_time = system_time
        self._monotonic = monotonic
        self._zero: float | None = None
        """Elasticsearch's time when the monotonic clock was zero, in seconds since 1970."""
        self._told_at = float("-inf")

    def now_ms(self) -> int:
        """Give the time in milliseconds since 1970."""
        seconds = self._system_time() if self._zero is None else self._zero + self._monotonic()
        return int(seconds * 1000)

    async def run(self) -> None:
        """Ask every minute, and more often until there has been an answer; until cancelled."""
        while True:
            await asyncio.sleep(_ASK_UNTIL_KNOWN_SECONDS if self._zero is None else _ASK_SECONDS)
            await self.ask()

    async def ask(self) -> None:
        """Ask once; without an answer in time what was known stays."""
        epoch = await ask_cat(self._client, "health?format=json&h=epoch", _epoch)
        if epoch is None:
            return
        self._zero = epoch - self._monotonic()
        ahead = self._system_time() - epoch
        self._difference.set(ahead)
        if abs(ahead) > _MOST_DIFFERENCE_SECONDS and self._monotonic() - self._told_at >= _REMIND_SECONDS:
            self._told_at = self._monotonic()
            log.warning(
                "the clock of this machine is %.0f s %s that of Elasticsearch, whose time is used: "
                "see to the time synchronisation (NTP) of both",
                abs(ahead),
                "ahead of" if ahead > 0 else "behind",
            )
