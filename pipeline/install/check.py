"""`logpipe check`: try the servers the way the pipeline will use them."""

import ssl
from http import HTTPStatus
from typing import NamedTuple

import certifi
from aiohttp import ClientError, ClientSession, ClientTimeout
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from elasticsearch import ApiError, AsyncElasticsearch, TransportError

from pipeline.bulk.client import credentials_hint, make_client, reason_of
from pipeline.encode.run_filters import targets_of
from pipeline.kafka.client import admin_client
from pipeline.kafka.groups import describe_group, explain_conflict
from pipeline.kafka.trace_events import trace_events_topic
from pipeline.settings import Otlp, Settings

__all__ = ["Finding", "check_servers", "remarks"]

_COLLECTOR_SECONDS = 5


class Finding(NamedTuple):
    """One thing that was looked at. `good` is None for a remark."""

    subject: str
    good: bool | None
    detail: str


async def check_servers(settings: Settings) -> list[Finding]:
    """Look at each server that the settings name; one that is away is a finding, not an exception."""
    return [
        *await _check_kafka(settings),
        *await _check_elasticsearch(settings),
        *await _check_trace_collector(settings.otlp),
        *remarks(settings),
    ]


async def _check_kafka(settings: Settings) -> list[Finding]:
    kafka = settings.kafka
    where = ", ".join(kafka.bootstrap_servers)
    try:
        async with admin_client(kafka, "check") as admin:
            known = set(await admin.list_topics())
            group = await _check_group(admin, kafka.group_id)
    except (KafkaError, OSError) as error:
        return [Finding("kafka", False, f"no answer from {where} (kafka.bootstrap_servers): {error}")]
    findings = [Finding("kafka", True, f"answers at {where}"), group]
    if kafka.topic_pattern is not None:
        return [*findings, Finding("topics", None, f"read by pattern {kafka.topic_pattern}")]
    for topic in [*kafka.topics, *([trace_events_topic(settings)] if settings.traces.enabled else [])]:
        if topic in known:
            findings.append(Finding(f"topic {topic}", True, "exists"))
        else:
            findings.append(Finding(f"topic {topic}", False, "does not exist; `logpipe setup` creates it"))
    return findings


async def _check_group(admin: AIOKafkaAdminClient, group_id: str) -> Finding:
    subject = f"consumer group {group_id}"
    try:
        group = await describe_group(admin, group_id)
    except KafkaError as error:
        hint = "`logpipe setup --print-roles` shows the ACLs that are needed"
        return Finding(subject, None, f"cannot be looked at: {error}; {hint}")
    if conflict := explain_conflict(group_id, group):
        return Finding(subject, False, conflict)
    number = len(group.members)
    return Finding(subject, True, f"has {number} {'member' if number == 1 else 'members'} now")


async def _check_elasticsearch(settings: Settings) -> list[Finding]:
    where = ", ".join(settings.elasticsearch.hosts)
    async with make_client(settings.elasticsearch) as client:
        try:
            health = await client.cluster.health()
        except ApiError as error:
            status = error.meta.status
            hint = ""
            if status == HTTPStatus.UNAUTHORIZED:
                hint = f"; {credentials_hint(settings.elasticsearch)}"
            detail = f"{where} answers HTTP {status}: {reason_of(error)}{hint}"
            return [Finding("elasticsearch", False, detail)]
        except TransportError as error:
            return [
                Finding(
                    "elasticsearch", False, f"no answer from {where} (elasticsearch.hosts): {error.message}"
                ),
            ]
        color = str(health["status"])
        return [
            Finding("elasticsearch", color != "red", f"answers at {where}, cluster is {color}"),
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


async def _check_trace_collector(otlp: Otlp) -> list[Finding]:
    """Send the collector no spans, as a request that it takes all the same."""
    if not otlp.enabled:
        return []
    subject, where = "trace collector", f"{otlp.endpoint} (otlp.endpoint)"
    headers = {"content-type": "application/x-protobuf", **otlp.header_fields}
    # As the exporter does, which trusts these and not the system's.
    trusted = ssl.create_default_context(cafile=otlp.ca_certs or certifi.where())
    try:
        async with (
            ClientSession(timeout=ClientTimeout(total=_COLLECTOR_SECONDS)) as session,
            session.post(f"{otlp.endpoint}/v1/traces", headers=headers, ssl=trusted) as response,
        ):
            status = response.status
    except (ClientError, TimeoutError) as error:
        return [Finding(subject, False, f"no answer from {where}: {str(error) or type(error).__name__}")]
    if status != HTTPStatus.OK:
        return [Finding(subject, False, f"{where} answers HTTP {status}")]
    return [Finding(subject, True, f"answers at {otlp.endpoint}")]


def remarks(settings: Settings) -> list[Finding]:
    """Say what is worth knowing of the settings, without asking a server; raises LogstashError."""
    return [*_remarks_on_outputs(settings), *_remarks_on_ilm(settings)]


def _remarks_on_outputs(settings: Settings) -> list[Finding]:
    """Say what a configuration's own indices and ids are without; raises LogstashError for one that cannot be run."""
    targets = targets_of(settings)
    if targets is None:
        return []
    findings = []
    if targets.patterns:
        patterns = ", ".join(targets.patterns)
        findings.append(
            Finding(
                f"indices {patterns}",
                None,
                "written to by the outputs of filters.file; `logpipe setup` installs no template and no lifecycle for "
                "them: without templates of your own Elasticsearch guesses the types of fields",
            )
        )
    if targets.operations:
        operations = ", ".join(sorted(targets.operations))
        findings.append(
            Finding(
                f"document_id ({operations})",
                None,
                "documents have ids of their own: two records with one id are one document, and the audit proves "
                "nothing of them",
            )
        )
    return findings


def _remarks_on_ilm(settings: Settings) -> list[Finding]:
    if settings.index.roll == "ilm":
        return [
            Finding(
                "index.roll = ilm",
                None,
                "a record read again after a rollover is indexed a second time; `day` has no such gap",
            )
        ]
    return []
