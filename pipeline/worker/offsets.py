"""What a worker may commit, and does: the ledger kept in step with what becomes of the partitions."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress

from pipeline.kafka.ledger import Ledger, Partition
from pipeline.kafka.source import Source
from pipeline.settings import Settings
from pipeline.telemetry.health import Health
from pipeline.telemetry.metrics import Telemetry
from pipeline.worker.lag import Lag

__all__ = ["Offsets"]

log = logging.getLogger(__name__)

_LAG_SECONDS = 5.0
# A commit goes out every second: one that is not answered by then is as good as refused.
_COMMIT_SECONDS = 3.0
_COMMIT_AGAIN_SECONDS = 0.2


class Offsets:
    """Own the partitions of a source: deliver to the ledger, commit from it, measure what is left.

    `settle` waits until nothing of these partitions is in flight, at most so many seconds, and tells whether it is so.
    """

    def __init__(
        self,
        settings: Settings,
        telemetry: Telemetry,
        health: Health,
        settle: Callable[[Collection[Partition], float], Awaitable[bool]],
    ) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._health = health
        self._settle = settle
        self.ledger = Ledger()
        self.lag = Lag(telemetry.lag, self.ledger)
        self.source = Source(settings.kafka, self, telemetry)

    # --- committing ---------------------------------------------------------------------------------------

    async def commit(self) -> bool:
        """Commit what is settled; False when not all of it was taken, which the next commit makes good."""
        positions = self.ledger.committable()
        if not positions:
            return True
        try:
            async with asyncio.timeout(_COMMIT_SECONDS):
                taken = await self.source.commit(positions)
        except TimeoutError:
            taken = set()
        self.ledger.committed({partition: positions[partition] for partition in taken})
        for partition in taken:
            self._telemetry.committed.labels(*partition).set(positions[partition])
        if len(taken) < len(positions):
            self._telemetry.commit_failures.inc()
            return False
        return True

    async def commit_within(self, seconds: float) -> bool:
        """Commit, again and again for so long: for the last time that it can be done."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.source.fenced:
                    if await self.commit():
                        return True
                    await asyncio.sleep(_COMMIT_AGAIN_SECONDS)
        return False

    def nothing_more(self) -> None:
        """Take along what needs no settling: call when all that was polled has been delivered to the ledger.

        Markers of transactions, aborted records and what compaction took away have offsets too.
        """
        for partition, position in self.source.positions().items():
            self.ledger.skip_to(partition, position)

    async def measure_lag(self) -> None:
        """Ask for the lag regularly, until cancelled: what is fetched does not tell that of paused partitions."""
        while True:
            await asyncio.sleep(_LAG_SECONDS)
            ends = await self.source.ends()
            self.lag.show(ends, self.source.positions(), time.time_ns() // 1_000_000, time.monotonic())

    # --- what becomes of partitions -----------------------------------------------------------------------

    async def revoked(self, partitions: Collection[Partition]) -> None:
        """Settle and commit what is in flight before the partitions go to another worker."""
        if not partitions:
            return
        self._telemetry.rebalances.inc()
        # The broker waits for the group's slowest member; half a session leaves the time to commit.
        session = self._settings.kafka.session_timeout_seconds
        if not await self._settle(partitions, min(self._settings.shutdown.timeout_seconds, session / 2)):
            log.warning("giving partitions up with %d records in flight", self.ledger.in_flight(partitions))
        await self.commit_within(min(_COMMIT_SECONDS, session / 4))
        self.ledger.drop(partitions)
        self.lag.forget(partitions)
        self._telemetry.assigned.set(0)
        self._health.partitions = 0
        for topic, number in partitions:
            with suppress(KeyError):
                self._telemetry.committed.remove(topic, str(number))

    def assigned(self, partitions: Collection[Partition]) -> None:
        """Begin with these partitions."""
        log.info(
            "assigned %s", ", ".join(f"{topic}/{number}" for topic, number in sorted(partitions)) or "nothing"
        )
        # A partition that comes back begins at its committed offset, below what was delivered before.
        self.ledger.drop(partitions)
        self._telemetry.assigned.set(len(partitions))
        self._telemetry.begin_partitions(partitions)
        self._health.assigned = True
        self._health.partitions = len(partitions)

    def lost(self, partitions: Collection[Partition]) -> None:
        """Forget what was delivered: it is of a topic that is no more, or will come again."""
        self.ledger.drop(partitions)
        self.lag.forget(partitions)

    def placed(self, partition: Partition, position: int, *, committed: bool) -> None:
        """Note where reading begins; a position that nobody has committed is, so that it holds after a kill too."""
        self.ledger.begin(partition, position, committed=committed)
        if committed:
            self._telemetry.committed.labels(*partition).set(position)

    def passed_over(self, partition: Partition, position: int) -> None:
        """Have the next commit say what was passed over."""
        self.ledger.skip_to(partition, position, again=True)
