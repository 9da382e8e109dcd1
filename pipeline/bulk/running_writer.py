"""A bulk writer at work outside a worker: for a replay, or a backfill."""

import asyncio
from contextlib import suppress

from pipeline.bulk.writer import BulkWriter

__all__ = ["RunningWriter"]

_WAIT_SECONDS = 0.5


class RunningWriter:
    """Run a writer from now on, until `stop`."""

    def __init__(self, writer: BulkWriter) -> None:
        self._writer = writer
        self._running = asyncio.create_task(writer.run(), name="bulk")

    async def wait_for_change(self) -> None:
        """Wait for something to be settled, half a second at most; raises what has ended the writer."""
        if self._running.done():
            self._running.result()
        await self._writer.wait_for_change(timeout=_WAIT_SECONDS)

    async def stop(self) -> None:
        """End the writer; what is in flight has no outcome."""
        self._running.cancel()
        with suppress(asyncio.CancelledError, ExceptionGroup):
            await self._running
