"""The command `logpipe transform`: records from stdin, documents to stdout."""

import sys
import time
from typing import Annotated

import typer

from pipeline.cli.options import ConfigOption, milliseconds
from pipeline.settings import load_settings

__all__ = ["transform_command"]


def transform_command(
    config: ConfigOption = None,
    timestamp: Annotated[
        str | None, typer.Option(help="Kafka's timestamp of the records, ISO-8601; now unless given.")
    ] = None,
    base64: Annotated[
        bool, typer.Option("--base64", help="Each line is the base64 of a record's bytes.")
    ] = False,
) -> None:
    """Read records from stdin, one a line, and print the documents they become. Needs no server."""
    from pipeline.encode.transform import decode_base64, split_lines, transform as transform_records

    settings = load_settings(config)
    record_ms = milliseconds("--timestamp", timestamp)
    if record_ms is None:
        record_ms = time.time_ns() // 1_000_000
    lines = sys.stdin.buffer
    values = decode_base64(lines) if base64 else split_lines(lines)
    for line in transform_records(values, settings, record_ms):
        sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
