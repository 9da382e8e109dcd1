"""The command `logpipe tap`: parse, call, print."""

import asyncio
import sys
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from pipeline.cli.options import ConfigOption, ago_milliseconds, load_run_settings
from pipeline.cli.tables import print_json_lines
from pipeline.cli.terminal import err, harmless, out
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.diagnostics.tap import Condition, Tapped

__all__ = ["tap_command"]

_LEVEL_STYLES = {"ERROR": "bold red", "FATAL": "bold red", "WARN": "yellow", "DEBUG": "dim", "TRACE": "dim"}
_LEVEL_WIDTH = 5
_LONGEST_MESSAGE = 2000


def tap_command(
    config: ConfigOption = None,
    where: Annotated[
        str | None,
        typer.Option(
            metavar="CONDITION",
            # Brackets are markup to rich, unless they are escaped.
            help='Those for which this holds, in Logstash\'s language and of the document: \\[level] == "ERROR" and '
            "\\[service] =~ /^api/. \\[@metadata]\\[kafka] has the record's topic, partition, offset, key and headers.",
        ),
    ] = None,
    topic: Annotated[
        list[str] | None, typer.Option(help="Topic to read; the configured ones unless given.")
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(
            help="Records from this Kafka timestamp on, ISO-8601, or how long ago: 30m, 2h. Else from now on."
        ),
    ] = None,
    before: Annotated[
        str | None,
        typer.Option(help="Records before this; 0s is now. Without it, new records are waited for."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="End after so many.")] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="One JSON object a line; so it is too where the output is no terminal."),
    ] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="The record's bytes as they are, and a line end.")
    ] = False,
) -> None:
    """Show records as they come, as the documents that they become, without touching the group's offsets.

    Ctrl-C ends it.
    """
    settings = load_run_settings(config)
    condition = None
    if where is not None:
        from pipeline.logstash.predicate import compile_condition

        condition = compile_condition(where, "--where")
    times = ago_milliseconds("--after", after), ago_milliseconds("--before", before)
    show = _show_raw if raw else _show_json if as_json or not out.is_terminal else _show_line
    counts = {"seen": 0, "shown": 0}
    try:
        asyncio.run(_tap(settings, topic or [], times, condition, limit, show, counts))
    except KeyboardInterrupt:
        pass  # that is how one ends it
    finally:
        err.print(f"{counts['shown']:,} of {counts['seen']:,} documents", style="dim", highlight=False)


async def _tap(
    settings: Settings,
    topics: list[str],
    times: tuple[int | None, int | None],
    condition: "Condition | None",
    limit: int | None,
    show: Any,
    counts: dict[str, int],
) -> None:
    from pipeline.diagnostics.tap import tap

    def seen(documents: int) -> None:
        counts["seen"] += documents

    reading = tap(
        settings,
        topics=topics,
        after_ms=times[0],
        before_ms=times[1],
        now_ms=time.time_ns() // 1_000_000,
        condition=condition,
        seen=seen,
    )
    async with aclosing(reading):
        async for tapped in reading:
            show(tapped)
            counts["shown"] += 1
            if counts["shown"] == limit:
                return


def _show_json(tapped: "Tapped") -> None:
    print_json_lines([tapped.as_json()])


def _show_raw(tapped: "Tapped") -> None:
    sys.stdout.buffer.write((tapped.record.value or b"") + b"\n")
    sys.stdout.buffer.flush()


def _show_line(tapped: "Tapped") -> None:
    fields = tapped.document.fields
    level = _text(fields.get("level")) or "-"
    style = _LEVEL_STYLES.get(level, "green")
    who = ".".join(filter(None, (_text(fields.get("service")), _text(fields.get("component")))))
    place = tapped.place
    line = Text.assemble(
        (_text(fields.get("@timestamp")), "dim"),
        " ",
        (f"{level:<{_LEVEL_WIDTH}}", style),
        " ",
        (who, "cyan"),
        " " if who else "",
        (_text(fields.get("message"))[:_LONGEST_MESSAGE], "red" if level == "ERROR" else ""),
        (f"  {place.topic}/{place.partition}/{place.offset}", "dim"),
    )
    out.print(line, soft_wrap=True, highlight=False)
    if tags := [_text(tag) for tag in fields.get("tags", ()) if str(tag).startswith("_")]:
        out.print(Text(f"    {' '.join(tags)}", "magenta"), soft_wrap=True)


def _text(value: Any) -> str:
    return "" if value is None else harmless(str(value)).replace("\n", " ⏎ ")
