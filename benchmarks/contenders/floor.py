"""The floor: what reading and decoding alone costs in Python. Nothing is kept, sent or committed."""

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer

from benchmarks.contenders.task import Task
from benchmarks.usage import Usage, measure

__all__ = ["run"]

_POLL_MS = 200


def run(task: Task) -> Usage:
    """Read the events by the worker's fetch settings, and decode each."""
    return measure(lambda: uvloop.run(_read(task)))


async def _read(task: Task) -> None:
    settings = task.settings().kafka
    loads = orjson.loads
    seen = 0
    async with AIOKafkaConsumer(
        task.topic,
        bootstrap_servers=list(settings.bootstrap_servers),
        group_id=settings.group_id,
        enable_auto_commit=False,
        auto_offset_reset=settings.start_at,
        isolation_level=settings.isolation_level,
        fetch_max_bytes=settings.fetch_max_bytes,
        max_partition_fetch_bytes=settings.max_partition_fetch_bytes,
    ) as consumer:
        while seen < task.events:
            batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=settings.max_poll_records)
            for records in batches.values():
                seen += len(records)
                for record in records:
                    try:
                        loads(record.value)
                    except ValueError:  # one in two thousand is not JSON
                        continue
