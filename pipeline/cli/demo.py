"""The command `logpipe demo`: parse, call, print."""

from typing import Annotated

import typer

from pipeline.cli.sandbox import sandbox_starter
from pipeline.cli.terminal import out, progress, say

__all__ = ["demo_command"]


def demo_command(
    count: Annotated[int, typer.Option(min=1000, help="How many events.")] = 100_000,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running until Ctrl-C.")] = False,
) -> None:
    """Show the whole way on real servers: sample traffic, the pipeline, and what arrived."""
    start_sandbox = sandbox_starter()
    from pipeline.cli.demonstration import run_demo

    with start_sandbox(report=say) as servers, progress() as bar:
        run_demo(servers, count, out, bar, keep=keep)
