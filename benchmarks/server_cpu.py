"""The CPU time of a server's process, and when it has nothing more to do."""

import time

import psutil

__all__ = ["ServerCpu"]

_QUIET_CPUS = 0.15


class ServerCpu:
    """Look at one process."""

    def __init__(self, process_id: int) -> None:
        self._process = psutil.Process(process_id)

    def seconds(self) -> float:
        """Give what it has used so far, user and system."""
        times = self._process.cpu_times()
        return times.user + times.system

    def wait_until_quiet(self, look_seconds: float, timeout_seconds: float) -> None:
        """Wait until it has done with what it had to clear up, so that the next is not charged; not for ever."""
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            before = self.seconds()
            time.sleep(look_seconds)
            if self.seconds() - before < _QUIET_CPUS * look_seconds:
                return
