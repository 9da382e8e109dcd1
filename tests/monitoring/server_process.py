"""A server of Prometheus' family as a process of its own, on a loopback port."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import ClientError, ClientSession

from pipeline.sandbox.ports import free_port
from tests.monitoring.tools import find

__all__ = ["running_server"]

_START_SECONDS = 30


@asynccontextmanager
async def running_server(
    program: str, arguments: Sequence[str], log: Path, *, port: int | None = None
) -> AsyncIterator[ClientSession]:
    """Run it while the block lasts; gives a session for its API once it is ready. What it says goes to the log."""
    port = port or free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: ASYNC220 - it takes a moment, and nothing else is going on
            [find(program), *arguments, f"--web.listen-address=127.0.0.1:{port}"],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        async with ClientSession(f"http://127.0.0.1:{port}") as session:
            deadline = time.monotonic() + _START_SECONDS
            while not await _ready(session):
                _check_start(process, log, deadline)
                await asyncio.sleep(0.05)
            yield session
    finally:
        process.kill()
        process.wait()


def _check_start(process: subprocess.Popen[bytes], log: Path, deadline: float) -> None:
    assert process.poll() is None, log.read_text()
    assert time.monotonic() < deadline, log.read_text()


async def _ready(session: ClientSession) -> bool:
    try:
        async with session.get("/-/ready") as response:
            return response.status == 200
    except ClientError:
        return False
