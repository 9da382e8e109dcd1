"""From starting `logpipe index` to the first document that can be read back."""

import asyncio
import http.client
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from statistics import median
from typing import NamedTuple
from urllib.parse import urlsplit

from elasticsearch import Elasticsearch

from benchmarks.contenders.task import Task
from benchmarks.contest import clean_environment
from benchmarks.templates import delete_indices, install_our_template
from benchmarks.traffic import produce, sample_day
from pipeline.events.document import Coordinates, Document, DocumentBuilder
from pipeline.sandbox import Servers
from pipeline.settings import Settings

__all__ = ["Start", "measure_start"]

# Too few to fill a bulk request: the first has to wait for the flush interval, as on a quiet day.
_WAITING_EVENTS = 1000
_PREFIX = "start"
_LOOK_EVERY_SECONDS = 0.01
_TIMEOUT_SECONDS = 60.0
_STOP_SECONDS = 30.0


class Start(NamedTuple):
    """Wall time of each run, in seconds."""

    runs: list[float]

    @property
    def seconds(self) -> float:
        """Give the median."""
        return median(self.runs)


def measure_start(servers: Servers, runs: int, report: Callable[[str], None]) -> Start:
    """Start a worker so many times, each time with a new group and no index."""
    topic = f"bench.start.{uuid.uuid4().hex[:8]}"
    events = list(sample_day(_WAITING_EVENTS))
    asyncio.run(produce(servers.kafka_bootstrap, topic, events, partitions=1))
    seconds = []
    with Elasticsearch(servers.elasticsearch_url) as client:
        for number in range(runs):
            settings = Task(
                contender="ours",
                bootstrap=servers.kafka_bootstrap,
                topic=topic,
                group=f"{topic}.{number}",
                events=_WAITING_EVENTS,
                elasticsearch_url=servers.elasticsearch_url,
                index_prefix=_PREFIX,
            ).settings()
            install_our_template(settings)
            builder = DocumentBuilder(settings.events, settings.index, settings.inputs)
            record = Coordinates(topic, 0, 0, events[0].timestamp_ms)
            first = builder.documents(events[0].value, record, time.time_ns() // 1_000_000)[0]
            seconds.append(_start_once(settings, first))
            delete_indices(client, _PREFIX)
            report(f"run {number + 1} of {runs}: first document after {seconds[-1]:.2f} s")
    return Start(seconds)


def _start_once(settings: Settings, first: Document) -> float:
    """Start a worker, wait for the document, stop the worker."""
    with tempfile.TemporaryDirectory() as elsewhere:  # where there is no logpipe.toml
        started = time.perf_counter()
        worker = subprocess.Popen(
            [sys.executable, "-m", "pipeline", "--log-level", "WARNING", "index"],
            stdin=subprocess.DEVNULL,
            cwd=elsewhere,
            env=clean_environment(
                LOGPIPE_KAFKA__BOOTSTRAP_SERVERS=",".join(settings.kafka.bootstrap_servers),
                LOGPIPE_KAFKA__TOPICS=",".join(settings.kafka.topics),
                LOGPIPE_KAFKA__GROUP_ID=settings.kafka.group_id,
                LOGPIPE_ELASTICSEARCH__HOSTS=",".join(settings.elasticsearch.hosts),
                LOGPIPE_INDEX__PREFIX=settings.index.prefix,
                # The document is asked for by its id, which is known beforehand only without the topic's.
                LOGPIPE_INDEX__ID="record_time",
                LOGPIPE_HTTP__PORT="0",
            ),
        )
        try:
            _wait_for(settings.elasticsearch.hosts[0], first, worker)
            return time.perf_counter() - started
        finally:
            worker.terminate()
            try:
                worker.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()


def _wait_for(url: str, document: Document, worker: "subprocess.Popen[bytes]") -> None:
    """Ask for the document by its id, again and again, until it is there."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_TIMEOUT_SECONDS)
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    try:
        while time.monotonic() < deadline and worker.poll() is None:
            connection.request("GET", f"/{document.index_name}/_doc/{document.id}?_source=false")
            response = connection.getresponse()
            response.read()
            if response.status == http.client.OK:
                return
            time.sleep(_LOOK_EVERY_SECONDS)
    finally:
        connection.close()
    raise RuntimeError(f"the worker ended, or {document.id} was not there after {_TIMEOUT_SECONDS:.0f} s")
