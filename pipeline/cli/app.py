"""The command `logpipe`: its options, and the commands joined."""

import logging
import os
import sys
from io import TextIOWrapper
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.markup import escape

from pipeline.cli.audit import audit_command
from pipeline.cli.backfill import backfill_command
from pipeline.cli.check import check_command
from pipeline.cli.config import config
from pipeline.cli.demo import demo_command
from pipeline.cli.dlq import dlq
from pipeline.cli.doctor import doctor_command
from pipeline.cli.explain import explain_command
from pipeline.cli.formats import formats_command
from pipeline.cli.generate import generate_command
from pipeline.cli.index import index_command
from pipeline.cli.init import init_command
from pipeline.cli.lag import lag_command
from pipeline.cli.logstash import logstash
from pipeline.cli.plan import plan_command
from pipeline.cli.probe import probe_command
from pipeline.cli.run import run_command
from pipeline.cli.sandbox import sandbox_command
from pipeline.cli.setup import setup_command
from pipeline.cli.shadow import shadow_command
from pipeline.cli.tap import tap_command
from pipeline.cli.terminal import err, out
from pipeline.cli.top import top_command
from pipeline.cli.trace import trace_command
from pipeline.cli.traces import traces
from pipeline.cli.transform import transform_command
from pipeline.errors import LogpipeError, SettingsError
from pipeline.settings.log import LEVELS, Log
from pipeline.telemetry.log_lines import log_is_json, set_up_log
from pipeline.version import version

__all__ = ["app", "main"]

_EXIT_CODES = (
    "Exit codes: 0 done, 1 failed, 2 wrong setting or option, 3 a server cannot be reached, "
    "4 a server refused, 5 the sandbox failed."
)
app = typer.Typer(
    name="logpipe",
    help="Logs from Kafka into date-rolled Elasticsearch indices: nothing lost, nothing twice.",
    epilog=_EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command; an error of ours is a message and an exit code, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal or a pipe that can hold ASCII alone gets `?`, not a traceback.
            stream.reconfigure(errors="replace")
    try:
        app()
    except LogpipeError as error:
        if log_is_json():
            logging.getLogger("pipeline").error("%s", error)  # noqa: TRY400 - no riddle
        else:
            err.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        raise SystemExit(error.exit_code) from None


def _show_version(wanted: bool) -> None:
    if wanted:
        out.print(version())
        raise typer.Exit


@app.callback()
def top(
    show_version: Annotated[  # noqa: ARG001 - acts by its callback
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    log_level: Annotated[
        str | None,
        typer.Option(
            help="DEBUG, INFO, WARN or ERROR of this program's own log; else the setting log.level."
        ),
    ] = None,
) -> None:
    """Move logs from Kafka into date-rolled Elasticsearch indices: nothing lost, nothing twice."""
    if log_level is not None:
        try:
            Log.model_validate({"level": log_level})
        except ValidationError:
            raise SettingsError(f"--log-level = {log_level!r}: there are {', '.join(LEVELS)}") from None
        # For the settings, and for the workers that this process starts.
        os.environ["LOGPIPE_LOG__LEVEL"] = log_level
    # Until the settings are read.
    set_up_log(Log())


# In the order of `logpipe --help`.
app.command("init")(init_command)
app.add_typer(config, name="config")
app.command("run")(run_command)
app.command("index")(index_command)
app.command("setup")(setup_command)
app.command("check")(check_command)
app.command("generate")(generate_command)
app.command("transform")(transform_command)
app.command("formats")(formats_command)
app.command("sandbox")(sandbox_command)
app.command("demo")(demo_command)
app.command("lag")(lag_command)
app.command("top")(top_command)
app.command("tap")(tap_command)
app.command("explain")(explain_command)
app.command("doctor")(doctor_command)
app.command("plan")(plan_command)
app.command("audit")(audit_command)
app.command("probe")(probe_command)
app.add_typer(dlq, name="dlq")
app.command("backfill")(backfill_command)
app.command("trace")(trace_command)
app.add_typer(traces, name="traces")
app.add_typer(logstash, name="logstash")
app.command("shadow")(shadow_command)
