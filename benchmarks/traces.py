"""The correlator: a real topic full of trace events → summaries in a real Elasticsearch."""

import asyncio
import http.client
import signal
import subprocess
import sys
import time
import tracemalloc
import uuid
from collections.abc import Callable
from statistics import median
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil
from elasticsearch import Elasticsearch

from benchmarks.contest import clean_environment
from benchmarks.hot_path import MemoryRecord
from benchmarks.templates import delete_indices
from benchmarks.traffic import sample_day
from pipeline.encode.fast_path import BatchEncoder
from pipeline.events.document import DocumentBuilder
from pipeline.install import run_setup
from pipeline.kafka.trace_events import TraceEventProducer
from pipeline.sandbox import Servers
from pipeline.sandbox.ports import free_port
from pipeline.settings import Events, Index, Settings, Traces, load_settings
from pipeline.trace_stories.emission import MOST_EVENTS, Bucket, TraceEvents
from pipeline.trace_stories.flows import chosen_flows
from pipeline.trace_stories.lines import lines_of
from pipeline.trace_stories.shapes import Shapes
from pipeline.traces.open_traces import OpenTraces

__all__ = ["TraceRound", "TraceRun", "measure_traces"]

_PARTITIONS = 8
_POLL = 4000
_TIMEOUT_SECONDS = 300.0
_STOP_SECONDS = 20.0
# To count bytes makes everything several times as slow.
_HELD_RECORDS = 100
# What a deployment reads again after a restart, at most: a quarter of an hour of a thousand events a second.
REREAD_EVENTS = 900_000


class TraceRound(NamedTuple):
    """One correlator, from its first record to its last summary."""

    cpu_us_per_event: float
    """Of its process, the start left out."""
    seconds_to_read: float
    """From the first record to the last."""


class TraceRun(NamedTuple):
    """What was measured."""

    events: int
    traces: int
    bytes_per_open_trace: float
    rounds: list[TraceRound]

    @property
    def us_per_event(self) -> float:
        """Give the median of the CPU time of a source event, in microseconds."""
        return median(one.cpu_us_per_event for one in self.rounds)

    @property
    def events_per_second(self) -> float:
        """Give the median of how many source events were read in a second."""
        return self.events / median(one.seconds_to_read for one in self.rounds)

    @property
    def reread_seconds(self) -> float:
        """Give how long a quarter of an hour of 1,000 events a second takes at that rate."""
        return REREAD_EVENTS / self.events_per_second


def measure_traces(servers: Servers, events: int, rounds: int, report: Callable[[str], None]) -> TraceRun:
    """Let a correlator read so many events, as often as there are rounds, each time from the beginning."""
    buckets = trace_events(events)
    emitted = sum(bucket.events for bucket in buckets)
    held, traces = _held(buckets)
    prefix = f"traces-{uuid.uuid4().hex[:8]}"
    settings = load_settings(
        overrides={
            "kafka": {"bootstrap_servers": [servers.kafka_bootstrap], "topics": [f"{prefix}.logs"]},
            "elasticsearch": {"hosts": [servers.elasticsearch_url]},
            "index": {"prefix": prefix},
            "traces": {"enabled": True},
        }
    )
    codec = None if servers.elasticsearch.has_zstd else {"index.codec": "default"}
    asyncio.run(_prepare(settings, buckets, codec))
    found = []
    with Elasticsearch(servers.elasticsearch_url) as client:
        for number in range(rounds):
            found.append(_run_once(settings, client, emitted, f"{prefix}.{number}"))
            report(
                f"round {number + 1} of {rounds}: {found[-1].cpu_us_per_event:.2f} µs per event, "
                f"read in {found[-1].seconds_to_read:.1f} s"
            )
            delete_indices(client, f"{prefix}.traces")
    return TraceRun(emitted, traces, held / traces, found)


def trace_events(events: int) -> list[Bucket]:
    """Take the trace events out of sample traffic, as a worker does."""
    encoder = BatchEncoder(DocumentBuilder(Events(), Index()))
    collected = encoder.trace_events = TraceEvents(_PARTITIONS)
    records = [
        MemoryRecord(offset, event.timestamp_ms, event.value)
        for offset, event in enumerate(sample_day(events))
    ]
    buckets: list[Bucket] = []
    for start in range(0, len(records), _POLL):
        encoder.encode("claude-code-bot.logs", 0, records[start : start + _POLL], records[-1].timestamp)
        if collected.events >= _PARTITIONS * MOST_EVENTS:
            buckets += collected.take()
    return [*buckets, *collected.take()]


def _held(buckets: list[Bucket]) -> tuple[float, int]:
    """Hold traces open; gives the bytes that Python has allocated for them, and how many they are."""
    traces = OpenTraces(Traces(max_open=10_000_000, max_open_bytes=64 << 30), Shapes(chosen_flows(Traces())))
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for offset, bucket in enumerate(buckets[:_HELD_RECORDS]):
        traces.take(bucket.partition, offset, lines_of(bucket.value)[0], int, 0.0, 0.0)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return after - before, len(traces)


async def _prepare(settings: Settings, buckets: list[Bucket], codec: dict[str, str] | None) -> None:
    await run_setup(
        settings, without_ilm=True, partitions=_PARTITIONS, index_settings=codec, report=lambda _: None
    )
    producer = TraceEventProducer(settings)
    for start in range(0, len(buckets), 100):
        await producer.write(buckets[start : start + 100])
    await producer.close()


def _run_once(settings: Settings, client: Elasticsearch, events: int, group: str) -> TraceRound:
    port = free_port()
    environment = clean_environment(
        LOGPIPE_KAFKA__BOOTSTRAP_SERVERS=",".join(settings.kafka.bootstrap_servers),
        LOGPIPE_KAFKA__GROUP_ID=group,
        LOGPIPE_ELASTICSEARCH__HOSTS=",".join(settings.elasticsearch.hosts),
        LOGPIPE_INDEX__PREFIX=settings.index.prefix,
        LOGPIPE_HTTP__PORT=str(port),
        LOGPIPE_TRACES__ENABLED="true",
        LOGPIPE_TRACES__IDLE_SECONDS="5",
        LOGPIPE_TRACES__SHOW_OPEN_SECONDS="5",
    )
    command = [sys.executable, "-m", "pipeline", "--log-level", "ERROR", "traces"]
    with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL) as process:
        try:
            watched = psutil.Process(process.pid)
            deadline = time.monotonic() + _TIMEOUT_SECONDS
            began, begun_cpu, ended = None, 0.0, None
            while ended is None:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise RuntimeError("the correlator did not read its events")
                time.sleep(0.05)
                read = _events_read(port)
                if began is None:
                    # What it has used until its first record is its start.
                    began, begun_cpu = (
                        (time.monotonic(), sum(watched.cpu_times()[:2])) if read else (None, 0.0)
                    )
                if read >= events:
                    ended = time.monotonic()
            while time.monotonic() < deadline and _told(client, settings) < events:
                time.sleep(0.2)
            cpu = sum(watched.cpu_times()[:2]) - begun_cpu
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=_STOP_SECONDS)
    seconds = max(ended - began, 0.05) if began is not None else 0.05
    return TraceRound(cpu / events * 1e6, seconds)


def _events_read(port: int) -> float:
    """Ask the correlator how many events it has read; 0 while it starts."""
    connection = http.client.HTTPConnection(urlsplit(f"http://127.0.0.1:{port}").netloc, timeout=2)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    except OSError:
        return 0.0
    finally:
        connection.close()
    values = [line.split()[1] for line in text.splitlines() if line.startswith("logpipe_traces_events_total")]
    return float(values[0]) if values else 0.0


def _told(client: Elasticsearch, settings: Settings) -> float:
    """Count the events that are in summaries."""
    index = f"{settings.index.prefix}.traces-*"
    client.indices.refresh(index=index, allow_no_indices=True)
    answer = client.search(index=index, size=0, aggs={"events": {"sum": {"field": "event_count"}}})
    return float(answer.get("aggregations", {}).get("events", {}).get("value") or 0)
