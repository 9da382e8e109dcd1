"""Sample traffic into Kafka, as fast as it goes or at a given rate."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

from pipeline.errors import ServerRefused, ServerUnavailable
from pipeline.kafka_client import connection_options
from pipeline.sample import SampleEvent
from pipeline.settings import Kafka

__all__ = ["produce"]

_REPORT_EVERY = 500


async def produce(
    settings: Kafka,
    events: Iterable[SampleEvent],
    *,
    rate: float | None = None,
    report: Callable[[int], None] = lambda _: None,
) -> Counter[int]:
    """Write events to the first topic, keyed by trace, with their own times as Kafka's timestamps.

    `rate` is in events per second. `report` is called with the number sent so far. Returns how many events
    fall on each day since 1970 (UTC). Every event has been acknowledged by all replicas when this returns.

    Raises ServerUnavailable when no broker answers and ServerRefused when the topic does not take them.
    """
    topic = settings.topics[0]
    producer = AIOKafkaProducer(
        **connection_options(settings, "generate"),
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        linger_ms=20,
        max_batch_size=256 << 10,
    )
    try:
        await producer.start()
    except KafkaConnectionError as error:
        await producer.stop()
        raise ServerUnavailable(
            f"no Kafka broker answers at {', '.join(settings.bootstrap_servers)} "
            f"(setting kafka.bootstrap_servers): {error}"
        ) from error
    except KafkaError as error:
        await producer.stop()
        raise _refused(topic, error) from error
    days: Counter[int] = Counter()
    loop = asyncio.get_running_loop()
    started = loop.time()
    sent = 0
    acknowledged: list[asyncio.Future[object]] = []
    try:
        for event in events:
            acknowledged.append(
                await producer.send(
                    topic, event.value, key=event.trace_id.encode(), timestamp_ms=event.timestamp_ms
                )
            )
            days[event.timestamp_ms // 86_400_000] += 1
            sent += 1
            if sent % _REPORT_EVERY == 0:
                await asyncio.gather(*acknowledged[:-_REPORT_EVERY])
                del acknowledged[:-_REPORT_EVERY]
                report(sent)
            if rate is not None and (early := started + sent / rate - loop.time()) > 0:
                await asyncio.sleep(early)
        await asyncio.gather(*acknowledged)
        report(sent)
    except KafkaError as error:
        raise _refused(topic, error) from error
    finally:
        await producer.stop()
    return days


def _refused(topic: str, error: KafkaError) -> ServerRefused:
    return ServerRefused(
        f"Kafka does not take events for the topic {topic}: {type(error).__name__}: {error}; "
        "`logpipe setup` creates the topics"
    )
