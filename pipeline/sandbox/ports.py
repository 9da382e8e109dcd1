"""TCP ports for the servers: pick one that nothing else will take in passing, and say who has one that is taken."""

import random
import socket

from pipeline.errors import SandboxError

__all__ = ["LOOPBACK", "free_port", "refuse_taken_port"]

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
        if _is_taken(port):
            continue
        _given.add(port)
        return port
    raise SandboxError(f"no free port on {LOOPBACK} between {_CANDIDATES.start} and {_CANDIDATES.stop}")


def refuse_taken_port(port: int, name: str, option: str) -> None:
    """Raise SandboxError, with who listens there and what to do, when a server of this name cannot have the port."""
    if _is_taken(port):
        raise SandboxError(
            f"port {port} of {LOOPBACK} is taken by {_listener(port)}: {name} cannot listen there. Stop what has the "
            f"port, or choose another one with {option}"
        )


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


def _listener(port: int) -> str:
    """Name the process that listens at a port, as far as this user may know it."""
    try:
        import psutil  # noqa: PLC0415 - in an optional extra
    except ImportError:
        return "another process"
    try:
        owners = {
            connection.pid
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
        }
        processes = [psutil.Process(pid) for pid in owners if pid is not None]
        if processes:
            return " and ".join(f"process {process.pid} ({process.name()})" for process in processes)
    except psutil.Error:  # of another user, or it has ended just now
        pass
    return "another process"
