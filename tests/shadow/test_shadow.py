"""The comparison on the real servers: a Logstash's documents are those that its configuration makes."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from elasticsearch import AsyncElasticsearch

from pipeline.logstash.compiler import Context
from pipeline.logstash.configuration import compile_pipeline, read_configuration
from pipeline.logstash.plugin import Origin
from pipeline.logstash.trial import Sample, try_sample
from tests.logpipe import logpipe
from tests.own_pipeline import Pipeline

CONFIGURATION = """
input {{ kafka {{ topics => ["{topic}"] group_id => "{topic}" codec => json decorate_events => basic }} }}
filter {{
  date {{ match => ["timestamp", "ISO8601"] remove_field => ["timestamp"] }}
  if [level] == "DEBUG" {{ drop {{ }} }}
  mutate {{ uppercase => ["level"] {copy} }}
}}
output {{ elasticsearch {{ index => "{index}-%{{+YYYY.MM.dd}}" }} }}
"""
COPY = 'copy => { "[@metadata][kafka]" => "kafka" }'
EVENTS = [
    {"timestamp": f"2024-01-15T10:30:{number:02d}Z", "level": level, "message": f"event {number % 5}"}
    for number, level in enumerate(["info", "warn", "DEBUG", "error"] * 5)
]


class Beside:
    """A topic and indices of a test's own, and the configuration of the Logstash that is simulated."""

    def __init__(self, pipeline: Pipeline, folder: Path, *, copies: bool) -> None:
        self.pipeline = pipeline
        self.index = f"logstash-{uuid4().hex[:8]}"
        self.file = folder / "pipeline.conf"
        text = CONFIGURATION.format(topic=pipeline.name, index=self.index, copy=COPY if copies else "")
        self.file.write_text(text)

    async def send(self, events: list[dict[str, Any]]) -> list[tuple[bytes, Origin]]:
        """Send records to one partition; gives them with their coordinates."""
        sent = []
        producer = AIOKafkaProducer(bootstrap_servers=self.pipeline.servers.kafka_bootstrap)
        await producer.start()
        try:
            for event in events:
                value, now = json.dumps(event).encode(), time.time_ns() // 1_000_000
                place = await producer.send_and_wait(self.pipeline.name, value, partition=1, timestamp_ms=now)
                sent.append((value, Origin(self.pipeline.name, 1, place.offset, now)))
        finally:
            await producer.stop()
        return sent

    async def index_as_logstash(self, sent: list[tuple[bytes, Origin]]) -> list[dict[str, Any]]:
        """Index what the configuration makes of records; gives the answers."""
        configuration = compile_pipeline(read_configuration([self.file], {}), Context())
        return [
            dict(await self.client.index(index=row["index"], document=row["document"], refresh=True))
            for value, origin in sent
            for row in try_sample(configuration, 0, Sample(value, origin)).rows
            if "document" in row
        ]

    @property
    def client(self) -> AsyncElasticsearch:
        return self.pipeline.client

    async def shadow(self, *options: str, code: int) -> dict[str, Any]:
        command = await asyncio.to_thread(
            logpipe,
            *(
                "shadow",
                "--against",
                f"{self.index}-*",
                "--logstash",
                str(self.file),
                "--wait",
                "0",
                "--json",
            ),
            *options,
            settings=self.pipeline.environment(LOGPIPE_EVENTS__NORMALISE="false"),
        )
        assert command.returncode == code, command.stderr.decode() + command.stdout.decode()
        result: dict[str, Any] = json.loads(command.stdout)
        return result


@pytest.fixture(params=[True, False], ids=["coordinates", "content"])
async def beside(pipeline: Pipeline, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Beside]:
    one = Beside(pipeline, tmp_path, copies=request.param)
    yield one
    for name in await one.client.indices.get(index=f"{one.index}-*"):
        await one.client.indices.delete(index=name)


async def test_documents_are_equal_until_one_is_changed_lost_or_added(beside: Beside, tmp_path: Path) -> None:
    sent = await beside.send(EVENTS)
    answers = await beside.index_as_logstash(sent)
    result = await beside.shadow(code=0)
    assert result["is_equal"]
    assert (result["records"], result["here"], result["there"], result["equal"]) == (20, 15, 15, 15)
    assert result["dropped"] == {"drop, line 5": 5}
    assert set(result["found_by"]) == {"coordinates" if COPY in beside.file.read_text() else "original"}

    changed, lost = answers[0], answers[1]
    await beside.client.update(
        index=changed["_index"], id=changed["_id"], doc={"level": "Info", "more": 1}, refresh=True
    )
    await beside.client.delete(index=lost["_index"], id=lost["_id"], refresh=True)
    await beside.client.index(
        index=changed["_index"],
        document={"@timestamp": "2024-01-15T10:30:00Z", "message": "of another"},
        refresh=True,
    )
    page = tmp_path / "parity.html"
    result = await beside.shadow("--html", str(page), code=1)
    assert not result["is_equal"]
    assert (result["equal"], result["different"], result["only_here"], result["only_there"]) == (13, 1, 1, 1)
    fields = {each["field"]: each for each in result["fields"]}
    assert fields.keys() == {"level", "more"}
    assert fields["level"]["samples"][0] == {
        "record": f"{beside.pipeline.name}/1@0",
        "index": changed["_index"],
        "id": changed["_id"],
        "here": "INFO",
        "there": "Info",
    }
    assert fields["more"]["kinds"] == {"only there": 1}
    assert "of another" in page.read_text()
    assert "<script" not in page.read_text()

    result = await beside.shadow(
        "--where", "NOT message:another", "--ignore", "level", "--ignore", "more", code=1
    )
    assert (result["equal"], result["different"], result["only_here"], result["only_there"]) == (14, 0, 1, 0)


async def test_only_what_is_wanted_is_compared(beside: Beside) -> None:
    first = await beside.send(EVENTS[:4])
    await asyncio.sleep(0.01)
    second = await beside.send(EVENTS[4:])
    await beside.index_as_logstash([*first, *second])
    since = second[0][1].timestamp_ms
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since // 1000)) + f".{since % 1000:03d}Z"
    result = await beside.shadow("--since", text, code=1)
    # The events are of long ago, so that by their time only those with coordinates are of what is compared.
    assert result["records"] == 16
    assert (result["equal"] == 12) is ("coordinates" in result["found_by"]) or result["there"] == 0
    command = await asyncio.to_thread(
        logpipe,
        *("shadow", "--against", "logstash-nowhere", "--wait", "0"),
        settings=beside.pipeline.environment(),
    )
    assert command.returncode == 2
    assert b"there is no such index" in command.stderr


async def test_without_a_configuration_the_documents_of_this_pipeline_are_compared(
    pipeline: Pipeline,
) -> None:
    index = f"logstash-{uuid4().hex[:8]}"
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    events = [{**event, "timestamp": now} for event in EVENTS[:3]]
    await pipeline.send([json.dumps(event).encode() for event in events], partition=0)
    for event in events:
        document = {
            "@timestamp": now,
            "@version": "1",
            "event": {"original": json.dumps(event)},
            "level": event["level"],
            "message": event["message"],
        }
        await pipeline.client.index(index=index, document=document, refresh=True)
    try:
        command = await asyncio.to_thread(
            logpipe,
            *("shadow", "--against", index, "--ignore", "service_name", "--wait", "0"),
            settings=pipeline.environment(),
        )
    finally:
        await pipeline.client.indices.delete(index=index)
    shown = command.stdout.decode()
    assert command.returncode == 1, command.stderr.decode()
    assert "level  changed 2" in shown  # here in capitals
    assert "log.level  only here 2" in shown
    assert "1 documents are equal, 33.3 % of all" in shown
