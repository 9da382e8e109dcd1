"""The command `logpipe shadow`: our documents held against those of a Logstash that is still in charge."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from pipeline.cli.options import ConfigOption, LogstashOption, ago_milliseconds, load_run_settings
from pipeline.cli.terminal import err, out
from pipeline.errors import SettingsError

if TYPE_CHECKING:
    from pipeline.shadow import Parity

__all__ = ["shadow_command"]

_HEADINGS = {"only_here": "only here", "only_there": "only there"}
_SHOWN_FIELDS = 20
_SHOWN_SAMPLES = 2


def shadow_command(
    against: Annotated[
        str, typer.Option(help="Logstash's indices: names or patterns, such as 'logstash-*'.")
    ],
    config: ConfigOption = None,
    logstash: LogstashOption = None,
    where: Annotated[
        str | None, typer.Option(help="Which of Logstash's documents: a query in Lucene's syntax.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Records since then: an ISO-8601 time, or how long ago, such as 1h. All unless given."
        ),
    ] = None,
    until: Annotated[str | None, typer.Option(help="First time that is too late, in the same forms.")] = None,
    topic: Annotated[
        list[str] | None, typer.Option(help="Topic to read; the configured ones unless given. Repeatable.")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(help="Logstash's consumer group: what it has not committed yet is not looked for."),
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(help="A field that is not compared, and all below it. Repeatable.")
    ] = None,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds that Logstash has for what is in Kafka now.")
    ] = 5.0,
    html: Annotated[Path | None, typer.Option(help="Write the report as a page of HTML.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Compare with a Logstash that reads the same topic: what would be the same, and what would not.

    Documents are made as a worker would make them, with the filters of `filters.file`; `events.normalise = false` makes
    them as Logstash would send them. Records are read without the group, so that nothing moves and nothing is written.
    Logstash's documents are found by the record's coordinates where a field has them, else by their content. Exit code
    0 when all documents are equal, else 1.
    """
    from pipeline.shadow import Window, shadow
    from pipeline.shadow.making import maker_of
    from pipeline.shadow.report import as_json as plain, as_page

    settings = load_run_settings(config, logstash)
    window = Window(
        against=against,
        where=where,
        since_ms=ago_milliseconds("--since", since),
        until_ms=ago_milliseconds("--until", until),
        topics=topic or (),
        group=group,
        wait_seconds=wait,
    )
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=as_json) as bar:
        task = bar.add_task("waiting for Logstash", total=None)
        parity = asyncio.run(
            shadow(
                *(settings, maker_of(settings), window),
                ignored=ignore or (),
                report=lambda what, done, total: bar.update(
                    task, description=what, completed=done, total=total
                ),
            )
        )
    if html is not None:
        about = f"{', '.join(window.topics or settings.kafka.topics)} against {against}"
        _write(html, as_page(parity, about))
    if as_json:
        sys.stdout.buffer.write(
            orjson.dumps(plain(parity), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        )
        sys.stdout.buffer.flush()
    else:
        _print(parity)
    if not parity.is_equal:
        raise typer.Exit(1)


def _write(file: Path, page: str) -> None:
    try:
        file.write_text(page, "utf-8")
    except OSError as error:
        raise SettingsError(f"--html = {str(file)!r}: {error.strerror}") from None


def _print(parity: "Parity") -> None:
    from pipeline.shadow.report import HINT_OF_TIME, shown, verdict

    table = Table(box=None, header_style="bold", pad_edge=False)
    names = (
        "records",
        "here",
        "there",
        "equal",
        "different",
        "only_here",
        "only_there",
        "pending",
        "outside",
    )
    for name in names:
        table.add_column(_HEADINGS.get(name, name), justify="right")
    table.add_row(*(f"{getattr(parity, name):,}" for name in names))
    out.print(table)
    _print_fields(parity)
    notes = [
        *(f"only here   {pair.record}  {shown(pair.written.document)}" for pair in parity.samples_here),
        *(
            f"only there  {written.index_name}  {written.id}  {shown(written.document)}"
            for written in parity.samples_there
        ),
        *(f"dropped here: {number:,}, {step}" for step, number in parity.dropped.items()),
        *(f"dead letters here: {number:,}, {reason}" for reason, number in parity.dead.items()),
        *([f"not compared: {', '.join(parity.not_compared)}"] if parity.not_compared else []),
        *([f"{parity.damaged:,} offsets are damaged in Kafka"] if parity.damaged else []),
        *([HINT_OF_TIME] if "@timestamp" in parity.fields else []),
    ]
    for note in notes:
        out.print(Text(note), soft_wrap=True)
    style = "green" if parity.is_equal else "red" if parity.compared else "yellow"
    out.print(Text(verdict(parity), style=style), soft_wrap=True)


def _print_fields(parity: "Parity") -> None:
    from pipeline.shadow.report import shown

    for name, report in list(parity.fields.items())[:_SHOWN_FIELDS]:
        kinds = ", ".join(f"{kind} {number:,}" for kind, number in report.kinds.items())
        out.print(Text.assemble((name, "bold"), f"  {kinds}"), soft_wrap=True)
        for sample in report.samples[:_SHOWN_SAMPLES]:
            place = f"  {sample.record}  {sample.index_name}  {sample.id}"
            out.print(Text(place, style="dim"), soft_wrap=True)
            out.print(Text(f"    here   {shown(sample.difference.here)}", style="green"), soft_wrap=True)
            out.print(Text(f"    there  {shown(sample.difference.there)}", style="red"), soft_wrap=True)
    if len(parity.fields) > _SHOWN_FIELDS:
        out.print(f"and {len(parity.fields) - _SHOWN_FIELDS} more fields: --json or --html shows all")
