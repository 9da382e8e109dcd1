"""The command `logpipe index`: one worker."""

import asyncio
import logging

import typer

from pipeline.cli.options import ConfigOption, LogstashOption, load_run_settings
from pipeline.settings import Settings

__all__ = ["index_command"]


def index_command(config: ConfigOption = None, logstash: LogstashOption = None) -> None:
    """Run one worker without checks: read, transform, index, commit, until SIGTERM."""
    _index(load_run_settings(config, logstash))


def _index(settings: Settings) -> None:
    import uvloop

    from pipeline.kafka.client_log import fold_outages
    from pipeline.telemetry.health import Health
    from pipeline.telemetry.metrics import Telemetry
    from pipeline.telemetry.server import serve
    from pipeline.worker.indexer import Indexer
    from pipeline.worker.memory import tune_memory
    from pipeline.worker.signals import run_until_signalled

    async def work() -> None:
        telemetry, health = Telemetry(), Health()
        async with serve(settings.http, telemetry.registry, health) as url:
            logging.getLogger(__name__).info("metrics at %s/metrics", url)
            await run_until_signalled(Indexer(settings, telemetry, health), url)

    tune_memory()
    fold_outages()
    try:
        uvloop.run(work())
    except asyncio.CancelledError:
        # A second signal: what was in flight is read again by the next start.
        raise typer.Exit(1) from None
