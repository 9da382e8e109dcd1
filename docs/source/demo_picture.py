"""The pictures of `logpipe demo`, whole and its beginning: `python -m docs.source.demo_picture`.

They are of a real run in a terminal of 80 columns. No test compares them: every run has other ids and times.
"""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

__all__ = ["PICTURES", "TERMINAL", "main", "screen"]

PICTURES = Path(__file__).parents[1] / "pictures"
_COLUMNS = 80
# Where the README's picture ends, and what it says instead of the rest.
_CUT = "Slowest components"
_REST = "⋮  slowest components, the newest error, metrics made from the logs"
# What rich is told: colours as in a terminal, but nothing that is drawn over itself.
TERMINAL = {
    "TTY_COMPATIBLE": "1",
    "TTY_INTERACTIVE": "0",
    "COLUMNS": str(_COLUMNS),
    "TERM": "xterm-256color",
}


def screen(output: str, command: str) -> str:
    """Draw what a command printed, with the command above it, as SVG without anything from the network."""
    console = Console(record=True, width=_COLUMNS, file=io.StringIO())
    console.print(Text(f"$ {command}", style="bold"))
    console.print(Text.from_ansi(output.rstrip()), overflow="fold")
    console.print()
    svg = console.export_svg(title=command, theme=MONOKAI)
    # Pictures in a page load nothing, so that rich's fonts from a server are only a promise.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return svg.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace")


def main() -> None:
    """Run the demonstration and draw what it printed.

    Raises CalledProcessError when it fails: a picture is only made of a run that went well.
    """
    run = subprocess.run(
        [sys.executable, "-m", "pipeline", "demo"],
        env={**os.environ, **TERMINAL},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    (PICTURES / "demo.svg").write_text(screen(run.stdout, "make demo"), "utf-8")
    lines = run.stdout.splitlines()
    end = next(number for number, line in enumerate(lines) if _CUT in line)
    (PICTURES / "demo-begin.svg").write_text(screen("\n".join([*lines[:end], _REST]), "make demo"), "utf-8")


if __name__ == "__main__":
    main()
