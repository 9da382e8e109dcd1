"""The command `logpipe check`, whose findings `logpipe run` shows too."""

import asyncio
from typing import Annotated

import typer
from rich.markup import escape

from pipeline.cli.options import ConfigOption, load_run_settings
from pipeline.cli.tables import print_json
from pipeline.cli.terminal import out
from pipeline.settings import Settings

__all__ = ["check_command", "show_findings"]


def check_command(
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Check the settings, Kafka and Elasticsearch; exit 3 when something is missing."""
    settings = load_run_settings(config)
    if as_json:
        from pipeline.install.check import check_servers

        findings = asyncio.run(check_servers(settings))
        good = all(finding.good is not False for finding in findings)
        print_json({"good": good, "findings": [finding._asdict() for finding in findings]})
        if not good:
            raise typer.Exit(3)
        return
    out.print("[green]ok[/]   settings")
    if not show_findings(settings):
        raise typer.Exit(3)


def show_findings(settings: Settings) -> bool:
    """Look at the servers, print what was found, and tell whether all of it is good."""
    from pipeline.install.check import check_servers

    findings = asyncio.run(check_servers(settings))
    words = {True: "[green]ok[/]  ", False: "[red]bad[/] ", None: "[yellow]note[/]"}
    for finding in findings:
        out.print(
            f"{words[finding.good]} {escape(finding.subject)}: {escape(finding.detail)}", soft_wrap=True
        )
    return all(finding.good is not False for finding in findings)
