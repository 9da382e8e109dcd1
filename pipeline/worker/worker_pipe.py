"""The line between a supervisor and a worker: address and last words go up, orders to stop come down.

It is a pair of connected sockets, one inherited by the worker. A cut line is an order too: a worker whose
supervisor was killed ends in order. Orders are not signals because signals may come from elsewhere as well:
a terminal and systemd send theirs to every process, and the second would end a worker at once.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from enum import Enum

from pipeline.settings import WORKER_PIPE_VARIABLE

__all__ = ["LAST_WORDS_SECONDS", "Order", "supervised"]

LAST_WORDS_SECONDS = 4.0
"""How long a worker waits at its end until the supervisor has heard it."""


class Order(Enum):
    """What a supervisor may tell a worker, as a line."""

    STOP = b"stop\n"
    """Stop in order."""
    STOP_AT_ONCE = b"stop at once\n"
    """Stop without waiting for what is in flight."""


@asynccontextmanager
async def supervised(
    url: str,
    stop: Callable[[], None],
    stop_at_once: Callable[[], None],
    last_words: Callable[[], bytes],
) -> AsyncIterator[None]:
    """Tell the supervisor where this worker's metrics are, and obey it; without a supervisor do nothing.

    At the end it is told the `last_words`, which are all that the worker has counted.
    """
    number = os.environ.get(WORKER_PIPE_VARIABLE)
    if number is None:
        yield
        return
    transport, orders = await asyncio.get_running_loop().create_connection(
        lambda: _Orders(stop, stop_at_once), sock=socket.socket(fileno=int(number))
    )
    transport.write(url.encode() + b"\n")
    try:
        yield
    finally:
        if not transport.is_closing():  # the supervisor lives
            transport.write(last_words())
            # It hangs up when it has heard all. To do so here might lose the words: an order that has not been
            # read breaks the line.
            transport.write_eof()
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_SECONDS):
                    await orders.lost.wait()
        transport.close()


class _Orders(asyncio.Protocol):
    """Turn what comes down the line into calls."""

    def __init__(self, stop: Callable[[], None], stop_at_once: Callable[[], None]) -> None:
        self._calls = {Order.STOP: stop, Order.STOP_AT_ONCE: stop_at_once}
        self._received = b""
        self.lost = asyncio.Event()
        """Set when nothing more goes through the line."""

    def data_received(self, data: bytes) -> None:
        *lines, self._received = (self._received + data).splitlines(keepends=True)
        if self._received.endswith(b"\n"):
            lines, self._received = [*lines, self._received], b""
        for line in lines:
            self._calls[Order(line)]()

    def connection_lost(self, _: Exception | None) -> None:
        self.lost.set()
        self._calls[Order.STOP]()
