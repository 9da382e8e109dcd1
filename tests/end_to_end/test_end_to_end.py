"""The whole way on real servers, by counting: every record exactly once, in its index, whatever happens."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from aiohttp import ClientSession
from aiokafka import AIOKafkaProducer
from elasticsearch import NotFoundError

from pipeline.kafka.dead_letters import read_dead_letters
from pipeline.sample import sample_events
from pipeline.sample.produce import produce
from pipeline.sandbox.ports import free_port
from tests.logpipe import logpipe, running
from tests.own_pipeline import SLOW, Pipeline, documents, stop

__all__ = ["Pipeline"]


async def test_every_event_once_in_its_daily_index(pipeline: Pipeline) -> None:
    expected = await pipeline.send_samples(20_000)
    with running("index", settings=pipeline.environment()) as process:
        assert await pipeline.indexed(20_000) == expected
        await asyncio.sleep(1.5)
        metrics = await pipeline.metrics()
        stop(process)
    assert await pipeline.counts() == expected
    assert await pipeline.committed() == await pipeline.ends()
    assert documents(metrics, "indexed") == 20_000
    assert (
        sum(value for name, value in metrics.items() if name.startswith("logpipe_documents_consumed_total"))
        == 20_000
    )
    assert metrics[f'logpipe_records_total{{topic="{pipeline.name}"}}'] == 20_000
    assert metrics["logpipe_in_flight_records"] == 0


async def test_kill_9_in_the_middle_and_a_second_start(pipeline: Pipeline) -> None:
    expected = await pipeline.send_samples(60_000)
    with running("index", settings=pipeline.environment(**SLOW)) as process:
        before = sum((await pipeline.indexed(8_000)).values())
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert 8_000 <= before < 60_000
    assert sum((await pipeline.counts()).values()) < 60_000
    with running("index", settings=pipeline.environment()) as process:
        assert await pipeline.indexed(60_000) == expected
        stop(process)
    assert await pipeline.counts() == expected
    assert await pipeline.committed() == await pipeline.ends()


async def test_a_replay_changes_nothing(pipeline: Pipeline) -> None:
    expected = await pipeline.send_samples(5_000)
    for group in ("first", "second"):
        with running(
            "index", settings=pipeline.environment(LOGPIPE_KAFKA__GROUP_ID=f"{pipeline.name}-{group}")
        ) as run:
            async with asyncio.timeout(60):
                while (await _documents_settled(pipeline)) < 5_000:
                    await asyncio.sleep(0.2)
            metrics = await pipeline.metrics()
            stop(run)
        assert await pipeline.counts() == expected
    assert documents(metrics, "already_there") == 5_000


async def _documents_settled(pipeline: Pipeline) -> float:
    try:
        metrics = await pipeline.metrics()
    except OSError:
        return 0
    return sum(value for name, value in metrics.items() if name.startswith("logpipe_documents_total"))


async def test_sigterm_under_load_exits_0_and_loses_nothing(pipeline: Pipeline) -> None:
    expected = await pipeline.send_samples(60_000)
    with running("index", settings=pipeline.environment(**SLOW)) as process:
        await pipeline.indexed(1_000)
        stop(process)
    assert sum((await pipeline.counts()).values()) < 60_000
    with running("index", settings=pipeline.environment()) as process:
        assert await pipeline.indexed(60_000) == expected
        stop(process)
    assert await pipeline.counts() == expected


async def test_workers_that_come_and_go_share_the_partitions(pipeline: Pipeline) -> None:
    expected = await pipeline.send_samples(60_000)
    other = pipeline.environment(LOGPIPE_HTTP__PORT=str(free_port()))
    with running("index", settings=pipeline.environment()) as first:
        await pipeline.indexed(1_000)
        with running("index", settings=other) as second:
            await pipeline.indexed(20_000)
            stop(first)
            assert await pipeline.indexed(60_000) == expected
            stop(second)
    assert await pipeline.counts() == expected
    assert await pipeline.committed() == await pipeline.ends()


async def test_hostile_records_are_all_indexed(pipeline: Pipeline) -> None:
    values: list[bytes | None] = [
        b"",
        None,
        b"not json",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"a":' * 90 + b"1" + b"}" * 90,
        orjson.dumps({"message": "x" * 900_000}),
        orjson.dumps({f"field_{number}": number for number in range(10_000)}),
        orjson.dumps({"context": {f"key {number}": {"deep": [number]} for number in range(3000)}}),
        b'{"a":1,"a":2,"context":{"b":1,"b":"x"}}',
        b'{"a":"\\ud800"}',
        b'{"a":NaN}',
        b'{"context":{"big":18446744073709551615,"bigger":1' + b"0" * 40 + b',"small":-9223372036854775808}}',
        orjson.dumps({"context": {"big": "now text"}}),
        orjson.dumps(
            {
                "": 1,
                " ": 2,
                ".": 3,
                "a.": 4,
                ".b": 5,
                "c..d": 6,
                "_id": 7,
                "_source": {"x": 1},
                "__proto__": 8,
            }
        ),
        orjson.dumps({"context": {"": 1, "a..b": {"": 2}}, "nul\0name": 1, "n" * 40_000: 1}),
        orjson.dumps({"level": {"a": 1}, "message": {"b": [1]}, "service": [1, {"x": 2}], "tags": {"x": 1}}),
        orjson.dumps({"level": "INFO", "message": "plain", "service": "api", "tags": ["a"]}),
        orjson.dumps(
            {"service.name": "ecs", "service": "api", "log.level": "info", "log": {"level": "warn"}}
        ),
        orjson.dumps({"context": "text"}),
        orjson.dumps({"context": [1, {"a": 1}]}),
        orjson.dumps({"context": None, "level": None, "message": None, "tags": None, "timestamp": None}),
        orjson.dumps({"x": 1}),
        orjson.dumps({"x": {"y": 1}}),
        orjson.dumps({"x": "text", "z": [[1], [2]]}),
        orjson.dumps({"timestamp": "9999-12-31T23:59:59.999999999Z", "level": "INFO"}),
        orjson.dumps({"timestamp": "-0001-01-01T00:00:00Z"}),
        orjson.dumps({"timestamp": -1}),
        orjson.dumps({"timestamp": "x" * 100_000, "@timestamp": {"a": "b"}}),
        orjson.dumps({"kafka": "mine", "unmapped": {"a": {"b": "c" * 50_000}}, "service_name": 5}),
        orjson.dumps({"trace_id": 5, "span_id": {"a": 1}, "user_id": ["a", "b"], "integration_id": True}),
        orjson.dumps({"component": "c" * 50_000, "context": {"long": "v" * 50_000}}),
        orjson.dumps([{"a": 1}, {"a": "x"}, {"a": {"b": 1}}]),
    ]
    expected = len(values) + 2  # an array of three
    await pipeline.send(values, max_request_size=5 << 20)
    await pipeline.send(list(reversed(values)), max_request_size=5 << 20)
    with running("index", settings=pipeline.environment()) as process:
        counts = await pipeline.indexed(2 * expected, within_seconds=40)
        assert sum(counts.values()) == 2 * expected, process.poll()
        stop(process)
    documents = await pipeline.documents()
    assert (
        Counter((one["kafka"]["partition"], one["kafka"]["offset"]) for one in documents).most_common(1)[0][1]
        == 3
    )
    assert await pipeline.committed() == await pipeline.ends()
    assert all(name.endswith(time.strftime("%Y.%m.%d", time.gmtime())) for name in counts)


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
async def test_compressed_batches(pipeline: Pipeline, compression: str) -> None:
    await pipeline.send([b'{"message":"m"}'] * 500, compression_type=compression)
    with running("index", settings=pipeline.environment()) as process:
        assert sum((await pipeline.indexed(500)).values()) == 500
        stop(process)


async def test_aborted_transactions_are_not_indexed_and_their_gaps_are_committed(pipeline: Pipeline) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=pipeline.servers.kafka_bootstrap, transactional_id=f"{pipeline.name}-tx"
    )
    await producer.start()
    try:
        for outcome in ("commit", "abort", "commit"):
            await producer.begin_transaction()
            for number in range(10):
                await producer.send_and_wait(pipeline.name, f"{outcome} {number}".encode(), partition=0)
            await (producer.abort_transaction() if outcome == "abort" else producer.commit_transaction())
    finally:
        await producer.stop()
    with running("index", settings=pipeline.environment()) as process:
        assert sum((await pipeline.indexed(20)).values()) == 20
        await asyncio.sleep(1.5)
        stop(process)
    assert not [one for one in await pipeline.documents() if one["message"].startswith("abort")]
    # The marker behind the last record is no record: the position stands just before it.
    committed, ends = await pipeline.committed(), await pipeline.ends()
    assert ends[0] - committed[0] <= 1


async def test_topics_by_pattern(pipeline: Pipeline) -> None:
    for suffix in ("a", "b"):
        await pipeline.create_topic(f"{pipeline.name}.{suffix}", partitions=1)
        await pipeline.send([b'{"message":"m"}'] * 10, topic=f"{pipeline.name}.{suffix}")
    settings = pipeline.environment(LOGPIPE_KAFKA__TOPIC_PATTERN=rf"{pipeline.name}\..*")
    del settings["LOGPIPE_KAFKA__TOPICS"]
    with running("index", settings=settings) as process:
        assert sum((await pipeline.indexed(20)).values()) == 20
        stop(process)
    assert Counter(one["kafka"]["topic"] for one in await pipeline.documents()) == {
        f"{pipeline.name}.a": 10,
        f"{pipeline.name}.b": 10,
    }


async def test_rejected_documents_become_dead_letters_byte_for_byte(pipeline: Pipeline) -> None:
    # A template of somebody else's that lets nothing in but messages.
    await pipeline.client.indices.put_index_template(
        name=f"{pipeline.name}-strict",
        index_patterns=[f"{pipeline.name}-*"],
        priority=1000,
        template={"mappings": {"dynamic": "strict", "properties": {"message": {"type": "text"}}}},
    )
    values = [b'{"message":"m%d"}' % number for number in range(10)]
    try:
        await pipeline.send(values)
        with running("index", settings=pipeline.environment()) as process:
            async with asyncio.timeout(60):
                while sum((await pipeline.committed()).values()) < 10:
                    await asyncio.sleep(0.2)
            stop(process)
    finally:
        await pipeline.client.indices.delete_index_template(name=f"{pipeline.name}-strict")
    letters = [letter async for letter in read_dead_letters(pipeline.settings)]
    assert sorted(letter.value or b"" for letter in letters) == values
    assert {letter.error_type for letter in letters} == {"strict_dynamic_mapping_exception"}
    assert {letter.status for letter in letters} == {400}
    assert {(letter.record.topic, letter.key) for letter in letters} == {(pipeline.name, b"k")}
    assert sorted(letter.record.offset for letter in letters) == list(range(10))
    assert await pipeline.committed() == await pipeline.ends()


async def test_health_tells_of_each_dependency(pipeline: Pipeline) -> None:
    with running("index", settings=pipeline.environment()) as process:
        ready = await _wait_for_status(pipeline, "ready", 200)
        live = await _wait_for_status(pipeline, "live", 200)
        startup = await _wait_for_status(pipeline, "startup", 200)
        stop(process)
    assert ready["checks"] == {"kafka": True, "elasticsearch": True, "dead_letters": True}
    assert live["status"] == "alive"
    assert startup["status"] == "started"
    assert startup["version"]
    away = pipeline.environment(LOGPIPE_ELASTICSEARCH__HOSTS="http://127.0.0.1:9")
    await pipeline.send([b"{}"])
    with running("index", settings=away):
        body = await _wait_for_status(pipeline, "ready", 503, lambda body: body["checks"]["kafka"])
        assert body["checks"] == {"kafka": True, "elasticsearch": False, "dead_letters": True}
        await _wait_for_status(pipeline, "live", 200)


async def _wait_for_status(
    pipeline: Pipeline, probe: str, status: int, condition: Callable[[dict[str, Any]], bool] = lambda _: True
) -> dict[str, Any]:
    async with asyncio.timeout(30), ClientSession() as session:
        while True:
            try:
                async with session.get(f"http://127.0.0.1:{pipeline.port}/health/{probe}") as response:
                    body: dict[str, Any] = await response.json()
                    if response.status == status and condition(body):
                        return body
            except OSError:
                pass
            await asyncio.sleep(0.1)


async def test_check_finds_what_is_missing_and_what_is_there(pipeline: Pipeline) -> None:
    good = await asyncio.to_thread(logpipe, "check", settings=pipeline.environment())
    assert good.returncode == 0, good.stdout.decode()
    bad = await asyncio.to_thread(
        logpipe, "check", settings=pipeline.environment(LOGPIPE_KAFKA__TOPICS="none-such")
    )
    assert bad.returncode == 3
    assert "none-such" in bad.stdout.decode()
    bad = await asyncio.to_thread(
        logpipe, "run", settings=pipeline.environment(LOGPIPE_INDEX__PREFIX="none-such")
    )
    assert bad.returncode == 3
    assert "logpipe setup" in bad.stderr.decode()


async def test_generate_writes_what_it_says(pipeline: Pipeline) -> None:
    result = await asyncio.to_thread(
        logpipe, "generate", "--count", "1500", "--rate", "1000", settings=pipeline.environment()
    )
    assert result.returncode == 0, result.stderr.decode()
    assert sum((await pipeline.ends()).values()) == 1500


async def test_metrics_and_first_errors_come_out_of_the_events(pipeline: Pipeline) -> None:
    """Two lives of a worker over the same records: every error is new once, and counted in each."""
    traffic = list(sample_events(6_000, seed=5, end_ms=time.time_ns() // 1_000_000, span_seconds=600))
    await produce(pipeline.settings.kafka, traffic)
    exposed = []
    for group in ("first", "second"):
        environment = pipeline.environment(LOGPIPE_KAFKA__GROUP_ID=f"{pipeline.name}-{group}")
        with running("index", settings=environment) as process:
            async with asyncio.timeout(60):
                while await _documents_settled(pipeline) < 6_000 or not await _no_new_errors_waiting(
                    pipeline
                ):
                    await asyncio.sleep(0.3)
            exposed.append(await pipeline.metrics())
            stop(process)
    await pipeline.client.indices.refresh(index=f"{pipeline.name}-*,{pipeline.name}.fingerprints")
    errors = await pipeline.client.search(
        index=f"{pipeline.name}-*",
        size=0,
        track_total_hits=True,
        query={"term": {"tags": "error"}},
        aggs={"kinds": {"cardinality": {"field": "error.fingerprint", "precision_threshold": 1000}}},
    )
    kept = await pipeline.client.search(index=f"{pipeline.name}.fingerprints", size=1000)
    total, kinds = errors["hits"]["total"]["value"], errors["aggregations"]["kinds"]["value"]
    assert total > 50
    assert len(kept["hits"]["hits"]) == kinds
    assert all(hit["_id"] == hit["_source"]["error.fingerprint"] for hit in kept["hits"]["hits"])
    for metrics in exposed:
        assert _sum(metrics, "log_events_total") == 6_000
        assert _sum(metrics, "log_errors_by_fingerprint_total") == total
        assert _sum(metrics, "logpipe_freshness_seconds_count") > 0 or metrics is exposed[1]
    assert [_sum(metrics, "log_new_errors_total") for metrics in exposed] == [kinds, 0]
    assert exposed[0]["logpipe_ready"] == 1
    assert _sum(exposed[0], "logpipe_bulk_took_seconds_count") > 0
    assert _sum(exposed[0], "logpipe_end_to_end_latency_seconds_count") > 0


def _sum(metrics: dict[str, float], name: str) -> float:
    return sum(value for key, value in metrics.items() if key.partition("{")[0] == name)


async def _no_new_errors_waiting(pipeline: Pipeline) -> bool:
    """Tell whether the index of first errors has as many as there are; the worker looks every second."""
    try:
        await pipeline.client.indices.refresh(index=f"{pipeline.name}-*,{pipeline.name}.fingerprints")
    except NotFoundError:
        return False
    found = await pipeline.client.search(
        index=f"{pipeline.name}-*",
        size=0,
        aggs={"kinds": {"cardinality": {"field": "error.fingerprint", "precision_threshold": 1000}}},
    )
    kept = await pipeline.client.count(index=f"{pipeline.name}.fingerprints")
    return int(kept["count"]) >= int(found["aggregations"]["kinds"]["value"])


async def test_lag_grows_while_reading_is_paused(pipeline: Pipeline) -> None:
    await pipeline.send_samples(5_000)
    environment = pipeline.environment(**SLOW, LOGPIPE_ELASTICSEARCH__HOSTS=f"http://127.0.0.1:{free_port()}")
    with running("index", settings=environment):
        async with asyncio.timeout(60):
            while not (before := await _lag(pipeline)):
                await asyncio.sleep(0.3)
            # Pausing takes five seconds; from then on no batch tells how much there is.
            await asyncio.sleep(6)
            await pipeline.send_samples(3_000, seed=1)
            while await _lag(pipeline) < before + 3_000:
                await asyncio.sleep(0.3)


async def _lag(pipeline: Pipeline) -> float:
    try:
        return _sum(await pipeline.metrics(), "logpipe_consumer_lag_records")
    except OSError:
        return 0
