"""Run one server process and see to it that it ends when the process that wants it has gone.

Started by path as a script of its own, with the standard library only, so that it is up in 20 ms:

    watchdog.py PARENT_PID DIRECTORY_TO_REMOVE COMMAND...

It prints the server's process id, then waits. The server ends

* when its user stops it: the watchdog ends with it and passes its exit status on;
* when the parent has gone without a word (kill -9 included): it is asked to stop, and killed ten seconds
  later; or killed at once where DIRECTORY_TO_REMOVE is not empty, which is then removed;
* when the watchdog is killed: by the kernel, on Linux.

The kernel alone would not do: its signal is sent when the *thread* that started a process ends, and it
does not clean up.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

_CHECK_SECONDS = 0.25
_FAREWELL_SECONDS = 10
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> int:
    """Run the command and return its exit status, as a shell would."""
    parent, directory, *command = sys.argv[1:]
    # Everything the server prints goes where this process's stderr goes; stdout is for the id alone.
    server = subprocess.Popen(  # noqa: S603 - the command of our own parent
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        preexec_fn=_die_with_parent,  # noqa: PLW1509 - this process has one thread
    )
    sys.stdout.write(f"{server.pid}\n")
    sys.stdout.flush()
    while True:
        with suppress(subprocess.TimeoutExpired):
            status = server.wait(_CHECK_SECONDS)
            return status if status >= 0 else 128 - status
        if os.getppid() != int(parent):
            return _end(server, directory)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end(server: "subprocess.Popen[bytes]", directory: str) -> int:
    if not directory:
        server.terminate()
        server.send_signal(signal.SIGCONT)  # it may have been suspended
        with suppress(subprocess.TimeoutExpired):
            return server.wait(_FAREWELL_SECONDS)
    server.kill()
    status = server.wait()
    if directory:
        shutil.rmtree(directory, ignore_errors=True)
        with suppress(OSError):  # not empty: the other server's watchdog will do it
            Path(directory).parent.rmdir()
    return status


if __name__ == "__main__":
    sys.exit(main())
