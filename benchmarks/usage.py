"""What a process has used: CPU time, wall time, peak memory."""

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

__all__ = ["Usage", "measure", "peak_rss_bytes"]

_PROC_STATUS = Path("/proc/self/status")


class Usage(NamedTuple):
    """What some work took; the memory is the whole process's, from its start."""

    cpu_seconds: float
    wall_seconds: float
    peak_rss_bytes: int

    def cpu_us(self, events: int) -> float:
        """Give the CPU time per event, in microseconds."""
        return self.cpu_seconds / events * 1e6


def measure(work: Callable[[], None]) -> Usage:
    """Do the work and tell what it took: CPU of all threads of this process, user and system."""
    wall = time.perf_counter()
    cpu = time.process_time()
    work()
    return Usage(time.process_time() - cpu, time.perf_counter() - wall, peak_rss_bytes())


def peak_rss_bytes() -> int:
    """Give the most memory this process has had resident.

    On Linux from VmHWM: `ru_maxrss` would include what the parent had resident when it forked.
    """
    if _PROC_STATUS.exists():
        for line in _PROC_STATUS.read_text("ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most << 10
