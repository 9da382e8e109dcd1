"""The commands `logpipe dlq list`, `show`, `replay`, `ack` and `export`: a file for each, joined here."""

import typer

from pipeline.cli.dlq.ack import acknowledge_letters
from pipeline.cli.dlq.export import export_letters
from pipeline.cli.dlq.list import list_letters
from pipeline.cli.dlq.replay import replay_letters
from pipeline.cli.dlq.show import show_letters

__all__ = ["dlq"]

dlq = typer.Typer(
    help="Look at the records that Elasticsearch refused, and index them once more.", no_args_is_help=True
)

# In the order of `logpipe dlq --help`.
dlq.command("list")(list_letters)
dlq.command("show")(show_letters)
dlq.command("replay")(replay_letters)
dlq.command("ack")(acknowledge_letters)
dlq.command("export")(export_letters)
