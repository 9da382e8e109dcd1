"""What the health endpoints say about a worker."""

import time
from typing import Any

from pipeline.version import version

__all__ = ["Health"]

# A loop that has not come round for this long is stuck; Elasticsearch being away does not stop it.
_STUCK_AFTER_SECONDS = 60.0


class Health:
    """Facts the worker writes and the HTTP server reads."""

    def __init__(self) -> None:
        self.kafka = False
        self.assigned = False
        self.elasticsearch = True
        self.dead_letters = True
        self.reason: str | None = None
        """Why Elasticsearch does not take everything."""
        self.waiting: list[dict[str, Any]] = []
        """What waits for an index that takes no documents, since when and why; others go on."""
        self._last_beat = time.monotonic()

    def beat(self) -> None:
        """Note that the worker's loop has come round."""
        self._last_beat = time.monotonic()

    def live(self) -> tuple[bool, dict[str, Any]]:
        """Tell whether the loop runs; restarting the process helps when it does not."""
        age = time.monotonic() - self._last_beat
        alive = age < _STUCK_AFTER_SECONDS
        return alive, {"status": "alive" if alive else "stuck", "seconds_since_last_poll": round(age, 1)}

    def checks(self) -> dict[str, bool]:
        """Tell of each dependency whether it answered last."""
        return {
            "kafka": self.kafka and self.assigned,
            "elasticsearch": self.elasticsearch,
            "dead_letters": self.dead_letters,
        }

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Tell whether each dependency answers."""
        checks = self.checks()
        ready = all(checks.values())
        body: dict[str, Any] = {"status": "ready" if ready else "not ready", "checks": checks}
        if self.reason is not None:
            body["reason"] = self.reason
        if self.waiting:
            body["waiting"] = self.waiting
        return ready, body

    def startup(self) -> tuple[bool, dict[str, Any]]:
        """Tell whether the worker has joined its group once."""
        return self.assigned, {"status": "started" if self.assigned else "starting", "version": version()}
