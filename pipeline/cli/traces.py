"""The commands `logpipe traces`: the correlator, and the list of what it has written."""

import asyncio
import logging
import sys
from typing import Annotated

import orjson
import typer

from pipeline.cli.options import ConfigOption, ago_milliseconds, load_run_settings
from pipeline.cli.terminal import out
from pipeline.errors import SettingsError
from pipeline.settings import Settings

__all__ = ["traces"]

# Of Faust's thread, which stays in the group while it lives: with a broker that was away it may not end at all.
_END_SECONDS = 5.0

traces = typer.Typer(
    help="The correlator: trace events become a summary for each trace, until SIGTERM.",
    invoke_without_command=True,
)


@traces.callback()
def traces_command(context: typer.Context, config: ConfigOption = None) -> None:
    """Run one correlator: read trace events, write a summary for each trace, until SIGTERM."""
    if context.invoked_subcommand is None:
        _correlate(load_run_settings(config))


@traces.command("list")
def list_command(
    config: ConfigOption = None,
    flow: Annotated[str | None, typer.Option(help="Of this flow; `none` is that of no flow.")] = None,
    outcome: Annotated[
        str | None, typer.Option(help="With this outcome: ok, error, slow, incomplete.")
    ] = None,
    slow: Annotated[
        bool, typer.Option("--slow", help="That took longer than expected, failed or not.")
    ] = False,
    since: Annotated[
        str | None, typer.Option(help="That began since then: an ISO-8601 time, or how long ago, such as 1h.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summaries as JSON, one a line.")] = False,
) -> None:
    """List traces, the slowest first."""
    from pipeline.cli.waterfall import OUTCOME_STYLES, print_traces
    from pipeline.traces.lookup import list_traces

    if outcome is not None and outcome not in OUTCOME_STYLES:
        raise SettingsError(f"--outcome = {outcome!r}: there are {', '.join(OUTCOME_STYLES)}")
    since_ms = ago_milliseconds("--since", since)
    found = asyncio.run(
        list_traces(
            load_run_settings(config), flow=flow, outcome=outcome, slow=slow, since_ms=since_ms, limit=limit
        )
    )
    if as_json:
        for one in found:
            sys.stdout.buffer.write(orjson.dumps(one, option=orjson.OPT_APPEND_NEWLINE))
        sys.stdout.buffer.flush()
    elif found:
        print_traces(found, out)
    else:
        out.print("There is no such trace.")


def _correlate(settings: Settings) -> None:
    import uvloop

    from pipeline.kafka.client_log import fold_outages
    from pipeline.stopping import ending_in_time
    from pipeline.telemetry.health import Health
    from pipeline.telemetry.server import serve
    from pipeline.traces.correlator import Correlator
    from pipeline.traces.telemetry import TraceTelemetry
    from pipeline.worker.memory import tune_memory
    from pipeline.worker.signals import run_until_signalled

    async def work() -> None:
        telemetry, health = TraceTelemetry(), Health()
        with ending_in_time(_END_SECONDS):
            async with serve(settings.http, telemetry.registry, health) as url:
                logging.getLogger(__name__).info("metrics at %s/metrics", url)
                await run_until_signalled(Correlator(settings, telemetry, health), url)

    tune_memory()
    fold_outages()
    try:
        uvloop.run(work())
    except asyncio.CancelledError:
        # A second signal: what was open is read again by the next start.
        raise typer.Exit(1) from None
