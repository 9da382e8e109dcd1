"""The real servers that the whole test run shares."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from pipeline.errors import SandboxError
from pipeline.sandbox import Servers, prepare_quick_starts, start_sandbox
from tests.own_pipeline import Pipeline, own_pipeline

# How long an example takes says nothing but how busy the machine is; on CI Hypothesis sees to that itself.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The inner loop, `make unit`, asks for it: fewer examples each time, and all of them in `make test`.
settings.register_profile("unit", settings.get_profile("busy"), max_examples=20)
if "CI" not in os.environ:
    settings.load_profile("busy")


# All or nearly all of their tests start one.
_FOLDERS_WITH_PROCESSES = {
    "benchmarks",
    "cli",
    "deploy",
    "faults",
    "monitoring",
    "night",
    "packaging",
    "sandbox",
    "security",
    "worker",
}
_FILES_WITH_PROCESSES = {"install/test_policy.py", "install/test_resources.py"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-rounds", type=int, default=4, help="how often a worker is taken away")
    parser.addoption("--fault-answer-seconds", type=float, default=5, help="how long each answer stays bad")
    parser.addoption("--fault-seconds", type=float, default=20, help="how long the steady scenario lasts")
    parser.addoption("--fault-still-seconds", type=float, default=25, help="how long the sink stands still")
    parser.addoption("--fault-blocked-seconds", type=float, default=8, help="how long an index stays blocked")
    parser.addoption("--fault-report", help="file for the fault suite's counts, as JSON")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts a server or another process, so that `make unit` can leave it out."""
    here = Path(__file__).parent
    for item in items:
        file = item.path.relative_to(here)
        apart = file.parts[0] in _FOLDERS_WITH_PROCESSES or file.as_posix() in _FILES_WITH_PROCESSES
        if apart or "servers" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.server)


def pytest_runtest_setup() -> None:
    """Let a run that is told to stop clean up as after Ctrl-C; a test may have left the signal to its default."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A run in the background of a shell ignores Ctrl-C, and so would the commands that the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fetch the servers before the first test: what happens once must not count against its time limit."""
    wanted = any(
        not {"servers", "cluster"}.isdisjoint(getattr(item, "fixturenames", ())) for item in session.items
    )
    if wanted and not session.config.option.collectonly:
        terminal = session.config.pluginmanager.get_plugin("terminalreporter")
        report = terminal.write_line if terminal else None
        with suppress(SandboxError):  # the tests that need the servers will say so
            prepare_quick_starts(report=report)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """One Kafka and one Elasticsearch; tests keep apart by using topics and indices of their own names."""
    with start_sandbox() as running:
        yield running


@pytest.fixture(scope="session")
def kafka_bootstrap(servers: Servers) -> str:
    return servers.kafka_bootstrap


@pytest.fixture(scope="session")
def elasticsearch_url(servers: Servers) -> str:
    return servers.elasticsearch_url


@pytest.fixture
async def pipeline(servers: Servers) -> AsyncIterator[Pipeline]:
    """Give a test its own topic, group and indices on the shared servers."""
    async with own_pipeline(servers) as one:
        yield one
