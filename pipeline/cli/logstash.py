"""The commands `logpipe logstash`: a Logstash configuration looked at (here), and tried on samples."""

import os
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from pipeline.cli.logstash_options import EcsOption, EscapesOption, FilesArgument, SetOption, context_of
from pipeline.cli.logstash_trials import try_command
from pipeline.cli.terminal import err, out
from pipeline.errors import LogstashError

if TYPE_CHECKING:
    from pipeline.logstash.compiler import Context
    from pipeline.logstash.coverage import Finding

__all__ = ["logstash"]

logstash = typer.Typer(
    help="Look at a Logstash configuration, and try it on samples. Needs no server.", no_args_is_help=True
)
_STYLES = {"done": "green", "differs": "yellow", "ignored": "dim", "not done": "bold red"}


@logstash.command("check")
def check_command(
    files: FilesArgument,
    ecs: EcsOption = None,
    escapes: EscapesOption = False,
    settings: SetOption = None,
    show_settings: Annotated[
        bool, typer.Option("--settings", help="Print the equivalent logpipe.toml.")
    ] = False,
    source: Annotated[
        bool, typer.Option("--source", help="Print the Python that the filters become.")
    ] = False,
) -> None:
    """Report what of a configuration is done, done differently, or not done; exit code 1 for the last."""
    from pipeline.logstash.configuration import compile_pipeline, read_configuration

    context, escaped = context_of(files, ecs, settings, escapes)
    if show_settings or source:
        configuration = read_configuration(files, os.environ, support_escapes=escaped)
        pipeline = compile_pipeline(configuration, context)
        if show_settings:
            from pipeline.logstash.equivalent import settings_toml

            sys.stdout.write(settings_toml(pipeline, str(files[0])))
        if source:
            sys.stdout.write(
                pipeline.filters.source
                + ("\n\n" + pipeline.outputs.source if configuration.statements("output") else "")
            )
        return
    findings = _findings(files, context, escaped)
    _show_findings(findings)
    missing = sum(finding.status == "not done" for finding in findings)
    if missing:
        err.print(f"[bold red]{missing} not done[/]: the places are above.")
        raise typer.Exit(1)
    out.print("[green]Everything in it is done.[/]")


def _findings(files: list[Path], context: "Context", escapes: bool) -> "list[Finding]":
    """Look at each file by itself, so that an error in one does not hide the others."""
    from pipeline.logstash.configuration import configuration_files, read_configuration
    from pipeline.logstash.coverage import cover, finding_of

    found: list[Finding] = []
    for file in configuration_files(files):
        try:
            configuration = read_configuration([file], os.environ, support_escapes=escapes)
        except LogstashError as error:
            found.append(finding_of(error))
            continue
        found += cover(configuration, context)
    return found


def _show_findings(findings: "list[Finding]") -> None:
    grouped: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for finding in findings:
        grouped[finding.section, finding.plugin].append(finding)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("section", "plugin", "uses", "done"):
        table.add_column(column, justify="right" if column == "uses" else "left")
    for (section, plugin), group in grouped.items():
        done = sorted({finding.option for finding in group if finding.status == "done" and finding.option})
        uses = sum(not finding.option and finding.status != "not done" for finding in group)
        table.add_row(section, plugin, str(uses) if uses else "", ", ".join(done))
    out.print(table)
    for finding in findings:
        if finding.status == "done":
            continue
        place = f"{finding.file}:{finding.line}:{finding.column}"
        name = f"{finding.plugin} {finding.option}".strip()
        line = Text.assemble(
            (f"{finding.status:9}", _STYLES[finding.status]),
            f"{place}  ",
            (name, "bold"),
            f"  {finding.note}",
        )
        out.print(line, soft_wrap=True)


logstash.command("test")(try_command)
