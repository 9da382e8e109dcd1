"""What the commands print with: one console for results, one for errors, one progress bar."""

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["err", "harmless", "out", "progress", "say"]

out = Console()
"""Results, on stdout."""

err = Console(stderr=True)
"""Errors, on stderr."""


def say(text: str) -> None:
    """Print a text as it stands, unwrapped: a line of a diff or a name may hold anything."""
    out.print(escape(text), soft_wrap=True, highlight=False)


def progress(*, disable: bool = False) -> Progress:
    """Return the progress bar of what is counted in events."""
    return Progress(
        TextColumn("{task.description:>10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=out,
        disable=disable,
    )


def harmless(text: str) -> str:
    """Write out control characters: a record's bytes are not to command a terminal."""
    return "".join(
        one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode() for one in text
    )
