"""The command `logpipe transform`: records from stdin, documents to stdout."""

import sys
import time
from typing import Annotated

import typer

from pipeline.cli.options import ConfigOption, LogstashOption, load_run_settings, milliseconds

__all__ = ["transform_command"]


def transform_command(
    config: ConfigOption = None,
    logstash: LogstashOption = None,
    timestamp: Annotated[
        str | None, typer.Option(help="Kafka's timestamp of the records, ISO-8601; now unless given.")
    ] = None,
    base64: Annotated[
        bool, typer.Option("--base64", help="Each line is the base64 of a record's bytes.")
    ] = False,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Say for each document which format it was, and what was taken from where."
        ),
    ] = False,
) -> None:
    """Read records from stdin, one a line, and print the documents they become. Needs no server."""
    from pipeline.encode.transform import (
        decode_base64,
        explain as explain_records,
        split_lines,
        transform as transform_records,
    )

    settings = load_run_settings(config, logstash)
    record_ms = milliseconds("--timestamp", timestamp)
    if record_ms is None:
        record_ms = time.time_ns() // 1_000_000
    lines = sys.stdin.buffer
    values = decode_base64(lines) if base64 else split_lines(lines)
    lines_out = (
        (each.as_json() for each in explain_records(values, settings, record_ms))
        if explain
        else transform_records(values, settings, record_ms, _say_dead)
    )
    for line in lines_out:
        sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def _say_dead(identifier: str, reason: str) -> None:
    typer.echo(f"{identifier} would be a dead letter: {reason}", err=True)
