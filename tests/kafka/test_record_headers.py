"""Headers with names that are no UTF-8: every record arrives, and no partition stands still."""

import asyncio

import pytest
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException, KafkaError
from hypothesis import given, strategies as st

from pipeline.audit import audit
from pipeline.kafka.dead_letters import read_dead_letters
from pipeline.kafka.fetched_records import InBatches, as_parsed
from pipeline.kafka.record_batch import read_batch
from tests.hostile_headers import CODECS, HEADERS, HEADERS_READ, NULL_NAME, hostile_batch, send_hostile
from tests.logpipe import logpipe, running
from tests.own_pipeline import Pipeline, stop

GOOD = [("name", b"\xff"), ("naïve", None), ("", b"")]
VALUES = [b'{"message":"m"}', None, b"", b"x" * 20_000, b"y"]


def fetched(data: bytes, wish: object, offset: int = 0) -> fetcher.PartitionRecords:
    """Give a fetch as aiokafka's consumer gets it."""
    return fetcher.PartitionRecords(
        None, fetcher.MemoryRecords(data), [], offset, None, wish, check_crcs=True, isolation_level=0
    )


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("log_append_time", [False, True])
def test_both_parsers_read_the_same(codec: str, log_append_time: bool) -> None:
    batch = hostile_batch(VALUES, codec, GOOD, base_offset=1 << 40, log_append_time=log_append_time)
    expected = [
        (record.offset, record.timestamp, record.key, record.value, record.headers)
        for record in fetcher.MemoryRecords(batch).next_batch()
    ]
    assert len(expected) == len(VALUES)
    assert read_batch(batch, 1 << 40) == expected


@pytest.mark.parametrize("codec", CODECS)
def test_bytes_that_are_no_text_are_written_out(codec: str) -> None:
    batch = hostile_batch(VALUES, codec, [*HEADERS, NULL_NAME], base_offset=7)
    with pytest.raises(ValueError, match="decode"):  # once it does not, this module has had its day
        list(fetcher.MemoryRecords(batch).next_batch())
    records = read_batch(batch, 7)
    assert [record.offset for record in records] == [7, 8, 9, 10, 11]
    assert [record.value for record in records] == VALUES
    assert all(record.headers == [*HEADERS_READ, ("", b"of no name")] for record in records)


@pytest.mark.parametrize("headers", [HEADERS, [NULL_NAME]])
def test_a_fetch_goes_on_behind_such_a_batch(headers: list[tuple[str, bytes | None]]) -> None:
    data = b"".join(
        [
            hostile_batch([b"0", b"1"], "lz4", GOOD),
            hostile_batch([b"2", b"3", b"4"], "gzip", headers, base_offset=2),
            hostile_batch([b"5"], "none", GOOD, base_offset=5),
        ]
    )
    batches = fetched(data, InBatches(), offset=3)
    assert [[record.value for record in batch] for batch in batches] == [[b"3", b"4"], [b"5"]]
    assert batches.next_fetch_offset == 6
    one_by_one = fetched(data, as_parsed, offset=1)
    seen = []
    for record in one_by_one:
        seen.append(record.value)
        assert one_by_one.next_fetch_offset == record.offset + 1
    assert seen == [b"1", b"2", b"3", b"4", b"5"]


@given(st.data())
def test_what_is_corrupt_is_said_to_be(data: st.DataObject) -> None:
    """Any bytes for the records of a batch end in records or in the one exception that aiokafka knows."""
    batch = bytearray(hostile_batch([b"value", None], "none", HEADERS))
    for _ in range(data.draw(st.integers(1, 4))):
        batch[data.draw(st.integers(61, len(batch) - 1))] = data.draw(st.integers(0, 255))
    del batch[data.draw(st.integers(61, len(batch))) :]
    try:
        records = read_batch(bytes(batch), 0)
    except CorruptRecordException:
        return
    assert len(records) == 2


def test_a_batch_that_is_cut_off_is_corrupt() -> None:
    batch = hostile_batch([b"value"], "none", HEADERS)
    for end in range(61, len(batch)):
        with pytest.raises(CorruptRecordException):
            read_batch(batch[:end], 0)


async def send_each_codec(pipeline: Pipeline, values: list[bytes | None]) -> int:
    """Send batches, hostile ones and others behind them; gives the number of records."""
    for codec in CODECS:
        await send_hostile(
            pipeline.servers.kafka_bootstrap, pipeline.name, hostile_batch(values, codec), len(values)
        )
        await pipeline.send([b'{"message":"behind"}'])
    return len(CODECS) * (len(values) + 1)


async def test_records_are_indexed_and_nothing_stands_still(pipeline: Pipeline) -> None:
    count = await send_each_codec(pipeline, [b'{"message":"%d"}' % number for number in range(50)])
    with running("index", settings=pipeline.environment()) as process:
        assert sum((await pipeline.indexed(count)).values()) == count
        stop(process)
    assert await pipeline.committed() == await pipeline.ends()
    result = await audit(pipeline.settings, to_end=True)
    assert (result.indexed, result.missing, result.duplicated) == (count, 0, 0)


async def test_dead_letters_take_such_headers_along(pipeline: Pipeline) -> None:
    await pipeline.client.cluster.put_component_template(
        name=f"{pipeline.name}@custom", template={"mappings": {"dynamic": "strict"}}
    )
    count = len(CODECS)
    for codec in CODECS:
        batch = hostile_batch([b'{"message":"m","unknown":1}'], codec)
        await send_hostile(pipeline.servers.kafka_bootstrap, pipeline.name, batch, 1)
    with running("index", settings=pipeline.environment()) as process:
        async with asyncio.timeout(60):
            while len(letters := [one async for one in read_dead_letters(pipeline.settings)]) < count:
                await asyncio.sleep(0.3)
        stop(process)
    assert await pipeline.committed() == await pipeline.ends()
    assert sorted(letter.record.offset for letter in letters) == list(range(count))
    assert all(list(letter.headers) == HEADERS_READ for letter in letters)
    assert {(letter.record.topic, letter.key) for letter in letters} == {(pipeline.name, b"k" * 100)}
    shown = await asyncio.to_thread(
        logpipe, "dlq", "show", "--partition", "0", "--offset", "0", settings=pipeline.environment()
    )
    assert shown.returncode == 0, shown.stderr.decode()
    assert r"header half-\xff\xc3-wrong" in shown.stdout.decode()
    assert (await audit(pipeline.settings, to_end=True)).dead == count


async def test_the_broker_refuses_a_name_that_is_null(pipeline: Pipeline) -> None:
    batch = hostile_batch([b"value"], "none", [NULL_NAME])
    with pytest.raises(KafkaError):
        await send_hostile(pipeline.servers.kafka_bootstrap, pipeline.name, batch, 1)
