"""The page of migrating from Logstash: walked through by the letter, on the real servers.

What is not ours is played: Logstash by a member of its group that indexes what the configuration makes, `systemctl` by
the test, Kafka's tools by scripts that do the same through our client. Everything of `logpipe` runs as it stands.
"""

import asyncio
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from elasticsearch import AsyncElasticsearch

from pipeline.logstash.compiler import Context
from pipeline.logstash.configuration import Pipeline, compile_pipeline, read_configuration
from pipeline.logstash.plugin import Origin
from pipeline.logstash.trial import Sample, try_sample
from pipeline.sandbox import Servers
from pipeline.sandbox.ports import free_port
from tests.docs.shell import ROOT, blocks
from tests.logpipe import environment

PAGE = ROOT / "docs/migrating-from-logstash.md"
GROUP = "logstash-web"
TOPIC = "weblog"
# The sandbox's Elasticsearch has no lifecycle management.
AS_HERE = {"logpipe setup": "logpipe setup --without-ilm"}
CONSUMER = """#!{python}
import asyncio, sys
from aiokafka import AIOKafkaConsumer
async def main():
    consumer = AIOKafkaConsumer(sys.argv[4], bootstrap_servers={servers!r}, auto_offset_reset="earliest")
    await consumer.start()
    found = await consumer.getmany(timeout_ms=10000)
    while found:
        for records in found.values():
            for record in records:
                sys.stdout.buffer.write(record.value + b"\\n")
        found = await consumer.getmany(timeout_ms=2000)
    await consumer.stop()
asyncio.run(main())
"""


class Logstash:
    """What a Logstash with the page's configuration does: reads as its group, indexes with ids of Elasticsearch's."""

    def __init__(self, servers: Servers, client: AsyncElasticsearch, folder: Path) -> None:
        self._servers = servers
        self._client = client
        settings = {"BROKERS": servers.kafka_bootstrap, "ELASTICSEARCH": servers.elasticsearch_url}
        self._pipeline: Pipeline = compile_pipeline(
            read_configuration([folder / "pipeline.conf"], settings), Context()
        )

    async def read_on(self) -> list[int]:
        """Go on from what the group has committed, up to the end; gives the numbers of the events."""
        consumer = AIOKafkaConsumer(
            TOPIC,
            bootstrap_servers=self._servers.kafka_bootstrap,
            group_id=GROUP,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        numbers = []
        await consumer.start()
        try:
            while not consumer.assignment():
                await asyncio.sleep(0.05)
            ends = await consumer.end_offsets(list(consumer.assignment()))
            while any([await consumer.position(one) < end for one, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        numbers.append(json.loads(record.value)["number"])
                        await self._index(record)
            await consumer.commit()
        finally:
            await consumer.stop()
        return numbers

    async def _index(self, record: Any) -> None:
        origin = Origin(record.topic, record.partition, record.offset, record.timestamp, record.key)
        for row in try_sample(self._pipeline, 0, Sample(record.value, origin)).rows:
            if "document" in row:
                await self._client.index(index=row["index"], document=row["document"], refresh=True)


class Walk:
    """The page's commands, run one after the other in a folder."""

    def __init__(self, servers: Servers, folder: Path) -> None:
        self.folder = folder
        self.running: subprocess.Popen[bytes] | None = None
        tools = folder / "tools"
        tools.mkdir()
        consumer = CONSUMER.format(python=sys.executable, servers=servers.kafka_bootstrap)
        nothing = "#!/bin/sh\nexit 0\n"
        for name, text in {
            "kafka-console-consumer.sh": consumer,
            "kafka-consumer-groups.sh": nothing,
            "pip": nothing,
            "systemctl": nothing,
        }.items():
            (tools / name).write_text(text)
            (tools / name).chmod(stat.S_IRWXU)
        self.environment = environment(
            {
                "BROKERS": servers.kafka_bootstrap,
                "ELASTICSEARCH": servers.elasticsearch_url,
                "LOGPIPE_HTTP__PORT": str(free_port()),
                "LOGPIPE_RUN__WORKERS": "1",
                "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            }
        )

    def run(self, line: str) -> str:
        done = subprocess.run(
            ["/bin/sh", "-c", line], cwd=self.folder, env=self.environment, capture_output=True, text=True,
            timeout=240, check=False,  # a command takes a second, and many of them on a busy machine
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, line: str) -> None:
        self.running = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {line}"], cwd=self.folder, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def stop(self, *, by: signal.Signals = signal.SIGTERM) -> None:
        if self.running is not None:
            self.running.send_signal(by)
            output = self.running.communicate(timeout=60)[0].decode()
            code, self.running = self.running.returncode, None
            assert by is signal.SIGKILL or code == 0, output


async def send(servers: Servers, numbers: range) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=servers.kafka_bootstrap, acks="all")
    await producer.start()
    try:
        for number in numbers:
            event = {
                "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{number % 1000:03d}Z",
                "level": "debug" if number % 3 == 0 else "info",
                "status": str(200 + number % 2),
                "number": number,
            }
            await producer.send_and_wait(TOPIC, json.dumps(event).encode())
    finally:
        await producer.stop()


@pytest.fixture
async def client(servers: Servers) -> AsyncIterator[AsyncElasticsearch]:
    """Make the topic; take away afterwards what the walk leaves."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers.kafka_bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, 2, 1)])
    one = AsyncElasticsearch(servers.elasticsearch_url, request_timeout=60)
    try:
        yield one
    finally:
        for index in await one.indices.get(index=f"{TOPIC}*"):
            await one.indices.delete(index=index)
        there = one.options(ignore_status=404)  # unless the walk has ended before
        await there.indices.delete_index_template(name=f"{TOPIC}*")
        await there.cluster.delete_component_template(name=f"{TOPIC}@*")
        await one.close()
        await admin.delete_topics([TOPIC])
        await admin.close()


async def numbers(client: AsyncElasticsearch) -> list[int]:
    await client.indices.refresh(index=f"{TOPIC}-*")
    answer = await client.search(index=f"{TOPIC}-*", size=1000)
    return sorted(hit["_source"]["number"] for hit in answer["hits"]["hits"])


async def until(client: AsyncElasticsearch, wanted: list[int]) -> None:
    deadline = time.monotonic() + 90
    while (found := await numbers(client)) != wanted and time.monotonic() < deadline:
        await asyncio.sleep(0.3)
    assert found == wanted


def lines(page: Path) -> list[str]:
    return [
        line
        for language, text in blocks(page)
        if language in {"sh", "bash"}
        for line in text.splitlines()
        if line.strip() and not line.startswith("#")
    ]


def kept(first: int, end: int) -> list[int]:
    """Give the numbers of the events that the filters leave."""
    return [number for number in range(first, end) if number % 3]


@pytest.mark.timeout(900)
async def test_every_command_of_the_page_does_what_the_page_says(
    servers: Servers, client: AsyncElasticsearch, tmp_path: Path
) -> None:
    (configuration,) = [text for language, text in blocks(PAGE) if language == "text"]
    (tmp_path / "pipeline.conf").write_text(configuration)
    logstash, walk = Logstash(servers, client, tmp_path), Walk(servers, tmp_path)
    await send(servers, range(30))
    assert sorted(await logstash.read_on()) == list(range(30))
    walked = []
    try:
        for line in lines(PAGE):
            walked.append(line)
            if line == "logpipe run":
                await send(servers, range(30, 60))  # while nobody reads
                walk.start(line)
                await until(client, kept(0, 60))
                continue
            if line == "systemctl stop logpipe":
                walk.stop()
                await send(servers, range(60, 75))
            if line.startswith("logpipe audit"):
                await audited(walk, line)
                continue
            output = await asyncio.to_thread(walk.run, AS_HERE.get(line, line))
            if line == "logpipe logstash check pipeline.conf":
                assert "Everything in it is done." in output
            elif line.startswith("kafka-console-consumer.sh"):
                assert len((tmp_path / "samples.ndjson").read_text().splitlines()) == 30
            elif line.startswith("logpipe shadow"):
                assert "All 20 documents are equal." in output
                assert "All 20 documents are equal." in (tmp_path / "parity.html").read_text()
            elif line == "systemctl start logstash":
                assert sorted(await logstash.read_on()) == list(range(60, 75))
                assert await numbers(client) == kept(0, 75)
    finally:
        walk.stop(by=signal.SIGKILL)
    assert len(walked) == 18  # a new command wants its check above


async def audited(walk: Walk, line: str) -> None:
    """Prove, as soon as the worker has committed what it has indexed."""
    deadline = time.monotonic() + 60
    while True:
        try:
            output = await asyncio.to_thread(walk.run, line)
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(1)
            continue
        if "Nothing is missing, nothing is there twice." in output or time.monotonic() > deadline:
            break
        await asyncio.sleep(1)
    assert "Nothing is missing, nothing is there twice." in output


def test_the_cases_that_differ_are_those_of_the_page() -> None:
    table = PAGE.read_text().split("## Where Logstash loses an event")[1].split("\n## ")[0]
    named = re.findall(r"`([^`]+ #\d+)`", table)
    listed = (ROOT / "tests/logstash/golden/kept.txt").read_text().splitlines()
    assert sorted(named) == sorted(case.split(": ")[1] for case in listed)
