"""Going through the ranges: both sides are read, several ranges at a time, and compared."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from aiokafka import TopicPartition
from elasticsearch import ApiError, AsyncElasticsearch, TransportError

from pipeline.audit.comparison import Comparison
from pipeline.audit.documents import KEEP_ALIVE, SERIALIZERS, Documents, DocumentsById
from pipeline.audit.letters import LetterFile
from pipeline.audit.records import (
    RangeReader,
    commits_of_group,
    current_commits,
    narrowed,
    partitions_of,
    ranges_of,
    reader,
    unread_before,
)
from pipeline.audit.result import SHOWN_FINDINGS, AuditResult, PartitionAudit, Unread
from pipeline.bulk.client import make_client, server_errors
from pipeline.encode.fast_path import Record
from pipeline.encode.run_filters import filtering_of
from pipeline.errors import SettingsError
from pipeline.events.document import DocumentBuilder
from pipeline.events.indices import log_index_patterns
from pipeline.kafka.client import admin_client, kafka_errors
from pipeline.kafka.fetched_records import CorruptBatch
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.encode.routing import Targets

__all__ = ["audit"]

_RANGES_AT_A_TIME = 4
_RECORDS_AT_A_TIME = 1_000


async def audit(
    settings: Settings,
    *,
    topics: Sequence[str] = (),
    partition: int | None = None,
    from_offset: int | None = None,
    to_offset: int | None = None,
    since_ms: int | None = None,
    until_ms: int | None = None,
    to_end: bool = False,
    report: Callable[[int, int], None] = lambda _done, _all: None,
) -> AuditResult:
    """Compare; by default all that the group has committed of the configured topics.

    `to_offset` is the first offset that is left out; `to_end` looks beyond what is committed. `since_ms` and
    `until_ms` (left out itself) choose by the records' timestamps, in milliseconds since 1970. `report` is
    called with the offsets done and the offsets to do.

    Raises SettingsError when offsets are given without the one partition they belong to, ServerUnavailable
    and ServerRefused when a server does not answer or says no.
    """
    if (from_offset is not None or to_offset is not None) and partition is None:
        raise SettingsError("offsets are those of one partition: --partition says which")
    with kafka_errors(settings.kafka):
        async with admin_client(settings.kafka, "audit") as admin, reader(settings) as reading:
            wanted = await partitions_of(settings, admin, topics)
            if partition is not None:
                wanted = [one for one in wanted if one.partition == partition]
            commits = await current_commits(reading.consumer, await commits_of_group(settings, admin))
            committed_only = not to_end and to_offset is None
            ranges = await ranges_of(
                reading.consumer, wanted, commits, since_ms, committed_only=committed_only
            )
            ends = await reading.consumer.end_offsets(wanted)
            topic_ids = await reading.topic_ids({one.topic for one in wanted})
        results = [PartitionAudit(one) for one in ranges]
        nothing_because = _why_nothing(
            settings,
            partition,
            wanted,
            committed=not committed_only or any(each in commits for each in wanted),
        )
        if committed_only:
            for each, audited in zip(wanted, results, strict=True):
                audited.not_committed = max(0, ends[each] - audited.range.end)
        for each, audited in zip(wanted, results, strict=True):
            unread_before(audited, commits.get(each))
            if partition is not None:
                audited.range = narrowed(audited.range, from_offset, to_offset)
        with closing(LetterFile()) as letters:
            await letters.read(settings)
            builder = DocumentBuilder(settings.events, settings.index, settings.inputs)
            filtering = filtering_of(settings, builder)
            now_ms = time.time_ns() // 1_000_000
            comparison = Comparison(builder, letters, since_ms, until_ms, now_ms, filtering, topic_ids)
            async with make_client(settings.elasticsearch, serializers=SERIALIZERS) as client:
                with server_errors(settings.elasticsearch, "give the documents to be counted"):
                    targets = filtering.targets if filtering is not None else None
                    await _Proof(settings, results, client, comparison, report, targets).run()
                    return AuditResult(results, nothing_because)


def _why_nothing(
    settings: Settings, partition: int | None, wanted: Sequence[TopicPartition], *, committed: bool
) -> str:
    """Say why nothing can be compared, whatever Kafka holds; nothing where something may be."""
    if not wanted:
        return (
            f"no topic matches kafka.topic_pattern = {settings.kafka.topic_pattern}"
            if partition is None
            else f"no topic has a partition {partition}"
        )
    if not committed:
        topics = ", ".join(sorted({each.topic for each in wanted}))
        return (
            f"the group {settings.kafka.group_id} (kafka.group_id) has committed nothing of {topics}: it does not "
            "exist, no worker has indexed anything yet, or its commits have expired; --to-end looks at all that "
            "Kafka holds"
        )
    return ""


class _Proof:
    """Go through ranges, several at a time: most of the time is Elasticsearch's."""

    def __init__(
        self,
        settings: Settings,
        results: Sequence[PartitionAudit],
        client: AsyncElasticsearch,
        comparison: Comparison,
        report: Callable[[int, int], None],
        targets: "Targets | None",
    ) -> None:
        self._targets = targets
        self._settings = settings
        self._results = results
        self._client = client
        self._comparison = comparison
        self._report = report
        self._offsets = sum(one.range.end - one.range.start for one in results)
        self._done = 0

    async def run(self) -> None:
        """Count each range; what was committed before this is visible after the refresh."""
        indices = [*log_index_patterns(self._settings.index.prefix)]
        if self._targets is not None:
            indices += self._targets.patterns
        await self._client.indices.refresh(index=indices, ignore_unavailable=True)
        opened = await self._client.open_point_in_time(
            index=indices, keep_alive=KEEP_ALIVE, ignore_unavailable=True
        )
        pit = str(opened["id"])
        todo = iter(self._results)
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(_RANGES_AT_A_TIME, len(self._results))):
                    tasks.create_task(self._work(todo, pit))
        except ExceptionGroup as group:
            raise group.exceptions[0] from group
        finally:
            with suppress(ApiError, TransportError):  # it expires by itself
                await self._client.close_point_in_time(id=pit)

    async def _work(self, todo: Iterator[PartitionAudit], pit: str) -> None:
        async with reader(self._settings) as reading:
            for audited in todo:
                if self._targets is not None and self._targets.by_id_only:
                    await self._compare(audited, reading, DocumentsById(self._client, pit))
                else:
                    await self._compare(audited, reading, Documents(self._client, pit, audited.range))

    async def _compare(
        self, audited: PartitionAudit, reading: RangeReader, documents: Documents | DocumentsById
    ) -> None:
        position = audited.range.start

        def corrupt(batch: CorruptBatch) -> None:
            end = min(batch.behind, audited.range.end)
            audited.corrupt += end - batch.offset
            if len(audited.unread) < SHOWN_FINDINGS:
                audited.unread.append(Unread("corrupt", *audited.range[:2], batch.offset, end))

        async for records in reading.records_of(audited.range, corrupt):
            if isinstance(documents, Documents):
                await self._compare_in_order(audited, records, documents)
            else:
                await self._compare_by_id(audited, records, documents)
            position = self._advance(position, records[-1].offset + 1)
        if isinstance(documents, Documents):
            await documents.at(audited.range.end)
            audited.without_record = documents.passed
        self._advance(position, audited.range.end)

    async def _compare_in_order(
        self, audited: PartitionAudit, records: Sequence[Record], documents: Documents
    ) -> None:
        for record in records:
            found = await documents.at(record.offset)
            if self._comparison.wants(record):
                expected = self._comparison.expected(audited.range, record, found)
                self._comparison.record(audited, record, expected, found)

    async def _compare_by_id(
        self, audited: PartitionAudit, records: Sequence[Record], documents: DocumentsById
    ) -> None:
        for start in range(0, len(records), _RECORDS_AT_A_TIME):
            some = [one for one in records[start : start + _RECORDS_AT_A_TIME] if self._comparison.wants(one)]
            expected = [self._comparison.expected(audited.range, record) for record in some]
            # Each once, also where a configuration gives one id to two of them.
            ids = [
                self._comparison.either_form(audited.range, record, each.ids)
                for record, each in zip(some, expected, strict=True)
            ]
            found = await documents.of([one for each in ids for one in each])
            for record, each, asked in zip(some, expected, ids, strict=True):
                there = [hit for one in asked for hit in found.get(one, ())]
                self._comparison.record(audited, record, each, there)

    def _advance(self, position: int, to: int) -> int:
        self._done += to - position
        self._report(self._done, self._offsets)
        return to
