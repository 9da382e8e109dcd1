"""What the health endpoints say about a worker."""

import time
from typing import Any

from pipeline.version import version

__all__ = ["Health"]

# A loop that has not come round for this long is stuck; Elasticsearch being away does not stop it.
_STUCK_AFTER_SECONDS = 60.0
_NO_PARTITION = (
    "this worker has no partition: there are more workers than partitions, or the group divides them anew"
)


class Health:
    """Facts the worker writes and the HTTP server reads."""

    def __init__(self) -> None:
        self.kafka = False
        """Whether a broker has answered lately."""
        self.kafka_silent_seconds: float | None = None
        """How long ago a broker has answered last, where that is known."""
        self.assigned = False
        """Whether the group has been joined once, whatever number of partitions that gave."""
        self.partitions: int | None = None
        """How many partitions this worker owns; None for a process that does not say."""
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

    def dependencies(self) -> dict[str, bool]:
        """Tell of each dependency whether it answers."""
        return {
            "kafka": self.kafka,
            "elasticsearch": self.elasticsearch,
            "dead_letters": self.dead_letters,
        }

    def checks(self) -> dict[str, bool]:
        """Tell what is needed to be ready: that each dependency answers, and the group has been joined."""
        return {**self.dependencies(), "kafka": self.kafka and self.assigned}

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Tell whether the worker has all that it needs."""
        checks = self.checks()
        ready = all(checks.values())
        body: dict[str, Any] = {"status": "ready" if ready else "not ready", "checks": checks}
        if reasons := [reason for reason in (self._kafka_reason(), self.reason) if reason is not None]:
            body["reason"] = "; ".join(reasons)
        if self.waiting:
            body["waiting"] = self.waiting
        if self.partitions == 0:
            body["note"] = _NO_PARTITION
        return ready, body

    def _kafka_reason(self) -> str | None:
        if not self.kafka:
            silent = self.kafka_silent_seconds
            return None if silent is None else f"no Kafka broker has answered for {silent:.0f} s"
        return None if self.assigned else "Kafka answers, and the group is still being joined"

    def startup(self) -> tuple[bool, dict[str, Any]]:
        """Tell whether the worker has joined its group once."""
        return self.assigned, {"status": "started" if self.assigned else "starting", "version": version()}
