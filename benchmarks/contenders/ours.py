"""The worker as `logpipe index` runs it: the same preparation, loop, HTTP server and metrics."""

import asyncio

import uvloop

from benchmarks.contenders.task import Task
from benchmarks.usage import Usage, measure
from pipeline.telemetry.health import Health
from pipeline.telemetry.metrics import Telemetry
from pipeline.telemetry.server import serve
from pipeline.worker.indexer import Indexer
from pipeline.worker.memory import tune_memory

__all__ = ["run"]

_LOOK_EVERY_SECONDS = 0.05


def run(task: Task) -> Usage:
    """Index the events and commit them all."""
    tune_memory()
    return measure(lambda: uvloop.run(_index(task)))


async def _index(task: Task) -> None:
    """Ask the worker to stop when it has read all: it settles and commits them before it ends."""
    settings = task.settings()
    telemetry, health = Telemetry(), Health()
    indexer = Indexer(settings, telemetry, health)
    async with serve(settings.http, telemetry.registry, health), asyncio.TaskGroup() as tasks:
        tasks.create_task(indexer.run())
        while _records_read(telemetry) < task.events:  # noqa: ASYNC110 - the worker announces nothing
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
        indexer.stop()


def _records_read(telemetry: Telemetry) -> int:
    return sum(
        int(sample.value)
        for metric in telemetry.records.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    )
