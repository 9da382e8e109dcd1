"""The command `logpipe probe`: parse, call, print, and exit as a check of Nagios does."""

import asyncio
from dataclasses import asdict
from enum import IntEnum
from typing import Annotated, Any

import orjson
import typer

from pipeline.cli.options import ConfigOption, load_run_settings
from pipeline.errors import LogpipeError, ProbeFailed, ServerUnavailable, SettingsError, TopicMissing

__all__ = ["Status", "probe_command"]


class Status(IntEnum):
    """Exit codes of the Nagios plug-in interface; a warning is none of ours."""

    OK = 0
    CRITICAL = 2
    UNKNOWN = 3


def probe_command(
    config: ConfigOption = None,
    timeout: Annotated[float, typer.Option(help="Seconds in which the event has to arrive.")] = 60.0,
    url: Annotated[
        str | None,
        typer.Option(help="Base URL of the pipeline, http://host:9600: /health/ready must say yes first."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check the pipeline from end to end: send one event to Kafka and find it in Elasticsearch.

    Exit codes: 0 OK, 2 CRITICAL (the event did not arrive in time or as it was sent, the pipeline is not ready, a
    server does not answer), 3 UNKNOWN (the check could not run: wrong settings, no right to write or to read).
    """
    status, text, facts = _check(config, timeout, url)
    if as_json:
        result = {"status": status.name, "exit_code": int(status), "message": text, **facts}
        typer.echo(orjson.dumps(result, option=orjson.OPT_INDENT_2))
    else:
        # Behind the bar: performance data, which Nagios draws.
        performance = f" | latency={facts['latency_seconds']:.3f}s;;{timeout:g};0" if facts else ""
        typer.echo(f"{status.name}: {text}{performance}")
    raise typer.Exit(status)


def _check(config: Any, timeout: float, url: str | None) -> tuple[Status, str, dict[str, Any]]:
    from pipeline.probe import probe

    try:
        # Not left to the option's own check: its exit code, 2, would say that the pipeline has failed.
        if not timeout > 0:
            raise SettingsError(f"--timeout = {timeout}: must be more than 0 seconds")
        result = asyncio.run(probe(load_run_settings(config), timeout_seconds=timeout, url=url))
    except (ProbeFailed, ServerUnavailable, TopicMissing) as error:
        return Status.CRITICAL, str(error), {}
    except LogpipeError as error:
        return Status.UNKNOWN, str(error), {}
    text = (
        f"event found after {result.latency_seconds:.2f} s as {result.index}/{result.id}, "
        f"trace_id {result.trace_id}"
    )
    return Status.OK, text, asdict(result)
