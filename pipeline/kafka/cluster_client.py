"""What aiokafka knows of the cluster: kept with topic ids, asked for in measure, found again at another address.

Every consumer and producer of aiokafka has a client that keeps the metadata fresh. This one

- asks for the topics' ids (KIP-516), in the same request;
- never lets a broker create a topic because it was asked about;
- asks again at once no more often than every 0.1 s: aiokafka asks without a pause for as long as the leader of a
  partition is not known, which is for good when its topic has been deleted;
- connects to the bootstrap servers again when no known broker answers: names may have new addresses;
- notes when a broker has answered last: a connection that is open says nothing of one that has stopped.

Importing this module makes aiokafka use it. Brokers before 2.8 know no ids: there a topic is known by its name.
"""

import asyncio
import base64
import logging
import random
from collections.abc import Collection
from typing import Any, cast

from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.cluster import ClusterMetadata
from aiokafka.conn import create_conn
from aiokafka.consumer import consumer
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, UnknownTopicOrPartitionError
from aiokafka.producer import producer

from pipeline.kafka import client_log  # noqa: F401 - set up by its import
from pipeline.kafka.protocol import MetadataWithIds, without_ids

__all__ = ["ClusterClient", "topic_id_of"]

log = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.1
# A fetch is answered within half a second, a heartbeat at once, and the lag is asked for every five seconds.
_SILENT_AFTER_SECONDS = 8.0
_BOOTSTRAP = ("bootstrap", ConnectionGroup.DEFAULT)


class ClusterClient(AIOKafkaClient):  # type: ignore[misc]  # aiokafka has no types
    """The client that the consumers and producers of this process use."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.topic_ids: dict[str, str] = {}
        """The ids of the topics that have been seen, as `kafka-topics.sh --describe` shows them."""
        self.recreated: set[str] = set()
        """Topics that have got another id; whoever deals with them takes them out."""
        self.missing: frozenset[str] = frozenset()
        """Topics that were asked for and do not exist."""
        self._heard_at: float | None = None
        self._refused = False
        self.problem = ""
        """Why the last one that was asked has not answered; empty once one has."""
        self._may_ask_at = 0.0

    @property
    def silent_seconds(self) -> float | None:
        """How long ago a broker has answered last, to a fetch, a heartbeat or any question; None before the first."""
        return None if self._heard_at is None else self._loop.time() - self._heard_at

    @property
    def reachable(self) -> bool | None:
        """Whether a broker has answered lately; None before any was asked."""
        if self._refused:
            return False
        silent = self.silent_seconds
        return None if silent is None else silent < _SILENT_AFTER_SECONDS

    async def send(self, node_id: int, request: Any, *, group: Any = ConnectionGroup.DEFAULT) -> Any:
        """Send a request to a broker and give its answer, as aiokafka's own does; raises KafkaError."""
        answer = await super().send(node_id, request, group=group)
        self._heard()
        return answer

    def _heard(self) -> None:
        self._heard_at = self._loop.time()
        self._refused = False
        self.problem = ""

    async def _metadata_update(self, cluster_metadata: ClusterMetadata, topics: Collection[str]) -> bool:
        await asyncio.sleep(self._may_ask_at - self._loop.time())
        answered = await self._ask(cluster_metadata, MetadataWithIds(list(topics) if topics else None))
        self._may_ask_at = self._loop.time() + _PAUSE_SECONDS
        if answered:
            self._heard()
        else:
            # Each was tried: what they have answered before counts no more.
            self._refused = True
        return answered

    async def _ask(self, cluster_metadata: ClusterMetadata, request: MetadataWithIds) -> bool:
        nodes = [broker.nodeId for broker in self.cluster.brokers()]
        if _BOOTSTRAP in self._conns:
            nodes.append("bootstrap")
        random.shuffle(nodes)
        for node in nodes:
            connection = await self._get_conn(node)
            if connection is not None and await self._answered(connection, cluster_metadata, request):
                return True
        log.debug("none of the brokers %s answers, trying kafka.bootstrap_servers", nodes)
        for host, port, _ in self.hosts:
            try:
                connection = await self._connect(host, port)
            except (OSError, KafkaError, TimeoutError) as error:
                self._note(f"no answer from {host}:{port}: {error}")
                continue
            try:
                if await self._answered(connection, cluster_metadata, request):
                    log.debug("found Kafka again by %s:%d (kafka.bootstrap_servers)", host, port)
                    return True
            finally:
                connection.close()
        cluster_metadata.failed_update(None)
        return False

    async def _answered(
        self, connection: Any, cluster_metadata: ClusterMetadata, request: MetadataWithIds
    ) -> bool:
        """Ask one broker, and note what it says."""
        try:
            answer = await connection.send(request)
        except (NotImplementedError, IncompatibleBrokerVersion):
            # A broker from before the ids, which are the reason not to leave all this to aiokafka.
            return bool(await super()._metadata_update(cluster_metadata, self._topics))
        except (KafkaError, TimeoutError) as error:
            self._note(f"no answer from {connection.host}:{connection.port}: {error!r}")
            return False
        if not answer.brokers:
            return False
        self._learn(answer)
        # aiokafka would tell of each of them at every refresh.
        cluster_metadata.update_metadata(without_ids(answer, leave_out=self.missing))
        if _BOOTSTRAP in self._conns and self.cluster.brokers():
            self._conns.pop(_BOOTSTRAP).close()
        return True

    def _note(self, problem: str) -> None:
        self.problem = problem
        log.debug("%s", problem)

    def _learn(self, answer: Any) -> None:
        missing = set()
        for error, topic, identity, *_ in answer.topics:
            if error == UnknownTopicOrPartitionError.errno:
                missing.add(topic)
            elif not error and any(identity):
                text = base64.urlsafe_b64encode(identity).rstrip(b"=").decode()
                before = self.topic_ids.get(topic)
                if before is not None and before != text:
                    self.recreated.add(topic)
                self.topic_ids[topic] = text
        self.missing = frozenset(missing)

    async def _connect(self, host: str, port: int) -> Any:
        return await create_conn(
            host,
            port,
            client_id=self._client_id,
            request_timeout_ms=self._request_timeout_ms,
            ssl_context=self._ssl_context,
            security_protocol=self._security_protocol,
            max_idle_ms=self._connections_max_idle_ms,
            sasl_mechanism=self._sasl_mechanism,
            sasl_plain_username=self._sasl_plain_username,
            sasl_plain_password=self._sasl_plain_password,
            sasl_kerberos_service_name=self._sasl_kerberos_service_name,
            sasl_kerberos_domain_name=self._sasl_kerberos_domain_name,
            sasl_oauth_token_provider=self._sasl_oauth_token_provider,
        )


def topic_id_of(sender: producer.AIOKafkaProducer, topic: str) -> str | None:
    """Give the id of a topic that a producer has written to; None where the broker gives none."""
    return cast("ClusterClient", sender.client).topic_ids.get(topic)


consumer.AIOKafkaClient = ClusterClient
producer.AIOKafkaClient = ClusterClient
