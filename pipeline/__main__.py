"""`python -m pipeline` is `logpipe`."""

import os
import signal
import sys

__all__ = ["main"]

_SERVICES = {"index", "run"}
_INTERRUPTED = 128 + signal.SIGINT


def main() -> None:
    """Run the command.

    The services end in order from their first moment on: what they import takes most of a second, in which
    SIGTERM would kill them. They have read nothing until they set handlers of their own.
    """
    if not _SERVICES.isdisjoint(sys.argv[1:]):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: os._exit(0))
    try:
        from pipeline.cli.app import main as run_command  # noqa: PLC0415 - not before the handlers

        run_command()
    except KeyboardInterrupt:  # while it was imported, or ends: the commands deal with it themselves
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
