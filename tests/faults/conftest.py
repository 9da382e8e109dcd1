"""Fixtures of the fault suite."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pipeline.sandbox import Servers, start_sandbox
from tests.faults.proxy import FaultyProxy, faulty_proxy
from tests.faults.report import FaultReport
from tests.faults.scenario import Scenario
from tests.own_pipeline import Pipeline, own_pipeline


@pytest.fixture(scope="session")
def fault_report(request: pytest.FixtureRequest) -> Iterator[FaultReport]:
    report = FaultReport()
    yield report
    file = request.config.getoption("--fault-report")
    if file is not None:
        report.write(Path(file))


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """How often a fault is repeated that takes a worker away."""
    return int(request.config.getoption("--fault-rounds"))


@pytest.fixture
async def scenario(
    pipeline: Pipeline, fault_report: FaultReport, request: pytest.FixtureRequest
) -> AsyncIterator[Scenario]:
    """A scenario on the shared servers, which stay as they are."""
    one = Scenario(request.node.name.removeprefix("test_"), pipeline, fault_report)
    async with one.watching():
        yield one


@pytest.fixture(scope="module")
def fragile_servers() -> Iterator[Servers]:
    """Servers of the module's own, to be killed and suspended."""
    with start_sandbox(elasticsearch_heap_mb=512) as running:
        yield running


@pytest.fixture
async def fragile(
    fragile_servers: Servers, fault_report: FaultReport, request: pytest.FixtureRequest
) -> AsyncIterator[Scenario]:
    """A scenario on servers that may be harmed."""
    async with own_pipeline(fragile_servers) as pipeline:
        one = Scenario(request.node.name.removeprefix("test_"), pipeline, fault_report)
        async with one.watching():
            yield one


@pytest.fixture
async def proxy(elasticsearch_url: str) -> AsyncIterator[FaultyProxy]:
    async with faulty_proxy(elasticsearch_url) as one:
        yield one
