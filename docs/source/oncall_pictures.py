"""The screens of docs/on-call.md: `python -m docs.source.oncall_pictures topic/partition/offset`.

They are of a pipeline that runs as the environment says, in a terminal of 80 columns; the record is the one that is
explained. No test compares them: every run has other figures.
"""

import os
import subprocess
import sys

from docs.source.demo_picture import PICTURES, TERMINAL, screen

__all__ = ["main"]

# 1 is what `doctor` and `lag` say of what is not as it should be.
_EXPECTED = (0, 1)


def main() -> None:
    """Run each command and draw what it printed; raises CalledProcessError when one fails."""
    commands = {
        "top": ["top", "--once", "--interval", "5"],
        "lag": ["lag"],
        "explain": ["explain", *sys.argv[1:2]],
        "doctor": ["doctor"],
    }
    for name, words in commands.items():
        run = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "pipeline", *words],
            env={**os.environ, **TERMINAL},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if run.returncode not in _EXPECTED:
            run.check_returncode()
        (PICTURES / f"on-call-{name}.svg").write_text(
            screen(run.stdout, f"logpipe {' '.join(words)}"), "utf-8"
        )


if __name__ == "__main__":
    main()
