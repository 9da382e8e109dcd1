"""`python -m pipeline` is `logpipe`."""

import os
import signal
import sys
from threading import Timer, main_thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

__all__ = ["main"]

_SERVICES = {"index", "run"}
_INTERRUPTED = 128 + signal.SIGINT
_AGAIN_SECONDS = 0.01


def main() -> None:
    """Run the command.

    The services end in order from their first moment on: what they import takes most of a second, in which
    SIGTERM would kill them. They have read nothing until they set handlers of their own.

    Ctrl-C kills any other command at once while it is imported: nothing has been done then, and an exception may
    come to where it is lost (a callback of the import system's) or does harm (an extension that initialises).
    """
    interruptible = False
    if not _SERVICES.isdisjoint(sys.argv[1:]):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: os._exit(0))
    # With `nohup`, and in the background of a script, it is ignored and stays so.
    elif signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        interruptible = True
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from pipeline.cli.app import main as run_command  # noqa: PLC0415 - not before the handlers

        if interruptible:
            sys.unraisablehook = _keep_interruption
            signal.signal(signal.SIGINT, signal.default_int_handler)
        run_command()
    except KeyboardInterrupt:  # while it ends: the commands deal with it themselves
        sys.exit(_INTERRUPTED)


def _keep_interruption(lost: "UnraisableHookArgs") -> None:
    """Interrupt again when Ctrl-C came to where Python can only drop the exception."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        # To the main thread itself, so that it wakes up when it waits.
        Timer(_AGAIN_SECONDS, signal.pthread_kill, [main_thread().ident, signal.SIGINT]).start()
    else:
        sys.__unraisablehook__(lost)


if __name__ == "__main__":
    main()
