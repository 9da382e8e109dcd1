"""`logpipe check`: try the servers the way the pipeline will use them."""

from typing import NamedTuple

from aiokafka.errors import KafkaError
from elasticsearch import ApiError, AsyncElasticsearch, TransportError

from pipeline.elasticsearch_client import make_client
from pipeline.kafka_client import admin_client
from pipeline.outcomes import innermost_cause
from pipeline.settings import Settings

__all__ = ["Finding", "check_servers"]


class Finding(NamedTuple):
    """One thing that was looked at. `good` is None for a remark."""

    subject: str
    good: bool | None
    detail: str


async def check_servers(settings: Settings) -> list[Finding]:
    """Look at Kafka and Elasticsearch; a server that is away is a finding, not an exception."""
    return [*await _check_kafka(settings), *await _check_elasticsearch(settings), *_remarks(settings)]


async def _check_kafka(settings: Settings) -> list[Finding]:
    kafka = settings.kafka
    where = ", ".join(kafka.bootstrap_servers)
    try:
        async with admin_client(kafka, "check") as admin:
            known = set(await admin.list_topics())
    except (KafkaError, OSError) as error:
        return [Finding("kafka", False, f"no answer from {where} (kafka.bootstrap_servers): {error}")]
    findings = [Finding("kafka", True, f"answers at {where}")]
    if kafka.topic_pattern is not None:
        return [*findings, Finding("topics", None, f"read by pattern {kafka.topic_pattern}")]
    for topic in kafka.topics:
        if topic in known:
            findings.append(Finding(f"topic {topic}", True, "exists"))
        else:
            findings.append(Finding(f"topic {topic}", False, "does not exist; `logpipe setup` creates it"))
    return findings


async def _check_elasticsearch(settings: Settings) -> list[Finding]:
    where = ", ".join(settings.elasticsearch.hosts)
    async with make_client(settings.elasticsearch) as client:
        try:
            health = await client.cluster.health()
        except ApiError as error:
            return [
                Finding(
                    "elasticsearch", False, f"{where} answers HTTP {error.meta.status}: {_reason(error)}"
                ),
            ]
        except TransportError as error:
            return [
                Finding(
                    "elasticsearch", False, f"no answer from {where} (elasticsearch.hosts): {error.message}"
                ),
            ]
        status = str(health["status"])
        return [
            Finding("elasticsearch", status != "red", f"answers at {where}, cluster is {status}"),
            await _check_template(client, settings.index.prefix),
        ]


async def _check_template(client: AsyncElasticsearch, name: str) -> Finding:
    subject = f"index template {name}"
    try:
        exists = await client.indices.exists_index_template(name=name)
    except (ApiError, TransportError) as error:
        return Finding(subject, False, str(error))
    if exists:
        return Finding(subject, True, "is installed")
    return Finding(subject, False, "is missing; `logpipe setup` installs it")


def _remarks(settings: Settings) -> list[Finding]:
    if settings.index.roll == "ilm":
        return [
            Finding(
                "index.roll = ilm",
                None,
                "a record read again after a rollover is indexed a second time; `day` has no such gap",
            )
        ]
    return []


def _reason(error: ApiError) -> str:
    body = error.body
    return innermost_cause(body.get("error", body) if isinstance(body, dict) else body)
