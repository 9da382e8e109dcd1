"""The guide's index template against ours: CPU of a real Elasticsearch per document, same documents."""

import asyncio
import uuid
from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

from elasticsearch import Elasticsearch

from benchmarks.contenders.task import Task
from benchmarks.contest import run_contender
from benchmarks.server_cpu import ServerCpu
from benchmarks.traffic import produce, sample_day
from pipeline.install import run_setup
from pipeline.sandbox import Servers
from pipeline.settings import Settings

__all__ = [
    "GUIDE_TEMPLATE",
    "TemplateRound",
    "Templates",
    "delete_indices",
    "install_our_template",
    "measure_templates",
]

_OURS = "ours"
_GUIDE = "guide"
# As the guide has it, but for its two lifecycle settings: the sandbox's Elasticsearch has no ILM and would
# refuse to make an index with them.
GUIDE_TEMPLATE: dict[str, Any] = {
    "settings": {"number_of_shards": 3, "number_of_replicas": 1},
    "mappings": {
        "properties": {
            "timestamp": {"type": "date"},
            "level": {"type": "keyword"},
            "service": {"type": "keyword"},
            "component": {"type": "keyword"},
            "trace_id": {"type": "keyword"},
            "message": {"type": "text"},
            "context": {"type": "object"},
        }
    },
}
_QUIET_LOOK_SECONDS = 0.5
_QUIET_TIMEOUT_SECONDS = 15.0
_REQUEST_SECONDS = 120


class TemplateRound(NamedTuple):
    """Each template once; Elasticsearch's CPU microseconds per document, and the worker's pace with ours."""

    guide: float
    ours: float
    ours_documents_per_second: float


class Templates(NamedTuple):
    """All rounds, and the number of documents of each."""

    events: int
    rounds: list[TemplateRound]

    @property
    def ours_us_per_document(self) -> float:
        """Give the median of our template."""
        return median(turn.ours for turn in self.rounds)

    @property
    def guide_us_per_document(self) -> float:
        """Give the median of the guide's template."""
        return median(turn.guide for turn in self.rounds)

    @property
    def real_documents_per_second(self) -> float:
        """Give what one worker and this Elasticsearch do on this machine, connecting included."""
        return median(turn.ours_documents_per_second for turn in self.rounds)

    @property
    def ours_to_guide(self) -> list[float]:
        """Give the ratio of each round."""
        return [turn.ours / turn.guide for turn in self.rounds]


def measure_templates(servers: Servers, events: int, rounds: int, report: Callable[[str], None]) -> Templates:
    """Index the same events under each template in turns, after one turn that only warms the server up."""
    topic = f"bench.templates.{uuid.uuid4().hex[:8]}"
    report(f"producing {events:,} events")
    asyncio.run(produce(servers.kafka_bootstrap, topic, sample_day(events)))
    comparison = _Comparison(servers, topic, events)
    with Elasticsearch(servers.elasticsearch_url, request_timeout=_REQUEST_SECONDS) as client:
        client.indices.put_index_template(
            name=_GUIDE, index_patterns=[f"{_GUIDE}-*"], template=GUIDE_TEMPLATE
        )
        install_our_template(comparison.task(_OURS).settings())
        report("warming Elasticsearch up")
        done = []
        for number in range(rounds + 1):
            guide, _ = comparison.run(client, _GUIDE)
            ours, pace = comparison.run(client, _OURS)
            if number:
                done.append(TemplateRound(guide, ours, pace))
                report(
                    f"round {number} of {rounds}: Elasticsearch CPU per document: guide's template "
                    f"{guide:.1f} µs, ours {ours:.1f} µs, ours/guide {ours / guide:.2f}; "
                    f"{pace:,.0f} documents/s"
                )
    return Templates(events, done)


class _Comparison:
    """One topic that is indexed again and again."""

    def __init__(self, servers: Servers, topic: str, events: int) -> None:
        self._servers = servers
        self._topic = topic
        self._events = events
        self._cpu = ServerCpu(servers.elasticsearch.pid)

    def task(self, prefix: str) -> Task:
        """Give the worker's task: the whole topic, as a new group, into indices of this prefix."""
        return Task(
            contender="ours",
            bootstrap=self._servers.kafka_bootstrap,
            topic=self._topic,
            group=f"{self._topic}.{uuid.uuid4().hex[:8]}",
            events=self._events,
            elasticsearch_url=self._servers.elasticsearch_url,
            index_prefix=prefix,
        )

    def run(self, client: Elasticsearch, prefix: str) -> tuple[float, float]:
        """Index all into a new index; give the server's CPU µs per document, and documents per second.

        The time counts until all documents can be searched.
        """
        self._cpu.wait_until_quiet(_QUIET_LOOK_SECONDS, _QUIET_TIMEOUT_SECONDS)
        before = self._cpu.seconds()
        usage = run_contender(self.task(prefix))
        client.indices.refresh(index=f"{prefix}-*")
        taken = self._cpu.seconds() - before
        found = client.count(index=f"{prefix}-*")["count"]
        if found != self._events:
            raise RuntimeError(f"{prefix}-* holds {found} documents instead of {self._events}")
        delete_indices(client, prefix)
        return taken / self._events * 1e6, self._events / usage.wall_seconds


def install_our_template(settings: Settings) -> None:
    """Do the part of `logpipe setup` that concerns Elasticsearch; the sandbox's has no ILM."""
    asyncio.run(run_setup(settings, without_ilm=True, with_topics=False, report=lambda _: None))


def delete_indices(client: Elasticsearch, prefix: str) -> None:
    """Delete the daily indices of a prefix, by name: the server refuses to delete by pattern."""
    for name in client.indices.get(index=f"{prefix}-*"):
        client.indices.delete(index=name)
