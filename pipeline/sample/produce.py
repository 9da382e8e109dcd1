"""Sample traffic into Kafka: as fast as it goes, at a given rate, or as it happens."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

from pipeline.errors import ServerRefused, ServerUnavailable, SettingsError
from pipeline.kafka.client import connection_options, start_client
from pipeline.sample import EVENTS_PER_REQUEST, INCIDENTS, SampleEvent, sample_events
from pipeline.sample.formats import FORMATS, rewritten
from pipeline.settings import Kafka

__all__ = ["PROFILES", "Traffic", "plan_traffic", "produce"]

PROFILES = {"normal": 100, "peak": 500, "burst": 1000}
"""The guide's throughput objectives, in HTTP requests to the product per second."""

_REPORT_EVERY = 500
_COUNT = 100_000
_DAYS = 3.0
_DAY_SECONDS = 86_400
_LAST_TENTH = 0.9


@dataclass(frozen=True, slots=True)
class Traffic:
    """What traffic to send, and how."""

    count: int
    rate: float | None
    """Events per second; None: as fast as it goes."""
    live: bool
    """Events happen while they are sent; else they are spread over the days before."""
    days: float
    seed: int | None
    incident: str | None
    incident_from: float
    format: str = "guide"
    """One of `FORMATS`: how the events are written."""

    def events(self, now_ms: int) -> Iterator[SampleEvent]:
        """Write the events: of the days before now, or from now on."""
        events = self._guide_events(now_ms)
        if self.format == "guide":
            return events
        return (event._replace(value=rewritten(event.value, self.format)) for event in events)

    def _guide_events(self, now_ms: int) -> Iterator[SampleEvent]:
        if not self.live or self.rate is None:
            return sample_events(
                self.count,
                seed=self.seed or 0,
                end_ms=now_ms,
                span_seconds=self.days * _DAY_SECONDS,
                incident=self.incident,
                incident_from=self.incident_from,
            )
        span_seconds = self.count / self.rate
        return sample_events(
            self.count,
            # Another run has other traces.
            seed=now_ms if self.seed is None else self.seed,
            end_ms=now_ms + round(span_seconds * 1000),
            span_seconds=span_seconds,
            incident=self.incident,
            incident_from=self.incident_from,
            steady=True,
        )


def plan_traffic(
    *,
    count: int | None = None,
    rate: float | None = None,
    profile: str | None = None,
    seconds: float | None = None,
    live: bool = False,
    days: float | None = None,
    seed: int | None = None,
    incident: str | None = None,
    incident_from: float | None = None,
    format_name: str = "guide",
) -> Traffic:
    """Fill in what was not asked for.

    `rate` is in events per second, `profile` one of `PROFILES`. Unless `incident_from` says otherwise, an
    incident is the last tenth of what is spread over days, and the whole of what is live.

    Raises SettingsError, naming the option, for options that contradict each other or need one another.
    """
    for option, value, possible in (
        ("--incident", incident, INCIDENTS),
        ("--format", format_name, FORMATS),
        ("--profile", profile, PROFILES),
    ):
        if value is not None and value not in possible:
            raise SettingsError(f"{option} = {value!r}: there are {', '.join(possible)}")
    for one, other, given in (
        ("--profile", "--rate", profile is not None and rate is not None),
        ("--seconds", "--count", seconds is not None and count is not None),
        ("--live", "--days", live and days is not None),
    ):
        if given:
            raise SettingsError(f"{one} and {other} exclude each other: give one of them")
    if profile is not None:
        rate = PROFILES[profile] * EVENTS_PER_REQUEST
    if rate is None and (live or seconds is not None):
        raise SettingsError(f"{'--live' if live else '--seconds'} needs --rate or --profile")
    if incident_from is not None and incident is None:
        raise SettingsError("--incident-from needs --incident")
    if rate is not None and seconds is not None:
        count = max(1, round(rate * seconds))
    if incident_from is None:
        incident_from = 0.0 if live else _LAST_TENTH
    return Traffic(
        count or _COUNT,
        rate,
        live,
        _DAYS if days is None else days,
        seed,
        incident,
        incident_from,
        format_name,
    )


async def produce(
    settings: Kafka,
    events: Iterable[SampleEvent],
    *,
    rate: float | None = None,
    live: bool = False,
    report: Callable[[int], None] = lambda _: None,
) -> Counter[int]:
    """Write events to the first topic, keyed by trace, with their own times as Kafka's timestamps.

    `rate` is in events per second; with `live` each event is sent when its own time has come instead.
    `report` is called with the number sent so far. Returns how many events
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
        await start_client(producer, settings)
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
            if live:
                early = event.timestamp_ms / 1000 - time.time()
            else:
                early = started + sent / rate - loop.time() if rate is not None else 0.0
            if early > 0:
                await asyncio.sleep(early)
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
