"""One way of connecting to Kafka, for every consumer, producer and admin client."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    NotCoordinatorForGroupError,
    SaslAuthenticationFailed,
    UnknownTopicOrPartitionError,
    UnsupportedSaslMechanismError,
    for_code,
)
from aiokafka.structs import OffsetAndMetadata

from pipeline.errors import ServerRefused, ServerUnavailable, SettingsError, TopicMissing
from pipeline.settings import Kafka

__all__ = [
    "CREDENTIALS_HINT",
    "NOT_KNOWN",
    "admin_client",
    "connection_options",
    "group_offsets",
    "kafka_errors",
    "partitions_of_topics",
    "start_client",
]

log = logging.getLogger(__name__)

NOT_KNOWN = (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    IllegalSaslStateError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
"""What a broker answers to whom it does not know: that does not pass by itself."""
CREDENTIALS_HINT = "are kafka.sasl_mechanism, kafka.sasl_username and kafka.sasl_password right?"
_COORDINATOR_TRIES = 50
_COORDINATOR_SECONDS = 0.2
_NAMING_SECONDS = 0.2


class _Client(Protocol):
    """What the consumer, the producer and the admin client of aiokafka have in common."""

    async def start(self) -> None:
        """Connect."""


def connection_options(kafka: Kafka, purpose: str = "") -> dict[str, Any]:
    """Give what each client of aiokafka needs to connect: brokers, name, TLS and authentication.

    `purpose` is added to the client's name, so that the broker's logs tell the clients of one process apart.

    Raises SettingsError when a certificate or key cannot be read. The password is in the result as text: it is
    for the client only, never for a message.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": list(kafka.bootstrap_servers),
        "client_id": f"{kafka.client_id}-{purpose}" if purpose else kafka.client_id,
        "security_protocol": kafka.security_protocol,
        "ssl_context": _ssl_context(kafka) if kafka.uses_tls else None,
    }
    if kafka.sasl_mechanism is not None and kafka.sasl_password is not None:
        options["sasl_mechanism"] = kafka.sasl_mechanism
        options["sasl_plain_username"] = kafka.sasl_username
        options["sasl_plain_password"] = kafka.sasl_password.get_secret_value()
    return options


@asynccontextmanager
async def admin_client(kafka: Kafka, purpose: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """Connect for asking about topics and groups, while the context lasts.

    Raises SettingsError as `connection_options` does, KafkaError and OSError as the client does.
    """
    admin = AIOKafkaAdminClient(**connection_options(kafka, purpose))
    try:
        await start_client(admin, kafka)
        yield admin
    finally:
        await admin.close()


async def start_client(client: _Client, kafka: Kafka) -> None:
    """Start a client, once a broker has answered within `kafka.connect_timeout_seconds`.

    The clients have one time-out for all their requests, 40 s: right for a fetch or the creation of a topic, too
    long for whoever has mistyped a port. So a connection of its own, with a time-out of its own, goes ahead.

    The client connects to the broker that has answered: else it would wait those 40 s for each that does not.

    Raises KafkaConnectionError when no broker answers, one of NOT_KNOWN when one does not know the user, else what the
    client's own `start` does.
    """
    answers = await _first_that_answers(kafka)
    # The consumer and the admin client have it under the one name, the producer under the other.
    connecting = getattr(client, "_client", None) or getattr(client, "client", None)
    if not isinstance(connecting, AIOKafkaClient):
        await client.start()
        return
    # aiokafka has no other way to it, and goes through them in an order of its own. All are tried again later on.
    every, connecting._bootstrap_servers = connecting._bootstrap_servers, [answers]  # noqa: SLF001
    try:
        await client.start()
    finally:
        connecting._bootstrap_servers = every  # noqa: SLF001


async def _first_that_answers(kafka: Kafka) -> str:
    seconds = kafka.connect_timeout_seconds
    # They are asked one after the other: one that is silent must leave time for the next.
    each = seconds / len(kafka.bootstrap_servers)
    refused: list[str] = []
    silent: BaseException | None = None
    unknown: KafkaError | None = None
    for server in kafka.bootstrap_servers:
        try:
            await _ask(kafka, server, each)
        except TimeoutError as error:
            silent = error
        except (
            NOT_KNOWN
        ) as error:  # the next may know the user already: a new password comes to one after the other
            unknown = error
        except KafkaConnectionError as error:
            refused.append(str(error))
        else:
            return server
    if unknown is not None:
        raise unknown
    if silent is None:
        raise KafkaConnectionError("; ".join(refused))
    raise KafkaConnectionError(
        f"no broker has answered within {seconds:g} s (kafka.connect_timeout_seconds). What listens there may "
        f"not be Kafka, or not with kafka.security_protocol = {kafka.security_protocol}"
    ) from silent


async def _ask(kafka: Kafka, server: str, seconds: float) -> None:
    """Have one broker answer, and name brokers: one that is just starting names none, which the clients cannot bear.

    Raises TimeoutError when it is silent or names none in time, one of NOT_KNOWN when it does not know the user,
    KafkaConnectionError when it refuses for another reason.
    """
    options = {**connection_options(kafka, "connect"), "bootstrap_servers": [server]}
    ahead = AIOKafkaAdminClient(**options, request_timeout_ms=max(1, int(seconds * 1000)))
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(seconds):
            await ahead.start()
            connecting: AIOKafkaClient = ahead._client  # noqa: SLF001 - the admin client does not give it
            while not connecting.cluster.brokers():
                await asyncio.sleep(_NAMING_SECONDS)
                await connecting.force_metadata_update()
    except KafkaConnectionError as error:
        if loop.time() - began >= seconds:
            raise TimeoutError from error
        if kafka.sasl_mechanism is not None:
            await _log_in(options, server, seconds)
        raise
    finally:
        await ahead.close()


async def _log_in(options: Mapping[str, Any], server: str, seconds: float) -> None:
    """Connect once more, as the clients say of nobody why they were not let in; raises one of NOT_KNOWN for that."""
    host, _, port = server.rpartition(":")
    own = {name: value for name, value in options.items() if name != "bootstrap_servers"}
    try:
        async with asyncio.timeout(seconds):
            connection = await create_conn(host.strip("[]"), int(port), **own)
    except NOT_KNOWN:
        raise
    except (KafkaError, OSError) as error:
        log.debug("no connection to %s: %r", server, error)
    else:
        connection.close()


def _ssl_context(kafka: Kafka) -> ssl.SSLContext:
    """Make a context that checks chain and host name, with TLS 1.2 at least; Python's default is all that."""
    for name in ("ca_certs", "client_cert", "client_key"):
        path: Path | None = getattr(kafka, name)
        if path is not None and not path.is_file():
            raise SettingsError(f"kafka.{name} = {str(path)!r}: there is no such file")
    try:
        context = ssl.create_default_context(cafile=kafka.ca_certs)
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(f"kafka.ca_certs = {str(kafka.ca_certs)!r}: {error}") from None
    if kafka.client_cert is not None:
        try:
            # An empty password: OpenSSL would ask for that of an encrypted key on the terminal.
            context.load_cert_chain(kafka.client_cert, kafka.client_key, password="")
        except OSError as error:
            raise SettingsError(
                f"kafka.client_cert = {str(kafka.client_cert)!r}, kafka.client_key = "
                f"{str(kafka.client_key or kafka.client_cert)!r}: no certificate with its unencrypted key: {error}"
            ) from None
    return context


@contextmanager
def kafka_errors(kafka: Kafka) -> Iterator[None]:
    """Turn the clients' exceptions into ours.

    Raises ServerUnavailable when no broker answered, or one could not for now; ServerRefused when it said no.
    """
    try:
        yield
    except KafkaError as error:
        where = f"Kafka at {', '.join(kafka.bootstrap_servers)} (kafka.bootstrap_servers)"
        reason = f"{type(error).__name__}: {error}"
        if error.retriable or isinstance(error, KafkaConnectionError):
            raise ServerUnavailable(f"{where} does not answer: {reason}") from error
        hint = "`logpipe setup --print-roles` shows the ACLs that are needed"
        if isinstance(error, NOT_KNOWN):
            hint = CREDENTIALS_HINT
        raise ServerRefused(f"{where} refused: {reason}; {hint}") from error


async def group_offsets(admin: AIOKafkaAdminClient, group_id: str) -> dict[TopicPartition, OffsetAndMetadata]:
    """Give what a group has committed; a new cluster makes the topic that it is kept in when first asked.

    Raises KafkaError when a broker does not tell.
    """
    for _ in range(_COORDINATOR_TRIES):
        try:
            offsets = await admin.list_consumer_group_offsets(group_id)
        except (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError):
            await asyncio.sleep(_COORDINATOR_SECONDS)
        else:
            return {partition: commit for partition, commit in offsets.items() if commit.offset >= 0}
    raise GroupCoordinatorNotAvailableError(f"nobody answers for the group {group_id}")


async def partitions_of_topics(admin: AIOKafkaAdminClient, names: Sequence[str]) -> list[TopicPartition]:
    """List the partitions of topics, in order.

    Raises TopicMissing when one of them does not exist, KafkaError when a broker does not tell.
    """
    partitions = []
    for description in await admin.describe_topics(list(names)):
        topic, code = description["topic"], description["error_code"]
        if code == UnknownTopicOrPartitionError.errno:
            raise TopicMissing(f"the topic {topic} does not exist; `logpipe setup` creates it")
        if code:
            raise for_code(code)(f"topic {topic}")
        partitions += [
            TopicPartition(topic, number)
            for number in sorted(each["partition"] for each in description["partitions"])
        ]
    return partitions
