"""What the product logs all night long, whatever becomes of the broker."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from pipeline.sample.produce import plan_traffic

__all__ = ["traffic"]

_LONGEST_SECONDS = 3600.0


@asynccontextmanager
async def traffic(
    bootstrap: str, topic: str, rate: float, *, incident: str | None = None
) -> AsyncIterator[None]:
    """Send sample events as they happen while the block lasts; what Kafka does not take is not sent."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    sending = asyncio.create_task(_send(producer, topic, rate, incident))
    try:
        yield
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        await producer.stop()


async def _send(producer: AIOKafkaProducer, topic: str, rate: float, incident: str | None) -> None:
    plan = plan_traffic(rate=rate, seconds=_LONGEST_SECONDS, live=True, incident=incident)
    for event in plan.events(time.time_ns() // 1_000_000):
        early = event.timestamp_ms / 1000 - time.time()
        if early > 0:
            await asyncio.sleep(early)
        with suppress(KafkaError):
            sent = await producer.send(
                topic, event.value, key=event.trace_id.encode(), timestamp_ms=event.timestamp_ms
            )
            sent.add_done_callback(_heard)


def _heard(sent: "asyncio.Future[Any]") -> None:
    """Note what became of it: without a broker for long it is an error, and nobody else asks."""
    if not sent.cancelled():
        sent.exception()
