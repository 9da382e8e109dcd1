"""The command `logpipe backfill`: parse, call, print."""

import asyncio
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from pipeline.cli.audit import print_audit, result_as_json
from pipeline.cli.options import ConfigOption, ago_milliseconds, load_run_settings
from pipeline.cli.tables import print_json
from pipeline.cli.terminal import err, out
from pipeline.errors import SettingsError
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.audit import AuditResult
    from pipeline.backfill import Backfilled, Progress as How

__all__ = ["backfill_command"]


def backfill_command(
    since: Annotated[
        str,
        typer.Option(
            "--from", metavar="TIME", help="Kafka's timestamp from which on: ISO-8601, or how long ago, 6h."
        ),
    ],
    until: Annotated[
        str, typer.Option("--to", metavar="TIME", help="The first timestamp that is too late; 0s is now.")
    ] = "0s",
    config: ConfigOption = None,
    topic: Annotated[
        list[str] | None, typer.Option(help="Topic to read; the configured ones unless given.")
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option(
            "--into",
            metavar="PREFIX",
            help="Write into indices of this prefix; `logpipe setup` has been run with it as index.prefix.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Index a window of what Kafka holds, beside the group, and audit it; what is there already stays as it is.

    No offset of the group moves. Interrupted, it is begun again: nothing is indexed twice. Exit code 1 when the audit
    of the window finds something, or there was nothing in it.
    """
    from pipeline.backfill import into

    settings = into(load_run_settings(config), prefix)
    since_ms, until_ms = ago_milliseconds("--from", since), ago_milliseconds("--to", until)
    if since_ms is None or until_ms is None or since_ms >= until_ms:
        raise SettingsError(f"--from = {since!r} is not before --to = {until!r}")
    done, result = asyncio.run(
        _backfill(settings, topic or [], (since_ms, until_ms), quiet=as_json or not err.is_terminal)
    )
    if as_json:
        counts = {name: getattr(done, name) for name in done.__slots__}
        print_json({"backfill": counts, "audit": result_as_json(result)})
    else:
        for number, name in (
            (done.records, "records in the window"),
            (done.documents, "documents"),
            (done.indexed, "indexed"),
            (done.already_there, "already there"),
            (done.dead_lettered, "dead letters"),
            (done.corrupt, "offsets in damaged batches"),
        ):
            if number or name not in {"dead letters", "offsets in damaged batches"}:
                out.print(f"{number:>10,}  {name}", highlight=False)
        out.print()
        print_audit(result, settings)
    if not result.clean or not result.records:
        raise typer.Exit(1)


async def _backfill(
    settings: Settings, topics: list[str], window: tuple[int, int], *, quiet: bool
) -> "tuple[Backfilled, AuditResult]":
    from pipeline.audit import audit
    from pipeline.backfill import backfill

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    started = time.monotonic()
    with Progress(*columns, console=err, transient=True, disable=quiet) as bar:
        filled = bar.add_task("read", total=None, rate="")

        def report(how: "How") -> None:
            rate = how.done / max(time.monotonic() - started, 1e-3)
            bar.update(
                filled,
                completed=how.done,
                total=how.total,
                rate=f"{rate:,.0f}/s",
                description=f"waits: {how.waits_for}" if how.waits_for else "read",
            )

        done = await backfill(settings, since_ms=window[0], until_ms=window[1], topics=topics, report=report)
        audited = bar.add_task("audited", total=None, rate="")
        result = await audit(
            settings,
            topics=topics,
            since_ms=window[0],
            until_ms=window[1],
            to_end=True,
            report=lambda now, total: bar.update(audited, completed=now, total=total),
        )
    return done, result
