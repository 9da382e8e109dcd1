"""Run the sandbox: one Kafka and one Elasticsearch, together, for as long as a `with` block lasts."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import SandboxError
from pipeline.sandbox.artifacts import Report
from pipeline.sandbox.elasticsearch import Elasticsearch
from pipeline.sandbox.kafka import Kafka
from pipeline.sandbox.training import prepare_quick_starts

__all__ = ["Servers", "start_sandbox"]


@dataclass(frozen=True, slots=True)
class Servers:
    """Both servers, up and answering."""

    kafka: Kafka
    elasticsearch: Elasticsearch
    directory: Path

    @property
    def kafka_bootstrap(self) -> str:
        """What a Kafka client takes as its bootstrap server."""
        return self.kafka.bootstrap

    @property
    def elasticsearch_url(self) -> str:
        """What an Elasticsearch client takes as its host."""
        return self.elasticsearch.url


@contextmanager
def start_sandbox(
    directory: Path | None = None,
    *,
    kafka_port: int | None = None,
    elasticsearch_port: int | None = None,
    kafka_heap_mb: int = 512,
    elasticsearch_heap_mb: int = 1024,
    kafka_settings: Mapping[str, str] | None = None,
    elasticsearch_settings: Mapping[str, str] | None = None,
    quick_starts: bool = False,
    cache: Path | None = None,
    report: Report | None = None,
) -> Iterator[Servers]:
    """Start both servers at the same time; stop them when the block is left, however it is left.

    The servers listen on the loopback interface only. They also end when this process dies, be it by a
    kill -9.

    directory -- keeps data and logs for the next start; None means a temporary one, removed at the end
    kafka_port, elasticsearch_port -- chosen if None
    kafka_heap_mb, elasticsearch_heap_mb -- sizes of the Java heaps
    kafka_settings, elasticsearch_settings -- further settings of the servers, which win over the sandbox's
    quick_starts -- first spend half a minute, once, on what halves the time of every start from then on;
        worth it for whoever starts servers often, as the tests do
    cache -- where jars are kept (see `cache.cache_directory`)
    report -- told, line by line, what is going on

    Raises SandboxError when a port is taken, before anything is started; and, with the end of the server's log, when
    a server cannot be fetched or does not start. The directory is kept then, so that the whole log can be read.
    """
    if kafka_port is not None and kafka_port == elasticsearch_port:
        raise SandboxError(f"Kafka and Elasticsearch cannot both have port {kafka_port}")
    if quick_starts:
        prepare_quick_starts(cache, report)
    temporary = directory is None
    home = directory or Path(tempfile.mkdtemp(prefix="logpipe-sandbox-"))
    kafka = Kafka(
        home / "kafka",
        port=kafka_port,
        heap_mb=kafka_heap_mb,
        settings=kafka_settings,
        cache=cache,
        report=report,
        remove_when_orphaned=temporary,
    )
    elasticsearch = Elasticsearch(
        home / "elasticsearch",
        port=elasticsearch_port,
        heap_mb=elasticsearch_heap_mb,
        settings=elasticsearch_settings,
        cache=cache,
        report=report,
        remove_when_orphaned=temporary,
    )
    with ExitStack() as at_exit:
        if temporary:
            at_exit.callback(shutil.rmtree, home, ignore_errors=True)
        for server in (kafka, elasticsearch):
            # What is about to be removed need not be put in order first.
            at_exit.callback(server.kill if temporary else server.stop)
        kafka.refuse_taken_port()
        elasticsearch.refuse_taken_port()
        try:
            elasticsearch.launch()  # takes the longer time; Kafka is formatted and launched meanwhile
            kafka.launch()
            kafka.wait_until_ready()
            elasticsearch.wait_until_ready()
        except SandboxError:
            kafka.kill()
            elasticsearch.kill()
            at_exit.pop_all()
            raise
        yield Servers(kafka, elasticsearch, home)
