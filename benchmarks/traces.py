"""The correlator: a real topic full of trace events → summaries in a real Elasticsearch, and read again."""

import asyncio
import http.client
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil
from elasticsearch import Elasticsearch

from benchmarks.contest import clean_environment
from benchmarks.open_traces import TRACE_PARTITIONS, Held, measure_held, trace_events
from benchmarks.templates import delete_indices
from pipeline.install import run_setup
from pipeline.kafka.trace_events import TraceEventProducer
from pipeline.sandbox import Servers
from pipeline.sandbox.ports import free_port
from pipeline.settings import Settings, load_settings
from pipeline.trace_stories.emission import Bucket

__all__ = ["TraceRound", "TraceRun", "measure_traces"]

_TIMEOUT_SECONDS = 300.0
_STOP_SECONDS = 20.0
_OPEN_TRACES = 1_000_000
# What a deployment reads again after a restart, at most: a quarter of an hour of a thousand events a second.
_REREAD_EVENTS = 900_000


class TraceRound(NamedTuple):
    """One correlator, from its first record to its last summary."""

    cpu_us_per_event: float
    """Of its process, the start left out."""
    seconds_to_read: float
    """From the first record to the last."""


class TraceRun(NamedTuple):
    """What was measured."""

    events: int
    held: Held
    reread_seconds: float
    """From the start of the process until it has read a quarter of an hour of 1,000 events a second."""
    rounds: list[TraceRound]

    @property
    def us_per_event(self) -> float:
        """Give the median of the CPU time of a source event, in microseconds."""
        return median(one.cpu_us_per_event for one in self.rounds)

    @property
    def events_per_second(self) -> float:
        """Give the median of how many source events were read in a second."""
        return self.events / median(one.seconds_to_read for one in self.rounds)


def measure_traces(servers: Servers, events: int, rounds: int, report: Callable[[str], None]) -> TraceRun:
    """Let a correlator read so many events, as often as there are rounds, each time from the beginning."""
    buckets = trace_events(events)
    emitted = sum(bucket.events for bucket in buckets)
    held = measure_held(_OPEN_TRACES)
    report(f"{held.traces:,} open traces: {held.bytes >> 20:,} MiB")
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
    repeated = -(-_REREAD_EVENTS // emitted)
    for _ in range(repeated - 1):
        asyncio.run(_write(settings, buckets))
    again = _read_again(settings, repeated * emitted, f"{prefix}.again")
    again *= _REREAD_EVENTS / (repeated * emitted)
    report(f"{_REREAD_EVENTS:,} events read again in {again:.1f} s")
    return TraceRun(emitted, held, again, found)


async def _prepare(settings: Settings, buckets: list[Bucket], codec: dict[str, str] | None) -> None:
    await run_setup(
        settings, without_ilm=True, partitions=TRACE_PARTITIONS, index_settings=codec, report=lambda _: None
    )
    await _write(settings, buckets)


async def _write(settings: Settings, buckets: list[Bucket]) -> None:
    producer = TraceEventProducer(settings)
    for start in range(0, len(buckets), 100):
        await producer.write(buckets[start : start + 100])
    await producer.close()


def _run_once(settings: Settings, client: Elasticsearch, events: int, group: str) -> TraceRound:
    port = free_port()
    options = {"LOGPIPE_TRACES__IDLE_SECONDS": "5", "LOGPIPE_TRACES__SHOW_OPEN_SECONDS": "5"}
    with _correlator(settings, group, port, options) as process:
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


def _read_again(settings: Settings, events: int, group: str) -> float:
    """Let a correlator read events of which it closes none, end it, and give how long the next one takes."""
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        flows = Path(folder) / "flows.toml"
        flows.write_text("flows = []\n")
        options = {
            "LOGPIPE_TRACES__FLOWS_FILE": str(flows),
            "LOGPIPE_TRACES__IDLE_SECONDS": "86400",
            "LOGPIPE_TRACES__MAX_OPEN_BYTES": str(4 << 30),
            # Of a trace that comes several times the events are many.
            "LOGPIPE_TRACES__MAX_EVENTS": "10000",
        }
        for _ in range(2):
            port = free_port()
            started = time.monotonic()
            with _correlator(settings, group, port, options) as process:
                try:
                    while _events_read(port) < events:
                        if time.monotonic() > started + _TIMEOUT_SECONDS or process.poll() is not None:
                            raise RuntimeError("the correlator did not read its events")
                        time.sleep(0.05)
                    taken.append(time.monotonic() - started)
                finally:
                    process.send_signal(signal.SIGTERM)
                    process.wait(timeout=_STOP_SECONDS)
    return taken[-1]


def _correlator(
    settings: Settings, group: str, port: int, options: dict[str, str]
) -> "subprocess.Popen[bytes]":
    environment = clean_environment(
        LOGPIPE_KAFKA__BOOTSTRAP_SERVERS=",".join(settings.kafka.bootstrap_servers),
        LOGPIPE_KAFKA__GROUP_ID=group,
        LOGPIPE_ELASTICSEARCH__HOSTS=",".join(settings.elasticsearch.hosts),
        LOGPIPE_INDEX__PREFIX=settings.index.prefix,
        LOGPIPE_HTTP__PORT=str(port),
        LOGPIPE_TRACES__ENABLED="true",
        **options,
    )
    command = [sys.executable, "-m", "pipeline", "--log-level", "ERROR", "traces"]
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)


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
