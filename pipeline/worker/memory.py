"""What a worker asks of its own process: memory that is reused, and few garbage collections."""

import ctypes
import gc

__all__ = ["tune_memory"]

# From glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEEP_BYTES = 64 << 20
# Objects live for one batch and hold no cycles.
_GC_THRESHOLDS = (100_000, 20, 100)


def tune_memory() -> None:
    """Set up this process for batches; call once, after start-up.

    glibc gives the memory of each batch back to the kernel and faults it in again for the next, which costs
    more than the encoding itself; keeping up to 64 MiB saves a tenth of the whole CPU time. Other C
    libraries have no `mallopt`, and need none of it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES // 2)
