"""The command `logpipe setup`: parse, call, print."""

import asyncio
from typing import Annotated, Literal

import typer

from pipeline.cli.options import ConfigOption, load_run_settings
from pipeline.cli.tables import print_json
from pipeline.cli.terminal import say

__all__ = ["setup_command"]


def setup_command(
    config: ConfigOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, change nothing.")
    ] = False,
    without_ilm: Annotated[
        bool, typer.Option("--without-ilm", help="The server has no ILM: leave the lifecycle out.")
    ] = False,
    storage: Annotated[
        Literal["standard", "logsdb"] | None,
        typer.Option(
            help="How indices are kept: the setting index.storage. logsdb needs a licence to be worth its CPU."
        ),
    ] = None,
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of topics that are created.")] = 8,
    replication_factor: Annotated[
        int | None,
        typer.Option(min=1, help="Copies of topics that are created; the broker's default unless given."),
    ] = None,
    kibana: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Import the dashboards into this Kibana too, over those that are there; …/s/NAME for a space.",
        ),
    ] = None,
    jaeger: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Jaeger's pages, to which the dashboards' trace ids lead."),
    ] = None,
    print_roles: Annotated[
        bool,
        typer.Option("--print-roles", help="Print the roles and ACLs that are enough, contact no server."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was done, or with --dry-run would be, as JSON.")
    ] = False,
) -> None:
    """Install topics, templates, the ILM policy and Kibana's dashboards; again is no harm."""
    from pipeline.install import run_setup

    if print_roles:
        from pipeline.install.roles import describe_roles

        say(describe_roles(load_run_settings(config), with_ilm=not without_ilm))
        return
    notes: list[str] = []
    settings = load_run_settings(config)
    if storage is not None:
        index = settings.index.model_copy(update={"storage": storage})
        settings = settings.model_copy(update={"index": index})
    result = asyncio.run(
        run_setup(
            settings,
            dry_run=dry_run,
            without_ilm=without_ilm,
            partitions=partitions,
            replication_factor=replication_factor,
            kibana=kibana,
            jaeger=jaeger,
            report=notes.append if as_json else say,
        )
    )
    if as_json:
        print_json(
            {
                "dry_run": result.dry_run,
                "server": result.server,
                "changed": result.changed,
                "changes": [
                    {
                        "action": "create" if change.creates else "update",
                        "kind": str(change.resource.kind),
                        "name": change.resource.name,
                        "diff": change.diff,
                    }
                    for change in result.changes
                ],
                "topics": result.topics,
                "write_index": result.write_index,
                "saved_objects": result.saved_objects,
                "notes": [note.removeprefix("note: ") for note in notes if note.startswith("note: ")],
            }
        )
        return
    say(f"the server is {result.server}")
    if not result.changed:
        say("nothing to change")
