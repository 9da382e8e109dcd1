"""The synthetic check: one event in at Kafka, looked for in Elasticsearch until it is found."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import ClientError, ClientSession, ClientTimeout
from aiokafka import AIOKafkaProducer
from elasticsearch import ApiError, AsyncElasticsearch, NotFoundError, TransportError

from pipeline.bulk.client import make_client, reason_of, server_errors
from pipeline.encode.run_filters import filtering_of
from pipeline.errors import ProbeFailed, SettingsError
from pipeline.events.document import Coordinates, Document, DocumentBuilder
from pipeline.events.ids import DocumentIds
from pipeline.events.indices import log_index_patterns
from pipeline.events.timestamps import from_epoch_ms
from pipeline.kafka.client import connection_options, kafka_errors, start_client
from pipeline.kafka.cluster_client import topic_id_of
from pipeline.settings import Settings

__all__ = ["SERVICE", "ProbeResult", "probe"]

SERVICE = "synthetic-monitor"
"""What the field `service` of a synthetic event is, so that searches and metrics can leave it out."""

_COMPONENT = "logpipe_probe"
_MESSAGE = "Synthetic check of the log pipeline"
_COMPARED = ("@timestamp", "level", "service", "component", "trace_id", "message", "kafka")
_POLL_SECONDS = 0.1
_STOP_SECONDS = 2.0
_ANSWER_SECONDS = 10.0
_REFUSALS = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Where the event was found, and after how long."""

    index: str
    id: str
    trace_id: str
    kafka_seconds: float
    """From the start to Kafka's acknowledgement."""
    latency_seconds: float
    """From Kafka's acknowledgement to the answer that held the document."""


async def probe(settings: Settings, *, timeout_seconds: float, url: str | None = None) -> ProbeResult:
    """Send one event to the first topic and wait until its document can be read.

    The document is asked for by its id, which follows from the record's coordinates, so that the index's refresh
    need not be waited for; where ILM rolls the indices it is searched for. `url` is the base URL of the pipeline,
    which then has to be ready first.

    Raises ProbeFailed when the pipeline is not ready, or the event does not arrive in time or as it was sent;
    SettingsError, ServerUnavailable and ServerRefused as the clients do.
    """
    if not settings.kafka.topics:
        raise SettingsError(
            "kafka.topics is empty: name the topic of the synthetic event, as in LOGPIPE_KAFKA__TOPICS=logs"
        )
    async with make_client(settings.elasticsearch) as client:
        if url is not None:
            await _check_ready(url)
        started = time.monotonic()
        trace_id = secrets.token_hex(16)
        value = _event(trace_id)
        record = await _send(settings, value, trace_id, timeout_seconds)
        sent = time.monotonic()
        expected = _expected(settings, value, record)
        found = await _find(client, settings, expected, started + timeout_seconds)
        latency = time.monotonic() - sent
    _compare(expected, found)
    return ProbeResult(expected.index_name, expected.id, trace_id, sent - started, latency)


def _expected(settings: Settings, value: bytes, record: Coordinates) -> Document:
    """Make the document as a worker does; raises ProbeFailed where its filters make none, or several."""
    builder = DocumentBuilder(settings.events, settings.index, settings.inputs)
    make = (filtering_of(settings, builder) or builder).documents
    documents = make(value, record, time.time_ns() // 1_000_000)
    if len(documents) != 1 or documents[0].refused is not None:
        raise ProbeFailed(
            f"the filters make {len(documents)} documents of the synthetic event (component {_COMPONENT}), so that "
            "nothing can be waited for: let it pass"
        )
    return documents[0]


def _event(trace_id: str) -> bytes:
    """Write a line in the guide's format."""
    return orjson.dumps(
        {
            "timestamp": from_epoch_ms(time.time_ns() // 1_000_000).text,
            "level": "INFO",
            "service": SERVICE,
            "component": _COMPONENT,
            "trace_id": trace_id,
            "span_id": secrets.token_hex(8),
            "user_id": None,
            "integration_id": None,
            "message": _MESSAGE,
            "context": {},
        }
    )


async def _check_ready(url: str) -> None:
    address = f"{url.rstrip('/')}/health/ready"
    try:
        async with (
            ClientSession(timeout=ClientTimeout(total=_ANSWER_SECONDS)) as session,
            session.get(address) as response,
        ):
            if response.status != HTTPStatus.OK:
                text = await response.text(errors="replace")
                raise ProbeFailed(f"{address} answers HTTP {response.status}: {text[:200]}")
    except ValueError as error:  # aiohttp.InvalidURL is one
        raise SettingsError(f"--url = {url!r}: not a URL such as http://127.0.0.1:9600") from error
    except (ClientError, TimeoutError, OSError) as error:
        raise ProbeFailed(f"no answer from {address}: {error or type(error).__name__}") from error


async def _send(settings: Settings, value: bytes, trace_id: str, timeout_seconds: float) -> Coordinates:
    """Write the record; return where Kafka keeps it."""
    topic = settings.kafka.topics[0]
    try:
        async with asyncio.timeout(timeout_seconds):
            with kafka_errors(settings.kafka):
                async with _producer(settings, timeout_seconds) as producer:
                    metadata = await producer.send_and_wait(
                        topic, value, key=trace_id.encode(), timestamp_ms=time.time_ns() // 1_000_000
                    )
                    topic_id = topic_id_of(producer, topic)
    except TimeoutError as error:
        servers = ", ".join(settings.kafka.bootstrap_servers)
        raise ProbeFailed(
            f"Kafka at {servers} (kafka.bootstrap_servers) has not taken the event for the topic {topic} within "
            f"{timeout_seconds:g} s; does the topic exist (`logpipe setup` creates it)?"
        ) from error
    key = DocumentIds(settings.index).topic_key(topic_id, metadata.timestamp)
    return Coordinates(topic, metadata.partition, metadata.offset, metadata.timestamp, key)


@asynccontextmanager
async def _producer(settings: Settings, timeout_seconds: float) -> AsyncIterator[AIOKafkaProducer]:
    """Start a producer; it is stopped in bounded time, whatever the broker does."""
    producer = AIOKafkaProducer(
        **connection_options(settings.kafka, "probe"),
        acks="all",
        request_timeout_ms=max(1000, round(timeout_seconds * 1000)),
    )
    try:
        await start_client(producer, settings.kafka)
        yield producer
    finally:
        with suppress(TimeoutError):
            await asyncio.wait_for(producer.stop(), _STOP_SECONDS)


async def _find(
    client: AsyncElasticsearch, settings: Settings, wanted: Document, deadline: float
) -> dict[str, Any]:
    """Ask for the document until it is there.

    Raises ProbeFailed at the deadline, ServerRefused when Elasticsearch does not let this client read.
    """
    problem = "there was no time left to ask"
    while (left := deadline - time.monotonic()) > 0:
        asking = client.options(request_timeout=min(max(left, 1.0), _ANSWER_SECONDS))
        try:
            found = await _read(asking, settings, wanted)
            if found is not None:
                return found
            problem = "it is not there"
        except NotFoundError:
            problem = f"there is no such document, or not even an index {wanted.index_name}"
        except ApiError as error:
            if error.meta.status in _REFUSALS:
                with server_errors(settings.elasticsearch, "read the document"):
                    raise
            problem = f"Elasticsearch answers HTTP {error.meta.status}: {reason_of(error)}"
        except TransportError as error:
            problem = f"no answer from {', '.join(settings.elasticsearch.hosts)}: {error.message}"
        await asyncio.sleep(min(_POLL_SECONDS, left))
    raise ProbeFailed(
        f"the event is in Kafka, but not found in Elasticsearch as {wanted.index_name}/{wanted.id}: {problem}; "
        "is the pipeline running, is it behind, are there dead letters (`logpipe dlq list`)?"
    )


async def _read(client: AsyncElasticsearch, settings: Settings, wanted: Document) -> dict[str, Any] | None:
    """Get the document; where ILM rolls the indices, it can only be searched for, in all of them."""
    if settings.index.roll == "ilm":
        indices = log_index_patterns(settings.index.prefix)
        answer = await client.search(index=indices, query={"ids": {"values": [wanted.id]}}, size=1)
        return next((hit["_source"] for hit in answer["hits"]["hits"]), None)
    routing = wanted.routing or None
    return dict((await client.get(index=wanted.index_name, id=wanted.id, routing=routing))["_source"])


def _compare(expected: Document, found: dict[str, Any]) -> None:
    wanted = orjson.loads(expected.source)
    wrong = [name for name in _COMPARED if found.get(name) != wanted.get(name)]
    if wrong:
        raise ProbeFailed(
            f"the document {expected.index_name}/{expected.id} is not what was sent: "
            + ", ".join(f"{name} is {found.get(name)!r} instead of {wanted.get(name)!r}" for name in wrong)
        )
