"""Pick TCP ports for the servers that nothing else on this machine will take in passing."""

import random
import socket

from pipeline.errors import SandboxError

__all__ = ["LOOPBACK", "free_port"]

LOOPBACK = "127.0.0.1"

# Below the range that kernels draw the ports of outgoing connections from (Linux: 32768 up). A port from
# within could be taken by any client while its server is down between a stop and a restart; a client
# that keeps knocking at it could even be connected to itself.
_CANDIDATES = range(20_000, 32_000)
_ATTEMPTS = 200
_given: set[int] = set()


def free_port() -> int:
    """Return a loopback port that nobody listens on now; raise SandboxError when none is found.

    No port is given twice: the first may not be listened on yet.
    """
    for port in random.sample(_CANDIDATES, _ATTEMPTS):
        if port in _given:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise SandboxError(f"no free port on {LOOPBACK} between {_CANDIDATES.start} and {_CANDIDATES.stop}")
