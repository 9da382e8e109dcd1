"""What is wrong with Kafka, with commits and with partitions, as the log tells it."""

import logging
from collections.abc import Iterator

from pipeline.kafka.cluster_client import ClusterClient
from pipeline.kafka.commits import Commits
from pipeline.kafka.damaged import DamagedPartitions
from pipeline.kafka.expired import ExpiredRecords
from pipeline.settings import Kafka
from pipeline.telemetry.troubles import COMMITS_AGAIN, KAFKA, Trouble

__all__ = ["source_troubles"]

# By then it is known whether Kafka is away altogether.
_COMMITS_GRACE_SECONDS = 30.0


def source_troubles(
    settings: Kafka,
    client: ClusterClient,
    commits: Commits,
    damaged: DamagedPartitions,
    expired: ExpiredRecords,
    now: float,
) -> Iterator[Trouble]:
    """Say what is wrong now, by the event loop's clock."""
    if client.reachable is False:
        yield Trouble(
            key=KAFKA,
            what=f"Kafka at {', '.join(settings.bootstrap_servers)} does not answer",
            over="Kafka answers again",
            why=client.problem or "connections are open, and nothing comes through them",
            means="Nothing is read or committed; what has been read is indexed nevertheless",
            next_try="Brokers and kafka.bootstrap_servers are tried all the time",
            counted=COMMITS_AGAIN,
            seconds=client.silent_seconds or 0.0,
            grace_seconds=0,
            level=logging.ERROR,
        )
    if commits.problem is not None:
        yield Trouble(
            key="commits",
            what="Kafka does not take commits",
            over="commits are taken again",
            why=commits.problem,
            means="Each later one includes them; what is not committed would be read again by a new worker",
            next_try="They are tried every second",
            counted=COMMITS_AGAIN,
            grace_seconds=_COMMITS_GRACE_SECONDS,
            part_of=KAFKA,
        )
    yield from damaged.troubles(now)
    yield from expired.troubles()
