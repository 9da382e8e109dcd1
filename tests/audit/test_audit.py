"""The audit: finds what is missing and what is there twice, and nothing else."""

import asyncio
import gzip
import time
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from elasticsearch import AsyncElasticsearch

from pipeline.audit import AuditResult, Finding, audit
from pipeline.errors import ServerRefused, SettingsError
from pipeline.events.document import Coordinates, DocumentBuilder
from pipeline.kafka.dead_letters import DeadLetter, DeadLetterProducer
from tests.logpipe import logpipe, running
from tests.own_pipeline import PARTITIONS, Pipeline, stop

MINUTE_MS = 60_000


async def index_all(pipeline: Pipeline, documents: int) -> None:
    """Run a worker until everything sent is indexed and committed."""
    with running("index", settings=pipeline.environment()) as process:
        await pipeline.indexed(documents)
        stop(process)


async def look(pipeline: Pipeline, **options: Any) -> AuditResult:
    return await audit(pipeline.settings, to_end=True, **options)


def counts(result: AuditResult) -> tuple[int, int, int, int]:
    return result.indexed, result.dead, result.missing, result.duplicated


async def hits(pipeline: Pipeline) -> list[dict[str, Any]]:
    await pipeline.client.indices.refresh(index=f"{pipeline.name}-*")
    answer = await pipeline.client.search(index=f"{pipeline.name}-*", size=1000, sort="kafka.offset")
    found: list[dict[str, Any]] = answer["hits"]["hits"]
    return found


async def delete(client: AsyncElasticsearch, hit: dict[str, Any]) -> None:
    await client.delete(index=hit["_index"], id=hit["_id"], routing=hit.get("_routing"))


async def produce(pipeline: Pipeline, stamps: list[int], value: bytes = b'{"message":"m"}') -> None:
    """Send records with these timestamps, in milliseconds since 1970, to partition 0."""
    producer = AIOKafkaProducer(bootstrap_servers=pipeline.servers.kafka_bootstrap)
    await producer.start()
    try:
        for stamp in stamps:
            await producer.send_and_wait(pipeline.name, value, partition=0, timestamp_ms=stamp)
    finally:
        await producer.stop()


async def put(pipeline: Pipeline, value: bytes, record: Coordinates, *, leave_out: int | None = None) -> None:
    """Index what a record makes, as the pipeline would."""
    settings = pipeline.settings
    made = DocumentBuilder(settings.events, settings.index).documents(
        value, record, time.time_ns() // 1_000_000
    )
    for number, document in enumerate(made):
        if number != leave_out:
            await pipeline.client.create(
                index=document.index_name, id=document.id, document=orjson.loads(document.source)
            )


async def test_all_is_well_after_a_run(pipeline: Pipeline) -> None:
    await pipeline.send_samples(25_000)  # more than two pages of some partitions
    await index_all(pipeline, 25_000)
    seen: list[tuple[int, int]] = []
    result = await look(pipeline, report=lambda done, total: seen.append((done, total)))
    assert counts(result) == (25_000, 0, 0, 0)
    assert (result.records, result.expected) == (25_000, 25_000)
    assert result.clean
    assert [one.range.partition for one in result.partitions] == list(range(PARTITIONS))
    assert seen == sorted(seen)
    assert seen[-1] == (25_000, 25_000)


async def test_records_of_several_events_and_dead_letters_are_counted_as_the_pipeline_does(
    pipeline: Pipeline,
) -> None:
    log_record = b'{"timeUnixNano":"1795428930123000000","body":{"stringValue":"m"}}'
    otlp = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[%b,%b]}]}]}' % (log_record, log_record)
    await pipeline.send([b'{"msg":"a"}\n{"msg":"b"}', b"\0\0\0\0\x07\x02avro", otlp, b'[{"msg":"a"},1]'])
    await index_all(pipeline, 6)
    result = await look(pipeline)
    assert (*counts(result), result.expected) == (6, 1, 0, 0, 7)
    assert result.clean


async def test_what_is_not_committed_is_looked_at_on_demand_only(pipeline: Pipeline) -> None:
    await pipeline.send([b"{}"] * 20)
    await index_all(pipeline, 20)
    await pipeline.send([b"{}"] * 5)
    command = await asyncio.to_thread(logpipe, "audit", "--json", settings=pipeline.environment())
    assert command.returncode == 0, command.stderr.decode()
    assert orjson.loads(command.stdout)["indexed"] == 20
    command = await asyncio.to_thread(logpipe, "audit", "--json", "--to-end", settings=pipeline.environment())
    assert command.returncode == 1
    told = orjson.loads(command.stdout)
    assert (told["clean"], told["records"], told["indexed"], told["missing"]) == (False, 25, 20, 5)
    assert [finding["offset"] for finding in told["findings"]] == list(range(20, 25))


async def test_deleted_documents_are_missing(pipeline: Pipeline) -> None:
    await pipeline.send([b'{"message":"%d"}' % number for number in range(50)])
    await index_all(pipeline, 50)
    lost = (await hits(pipeline))[7::10]
    for hit in lost:
        await delete(pipeline.client, hit)
    result = await look(pipeline)
    assert counts(result) == (45, 0, 5, 0)
    assert not result.clean
    assert [finding.id for finding in result.findings] == [hit["_id"] for hit in lost]
    assert {finding.what for finding in result.findings} == {"missing"}
    printed = await asyncio.to_thread(logpipe, "audit", settings=pipeline.environment())
    assert printed.returncode == 1
    assert f"missing  {pipeline.name}/" in printed.stdout.decode()


async def test_a_copy_in_another_index_is_a_duplicate(pipeline: Pipeline) -> None:
    await pipeline.send([b'{"message":"m"}'] * 10)
    await index_all(pipeline, 10)
    third = (await hits(pipeline))[3]
    other = f"{pipeline.name}-2000.01.01"
    await pipeline.client.create(index=other, id=third["_id"], document=third["_source"])
    await pipeline.client.create(index=other, id="of another make", document=third["_source"])
    result = await look(pipeline)
    assert counts(result) == (10, 0, 0, 2)
    topic, partition = third["_source"]["kafka"]["topic"], third["_source"]["kafka"]["partition"]
    assert {finding[:5] for finding in result.findings} == {
        ("duplicated", topic, partition, 3, third["_id"]),
        ("duplicated", topic, partition, 3, "of another make"),
    }
    assert {other, third["_index"]} in [set(finding.indices) for finding in result.findings]


async def test_gaps_of_transactions_are_not_missing(pipeline: Pipeline) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=pipeline.servers.kafka_bootstrap, transactional_id=f"{pipeline.name}-tx"
    )
    await producer.start()
    try:
        for outcome in ("commit", "abort", "commit", "abort"):
            await producer.begin_transaction()
            for number in range(10):
                await producer.send_and_wait(pipeline.name, f"{outcome} {number}".encode(), partition=0)
            await (producer.abort_transaction() if outcome == "abort" else producer.commit_transaction())
    finally:
        await producer.stop()
    await index_all(pipeline, 20)
    result = await look(pipeline)
    assert counts(result) == (20, 0, 0, 0)
    assert result.records == 20
    assert result.partitions[0].range.end == 44


async def test_each_element_of_an_array_counts(pipeline: Pipeline) -> None:
    array = orjson.dumps([{"message": str(number)} for number in range(4)])
    await pipeline.send([array, b'[{"message":"alone"}]', b"[]", b" [1, 2]", b'{"message":"plain"}', array])
    await index_all(pipeline, 12)
    result = await look(pipeline)
    assert (result.records, result.expected) == (6, 12)
    assert counts(result) == (12, 0, 0, 0)
    gone = next(hit for hit in await hits(pipeline) if hit["_id"].endswith(".2"))
    await delete(pipeline.client, gone)
    result = await look(pipeline)
    assert counts(result) == (11, 0, 1, 0)
    assert [finding.id for finding in result.findings] == [gone["_id"]]


async def test_several_events_in_one_record_count_each(pipeline: Pipeline) -> None:
    lines = b'{"level":"info","message":"a"}\n{"level":"info","message":"b"}\n'
    beside = b'{"level":"info","message":"a"}{"level":"info","message":"b"}{"level":"info","message":"c"}'
    packed = gzip.compress(lines)
    await pipeline.send([lines, b'{"message":"plain"}', beside, packed])
    await index_all(pipeline, 8)
    result = await look(pipeline)
    assert (result.records, result.expected) == (4, 8)
    assert counts(result) == (8, 0, 0, 0)
    gone = next(hit for hit in await hits(pipeline) if hit["_id"].endswith(".1"))
    await delete(pipeline.client, gone)
    result = await look(pipeline)
    assert counts(result) == (7, 0, 1, 0)
    assert [finding.id for finding in result.findings] == [gone["_id"]]


async def test_documents_are_found_in_an_index_that_others_have_made(pipeline: Pipeline) -> None:
    foreign = f"{pipeline.name}-of-others"
    await pipeline.client.indices.put_index_template(
        name=foreign, index_patterns=[f"{pipeline.name}-2*"], priority=100_000, template={"mappings": {}}
    )
    try:
        await pipeline.send([b"{}"] * 3)
        await index_all(pipeline, 3)
        index = (await hits(pipeline))[0]["_index"]
        made = await pipeline.client.indices.get(index=index)
        assert made[index]["mappings"]["properties"]["kafka"]["properties"]["topic"]["type"] == "text"
        assert counts(await look(pipeline)) == (3, 0, 0, 0)
    finally:
        await pipeline.client.indices.delete_index_template(name=foreign)


async def test_one_missing_topic_of_several_is_named(pipeline: Pipeline) -> None:
    await pipeline.send([b"{}"])
    missing = {"LOGPIPE_KAFKA__TOPICS": f"{pipeline.name},none-such"}
    command = await asyncio.to_thread(
        logpipe, "audit", "--to-end", settings={**pipeline.environment(), **missing}
    )
    assert command.returncode == 1
    assert "the topic none-such does not exist" in command.stderr.decode()


async def test_more_documents_than_a_page_at_one_offset(pipeline: Pipeline) -> None:
    array = orjson.dumps([{"message": "m"}] * 10_000)
    await pipeline.send([b"{}", array, b"{}", array, *[b"{}"] * 20])
    await index_all(pipeline, 20_022)
    third = (await hits(pipeline))[-1]
    await pipeline.client.create(
        index=f"{pipeline.name}-2000.01.01", id=third["_id"], document=third["_source"]
    )
    assert counts(await look(pipeline)) == (20_022, 0, 0, 1)


@pytest.mark.parametrize(
    ("elements", "dead", "missing"),
    [
        ([], 0, 2),
        ([None], 1, 1),
        ([None, None, None], 2, 0),
        ([1, 1, 0], 1, 1),
        ([1, 3], 2, 0),
        ([1, None], 2, 0),
    ],
)
async def test_a_dead_letter_accounts_for_one_document(
    pipeline: Pipeline, elements: list[int | None], dead: int, missing: int
) -> None:
    """Of four elements the second and fourth are not indexed."""
    array = orjson.dumps([{"message": str(number)} for number in range(4)])
    await produce(pipeline, [1_700_000_000_000], array)
    record = Coordinates(pipeline.name, 0, 0, 1_700_000_000_000)
    await put(pipeline, array, record)
    for hit in await hits(pipeline):
        if hit["_id"].endswith((".1", ".3")):
            await delete(pipeline.client, hit)
    letter = DeadLetter(record, None, array, [], "type", "why", "", 400, 1)
    earlier = letter._replace(record=record._replace(timestamp_ms=5))
    producer = DeadLetterProducer(pipeline.settings)
    await producer.write([earlier, *(letter._replace(element=element) for element in elements)])
    await producer.close()
    assert counts(await look(pipeline)) == (2, dead, missing, 0)


async def test_an_earlier_topic_of_the_same_name_is_told_apart(pipeline: Pipeline) -> None:
    value = b'{"message":"m"}'
    stamps = [1_700_000_000_000 + number for number in range(3)]
    await produce(pipeline, stamps)
    for offset, stamp in enumerate(stamps):
        record = Coordinates(pipeline.name, 0, offset, stamp)
        await put(pipeline, value, record._replace(timestamp_ms=stamp - MINUTE_MS))
        if offset != 1:
            await put(pipeline, value, record)
    # An earlier topic may have been longer.
    await put(pipeline, value, Coordinates(pipeline.name, 0, 3, 1_600_000_000_000))
    result = await look(pipeline)
    assert counts(result) == (2, 0, 1, 0)
    assert result.partitions[0].of_earlier_topic == 3
    assert [finding.offset for finding in result.findings] == [1]


async def test_documents_at_gaps_are_counted_apart(pipeline: Pipeline) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=pipeline.servers.kafka_bootstrap, transactional_id=f"{pipeline.name}-tx"
    )
    await producer.start()
    try:
        await producer.begin_transaction()
        await producer.send_and_wait(pipeline.name, b"aborted", partition=0)
        await producer.abort_transaction()
    finally:
        await producer.stop()
    await put(pipeline, b"aborted", Coordinates(pipeline.name, 0, 0, 1_700_000_000_000))
    result = await look(pipeline)
    assert counts(result) == (0, 0, 0, 0)
    assert result.partitions[0].without_record == 1


async def test_ranges_of_offsets_and_of_time(pipeline: Pipeline) -> None:
    base = 1_700_000_000_000
    # Not in the order of time: as when several producers write.
    minutes = [0, 1, 2, 5, 3, 4, 6, 2, 8, 9]
    await produce(pipeline, [base + minute * MINUTE_MS for minute in minutes])

    async def records(**options: Any) -> int:
        result = await look(pipeline, **options)
        assert result.missing == result.records
        return result.records

    assert await records() == 10
    assert await records(since_ms=base + 3 * MINUTE_MS) == 6
    assert await records(until_ms=base + 3 * MINUTE_MS) == 4
    assert await records(since_ms=base + 2 * MINUTE_MS, until_ms=base + 5 * MINUTE_MS) == 4
    assert await records(since_ms=base + 100 * MINUTE_MS) == 0
    assert await records(partition=0, from_offset=4, to_offset=7) == 3
    assert await records(partition=0, to_offset=99) == 10
    assert await records(partition=0, from_offset=99) == 0
    assert await records(partition=1) == 0
    with pytest.raises(SettingsError, match="--partition"):
        await look(pipeline, from_offset=4)


async def test_the_first_twenty_of_each_kind_are_named(pipeline: Pipeline) -> None:
    await pipeline.send([b"{}"] * 50)
    result = await look(pipeline)
    assert result.missing == 50
    assert [finding[:4] for finding in result.findings] == [
        Finding("missing", pipeline.name, finding.partition, offset, "", ())[:4]
        for offset, finding in enumerate(result.findings)
    ]
    assert len(result.findings) == 20


async def test_a_topic_that_does_not_exist_is_named(pipeline: Pipeline) -> None:
    with pytest.raises(ServerRefused, match="none-such"):
        await look(pipeline, topics=["none-such"])


async def test_a_topic_or_a_partition_that_does_not_exist_is_no_proof(pipeline: Pipeline) -> None:
    for arguments, why in (
        (("--topic", "none-such"), "the topic none-such does not exist"),
        (("--partition", "99"), "no topic has a partition 99"),
    ):
        command = await asyncio.to_thread(logpipe, "audit", *arguments, settings=pipeline.environment())
        assert command.returncode == 1, command.stderr.decode()
        assert why in " ".join((command.stdout + command.stderr).decode().split())


async def test_without_any_commit_nothing_was_compared_and_that_is_no_proof(pipeline: Pipeline) -> None:
    await pipeline.send([b"{}"])
    command = await asyncio.to_thread(logpipe, "audit", settings=pipeline.environment())
    assert command.returncode == 1, command.stderr.decode()
    said = " ".join(command.stdout.decode().split())
    assert f"Nothing was compared, and that proves nothing: the group {pipeline.name}" in said
    assert f"1 offsets that the group {pipeline.name} has not committed" in said


@pytest.mark.parametrize(
    "fields", [{"kafka.offset": 1}, {"kafka.offset": 4000}, {"kafka.offset": [0, 9, 14_000]}]
)
async def test_an_events_own_offset_in_a_document_of_an_earlier_version_fools_nobody(
    pipeline: Pipeline, fields: dict[str, Any]
) -> None:
    await produce(pipeline, [MINUTE_MS * 30_000_000] * 12)
    await index_all(pipeline, 12)
    for hit in await hits(pipeline):
        await pipeline.client.update(index=hit["_index"], id=hit["_id"], doc=fields)
    result = await look(pipeline)
    assert counts(result) == (12, 0, 0, 0)
    assert result.partitions[0].without_record == 0


async def test_a_document_that_carries_another_partitions_coordinates_is_not_taken_for_its(
    pipeline: Pipeline,
) -> None:
    await produce(pipeline, [MINUTE_MS * 30_000_000] * 3)
    await index_all(pipeline, 3)
    other = Coordinates("orders", 5, 1, MINUTE_MS * 30_000_000)
    await put(pipeline, b"{}", other)
    (found,) = [hit for hit in await hits(pipeline) if hit["_id"].startswith("orders-5-")]
    fields = {"kafka.topic": pipeline.name, "kafka.partition": 0, "kafka.offset": 2}
    await pipeline.client.update(index=found["_index"], id=found["_id"], doc=fields)
    assert counts(await look(pipeline)) == (3, 0, 0, 0)


async def test_records_read_again_after_an_upgrade_find_their_documents_under_the_former_ids(
    pipeline: Pipeline,
) -> None:
    """Kafka's positions are put back, which is what a killed worker leaves of records that were in flight."""
    await pipeline.send_samples(300)
    former = pipeline.environment() | {"LOGPIPE_INDEX__ID": "record_time"}
    since = pipeline.environment() | {"LOGPIPE_INDEX__ID_SINCE": "2100-01-01T00:00:00Z"}
    with running("index", settings=former) as process:
        await pipeline.indexed(300)
        stop(process)
    # What was indexed before is what it should be, by the settings of today too.
    assert counts(await look(pipeline)) == (300, 0, 0, 0)
    again = {TopicPartition(pipeline.name, number): (0, "") for number in range(PARTITIONS)}
    for settings, copies in ((since, 0), (pipeline.environment(), 300)):
        await pipeline.commit(again)
        with running("index", settings=settings) as process:
            while await pipeline.committed() != await pipeline.ends():
                await asyncio.sleep(0.2)
            stop(process)
        result = await look(pipeline)
        assert counts(result) == (300, 0, 0, copies)
    # The copies to delete are named.
    stamps = {record["_id"] for record in await hits(pipeline) if "_routing" not in record}
    assert {finding.id for finding in result.findings} < stamps
