"""Work is given up when told to stop, and a process ends although a thread of it does not."""

import asyncio
import subprocess
import sys

import pytest

from pipeline.stopping import done_unless
from tests.logpipe import environment

_SCRIPT = """
import threading, time
from pipeline.errors import ServerUnavailable
from pipeline.stopping import ending_in_time

threading.Thread(target=time.sleep, args=[600]).start()
with ending_in_time(0.2):
    {last}
"""


async def test_work_is_given_up_when_told_to_stop() -> None:
    stopping = asyncio.Event()
    assert await done_unless(stopping, asyncio.sleep(0))
    asyncio.get_running_loop().call_soon(stopping.set)
    assert not await done_unless(stopping, asyncio.sleep(600))


@pytest.mark.parametrize(
    ("last", "code"), [("pass", 0), ("raise ServerUnavailable('away')", 3), ("raise ValueError", 1)]
)
def test_a_process_ends_although_a_thread_of_it_does_not(last: str, code: int) -> None:
    process = subprocess.run(
        [sys.executable, "-c", _SCRIPT.format(last=last)],
        capture_output=True,
        env=environment({}),
        timeout=60,
        check=False,
    )
    assert process.returncode == code
    assert b"not ended by itself within 0.2 s" in process.stderr
    assert (b"all the same: away" in process.stderr) == (code == 3)
