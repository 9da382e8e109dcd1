"""A broker that is not there is reported in time, whatever listens at its port."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from pipeline.errors import LogpipeError
from pipeline.install.check import check_servers
from pipeline.install.topics import plan_topics
from pipeline.kafka.dead_letters import read_dead_letters
from pipeline.kafka.source import Source
from pipeline.sample.produce import produce
from pipeline.settings import Settings, load_settings
from pipeline.telemetry.metrics import Telemetry
from tests.unconcerned import Unconcerned

Command = Callable[[Settings], Awaitable[None]]


@asynccontextmanager
async def silent_port() -> AsyncIterator[int]:
    """Accept connections and never answer, as a listener for TLS does to a client without."""
    connections: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: connections.append(writer), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        for writer in connections:
            writer.close()
        server.close()


def settings_for(*servers: str) -> Settings:
    return load_settings(
        overrides={
            "kafka": {"bootstrap_servers": servers, "connect_timeout_seconds": 0.5},
            "elasticsearch": {"hosts": ["http://127.0.0.1:9"]},
        }
    )


async def index(settings: Settings) -> None:
    source = Source(settings.kafka, Unconcerned(), Telemetry())
    try:
        await source.start()
    finally:
        await source.stop()


async def setup(settings: Settings) -> None:
    await plan_topics(settings.kafka, [])


async def generate(settings: Settings) -> None:
    await produce(settings.kafka, [])


async def list_dead_letters(settings: Settings) -> None:
    async for _ in read_dead_letters(settings):
        pass


@pytest.mark.parametrize(
    "command", [index, setup, generate, list_dead_letters], ids=["index", "setup", "generate", "dlq list"]
)
async def test_a_silent_port_is_reported_within_the_setting(command: Command) -> None:
    async with silent_port() as port:  # aiokafka's own time-out is 40 s
        with pytest.raises(LogpipeError) as raised:
            await command(settings_for(f"127.0.0.1:{port}"))
    assert raised.value.exit_code == 3
    assert "no broker has answered within 0.5 s (kafka.connect_timeout_seconds)" in str(raised.value)
    assert "kafka.bootstrap_servers" in str(raised.value)


async def test_check_reports_a_silent_port_as_a_finding() -> None:
    async with silent_port() as port:
        finding = (await check_servers(settings_for(f"127.0.0.1:{port}")))[0]
    assert finding.good is False
    assert "kafka.connect_timeout_seconds" in finding.detail
