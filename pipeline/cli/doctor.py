"""The command `logpipe doctor`: parse, call, print."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.text import Text

from pipeline.cli.options import ConfigOption, load_run_settings
from pipeline.cli.tables import Column, print_json, print_table
from pipeline.cli.terminal import harmless, out

__all__ = ["doctor_command"]

_WORDS = {True: ("ok  ", "green"), False: ("bad ", "bold red"), None: ("note", "yellow")}


def doctor_command(
    config: ConfigOption = None,
    days: Annotated[
        int, typer.Option(min=0, max=3650, help="Where the lifecycle will have each index in so many days.")
    ] = 0,
    sample: Annotated[
        int, typer.Option(min=0, max=100_000, help="Documents of the last hour held against the mapping.")
    ] = 2000,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Look for what is wrong around the pipeline, or will be, and say what to do; changes nothing.

    Servers, templates and policy against this version's, indices, lifecycle, shards until the limit, topics and
    workers, fields that conflict. Exit code 1 when something is bad.
    """
    from pipeline.diagnostics.doctor import examine

    settings = load_run_settings(config)
    on = (datetime.now(UTC) + timedelta(days=days)).date()
    examined = asyncio.run(examine(settings, now_ms=time.time_ns() // 1_000_000, on=on, sample=sample))
    bad = sum(finding.good is False for finding in examined.findings)
    if as_json:
        print_json(
            {
                "bad": bad,
                "findings": [finding._asdict() for finding in examined.findings],
                "lifecycle": {"on": on, "indices": [stay._asdict() for stay in examined.plan]},
            }
        )
    else:
        for finding in examined.findings:
            word, style = _WORDS[finding.good]
            text = f"{harmless(finding.subject)}: {harmless(finding.detail)}"
            out.print(Text.assemble((word, style), f" {text}"), soft_wrap=True)
        if examined.plan:
            out.print(f"\nLifecycle on {on}", style="bold", highlight=False)
            columns = (
                Column("index"),
                Column("age in days", number=True),
                Column("phase"),
                Column("next"),
                Column("on"),
            )
            rows = [
                [stay.name, str(stay.age_days), stay.phase, stay.next_phase or "", str(stay.next_on or "")]
                for stay in examined.plan
            ]
            print_table(out, columns, rows)
    if bad:
        raise typer.Exit(1)
