"""What is around the pipeline, looked at: templates, policy, indices, shards, topics, and a sample of the logs."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from datetime import UTC, date, datetime
from typing import Any, NamedTuple, cast

import orjson
from elasticsearch import ApiError, AsyncElasticsearch, TransportError

from pipeline.audit.records import partitions_of
from pipeline.bulk.client import make_client, server_errors
from pipeline.diagnostics.day_volume import DayVolume, volume_finding
from pipeline.diagnostics.prognosis import (
    FieldCounts,
    IndexFacts,
    Stay,
    count_fields,
    days_kept,
    ends_with_day,
    field_findings,
    index_findings,
    lifecycle_plan,
    partition_finding,
    shard_finding,
)
from pipeline.diagnostics.tap import tap
from pipeline.diagnostics.verdicts import verdicts
from pipeline.diagnostics.whereabouts import find_documents
from pipeline.errors import LogpipeError
from pipeline.events.indices import log_index_patterns
from pipeline.install import run_setup
from pipeline.install.check import Finding, check_servers
from pipeline.install.elasticsearch import has_ilm
from pipeline.kafka.client import admin_client, kafka_errors
from pipeline.settings import Settings

__all__ = ["Examined", "examine"]

_HOUR_MS = 3_600_000
_SAMPLE_SECONDS = 20.0
_DEFAULT_FIELDS = 1000
_DEFAULT_SHARDS = 1000


class Examined(NamedTuple):
    """All that was found."""

    findings: list[Finding]
    plan: list[Stay]
    """Where the lifecycle has each index on the day that was asked for."""


async def examine(settings: Settings, *, now_ms: int, on: date, sample: int) -> Examined:
    """Look at everything; what cannot be looked at is a finding too.

    on -- the day for which the lifecycle is simulated
    sample -- how many documents of the last hour are held against the mapping at most
    """
    findings = await check_servers(settings)
    if any(finding.good is False and finding.subject in {"kafka", "elasticsearch"} for finding in findings):
        return Examined([*findings, Finding("doctor", None, "the rest needs both servers")], [])
    plan: list[Stay] = []
    phases: Mapping[str, str] = {}
    try:
        async with make_client(settings.elasticsearch) as client:
            with server_errors(settings.elasticsearch, "tell how it is set up"):
                policy = f"{settings.index.prefix}-policy"
                lifecycle = await has_ilm(client, policy)
                phases = await _phases(client, policy) if lifecycle else {}
                indices = await _indices(client, settings, lifecycle=lifecycle)
                findings += index_findings(indices, policy if phases else None)
                findings.append(await _shards(client, indices, phases))
                findings.append(await _volume(client, settings, now_ms))
                plan = lifecycle_plan(phases, [one.name for one in indices], on) if phases else []
        findings += await _setup(settings, lifecycle=lifecycle)
    except LogpipeError as error:
        findings.append(Finding("elasticsearch", False, str(error)))
    for look in (_topics(settings), _sample(settings, now_ms, sample)):
        try:
            findings += await look
        except LogpipeError as error:
            findings.append(Finding("records", False, str(error)))
    return Examined(findings, plan)


async def _setup(settings: Settings, *, lifecycle: bool) -> list[Finding]:
    """Hold templates, policy and topics against what this version would install."""
    lines: list[str] = []
    await run_setup(settings, dry_run=True, without_ilm=not lifecycle, report=lines.append)
    found = [
        Finding(
            "setup",
            False,
            f"{line}: `logpipe setup --dry-run` shows the difference, `logpipe setup` makes it",
        )
        for line in lines
        if line.startswith("would ") and "\n" not in line
    ]
    if not found:
        found.append(Finding("setup", True, "templates, policy and topics are those of this version"))
    found += [
        Finding("topics", None, line.removeprefix("note: "))
        for line in lines
        if line.startswith("note: topic ")
    ]
    if not lifecycle:
        found.append(
            Finding("lifecycle", None, "this server has none: no index is ever moved or deleted by itself")
        )
    return found


async def _phases(client: AsyncElasticsearch, policy: str) -> dict[str, str]:
    try:
        answer = await client.ilm.get_lifecycle(name=policy)
    except (ApiError, TransportError):
        return {}
    phases: Mapping[str, Any] = answer[policy]["policy"]["phases"]
    return {name: str(phase.get("min_age", "0ms")) for name, phase in phases.items()}


async def _indices(client: AsyncElasticsearch, settings: Settings, *, lifecycle: bool) -> list[IndexFacts]:
    patterns = list(log_index_patterns(settings.index.prefix))
    told = await client.indices.get_settings(index=patterns, flat_settings=True)
    mappings = await client.indices.get_mapping(index=patterns)
    errors: dict[str, str] = {}
    if lifecycle and told:
        answer = await client.ilm.explain_lifecycle(index=f"{settings.index.prefix}-*", only_errors=True)
        errors = {
            name: str(one.get("step_info", {}).get("reason", one.get("step")))
            for name, one in answer["indices"].items()
        }
    found = []
    for name, entry in sorted(told.items()):
        flat: Mapping[str, str] = entry["settings"]
        primaries, copies = int(flat["index.number_of_shards"]), int(flat["index.number_of_replicas"])
        found.append(
            IndexFacts(
                name,
                flat.get("index.lifecycle.name"),
                [key.removeprefix("index.blocks.") for key, value in flat.items() if _is_block(key, value)],
                primaries * (1 + copies),
                _fields(mappings.get(name, {}).get("mappings", {})),
                int(flat.get("index.mapping.total_fields.limit", _DEFAULT_FIELDS)),
                errors.get(name),
            )
        )
    return found


def _is_block(key: str, value: str) -> bool:
    return key.startswith("index.blocks.") and value == "true" and key != "index.blocks.metadata"


def _fields(mapping: Mapping[str, Any]) -> int:
    """Count fields as the limit does: objects, leaves and multi-fields."""
    return sum(
        1 + _fields(one) + len(one.get("fields", {})) for one in mapping.get("properties", {}).values()
    )


async def _shards(
    client: AsyncElasticsearch, indices: list[IndexFacts], phases: Mapping[str, str]
) -> Finding:
    health = await client.cluster.health()
    name = "cluster.max_shards_per_node"
    told = await client.cluster.get_settings(include_defaults=True, flat_settings=True)
    per_node = next(
        (
            int(told[part][name])
            for part in ("transient", "persistent", "defaults")
            if name in told.get(part, {})
        ),
        _DEFAULT_SHARDS,
    )
    return shard_finding(
        shards=int(health["active_shards"]) + int(health["unassigned_shards"]),
        nodes=int(health["number_of_data_nodes"]),
        per_node=per_node,
        own=sum(one.shards for one in indices),
        shards_a_day=max((one.shards for one in indices[-1:]), default=0),
        kept=days_kept(phases),
    )


async def _volume(client: AsyncElasticsearch, settings: Settings, now_ms: int) -> Finding:
    """Hold the shards of the days that are over against what these hold."""
    try:
        told = await client.cat.indices(
            index=list(log_index_patterns(settings.index.prefix)),
            format="json",
            bytes="b",
            h="index,pri,docs.count,pri.store.size",
        )
    except (ApiError, TransportError):
        return Finding(
            "shards a day",
            None,
            "the server does not say how large the indices are: that takes the privilege `monitor` on them",
        )
    today = f"{settings.index.prefix}-{datetime.fromtimestamp(now_ms / 1000, UTC):%Y.%m.%d}"
    return volume_finding(
        [
            DayVolume(one["index"], int(one["pri"]), int(one["docs.count"]), int(one["pri.store.size"]))
            for one in cast("list[dict[str, str]]", told.body)
            if ends_with_day(one["index"]) and one["index"] < today and one["docs.count"] is not None
        ]
    )


async def _topics(settings: Settings) -> list[Finding]:
    with kafka_errors(settings.kafka):
        async with admin_client(settings.kafka, "doctor") as admin:
            partitions = await partitions_of(settings, admin, ())
    numbers: dict[str, int] = {}
    for topic, _ in partitions:
        numbers[topic] = numbers.get(topic, 0) + 1
    return [partition_finding(topic, number, settings.run.workers) for topic, number in numbers.items()]


async def _sample(settings: Settings, now_ms: int, most: int) -> list[Finding]:
    """Hold documents of the last hour against the mapping of the index that each goes to."""
    counts: dict[tuple[str, str], FieldCounts] = {}
    documents: list[tuple[str, bytes]] = []
    reading = tap(settings, after_ms=now_ms - _HOUR_MS, before_ms=now_ms, now_ms=now_ms)
    try:
        async with asyncio.timeout(_SAMPLE_SECONDS), aclosing(reading):
            async for tapped in reading:
                documents.append((tapped.document.index_name, tapped.document.source))
                if len(documents) >= most:
                    break
    except TimeoutError:
        pass  # so many are enough
    _, mappings = await find_documents(settings, [], sorted({index for index, _ in documents}))
    for index, source in documents:
        live = mappings[index]
        count_fields(
            verdicts(orjson.loads(source), live.mapping, ignore_malformed=live.ignore_malformed), counts
        )
    return field_findings(counts, len(documents))
