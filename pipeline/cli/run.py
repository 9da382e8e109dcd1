"""The command `logpipe run`: check, then several workers."""

import asyncio
import logging
import os
import sys
from typing import Annotated

import typer

from pipeline.cli.options import ConfigOption, LogstashOption, load_run_settings
from pipeline.settings import Settings

__all__ = ["run_command"]


def run_command(
    config: ConfigOption = None,
    logstash: LogstashOption = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Worker processes; else `run.workers`, by default one per core."),
    ] = None,
) -> None:
    """Check both servers, then index in several processes until SIGTERM: the command of a service.

    What is found is logged. A server that is away is waited for, not ready; what does not pass by itself, as a topic or
    a template that is missing, is exit code 3.

    With `traces.enabled` a correlator of the traces runs beside them.
    """
    settings = load_run_settings(config, logstash)
    if logstash is not None:
        # For the workers, and for the correlator.
        os.environ["LOGPIPE_FILTERS__FILE"] = str(logstash)
    logpipe = [sys.executable, "-m", "pipeline"]
    options = [] if config is None else ["--config", str(config)]
    beside = [[*logpipe, "traces", *options]] if settings.traces.enabled else []
    raise typer.Exit(asyncio.run(_supervise(settings, [*logpipe, "index", *options], beside, workers)))


async def _supervise(
    settings: Settings, command: list[str], beside: list[list[str]], workers: int | None
) -> int:
    from pipeline.telemetry.merged import SupervisorTelemetry
    from pipeline.worker.merged_endpoint import merged_endpoint
    from pipeline.worker.preparation import until_servers_answer
    from pipeline.worker.supervisor import Supervisor, available_cores

    telemetry = SupervisorTelemetry()
    number = workers or settings.run.workers or available_cores()
    supervisor = Supervisor(settings, command, number, telemetry, beside)
    async with merged_endpoint(settings.http, supervisor.workers, telemetry) as endpoint:
        logging.getLogger(__name__).info("metrics of %d workers at %s/metrics", number, endpoint.url)
        return await supervisor.run(lambda: until_servers_answer(settings, telemetry), endpoint.scrape)
