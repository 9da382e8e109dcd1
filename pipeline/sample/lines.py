"""One log line as bytes: the guide's ten fields, and now and then another way of writing them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson

__all__ = ["LineWriter"]

_MILLISECONDS = tuple(f".{millisecond:03d}Z" for millisecond in range(1000))
_MAX_SECONDS_KEPT = 4096

# Of 65,536 lines so many are odd, by kind, added up: 1 in 2,000 is not JSON, 1.4 % differ in all.
_DRAW_BITS = 16
_NOT_JSON = 33
_OTHER_OFFSET = 260
_OTHER_LEVEL = 600
_ENVELOPE = 930
_ODD = _ENVELOPE

_OFFSETS = (
    timezone(timedelta(hours=3)),
    timezone(timedelta(hours=-5)),
    timezone(timedelta(hours=5, minutes=30)),
)
_PLAIN_LINES = (
    b'INFO:     10.42.0.17:51532 - "GET /health/ready HTTP/1.1" 200 OK',
    b"WARNING:  Invalid HTTP request received.",
    b"[2024-01-15 10:30:00 +0000] [7] [INFO] Booting worker with pid: 7",
    b"Traceback (most recent call last):",
)
_SERVICE = "claude-code-bot"
_HOSTS = ("node-a1", "node-b2", "node-c3")


class LineWriter:
    """Encode log lines; `bits` is the source of chance."""

    def __init__(self, bits: Callable[[int], int]) -> None:
        self._bits = bits
        self._seconds: dict[int, str] = {}

    def write(self, time_ms: int, event: dict[str, Any]) -> bytes:
        """Return the line of an event, whose `timestamp` is filled in from the time."""
        second, millisecond = divmod(time_ms, 1000)
        event["timestamp"] = (self._seconds.get(second) or self._second(second)) + _MILLISECONDS[millisecond]
        draw = self._bits(_DRAW_BITS)
        if draw < _ODD:
            return self._odd(draw, time_ms, event)
        return orjson.dumps(event)

    def _second(self, second: int) -> str:
        """Write the time up to the second; the lines around need it too."""
        if len(self._seconds) >= _MAX_SECONDS_KEPT:
            self._seconds.clear()
        text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        self._seconds[second] = text
        return text

    def _odd(self, draw: int, time_ms: int, event: dict[str, Any]) -> bytes:
        """Write the line as other loggers, shippers and accidents do."""
        if draw < _NOT_JSON:
            if draw % 2:
                return _PLAIN_LINES[draw // 2 % len(_PLAIN_LINES)]
            line = orjson.dumps(event)
            return line[: len(line) * (draw + 20) // 60]  # the writer was killed
        if draw < _OTHER_OFFSET:
            zone = _OFFSETS[draw % len(_OFFSETS)]
            time = datetime.fromtimestamp(time_ms // 1000, zone) + timedelta(milliseconds=time_ms % 1000)
            event["timestamp"] = time.isoformat(timespec="milliseconds")
        elif draw < _OTHER_LEVEL:
            level = "WARNING" if event["level"] == "WARN" else event["level"]
            event["level"] = level.lower()
        else:
            return self._envelope(draw, time_ms, event)
        return orjson.dumps(event)

    def _envelope(self, draw: int, time_ms: int, event: dict[str, Any]) -> bytes:
        """Write the line as Filebeat ships it: read a moment later, as text."""
        host = _HOSTS[draw % len(_HOSTS)]
        read = datetime.fromtimestamp(time_ms // 1000 + 1, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return orjson.dumps(
            {
                "@timestamp": read + _MILLISECONDS[draw % 1000],
                "message": orjson.dumps(event).decode(),
                "fields": {"service": _SERVICE},
                "host": {"name": host},
                "agent": {"type": "filebeat", "version": "9.1.5", "name": host},
                "log": {
                    "offset": self._bits(24),
                    "file": {"path": f"/var/log/containers/{event['service']}.log"},
                },
                "input": {"type": "filestream"},
                "ecs": {"version": "8.0.0"},
            }
        )
