"""How much is sent at a time: more while Elasticsearch keeps up, half as much when it does not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["RequestLimits"]

_LEAST_BYTES = 64 << 10
_STEPS_TO_FULL_SIZE = 16
# Beyond what has been answered the size grows by a quarter: more than the half that each sixth failure costs.
_CAREFUL_STEPS_TO_DOUBLE = 4
_LEAST_STEP = 512
# A request that timed out may have been a little too large, or far too large: a timeout takes a minute.
_CUT_AFTER_TIMEOUT = 4
_BELOW_TIMEOUT = 8
# So many in time, and a size that was too large is tried again.
_ANSWERS_TO_TRY_MORE = 64
# So many in a row, and what is known of the link's speed is no longer true.
_TIMEOUTS_TO_FORGET = 3
# One overload is answered by many requests in flight; only the first of them counts.
_CALM_SECONDS = 1.0


class RequestLimits:
    """Bound the requests in flight and their size: additive increase, multiplicative decrease.

    Starts at the full bounds. `concurrency` and `request_bytes` are what holds now.
    """

    def __init__(
        self, max_concurrency: int, max_bytes: int, slow_seconds: float, timeout_seconds: float
    ) -> None:
        self._max_concurrency = max_concurrency
        self._max_bytes = max_bytes
        self._slow_seconds = slow_seconds
        self._exact_concurrency = float(max_concurrency)
        self.request_bytes = max_bytes
        self._timeout_seconds = timeout_seconds
        self._answered_bytes = 0
        """Largest size that was answered in time, since the size was last in question."""
        self._bytes_per_second = 0.0
        """Highest speed of a request, since the size was last in question."""
        self._ceiling = max_bytes
        self._answers = 0
        self._timeouts_in_a_row = 0
        self._timed_out_at = float("-inf")
        self._active = 0
        self._freed = asyncio.Event()
        self._last_decrease = float("-inf")

    @property
    def concurrency(self) -> int:
        """Requests that may be in flight now; at least one."""
        return max(1, int(self._exact_concurrency))

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait until one request more may be in flight, and count it while the block lasts."""
        while self._active >= self.concurrency:
            self._freed.clear()
            await self._freed.wait()
        self._active += 1
        try:
            yield
        finally:
            self._active -= 1
            self._freed.set()

    def answered(self, seconds: float, size: int) -> bool:
        """Note a request of so many bytes that was answered in so many seconds; True when that counts as too slow."""
        self._answered_bytes = max(self._answered_bytes, size)
        self._bytes_per_second = max(self._bytes_per_second, size / max(seconds, 0.001))
        self._timeouts_in_a_row = 0
        if seconds > self._slow_seconds:
            return self.overloaded()
        # One slot more after as many answers as there are slots: linear in time.
        self._exact_concurrency = min(self._max_concurrency, self._exact_concurrency + 1 / self.concurrency)
        self._answers += 1
        if self._answers >= _ANSWERS_TO_TRY_MORE:
            self._ceiling = self._max_bytes
        step = self._max_bytes // _STEPS_TO_FULL_SIZE
        # In steps of what there is: one that is too large for a slow link costs a whole timeout.
        careful_step = max(_LEAST_STEP, self.request_bytes // _CAREFUL_STEPS_TO_DOUBLE)
        more = min(self.request_bytes + step, max(self._answered_bytes, self.request_bytes + careful_step))
        most = self._ceiling
        if most < self._max_bytes:
            most = min(most, max(self.request_bytes, self._safe_bytes))
        self.request_bytes = min(most, more)
        self._freed.set()
        return False

    def overloaded(self) -> bool:
        """Halve both bounds; False when they have just been halved."""
        now = asyncio.get_running_loop().time()
        if now - self._last_decrease < _CALM_SECONDS:
            return False
        self._last_decrease = now
        self._exact_concurrency = max(1.0, self._exact_concurrency / 2)
        self.request_bytes = min(self.request_bytes, max(_LEAST_BYTES, self.request_bytes // 2))
        return True

    def timed_out(self, size: int, started: float) -> None:
        """Note a request of so many bytes that was not answered in time: smaller ones may get through.

        `started` is the event loop's time when it was sent: those that were on their way together count once.

        One as large as some that were answered, or that should have been there in half the time by the speed of those
        before, was late for another reason. Only when that goes on, with no answer between, is the size in question.
        """
        if started < self._timed_out_at:
            return
        self._timed_out_at = asyncio.get_running_loop().time()
        self._timeouts_in_a_row += 1
        known_to_pass = max(self._answered_bytes, self._safe_bytes)
        if self._timeouts_in_a_row < _TIMEOUTS_TO_FORGET and size <= known_to_pass:
            return
        self._timeouts_in_a_row = 0
        if size <= self._answered_bytes:
            self._answered_bytes = 0
        self._bytes_per_second = 0.0
        self._answers = 0
        self._ceiling = max(1, min(self._ceiling, size - size // _BELOW_TIMEOUT))
        self.request_bytes = max(
            1, min(self.request_bytes, self._ceiling, max(self._answered_bytes, size // _CUT_AFTER_TIMEOUT))
        )

    @property
    def _safe_bytes(self) -> int:
        """What should be answered in half the time that there is."""
        return int(self._bytes_per_second * self._timeout_seconds / 2)
