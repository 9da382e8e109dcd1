"""The command `logpipe formats`: which formats there are, and which one a record is of."""

import sys
import time
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pipeline.cli.options import ConfigOption, milliseconds
from pipeline.cli.terminal import out
from pipeline.events.formats import Format, load_formats
from pipeline.settings import load_settings

__all__ = ["formats_command"]


def formats_command(
    config: ConfigOption = None,
    test: Annotated[
        bool,
        typer.Option("--test", help="Read records from stdin, one a line, and say which format each is of."),
    ] = False,
    base64: Annotated[
        bool, typer.Option("--base64", help="With --test: each line is the base64 of a record's bytes.")
    ] = False,
    timestamp: Annotated[
        str | None, typer.Option(help="With --test: Kafka's timestamp of the records; now unless given.")
    ] = None,
) -> None:
    """List the formats that are read: how each is recognised, and what is taken from where. Needs no server."""
    settings = load_settings(config)
    if not test:
        table = Table("format", "of", "recognised by", "fields taken", show_lines=True)
        for each in load_formats(settings.events.formats_file).by_name.values():
            table.add_row(each.name, escape(each.title), escape(recognised_by(each)), escape(taken(each)))
        out.print(table)
        return
    from pipeline.encode.transform import decode_base64, explain, split_lines

    lines = sys.stdin.buffer
    values = decode_base64(lines) if base64 else split_lines(lines)
    now_ms = milliseconds("--timestamp", timestamp)
    for record, document in explain(
        values, settings, time.time_ns() // 1_000_000 if now_ms is None else now_ms
    ):
        sources = (
            ", ".join(f"{name} from {path}" for name, path in document.taken) or "nothing under another name"
        )
        tags = " ".join(document.fields.get("tags", ()))
        typer.echo(f"{record}: {document.format}: {sources}" + (f" [{tags}]" if tags else ""))


def recognised_by(of: Format) -> str:
    """Say how a format is recognised, in words."""
    parts = []
    if of.has:
        parts.append(" ".join(of.has_in_order))
    if of.any_of:
        parts.append("one of " + " ".join(sorted(of.any_of)))
    if of.lacks:
        parts.append("without " + " ".join(sorted(of.lacks)))
    if of.test is not None:
        parts.append(of.test.in_words())
    return "; ".join(parts) or "nothing of its own"


def taken(of: Format) -> str:
    """Say where a format's fields are taken from."""
    payload = (
        [f"payload: {', '.join((*of.unwrap, *([of.split] if of.split else [])))}"]
        if of.unwrap or of.split
        else []
    )
    return "\n".join(
        [
            *payload,
            *[f"{name}: {', '.join(source.path for source in sources)}" for name, sources in of.take.items()],
        ]
    )
