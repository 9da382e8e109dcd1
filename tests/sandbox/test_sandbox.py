"""The local servers are the real ones, keep their data, and never outlive the process that wanted them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from elasticsearch import AsyncElasticsearch

from pipeline.errors import SandboxError
from pipeline.sandbox import Elasticsearch, Kafka, Servers, start_sandbox
from pipeline.sandbox.ports import free_port
from tests.logpipe import logpipe

pytestmark = pytest.mark.timeout(180)

SECOND = 1000
DAY = 86_400 * SECOND


async def create_topic(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def produce(bootstrap: str, topic: str, value: bytes, timestamp_ms: int | None = None) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=10_000_000)
    await producer.start()
    try:
        await producer.send_and_wait(topic, value, timestamp_ms=timestamp_ms)
    finally:
        await producer.stop()


async def consume(bootstrap: str, topic: str, count: int) -> list[tuple[bytes, int]]:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", group_id=topic
    )
    await consumer.start()
    try:
        records = [await consumer.getone() for _ in range(count)]
        await consumer.commit()
        return [(record.value, record.timestamp) for record in records]
    finally:
        await consumer.stop()


def eventually(condition: Callable[[], bool], seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def descendants() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


async def test_a_produced_record_is_consumed(kafka_bootstrap: str) -> None:
    await create_topic(kafka_bootstrap, "sandbox.record")

    await produce(kafka_bootstrap, "sandbox.record", b'{"message": "hello"}', timestamp_ms=1234)

    assert await consume(kafka_bootstrap, "sandbox.record", 1) == [(b'{"message": "hello"}', 1234)]


async def test_records_may_be_large_and_of_any_time(kafka_bootstrap: str) -> None:
    now = int(time.time() * SECOND)
    times = [now - 3650 * DAY, now, now + 30 * DAY]
    await create_topic(kafka_bootstrap, "sandbox.times")

    for timestamp_ms in times:
        await produce(kafka_bootstrap, "sandbox.times", bytes(3_000_000), timestamp_ms)

    assert [stamp for _, stamp in await consume(kafka_bootstrap, "sandbox.times", 3)] == times


async def test_an_indexed_document_is_found(servers: Servers, elasticsearch_url: str) -> None:
    codec = {"codec": "best_compression"} if servers.elasticsearch.has_zstd else {}
    client = AsyncElasticsearch(elasticsearch_url)
    try:
        await client.indices.create(
            index="sandbox-documents", settings={"index": {"number_of_replicas": 0, **codec}}
        )

        await client.index(index="sandbox-documents", id="1", document={"message": "hello"}, refresh=True)
        found = await client.search(index="sandbox-documents", query={"match": {"message": "hello"}})
        health = await client.cluster.health(index="sandbox-documents")
    finally:
        await client.close()

    assert [hit["_source"] for hit in found["hits"]["hits"]] == [{"message": "hello"}]
    assert health["status"] == "green"


async def test_kafka_keeps_its_records_through_a_kill(tmp_path: Path) -> None:
    kafka = Kafka(tmp_path / "kafka", heap_mb=256)
    try:
        kafka.start()
        first = kafka.pid
        await create_topic(kafka.bootstrap, "kept")
        await produce(kafka.bootstrap, "kept", b"before")

        kafka.kill()
        assert not psutil.pid_exists(first)
        assert not kafka.running
        kafka.start()

        await produce(kafka.bootstrap, "kept", b"after")
        assert [value for value, _ in await consume(kafka.bootstrap, "kept", 2)] == [b"before", b"after"]
    finally:
        kafka.stop()

    elsewhere = Kafka(tmp_path / "kafka", heap_mb=256, port=free_port())
    try:
        elsewhere.start()
        await produce(elsewhere.bootstrap, "kept", b"later")
        assert [value for value, _ in await consume(elsewhere.bootstrap, "kept", 1)] == [b"later"]
    finally:
        elsewhere.stop()


async def test_elasticsearch_keeps_its_documents_through_a_kill(tmp_path: Path) -> None:
    elasticsearch = Elasticsearch(tmp_path / "elasticsearch", heap_mb=384)
    client = AsyncElasticsearch(elasticsearch.url)
    try:
        elasticsearch.start()
        first = elasticsearch.pid
        await client.index(index="kept", id="1", document={"message": "before"})

        elasticsearch.kill()
        assert not psutil.pid_exists(first)
        elasticsearch.start()

        assert (await client.get(index="kept", id="1"))["_source"] == {"message": "before"}
    finally:
        await client.close()
        elasticsearch.stop()


def test_a_suspended_server_does_not_answer_until_resumed(tmp_path: Path) -> None:
    kafka = Kafka(tmp_path / "kafka", heap_mb=256)
    try:
        kafka.start()
        kafka.suspend()
        assert eventually(lambda: psutil.Process(kafka.pid).status() == psutil.STATUS_STOPPED)
        kafka.resume()
        kafka.wait_until_ready()
        kafka.suspend()
    finally:
        kafka.stop()
    assert not kafka.running


def test_no_process_is_left_after_stop(tmp_path: Path) -> None:
    before = descendants()
    kafka = Kafka(tmp_path / "kafka", heap_mb=256)
    kafka.start()
    assert len(descendants() - before) == 2  # the server and its watchdog

    kafka.stop()

    assert descendants() == before
    assert "shut down completed" in kafka.log.read_text("utf-8")
    with pytest.raises(SandboxError, match="is not running"):
        _ = kafka.pid


ORPHAN_MAKER = """
import json, sys, time
from pathlib import Path
from pipeline.sandbox import start_sandbox

directory = Path(sys.argv[1]) if sys.argv[1] else None
with start_sandbox(directory, kafka_heap_mb=256, elasticsearch_heap_mb=384) as servers:
    processes = {"kafka": servers.kafka.pid, "elasticsearch": servers.elasticsearch.pid}
    print(json.dumps({**processes, "directory": str(servers.directory)}), flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("kept", [True, False])
def test_no_process_is_left_when_the_parent_dies(tmp_path: Path, number: signal.Signals, kept: bool) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHAN_MAKER, str(tmp_path / "kept") if kept else ""],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert parent.stdout
    with parent.stdout:
        started = json.loads(parent.stdout.readline())
    processes = [psutil.Process(started[name]) for name in ("kafka", "elasticsearch")]
    watchdogs = [process.parent() for process in processes]
    processes[0].suspend()  # even so

    parent.send_signal(number)
    parent.wait()

    everyone = [*processes, *(watchdog for watchdog in watchdogs if watchdog)]
    assert len(everyone) == 4
    assert eventually(lambda: not any(process.is_running() for process in everyone))
    assert Path(started["directory"]).exists() is kept


async def test_without_a_libzstd_the_default_codec_remains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.sandbox.elasticsearch.find_libzstd", lambda: None)
    messages: list[str] = []
    elasticsearch = Elasticsearch(tmp_path / "elasticsearch", heap_mb=384, report=messages.append)
    client = AsyncElasticsearch(elasticsearch.url)
    try:
        elasticsearch.start()
        await client.index(index="plain", id="1", document={"message": "hello"}, timeout="10s")
    finally:
        await client.close()
        elasticsearch.kill()

    assert not elasticsearch.has_zstd
    assert messages[0] == "no libzstd on this machine: Elasticsearch runs without codec best_compression"


def test_a_failed_start_shows_why_and_where_the_log_is(tmp_path: Path) -> None:
    kafka = Kafka(tmp_path / "kafka", settings={"log.retention.bytes": "plenty"})
    with pytest.raises(SandboxError, match="plenty") as kafka_failure:
        kafka.start()
    assert str(kafka.log) in str(kafka_failure.value)

    elasticsearch = Elasticsearch(tmp_path / "elasticsearch", settings={"no.such.setting": "1"})
    with pytest.raises(SandboxError, match=r"unknown setting \[no.such.setting\]") as elasticsearch_failure:
        elasticsearch.start()
    assert str(elasticsearch.log) in str(elasticsearch_failure.value)

    slow = Kafka(tmp_path / "slow", start_timeout_seconds=0)
    with pytest.raises(SandboxError, match="did not answer within 0 s"):
        slow.start()
    assert not slow.running


def test_no_port_is_given_twice() -> None:
    ports = [free_port() for _ in range(500)]
    assert len(set(ports)) == len(ports)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("option", "name"), [("--kafka-port", "Kafka"), ("--elasticsearch-port", "Elasticsearch")]
)
def test_a_taken_port_is_refused_with_its_owner_and_what_to_do(
    taken_port: int, option: str, name: str, tmp_path: Path
) -> None:
    free = {"--kafka-port": str(free_port()), "--elasticsearch-port": str(free_port())}
    ports = {**free, option: str(taken_port)}
    home = tmp_path / "home"
    result = logpipe("sandbox", "--directory", str(home), *(word for pair in ports.items() for word in pair))
    assert result.returncode == 5
    text = result.stderr.decode()
    assert f"port {taken_port} of 127.0.0.1 is taken by process {os.getpid()} (" in text
    assert f"{name} " in text
    assert f"choose another one with {option}" in text
    assert b"Ctrl-C" not in result.stdout
    assert not home.exists(), "nothing was started"


def test_both_servers_cannot_have_the_same_port(tmp_path: Path) -> None:
    port = free_port()
    with (
        pytest.raises(SandboxError, match=f"cannot both have port {port}"),
        start_sandbox(tmp_path, kafka_port=port, elasticsearch_port=port),
    ):
        pass


@pytest.mark.parametrize("kind", [Kafka, Elasticsearch])
def test_another_server_that_answers_at_the_port_is_not_taken_for_ones_own(
    kind: type[Kafka | Elasticsearch], servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = servers.kafka.port if kind is Kafka else servers.elasticsearch.port
    late = kind(tmp_path / "late", port=port, heap_mb=384)
    # The port was free when it was looked at.
    monkeypatch.setattr("pipeline.sandbox.process.refuse_taken_port", lambda *_: None)
    try:
        with pytest.raises(SandboxError, match="ended before it answered"):
            late.start()
    finally:
        late.kill()
    assert "Address already in use" in late.log.read_text("utf-8")
