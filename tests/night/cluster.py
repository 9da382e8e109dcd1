"""The night's own servers, which may be harmed: one Kafka broker and three Elasticsearch nodes of one cluster."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.sandbox import Elasticsearch, Kafka, Servers, prepare_quick_starts
from pipeline.sandbox.ports import LOOPBACK, free_port

__all__ = ["Cluster", "running_cluster"]

_NODES = 3
_HEAP_MB = 512


@dataclass(frozen=True)
class Cluster:
    """All servers, up and answering."""

    kafka: Kafka
    nodes: Sequence[Elasticsearch]
    directory: Path

    @property
    def servers(self) -> Servers:
        """The broker and the first node, as the tests' pipelines take them."""
        return Servers(self.kafka, self.nodes[0], self.directory)

    @property
    def hosts(self) -> str:
        """All nodes, as `elasticsearch.hosts` takes them."""
        return ",".join(node.url for node in self.nodes)

    async def start_again(self, *nodes: Elasticsearch) -> None:
        """Start nodes that were killed, side by side, and wait until they have found the others."""

        def start() -> None:
            for node in nodes:
                node.launch()
            for node in nodes:
                node.wait_until_ready()

        await asyncio.to_thread(start)


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Start the servers side by side; they end, by their process ids, when the block is left, however it is left."""
    prepare_quick_starts()
    home = Path(tempfile.mkdtemp(prefix="logpipe-night-"))
    kafka = Kafka(home / "kafka", remove_when_orphaned=True)
    names = [f"node-{number}" for number in range(_NODES)]
    ports = [free_port() for _ in names]
    nodes = [
        Elasticsearch(
            home / name,
            heap_mb=_HEAP_MB,
            remove_when_orphaned=True,
            settings={
                "node.name": name,
                "transport.port": str(port),
                "discovery.type": "multi-node",
                "discovery.seed_hosts": ",".join(f"{LOOPBACK}:{each}" for each in ports),
                "cluster.initial_master_nodes": ",".join(names),
                # How soon a full disk is noticed, and an empty one: not less is allowed, and half a minute is usual.
                "cluster.info.update.interval": "10s",
            },
        )
        for name, port in zip(names, ports, strict=True)
    ]
    with ExitStack() as at_exit:
        at_exit.callback(shutil.rmtree, home, ignore_errors=True)
        for server in (kafka, *nodes):
            at_exit.callback(server.kill)
        for server in (*nodes, kafka):
            server.launch()
        for server in (kafka, *nodes):
            server.wait_until_ready()
        yield Cluster(kafka, nodes, home)
