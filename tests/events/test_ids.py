"""Ids of documents: both forms, what they say, and how they are spread over shards."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import example, given, strategies as st

from pipeline.encode.fast_path import BatchEncoder
from pipeline.encode.lines import bulk_lines
from pipeline.events.document import Coordinates, DocumentBuilder
from pipeline.events.ids import BLOCK_BITS, DocumentIds, document_id, id_in_form, read_id, routing_of
from pipeline.sample import sample_events
from pipeline.settings import Events, Index
from tests.events.both_paths import KAFKA_MS, TOPIC, Record

TOPIC_ID = "mZ4k9QxLT2yAbCdEfGhIjK"
KEY = TOPIC_ID[:12]
SINCE = Index(id_since=datetime(2024, 1, 15, 10, 30, tzinfo=UTC))


def test_an_id_is_the_records_place_and_the_beginning_of_the_topics_id() -> None:
    record = Coordinates("logs", 3, 7, KAFKA_MS, DocumentIds(Index()).topic_key(TOPIC_ID, KAFKA_MS))
    assert document_id(record) == "logs-3-mZ4k9QxLT2yA-000000000007"
    former = record._replace(topic_key="")
    assert id_in_form(f"{document_id(record)}.2", record, former) == f"logs-3-000000000007-{KAFKA_MS}.2"


@pytest.mark.parametrize(
    ("index", "topic_id", "at_ms", "key"),
    [
        (Index(), TOPIC_ID, KAFKA_MS, KEY),
        (Index(), None, KAFKA_MS, ""),  # a broker before 2.8
        (Index(id="record_time"), TOPIC_ID, KAFKA_MS, ""),
        (SINCE, TOPIC_ID, SINCE.id_since_ms, KEY),
        (SINCE, TOPIC_ID, (SINCE.id_since_ms or 0) - 1, ""),
        (Index(id_since=datetime(2024, 1, 15, 10, 30)), TOPIC_ID, SINCE.id_since_ms, KEY),  # noqa: DTZ001 - is UTC
    ],
)
def test_the_settings_say_which_form_an_id_has(
    index: Index, topic_id: str | None, at_ms: int, key: str
) -> None:
    assert DocumentIds(index).topic_key(topic_id, at_ms) == key


@given(
    st.from_regex(r"[A-Za-z0-9._-]{1,40}", fullmatch=True),
    st.integers(0, 10**6),
    st.integers(0, 2**63 - 1),
    st.integers(-1, 2**50),
    # As Kafka makes them: the ninth of a random UUID is one of four letters.
    st.sampled_from(["", KEY]) | st.from_regex(r"[A-Za-z0-9_-]{8}[QRST][A-Za-z0-9_-]{3}", fullmatch=True),
    st.none() | st.integers(0, 10_000),
)
@example("a-3-b", 4, 123, 1_705_314_600_500, "------------", None)
@example("a-3-000000000001-5", 4, 10**15, -1, "", 3)
@example("a", 1, 5, -1, "1234567-Q123", 0)
def test_an_id_says_what_it_was_made_of(
    topic: str, partition: int, offset: int, at_ms: int, key: str, element: int | None
) -> None:
    end = "" if element is None else f".{element}"
    parts = read_id(document_id(Coordinates(topic, partition, offset, at_ms, key)) + end)
    assert parts == (topic, partition, offset, key, None if key else at_ms, element)


@pytest.mark.parametrize(
    "text", ["", "x", "logs-0-7-1705314600500", "logs-0-mZ4k9QxLT2yA-7", "logs-x-mZ4k9QxLT2yA-000000000007"]
)
def test_other_ids_say_nothing(text: str) -> None:
    assert read_id(text) is None


def _values() -> list[bytes]:
    sample = [event.value for event in sample_events(300, seed=7, end_ms=KAFKA_MS, span_seconds=3600)]
    odd = [
        b"no JSON",
        b'[{"message":"a"},{"message":"b"}]',
        orjson.dumps({"message": "x", "timestamp": "2024-01-15T23:59:59.123Z", "level": "warning"}),
        b"{}",
    ]
    return sample[:150] + odd + sample[150:]


def _read(lines: bytes) -> list[Any]:
    return [orjson.loads(line) for line in lines.splitlines()]


@pytest.mark.parametrize(
    "index", [Index(), SINCE, Index(id="record_time")], ids=["topic id", "since", "record time"]
)
@pytest.mark.parametrize("first", [0, (1 << BLOCK_BITS) - 40, 10**12 - 100, 3 * 10**15])
def test_the_hot_path_writes_ids_and_routing_as_the_definition_does(index: Index, first: int) -> None:
    builder = DocumentBuilder(Events(), index)
    # Some of them on either side of the moment from which there are topic ids.
    records = [Record(first + at, KAFKA_MS + at * 500 - 75_000, value) for at, value in enumerate(_values())]
    wanted = [
        document
        for record in records
        for document in builder.documents(
            record.value,
            Coordinates(
                TOPIC, 3, record.offset, record.timestamp, builder.ids.topic_key(TOPIC_ID, record.timestamp)
            ),
            KAFKA_MS,
        )
    ]
    encoder = BatchEncoder(builder)
    for size in (len(records), 100, 7):
        found = b"".join(
            payload.body
            for start in range(0, len(records), size)
            for payload in encoder.encode(TOPIC, 3, records[start : start + size], KAFKA_MS, TOPIC_ID)
        )
        assert _read(found) == _read(b"".join(bulk_lines(wanted)))


def test_a_topic_that_is_made_anew_gets_other_ids_at_once() -> None:
    encoder = BatchEncoder(DocumentBuilder(Events(), Index()))
    bodies = [
        encoder.encode(TOPIC, 3, [Record(7, KAFKA_MS, b"{}")], KAFKA_MS, topic_id)[0].body
        for topic_id in (TOPIC_ID, "anotherTopicQbCdEfGhIj", TOPIC_ID)
    ]
    assert bodies[0] == bodies[2] != bodies[1]


# --- shards -----------------------------------------------------------------------------------------------


def murmur3(text: str) -> int:
    """Hash as Elasticsearch does its routing: murmur3 (32 bits, seed 0) of the text's UTF-16, little endian."""
    data = text.encode("utf-16-le")
    mask, value = 0xFFFFFFFF, 0

    def mixed(block: int) -> int:
        block = block * 0xCC9E2D51 & mask
        block = (block << 15 | block >> 17) & mask
        return block * 0x1B873593 & mask

    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        value ^= mixed(int.from_bytes(data[at : at + 4], "little"))
        value = (value << 13 | value >> 19) & mask
        value = (value * 5 + 0xE6546B64) & mask
    if whole < len(data):
        value ^= mixed(int.from_bytes(data[whole:], "little"))
    value ^= len(data)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        value = (value ^ value >> shift) * factor & mask
    return value


def shard_of(routing: str, shards: int) -> int:
    """Choose a shard as Elasticsearch does for an index that may be split up to 1,024 shards."""
    splits = shards
    while splits * 2 <= 1024:
        splits *= 2
    return murmur3(routing) % splits // (splits // shards)


def documents_by_shard(partitions: int, documents: int, shards: int, from_offset: int = 0) -> list[int]:
    """Spread so many documents of so many partitions, each of consecutive offsets."""
    found: Counter[int] = Counter()
    blocks = documents // partitions >> BLOCK_BITS
    for partition in range(partitions):
        for block in range(blocks):
            record = Coordinates("logs", partition, from_offset + (block << BLOCK_BITS), 0, KEY)
            found[shard_of(routing_of(record), shards)] += 1 << BLOCK_BITS
    return [found[shard] for shard in range(shards)]


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("shards", [2, 3, 5])
@pytest.mark.parametrize("from_offset", [0, 7 * 10**9])
def test_shards_hold_nearly_the_same_where_documents_come_from_few_partitions(
    partitions: int, shards: int, from_offset: int
) -> None:
    """A day of ten million documents: about a gigabyte. A smaller one is no matter, for any shard holds it."""
    held = documents_by_shard(partitions, 10_000_000, shards, from_offset)
    assert max(held) - min(held) < 0.1 * sum(held) / shards


@given(st.integers(0, 10**6), st.integers(0, 2**63 - 1), st.sampled_from(["", KEY]))
def test_neighbours_share_a_shard_and_former_ids_have_no_routing(
    partition: int, offset: int, key: str
) -> None:
    record = Coordinates("logs", partition, offset, KAFKA_MS, key)
    first = record._replace(offset=offset >> BLOCK_BITS << BLOCK_BITS)
    assert (
        routing_of(record) == routing_of(first) != routing_of(first._replace(partition=partition + 1))
        or not key
    )
    assert bool(routing_of(record)) == bool(key)
