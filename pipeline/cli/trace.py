"""The command `logpipe trace`: the story of one trace."""

import asyncio
import sys
from typing import Annotated

import orjson
import typer

from pipeline.cli.options import ConfigOption, load_run_settings
from pipeline.cli.terminal import err, out

__all__ = ["trace_command"]


def trace_command(
    trace_id: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="Its id in any spelling: with dashes or without, or a traceparent."
        ),
    ],
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Events that are shown.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print summary and events as JSON.")] = False,
) -> None:
    """Tell the story of a trace: what happened when, where the time went, what was expected.

    Exit code 1 when there is nothing of it.
    """
    from pipeline.cli.waterfall import print_trace
    from pipeline.traces.lookup import find_trace

    found = asyncio.run(find_trace(load_run_settings(config), trace_id))
    if found is None:
        err.print(
            f"There is no trace {trace_id}, neither a summary nor an event.", markup=False, soft_wrap=True
        )
        raise typer.Exit(1)
    if as_json:
        told = {"summary": found.summary, "written": found.written, "events": found.events}
        sys.stdout.buffer.write(orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        sys.stdout.buffer.flush()
    else:
        print_trace(found, out, limit)
