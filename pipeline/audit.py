"""The conservation proof: what Kafka holds, held against Elasticsearch and the dead letters, record by record.

Both sides are read in the order of the offsets, partition by partition, and joined as they come: the memory
taken does not depend on their number.
"""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError
from elastic_transport import OrjsonSerializer
from elasticsearch import ApiError, AsyncElasticsearch, TransportError

from pipeline.dead_letters import read_dead_letters
from pipeline.decode import decode
from pipeline.document import Coordinates, document_id
from pipeline.elasticsearch_client import make_client, server_errors
from pipeline.errors import ServerRefused, ServerUnavailable, SettingsError
from pipeline.fast_path import Record
from pipeline.fetched_records import as_parsed
from pipeline.kafka_client import connection_options
from pipeline.settings import Settings

__all__ = ["AuditResult", "Finding", "PartitionAudit", "Range", "audit"]

# The most that `index.max_result_window` allows by default.
_PAGE_DOCUMENTS = 10_000
_KEEP_ALIVE = "5m"
_RANGES_AT_A_TIME = 4
_POLL_RECORDS = 2_000
_POLL_MS = 500
_STALLED_SECONDS = 60.0
_LETTERS_AT_A_TIME = 1_000
_SHOWN_FINDINGS = 20
# What follows the offset in an id: the record's timestamp (-1 where Kafka has none), number within an array.
_END_OF_ID = re.compile(r"(-?\d+)(?:\.\d+)?")
_SERIALIZERS = dict.fromkeys(("application/json", "application/vnd.elasticsearch+json"), OrjsonSerializer())


class Range(NamedTuple):
    """Offsets of one partition: from `start` up to, and not including, `end`."""

    topic: str
    partition: int
    start: int
    end: int


class Finding(NamedTuple):
    """A document that is not there, or is there more than once."""

    what: Literal["missing", "duplicated"]
    topic: str
    partition: int
    offset: int
    id: str
    indices: tuple[str, ...]
    """Where it was found."""


@dataclass(slots=True)
class PartitionAudit:
    """What was counted in one partition; documents but for `records`."""

    range: Range
    records: int = 0
    expected: int = 0
    """What the records make: one each, or the number of an array's elements."""
    indexed: int = 0
    dead: int = 0
    """Not indexed, with a dead letter that says why."""
    missing: int = 0
    duplicated: int = 0
    """Copies beyond the first, and documents that the record does not make."""
    of_earlier_topic: int = 0
    """Made of a record with another timestamp at the same offset: the topic was created anew."""
    without_record: int = 0
    """At offsets where Kafka holds no record any more, or none that is committed."""
    findings: list[Finding] = field(default_factory=list)
    """The first of each kind."""


@dataclass(frozen=True, slots=True)
class AuditResult:
    """What was counted in all partitions."""

    partitions: Sequence[PartitionAudit]

    @property
    def records(self) -> int:
        """Records that Kafka delivers."""
        return sum(one.records for one in self.partitions)

    @property
    def expected(self) -> int:
        """Documents that these make."""
        return sum(one.expected for one in self.partitions)

    @property
    def indexed(self) -> int:
        """Documents found."""
        return sum(one.indexed for one in self.partitions)

    @property
    def dead(self) -> int:
        """Documents not found that have a dead letter."""
        return sum(one.dead for one in self.partitions)

    @property
    def missing(self) -> int:
        """Documents that are nowhere."""
        return sum(one.missing for one in self.partitions)

    @property
    def duplicated(self) -> int:
        """Documents that should not be there."""
        return sum(one.duplicated for one in self.partitions)

    @property
    def clean(self) -> bool:
        """True when nothing is missing and nothing is there twice."""
        return self.missing == 0 and self.duplicated == 0

    @property
    def findings(self) -> list[Finding]:
        """The first missing and the first duplicated documents."""
        every = [finding for one in self.partitions for finding in one.findings]
        return [
            finding
            for what in ("missing", "duplicated")
            for finding in [one for one in every if one.what == what][:_SHOWN_FINDINGS]
        ]


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
    with _kafka_errors(settings):
        async with _admin(settings) as admin, _consumer(settings) as consumer:
            wanted = await _partitions(settings, admin, topics)
            if partition is not None:
                wanted = [one for one in wanted if one.partition == partition]
            last = None if to_end or to_offset is not None else await _committed(settings, admin)
            ranges = await _ranges(consumer, wanted, last, since_ms)
        if partition is not None:
            ranges = [_narrowed(one, from_offset, to_offset) for one in ranges]
        with closing(_Letters()) as letters:
            await letters.read(settings)
            join = _Join(settings, letters, since_ms, until_ms)
            async with make_client(settings.elasticsearch, serializers=_SERIALIZERS) as client:
                with server_errors(settings.elasticsearch, "give the documents to be counted"):
                    return AuditResult(await _Comparison(settings, ranges, client, join, report).run())


class _Comparison:
    """Go through ranges, several at a time: most of the time is Elasticsearch's."""

    def __init__(
        self,
        settings: Settings,
        ranges: Sequence[Range],
        client: AsyncElasticsearch,
        join: "_Join",
        report: Callable[[int, int], None],
    ) -> None:
        self._settings = settings
        self._ranges = ranges
        self._client = client
        self._join = join
        self._report = report
        self._offsets = sum(one.end - one.start for one in ranges)
        self._done = 0

    async def run(self) -> list[PartitionAudit]:
        """Give a result for each range; what was committed before this is visible after the refresh."""
        indices = f"{self._settings.index.prefix}-*"
        await self._client.indices.refresh(index=indices)
        opened = await self._client.open_point_in_time(index=indices, keep_alive=_KEEP_ALIVE)
        pit = str(opened["id"])
        results = [PartitionAudit(one) for one in self._ranges]
        todo = iter(results)
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(_RANGES_AT_A_TIME, len(results))):
                    tasks.create_task(self._work(todo, pit))
        except ExceptionGroup as group:
            raise group.exceptions[0] from group
        finally:
            with suppress(ApiError, TransportError):  # it expires by itself
                await self._client.close_point_in_time(id=pit)
        return results

    async def _work(self, todo: Iterator[PartitionAudit], pit: str) -> None:
        async with _consumer(self._settings) as consumer:
            for audited in todo:
                await self._compare(audited, consumer, _Hits(self._client, pit, audited.range))

    async def _compare(self, audited: PartitionAudit, consumer: AIOKafkaConsumer, hits: "_Hits") -> None:
        position = audited.range.start
        async for records in _records(consumer, audited.range):
            for record in records:
                self._join.record(audited, record, await hits.at(record.offset))
            position = self._advance(position, records[-1].offset + 1)
        await hits.at(audited.range.end)
        audited.without_record = hits.passed
        self._advance(position, audited.range.end)

    def _advance(self, position: int, to: int) -> int:
        self._done += to - position
        self._report(self._done, self._offsets)
        return to


class _Join:
    """Compare one record after the other with the documents of its offset."""

    def __init__(
        self, settings: Settings, letters: "_Letters", since_ms: int | None, until_ms: int | None
    ) -> None:
        self._events = settings.events
        self._letters = letters
        self._since_ms = since_ms
        self._until_ms = until_ms

    def record(self, audited: PartitionAudit, record: Record, hits: Sequence["_Hit"]) -> None:
        """Count a record and the documents found at its offset."""
        if self._since_ms is not None and record.timestamp < self._since_ms:
            return
        if self._until_ms is not None and record.timestamp >= self._until_ms:
            return
        coordinates = Coordinates(
            audited.range.topic, audited.range.partition, record.offset, record.timestamp
        )
        identifier = document_id(coordinates)
        expected = self._documents_of(record.value)
        audited.records += 1
        audited.expected += expected
        if expected == 1 and len(hits) == 1 and hits[0].id == identifier:
            audited.indexed += 1
            return
        ids = [identifier] if expected == 1 else [f"{identifier}.{number}" for number in range(expected)]
        self._look_closely(audited, coordinates, ids, hits)

    def _look_closely(
        self, audited: PartitionAudit, record: Coordinates, ids: Sequence[str], hits: Sequence["_Hit"]
    ) -> None:
        """Sort the documents found at a record's offset by the ids it should have."""
        wanted = frozenset(ids)
        found: dict[str, list[str]] = {}
        for hit in hits:
            if hit.id not in wanted and _is_of_earlier_topic(hit.id, record):
                audited.of_earlier_topic += 1
            else:
                found.setdefault(hit.id, []).append(hit.index_name)
        absent = [number for number, one in enumerate(ids) if one not in found]
        missing = self._letters.without_letter(record, absent) if absent else []
        audited.indexed += len(ids) - len(absent)
        audited.dead += len(absent) - len(missing)
        audited.missing += len(missing)
        for number in missing:
            _note(audited, "missing", record.offset, ids[number], [])
        for one, indices in found.items():
            surplus = len(indices) - (one in wanted)
            if surplus:
                audited.duplicated += surplus
                _note(audited, "duplicated", record.offset, one, indices)

    def _documents_of(self, value: bytes | None) -> int:
        """Count a record's documents; only an array makes more than one, so nothing else is decoded."""
        if value is None or not value.lstrip().startswith(b"["):
            return 1
        return len(
            decode(value, service=self._events.service, max_array_events=self._events.max_array_events)
        )


def _is_of_earlier_topic(identifier: str, record: Coordinates) -> bool:
    """Tell whether an id is that of a record at the same offset with another timestamp."""
    start, end = document_id(record).rsplit(f"{record.offset:012d}-", 1)
    match = _END_OF_ID.fullmatch(identifier.removeprefix(f"{start}{record.offset:012d}-"))
    return match is not None and match[1] != end


def _note(
    audited: PartitionAudit,
    what: Literal["missing", "duplicated"],
    offset: int,
    identifier: str,
    indices: Sequence[str],
) -> None:
    if sum(one.what == what for one in audited.findings) < _SHOWN_FINDINGS:
        topic, partition = audited.range[:2]
        audited.findings.append(Finding(what, topic, partition, offset, identifier, tuple(indices)))


# --- Elasticsearch ----------------------------------------------------------------------------------------


class _Hit(NamedTuple):
    offset: int
    id: str
    index_name: str


class _Hits:
    """The documents of a range in the order of their offsets, a page at a time."""

    def __init__(self, client: AsyncElasticsearch, pit: str, wanted: Range) -> None:
        self.passed = 0
        """Documents at offsets that were not asked for."""
        self._client = client
        self._pit = pit
        self._wanted = wanted
        self._page: list[_Hit] = []
        self._next = 0
        # A page asks for a window of offsets that it can just hold, so that a shard need not sort more.
        self._from = wanted.start
        self._window = _PAGE_DOCUMENTS
        self._after: list[int] | None = None

    async def at(self, offset: int) -> list[_Hit]:
        """Give the documents of an offset; to be asked for in growing order."""
        found: list[_Hit] = []
        while True:
            if self._next == len(self._page):
                if self._from >= self._wanted.end:
                    return found
                await self._turn()
                continue
            hit = self._page[self._next]
            if hit.offset > offset:
                return found
            self._next += 1
            if hit.offset == offset:
                found.append(hit)
            else:
                self.passed += 1

    async def _turn(self) -> None:
        topic, partition, _, end = self._wanted
        upto = min(self._from + self._window, end)
        answer = await self._client.search(
            size=_PAGE_DOCUMENTS,
            pit={"id": self._pit, "keep_alive": _KEEP_ALIVE},
            query={
                "bool": {
                    "filter": [
                        {"term": {"kafka.topic": topic}},
                        {"term": {"kafka.partition": partition}},
                        {"range": {"kafka.offset": {"gte": self._from, "lt": upto}}},
                    ]
                }
            },
            sort=[{"kafka.offset": {"order": "asc", "unmapped_type": "long"}}, {"_shard_doc": "asc"}],
            search_after=self._after,
            source=False,
            track_total_hits=False,
            # Half an answer would make documents look missing.
            allow_partial_search_results=False,
            filter_path="pit_id,hits.hits._id,hits.hits._index,hits.hits.sort",
        )
        self._pit = str(answer.get("pit_id", self._pit))
        hits: list[dict[str, Any]] = answer.get("hits", {}).get("hits", [])
        self._page = [_Hit(hit["sort"][0], hit["_id"], hit["_index"]) for hit in hits]
        self._next = 0
        if len(hits) == _PAGE_DOCUMENTS:
            # Perhaps not all of the window: the next page begins behind the last document, in a smaller one.
            self._from, self._after = hits[-1]["sort"][0], hits[-1]["sort"]
            self._window = max(self._window // 2, 1)
        else:
            self._from, self._after = upto, None
            if len(hits) < _PAGE_DOCUMENTS // 2:
                self._window *= 2


# --- dead letters -----------------------------------------------------------------------------------------


class _Letters:
    """Which records have dead letters: in a temporary file, for the topic has no order of ours."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("")  # a file that only this connection sees, kept in memory while small
        self._file.execute("CREATE TABLE letters (topic, part, position, stamp, element)")
        self._file.execute("CREATE INDEX by_record ON letters (topic, part, position, stamp)")

    async def read(self, settings: Settings) -> None:
        """Read the topic; one that does not exist holds none."""
        rows: list[tuple[str | int | None, ...]] = []
        with suppress(ServerRefused):
            async for letter in read_dead_letters(settings):
                rows.append((*letter.record, letter.element))
                if len(rows) == _LETTERS_AT_A_TIME:
                    self.add(rows)
                    rows.clear()
        self.add(rows)

    def add(self, rows: Sequence[tuple[str | int | None, ...]]) -> None:
        """Remember letters: the record's coordinates, and the number of the array's element when known."""
        self._file.executemany("INSERT INTO letters VALUES (?, ?, ?, ?, ?)", rows)

    def without_letter(self, record: Coordinates, numbers: Sequence[int]) -> list[int]:
        """Leave out the elements of a record that have letters.

        A letter that does not say for which element it is stands for one of them.
        """
        elements = [
            row[0]
            for row in self._file.execute(
                "SELECT element FROM letters WHERE topic = ? AND part = ? AND position = ? AND stamp = ?",
                record,
            )
        ]
        left = [number for number in numbers if number not in elements]
        return left[elements.count(None) :]

    def close(self) -> None:
        """Delete the file."""
        self._file.close()


# --- Kafka ------------------------------------------------------------------------------------------------


@contextmanager
def _kafka_errors(settings: Settings) -> Iterator[None]:
    try:
        yield
    except KafkaError as error:
        where = f"Kafka at {', '.join(settings.kafka.bootstrap_servers)} (kafka.bootstrap_servers)"
        reason = f"{type(error).__name__}: {error}"
        if error.retriable or isinstance(error, KafkaConnectionError):
            raise ServerUnavailable(f"{where} does not answer: {reason}") from error
        raise ServerRefused(
            f"{where} refused: {reason}; `logpipe setup --print-roles` shows the ACLs that are needed"
        ) from error


@asynccontextmanager
async def _admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**connection_options(settings.kafka, "audit"))
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def _consumer(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    kafka = settings.kafka
    consumer = AIOKafkaConsumer(
        **connection_options(kafka, "audit"),
        value_deserializer=as_parsed,
        enable_auto_commit=False,
        # Where retention is faster than the audit.
        auto_offset_reset="earliest",
        isolation_level=kafka.isolation_level,
        fetch_max_bytes=kafka.fetch_max_bytes,
        max_partition_fetch_bytes=kafka.max_partition_fetch_bytes,
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def _partitions(
    settings: Settings, admin: AIOKafkaAdminClient, topics: Sequence[str]
) -> list[TopicPartition]:
    names = list(topics or settings.kafka.topics)
    if not topics and settings.kafka.topic_pattern is not None:
        pattern = re.compile(settings.kafka.topic_pattern)
        names = sorted(name for name in await admin.list_topics() if pattern.match(name))
    partitions = []
    for description in await admin.describe_topics(names):
        if description["error_code"]:
            raise ServerRefused(
                f"the topic {description['topic']} does not exist; `logpipe setup` creates it"
            )
        partitions += [
            TopicPartition(description["topic"], number)
            for number in sorted(one["partition"] for one in description["partitions"])
        ]
    return partitions


async def _committed(settings: Settings, admin: AIOKafkaAdminClient) -> dict[TopicPartition, int]:
    offsets = await admin.list_consumer_group_offsets(settings.kafka.group_id)
    return {partition: committed.offset for partition, committed in offsets.items()}


async def _ranges(
    consumer: AIOKafkaConsumer,
    partitions: Sequence[TopicPartition],
    last: Mapping[TopicPartition, int] | None,
    since_ms: int | None,
) -> list[Range]:
    """Find what Kafka holds now, up to `last` where that is given."""
    starts = await consumer.beginning_offsets(partitions)
    ends = await consumer.end_offsets(partitions)
    if since_ms is not None and partitions:
        # The first record that is young enough; older ones may follow it, but none before it is wanted.
        for partition, found in (
            await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
        ).items():
            starts[partition] = ends[partition] if found is None else max(starts[partition], found.offset)
    if last is not None:
        ends = {partition: min(end, last.get(partition, 0)) for partition, end in ends.items()}
    return [
        Range(
            partition.topic, partition.partition, starts[partition], max(starts[partition], ends[partition])
        )
        for partition in partitions
    ]


def _narrowed(wanted: Range, from_offset: int | None, to_offset: int | None) -> Range:
    start = wanted.start if from_offset is None else max(wanted.start, from_offset)
    end = wanted.end if to_offset is None else min(wanted.end, to_offset)
    return wanted._replace(start=start, end=max(start, end))


async def _records(consumer: AIOKafkaConsumer, wanted: Range) -> AsyncIterator[Sequence[Record]]:
    """Read what is visible of a range: no markers, nothing that was aborted or compacted away.

    Raises ServerUnavailable when Kafka gives nothing for a minute.
    """
    partition = TopicPartition(wanted.topic, wanted.partition)
    consumer.assign([partition])
    consumer.seek(partition, wanted.start)
    loop = asyncio.get_running_loop()
    position, moved = wanted.start, loop.time()
    while position < wanted.end:
        delivered = await consumer.getmany(partition, timeout_ms=_POLL_MS, max_records=_POLL_RECORDS)
        for records in delivered.values():
            if inside := [record for record in records if record.offset < wanted.end]:
                yield inside
        before, position = position, await consumer.position(partition)
        if position != before:
            moved = loop.time()
        elif loop.time() - moved > _STALLED_SECONDS:
            raise ServerUnavailable(f"Kafka gives nothing of {wanted} after offset {position}")
