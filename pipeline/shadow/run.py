"""The comparison on the servers: Kafka's records, read without the group, against Logstash's documents."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import TopicPartition

from pipeline.audit.records import RangeReader, partitions_of, ranges_of, reader
from pipeline.audit.result import Range
from pipeline.bulk.client import make_client, server_errors
from pipeline.kafka.client import admin_client, group_offsets, kafka_errors
from pipeline.kafka.fetched_records import CorruptBatch
from pipeline.logstash.plugin import Origin
from pipeline.logstash.timestamp import parse_timestamp
from pipeline.settings import Settings
from pipeline.shadow.comparison import Comparison, Parity
from pipeline.shadow.differences import Written
from pipeline.shadow.keys import Place, coordinates_of
from pipeline.shadow.making import Maker
from pipeline.shadow.shelf import Shelf
from pipeline.shadow.their_documents import their_documents

__all__ = ["Window", "shadow"]

# An event's own time is before Kafka's, by as much as a shipper may have waited.
_EARLIER_MS: Final = 86_400_000
_MILLISECOND: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Window:
    """What is compared. Times are milliseconds since 1970: of records by Kafka's, of documents by `@timestamp`."""

    against: str
    """Logstash's indices: names and patterns, separated by commas."""
    where: str | None = None
    """Which of their documents, as a query in Lucene's syntax."""
    since_ms: int | None = None
    until_ms: int | None = None
    """The first time that is too late."""
    topics: Sequence[str] = ()
    """The configured ones unless given."""
    group: str | None = None
    """Logstash's consumer group: what it has not committed yet is not looked for."""
    wait_seconds: float = 5.0
    """How long Logstash has for what is in Kafka when the comparison begins."""


async def shadow(
    settings: Settings,
    maker: Maker,
    window: Window,
    *,
    ignored: Sequence[str] = (),
    report: Callable[[str, int, int | None], None] = lambda _what, _done, _all: None,
) -> Parity:
    """Compare; `report` is called with what is being done, how much of it is done, and of how much where that is known.

    Records that come while it runs may claim documents, and are no difference where Logstash has none of them yet.

    Raises SettingsError for indices that are not there, ServerUnavailable and ServerRefused when a server does not
    answer or says no.
    """
    with kafka_errors(settings.kafka), closing(Shelf()) as shelf:
        async with admin_client(settings.kafka, "shadow") as admin, reader(settings) as reading:
            wanted = await partitions_of(settings, admin, window.topics)
            compared = await _ranges(reading, wanted, window)
            if window.group is not None:
                commits = await group_offsets(admin, window.group)
                compared = [_up_to(one, commits) for one in compared]
            comparison = Comparison(shelf, {one.topic for one in wanted}, (*maker.not_compared, *ignored))
            await asyncio.sleep(window.wait_seconds)
            await _read_theirs(settings, comparison, window, compared, report)
            read = [
                one._replace(end=max(one.end, now.end))
                for one, now in zip(compared, await _ranges(reading, wanted, window), strict=True)
            ]
            await _read_ours(comparison, reading, maker, window, compared, read, report)
        report("matched by content", 0, None)
        return comparison.finish()


async def _ranges(reading: RangeReader, partitions: Sequence[TopicPartition], window: Window) -> list[Range]:
    return await ranges_of(reading.consumer, partitions, {}, window.since_ms, committed_only=False)


def _up_to(one: Range, commits: Mapping[TopicPartition, Any]) -> Range:
    """Cut a range to what a group has committed of it."""
    commit = commits.get(TopicPartition(one.topic, one.partition))
    return one._replace(end=max(one.start, min(one.end, commit.offset if commit else 0)))


async def _read_theirs(
    settings: Settings,
    comparison: Comparison,
    window: Window,
    compared: Sequence[Range],
    report: Callable[[str, int, int | None], None],
) -> None:
    counting = _Counting(window, compared)
    from_ms = None if window.since_ms is None else window.since_ms - _EARLIER_MS
    async with make_client(settings.elasticsearch) as client:
        with server_errors(settings.elasticsearch, f"give the documents of {window.against}"):
            async for page in their_documents(client, window.against, window.where, from_ms):
                comparison.theirs((written, counting.counts(written)) for written in page)
                report("documents read", comparison.parity.there, None)


class _Counting:
    """Which of Logstash's documents should have a record among those that are compared."""

    def __init__(self, window: Window, compared: Sequence[Range]) -> None:
        self._window = window
        self._ranges = {(one.topic, one.partition): one for one in compared}
        self._topics = {one.topic for one in compared}

    def counts(self, written: Written) -> bool:
        """Say so by its coordinates, or by its time."""
        coordinates = coordinates_of(written.document, self._topics)
        if coordinates is not None and (coordinates.topic is not None or len(self._topics) == 1):
            topic = next(iter(self._topics)) if coordinates.topic is None else coordinates.topic
            known = self._ranges.get((topic, coordinates.partition))
            return known is not None and known.start <= coordinates.offset < known.end
        time_text = written.document.get("@timestamp")
        instant = parse_timestamp(time_text) if isinstance(time_text, str) else None
        if instant is None:
            return True
        milliseconds = instant.nanoseconds // _MILLISECOND
        since_ms, until_ms = self._window.since_ms, self._window.until_ms
        return (since_ms is None or milliseconds >= since_ms) and (
            until_ms is None or milliseconds < until_ms
        )


async def _read_ours(
    comparison: Comparison,
    reading: RangeReader,
    maker: Maker,
    window: Window,
    compared: Sequence[Range],
    read: Sequence[Range],
    report: Callable[[str, int, int | None], None],
) -> None:
    total = sum(one.end - one.start for one in read)
    done = 0

    def damaged(batch: CorruptBatch) -> None:
        comparison.parity.damaged += batch.behind - batch.offset

    for wanted, all_of_it in zip(compared, read, strict=True):
        async for records in reading.records_of(all_of_it, damaged):
            now_ms = time.time_ns() // _MILLISECOND
            for record in records:
                _compare(comparison, maker, window, wanted, record, now_ms)
            done += len(records)
            report("records compared", done, total)


def _compare(
    comparison: Comparison, maker: Maker, window: Window, wanted: Range, record: Any, now_ms: int
) -> None:
    if window.since_ms is not None and record.timestamp < window.since_ms:
        return
    if window.until_ms is not None and record.timestamp >= window.until_ms:
        return
    origin = Origin(
        wanted.topic,
        wanted.partition,
        record.offset,
        record.timestamp,
        record.key,
        tuple(record.headers or ()),
    )
    made = maker.make(record.value, origin, now_ms)
    comparison.record(Place(*origin[:4]), record.value or b"", made, pending=record.offset >= wanted.end)
