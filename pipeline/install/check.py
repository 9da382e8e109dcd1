"""`logpipe check`: try the servers the way the pipeline will use them."""

import ssl
from http import HTTPStatus
from typing import Literal, NamedTuple

import certifi
from aiohttp import ClientError, ClientSession, ClientTimeout
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError
from elastic_transport import TlsError
from elasticsearch import ApiError, AsyncElasticsearch, TransportError

from pipeline.bulk.client import PASSING, credentials_hint, make_client, reason_of
from pipeline.encode.run_filters import targets_of
from pipeline.events.indices import log_index_patterns
from pipeline.install.server_version import server_version
from pipeline.kafka.client import CREDENTIALS_HINT, NOT_KNOWN, admin_client
from pipeline.kafka.groups import describe_group, explain_conflict
from pipeline.kafka.trace_events import trace_events_topic
from pipeline.settings import Otlp, Settings

__all__ = ["Finding", "check_servers", "remarks"]

_COLLECTOR_SECONDS = 5
_SHOWN_INDICES = 3


class Finding(NamedTuple):
    """One thing that was looked at. `good` is None for a remark."""

    subject: str
    good: bool | None
    detail: str
    run: Literal["refuses", "waits", "starts"] = "refuses"
    """What `logpipe run` does when it is not good: what passes by itself keeps no worker from working."""


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
    except NOT_KNOWN as error:
        detail = f"{where} (kafka.bootstrap_servers) does not know us: {error}; {CREDENTIALS_HINT}"
        return [Finding("kafka", False, detail)]
    except (KafkaError, OSError) as error:
        detail = f"no answer from {where} (kafka.bootstrap_servers): {error}"
        passes = isinstance(error, OSError | KafkaConnectionError) or error.retriable
        return [Finding("kafka", False, detail, "waits" if passes else "refuses")]
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
            found = await server_version(client)
            if found.supported is False:
                return [Finding("elasticsearch", False, f"{where}: {found.detail}")]
            health = await client.cluster.health()
            version = Finding("elasticsearch version", found.supported, found.detail)
            return [
                await _check_color(client, settings.index.prefix, where, str(health["status"])),
                version,
                await _check_template(client, settings.index.prefix),
            ]
        except ApiError as error:
            status = error.meta.status
            hint = ""
            if status == HTTPStatus.UNAUTHORIZED:
                hint = f"; {credentials_hint(settings.elasticsearch)}"
            detail = f"{where} answers HTTP {status}: {reason_of(error)}{hint}"
            return [Finding("elasticsearch", False, detail, "waits" if status in PASSING else "refuses")]
        except TransportError as error:
            detail = f"no answer from {where} (elasticsearch.hosts): {error.message}"
            # That what answers has the wrong certificate does not pass.
            return [
                Finding("elasticsearch", False, detail, "refuses" if isinstance(error, TlsError) else "waits")
            ]


async def _check_color(client: AsyncElasticsearch, prefix: str, where: str, color: str) -> Finding:
    """Tell of the cluster, and of a red one whose indices make it so: a worker cares for its own alone."""
    subject, detail = "elasticsearch", f"answers at {where}, cluster is {color}"
    if color != "red":
        return Finding(subject, True, detail)
    health = await client.cluster.health(
        index=[*log_index_patterns(prefix), f"{prefix}.*"], level="indices", timeout="1s"
    )
    red = sorted(name for name, index in health.get("indices", {}).items() if index["status"] == "red")
    if not red:
        return Finding(subject, None, f"{detail}, by indices that are not this pipeline's")
    shown = ", ".join(red[:_SHOWN_INDICES])
    more = f" and {len(red) - _SHOWN_INDICES} more" if len(red) > _SHOWN_INDICES else ""
    return Finding(
        subject, False, f"{detail}: {shown}{more}; GET _cluster/allocation/explain says why", "starts"
    )


async def _check_template(client: AsyncElasticsearch, name: str) -> Finding:
    subject = f"index template {name}"
    if await client.indices.exists_index_template(name=name):
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
        # Spans are worth less than logs: without a collector they are dropped, and the rest goes on.
        detail = f"no answer from {where}: {str(error) or type(error).__name__}"
        return [Finding(subject, False, detail, "starts")]
    if status != HTTPStatus.OK:
        return [Finding(subject, False, f"{where} answers HTTP {status}", "starts")]
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
