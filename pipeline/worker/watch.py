"""How a worker is, each second: what the health endpoints say, what is in flight, how late the event loop is."""

import asyncio

from pipeline.bulk.writer import BulkWriter
from pipeline.telemetry.health import Health
from pipeline.telemetry.metrics import Telemetry
from pipeline.worker.offsets import Offsets

__all__ = ["Watch"]

_SECONDS = 1.0
# Whoever waits for the worker to be ready waits no longer than for the worker itself.
_UNTIL_READY_SECONDS = 0.1


class Watch:
    """Look at the parts of a worker, and tell `health` and the metrics; apart from all that may have to wait."""

    def __init__(self, offsets: Offsets, writer: BulkWriter, telemetry: Telemetry, health: Health) -> None:
        self._ledger, self._source = offsets.ledger, offsets.source
        self._writer = writer
        self._telemetry = telemetry
        self._health = health

    async def run(self) -> None:
        """Look once a second, and more often until it is ready for the first time; until cancelled."""
        loop = asyncio.get_running_loop()
        seconds = _UNTIL_READY_SECONDS
        while True:
            due = loop.time() + seconds
            await asyncio.sleep(seconds)
            self._telemetry.event_loop_delay.observe(max(loop.time() - due, 0.0))
            if self._look():
                seconds = _SECONDS

    def _look(self) -> bool:
        """Look once, and tell whether the worker is ready."""
        telemetry, health, writer = self._telemetry, self._health, self._writer
        writer.show()
        telemetry.in_flight_records.set(self._ledger.in_flight())
        reachable, silent = self._source.reachable, self._source.silent_seconds
        health.kafka = bool(reachable)
        health.kafka_silent_seconds = silent
        health.reason = writer.not_ready
        health.elasticsearch = health.reason is None
        health.waiting = writer.waiting
        health.dead_letters = not writer.stalled
        if not health.assigned:
            # To wait for Kafka, or for the others of the group, is not to be stuck.
            health.beat()
        ready = all(health.checks().values())
        telemetry.ready.set(ready)
        if silent is not None:
            telemetry.kafka_silent.set(silent)
        if reachable is None:
            # Nothing has been asked yet.
            return False
        for name, answers in health.dependencies().items():
            telemetry.dependency_up.labels(name).set(answers)
        return ready
