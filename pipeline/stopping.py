"""To stop when told to: work that is given up then, and a process that ends also when a library does not."""

import asyncio
import logging
import os
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from threading import Timer
from typing import Any

from pipeline.errors import LogpipeError

__all__ = ["done_unless", "ending_in_time"]

log = logging.getLogger(__name__)


async def done_unless(stopping: asyncio.Event, work: Coroutine[Any, Any, object]) -> bool:
    """Do something before the work; False, and it is cancelled, when told to stop before it was done.

    Raises what it raises.
    """
    doing = asyncio.create_task(work)
    stopped = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({doing, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            await doing
            return True
        return False
    finally:
        doing.cancel()
        stopped.cancel()
        await asyncio.gather(doing, stopped, return_exceptions=True)


@contextmanager
def ending_in_time(seconds: float) -> Iterator[None]:
    """End this process at the latest so many seconds after the block, with the exit code that is due.

    For a process with a thread or a task of a library that may not end: they would keep it for ever. What must not
    be lost has to be safe when the block ends.
    """
    code, failure = 1, ""
    try:
        yield
        code = 0
    except LogpipeError as error:
        code, failure = error.exit_code, f": {error}"
        raise
    finally:

        def end() -> None:
            log.warning("not ended by itself within %g s, ending all the same%s", seconds, failure)
            os._exit(code)

        timer = Timer(seconds, end)
        timer.daemon = True
        timer.start()
