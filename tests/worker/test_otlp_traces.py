"""The pipeline's own traces: which spans a batch has, what they say, and that they are in nobody's way."""

import asyncio
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn

import orjson
import pytest
from aiohttp import web
from aiokafka import AIOKafkaProducer
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from pipeline.bulk.batch_traces import NO_TRACES
from pipeline.bulk.client import make_bulk_client
from pipeline.bulk.writer import BulkWriter
from pipeline.encode.fast_path import Payload
from pipeline.errors import SettingsError
from pipeline.install.check import check_servers
from pipeline.kafka.ledger import Ledger, Partition, Span
from pipeline.sandbox.ports import free_port
from pipeline.settings import Elasticsearch, Kafka, Otlp, Settings, load_settings
from pipeline.telemetry.metrics import Telemetry
from pipeline.worker.open_traces import open_traces
from pipeline.worker.otlp_traces import OtlpTraces, otlp_exporter
from tests.answering_server import Answer, answer_items, answering_server
from tests.bulk.delivery import Letters, payload
from tests.logpipe import environment, running
from tests.own_pipeline import Pipeline
from tests.span_receiver import Receiver, attributes, receiving

NOWHERE = "127.0.0.1:9"
PARTITION = Partition("logs", 3)
STARTED_NS = 1_700_000_000_000_000_000
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"
PARENT = f"00-{TRACE_ID}-{SPAN_ID}-01".encode()


class Record(NamedTuple):
    offset: int
    headers: Sequence[tuple[str, bytes | None]] = ()
    timestamp: int = 1000
    value: bytes | None = b"original"
    key: bytes | None = None


class Untouchable(NamedTuple):
    offset: int
    timestamp: int = 1000
    value: bytes | None = b""
    key: bytes | None = None

    @property
    def headers(self) -> NoReturn:
        raise AssertionError("nobody should look at the headers")


class Traced:
    """Traces into memory, with a ledger and payloads to go with them."""

    def __init__(self, exporter: SpanExporter | None = None, **settings: Any) -> None:
        self.memory = InMemorySpanExporter()
        self.ledger = Ledger()
        self.traces = OtlpTraces(
            Otlp(**{"enabled": True, "sample_ratio": 1, **settings}),
            Kafka(group_id="readers", client_id="one"),
            exporter or self.memory,
        )

    def deliver(self, *records: Record | Untouchable, partition: Partition = PARTITION) -> Span:
        span = self.ledger.deliver(partition, records[-1].offset + 1, len(records))
        self.traces.delivered(span, records, [Payload(2, b"12345"), Payload(1, b"678")], STARTED_NS)
        return span

    async def spans(self) -> list[ReadableSpan]:
        await self.traces.close()
        return list(self.memory.get_finished_spans())


def said(span: ReadableSpan) -> Mapping[str, Any]:
    return span.attributes or {}


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else int(span.parent.span_id)


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def links(span: ReadableSpan) -> list[tuple[str, str, Any]]:
    return [
        (
            f"{link.context.trace_id:032x}",
            f"{link.context.span_id:016x}",
            (link.attributes or {})["messaging.kafka.offset"],
        )
        for link in span.links
    ]


# --- what is traced ---------------------------------------------------------------------------------------


async def test_a_batch_is_a_span_with_its_transformation_inside() -> None:
    traced = Traced()
    traced.traces.settled(traced.deliver(Record(7), Record(9)))
    transform, root = await traced.spans()
    assert (root.name, root.kind, root.parent) == ("process logs", SpanKind.CONSUMER, None)
    assert dict(said(root)) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.consumer.group.name": "readers",
        "messaging.client.id": "one",
        "messaging.destination.name": "logs",
        "messaging.destination.partition.id": "3",
        "messaging.batch.message_count": 2,
        "messaging.kafka.offset": 7,
        "logpipe.last_offset": 9,
    }
    assert (transform.name, parent_of(transform)) == ("transform", id_of(root))
    assert dict(said(transform)) == {"logpipe.documents": 3, "logpipe.bytes": 8}
    assert root.start_time == transform.start_time == STARTED_NS
    assert root.end_time is not None
    assert transform.end_time is not None
    assert STARTED_NS < transform.end_time <= root.end_time
    assert root.resource.attributes["service.name"] == "log-pipeline"


async def test_batches_are_traces_of_their_own() -> None:
    traced = Traced()
    for offset in (1, 2):
        traced.traces.settled(traced.deliver(Record(offset)))
    roots = [span for span in await traced.spans() if span.parent is None]
    assert len({span.context.trace_id for span in roots if span.context}) == 2


async def test_a_batch_that_is_not_chosen_is_not_looked_at() -> None:
    traced = Traced(sample_ratio=0)
    span = traced.deliver(Untouchable(1))
    with traced.traces.sending([], 1) as request:
        assert request is NO_TRACES
    traced.traces.event(span, "retry", 1)
    traced.traces.settled(span)
    assert await traced.spans() == []


async def test_about_as_many_batches_are_traced_as_wanted() -> None:
    traced = Traced(sample_ratio=0.25)
    for offset in range(2000):
        traced.traces.settled(traced.deliver(Record(offset)))
    assert 300 < len([span for span in await traced.spans() if span.parent is None]) < 700


async def test_a_batch_that_is_not_settled_at_the_end_says_so() -> None:
    traced = Traced()
    traced.deliver(Record(1))
    root = (await traced.spans())[-1]
    assert root.status.status_code is StatusCode.ERROR
    assert "not settled" in (root.status.description or "")


# --- links to producers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("traceparent", PARENT)], [(TRACE_ID, SPAN_ID, 0)]),
        ([("other", PARENT), ("traceparent", PARENT)], [(TRACE_ID, SPAN_ID, 0)]),
        ([("traceparent", f"00-{TRACE_ID}-{SPAN_ID}-00".encode())], [(TRACE_ID, SPAN_ID, 0)]),
        ([("Traceparent", PARENT)], []),
        ([("traceparent", None)], []),
        ([("traceparent", b"")], []),
        ([("traceparent", b"\xff\xfe\x00")], []),
        ([("traceparent", PARENT[:-3])], []),
        ([("traceparent", b"ff" + PARENT[2:])], []),
        ([("traceparent", f"00-{'0' * 32}-{SPAN_ID}-01".encode())], []),
        ([("traceparent", f"00-{TRACE_ID}-{'0' * 16}-01".encode())], []),
        ([("traceparent", PARENT * 10_000)], []),
    ],
)
async def test_a_valid_traceparent_is_linked(
    headers: list[tuple[str, bytes | None]], expected: list[tuple[str, str, int]]
) -> None:
    traced = Traced()
    traced.deliver(Record(0, headers))
    assert links((await traced.spans())[-1]) == expected


async def test_each_context_is_linked_once_and_with_its_first_offset() -> None:
    other = f"00-{TRACE_ID}-{'1' * 16}-01".encode()
    unsampled = PARENT[:-2] + b"00"
    traced = Traced()
    traced.deliver(
        *[
            Record(offset, [("traceparent", value)])
            for offset, value in enumerate(
                [b"invalid", PARENT, PARENT, unsampled, other, b"invalid"], start=5
            )
        ]
    )
    assert links((await traced.spans())[-1]) == [(TRACE_ID, SPAN_ID, 6), (TRACE_ID, "1" * 16, 9)]


@pytest.mark.parametrize("most", [0, 1, 3, 128])
async def test_so_many_links_at_most(most: int) -> None:
    traced = Traced(max_links=most)
    parents = [f"00-{TRACE_ID}-{number:016x}-01".encode() for number in range(1, 201)]
    traced.deliver(*[Record(offset, [("traceparent", parent)]) for offset, parent in enumerate(parents)])
    assert [offset for _, _, offset in links((await traced.spans())[-1])] == list(range(most))


# --- requests ---------------------------------------------------------------------------------------------


async def send(answer: Answer, *batches: tuple[Partition, int], letters: Letters | None = None) -> Traced:
    """Send batches of so many documents together, until all are settled."""
    traced = Traced()
    async with answering_server(answer) as (url, _):
        options = Elasticsearch(hosts=(url,), retry_initial_seconds=0.01, retry_max_seconds=0.02)
        async with make_bulk_client(options) as client:
            writer = BulkWriter(
                client,
                options,
                traced.ledger.settle_part,
                letters or Letters(),
                Telemetry(),
                traced.traces,
            )
            running = asyncio.create_task(writer.run())
            try:
                for partition, documents in batches:
                    records = [Record(offset) for offset in range(documents)]
                    writer.add(
                        traced.deliver(*records, partition=partition), records, [payload(*range(documents))]
                    )
                writer.flush()
                async with asyncio.timeout(20):
                    while traced.ledger.in_flight():
                        await writer.wait_for_change(0.05)
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running
    return traced


def created(ids: list[str], _: int) -> web.Response:
    items = [{"create": {"status": 201}}] * len(ids)
    return web.Response(
        body=orjson.dumps({"errors": False, "took": 12, "items": items}),
        headers={
            "x-elastic-product": "Elasticsearch",
            "content-type": "application/vnd.elasticsearch+json;compatible-with=9",
        },
    )


async def test_a_request_is_a_span_inside_its_batch() -> None:
    traced = await send(created, (PARTITION, 3))
    _, bulk, root = await traced.spans()
    assert (bulk.name, bulk.kind, parent_of(bulk)) == ("bulk", SpanKind.CLIENT, id_of(root))
    told = dict(said(bulk))
    port = told.pop("server.port")
    assert told.pop("logpipe.bytes") == len(payload(0, 1, 2).body)
    assert told == {
        "db.system.name": "elasticsearch",
        "db.operation.name": "bulk",
        "db.operation.batch.size": 3,
        "db.response.status_code": "200",
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "url.full": f"http://127.0.0.1:{port}/_bulk",
        "logpipe.documents": 3,
        "logpipe.elasticsearch.took_ms": 12,
        "logpipe.elasticsearch.errors": False,
    }
    assert bulk.status.status_code is StatusCode.UNSET
    assert bulk.end_time is not None
    assert root.end_time is not None
    assert bulk.end_time <= root.end_time


async def test_a_request_for_two_batches_is_in_both_traces() -> None:
    traced = await send(created, (PARTITION, 3), (Partition("logs", 4), 2))
    spans = await traced.spans()
    roots = {id_of(span): said(span)["messaging.batch.message_count"] for span in spans if not span.parent}
    bulks = [span for span in spans if span.name == "bulk"]
    assert {roots[parent_of(span) or 0]: said(span)["logpipe.documents"] for span in bulks} == {3: 3, 2: 2}
    assert {said(span)["db.operation.batch.size"] for span in bulks} == {5}


def refused_then_in_part(ids: list[str], number: int) -> web.Response:
    if number == 0:
        return web.Response(status=429, headers={"x-elastic-product": "Elasticsearch"})
    return answer_items([429, 201, 400] if number == 1 else [201] * len(ids))


async def test_retries_and_dead_letters_are_events() -> None:
    letters = Letters()
    traced = await send(refused_then_in_part, (PARTITION, 3), letters=letters)
    _, refused, partly, again, root = await traced.spans()
    assert (said(refused)["error.type"], said(refused)["http.response.status_code"]) == ("429", 429)
    assert refused.status.status_code is StatusCode.ERROR
    assert [said(span)["logpipe.documents"] for span in (refused, partly, again)] == [3, 3, 1]
    assert [span.status.status_code for span in (partly, again)] == [StatusCode.UNSET] * 2
    assert {(event.name, (event.attributes or {})["logpipe.documents"]) for event in root.events} == {
        ("retry", 3),
        ("retry", 1),
        ("dead letters", 1),
    }
    assert len(letters.written) == 1


async def test_a_request_without_an_answer_is_an_error() -> None:
    def broken_once(ids: list[str], number: int) -> web.Response:
        # No length: the server cuts the connection off.
        return web.Response(headers={"content-length": "x"}) if number == 0 else created(ids, number)

    traced = await send(broken_once, (PARTITION, 1))
    _, failed, _, root = await traced.spans()
    assert said(failed)["error.type"] == "ConnectionError"
    assert "http.response.status_code" not in said(failed)
    assert [event.name for event in root.events] == ["retry"]


# --- nobody's way -----------------------------------------------------------------------------------------


class Stuck(SpanExporter):
    """Exports until it is let go."""

    def __init__(self) -> None:
        self.free = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002 - the interface's
        self.free.wait()
        return SpanExportResult.SUCCESS


@pytest.mark.timeout(20)  # the SDK by itself waits for 30 s
async def test_a_collector_that_hangs_does_not_hold_the_end_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.worker.otlp_traces.CLOSE_SECONDS", 0.2)
    stuck = Stuck()
    traced = Traced(stuck)
    traced.deliver(Record(1))
    try:
        await traced.traces.close()
        assert not stuck.free.is_set()
    finally:
        stuck.free.set()


async def test_check_says_whether_the_collector_takes_spans() -> None:
    async with receiving() as receiver:
        settings = load_settings(
            overrides={
                "kafka": {"bootstrap_servers": [NOWHERE], "topics": ["t"]},
                "elasticsearch": {"hosts": [f"http://{NOWHERE}"]},
                "otlp": {"enabled": True, "endpoint": receiver.url, "headers": "authorization=Bearer x"},
            }
        )
        (good,) = [each for each in await check_servers(settings) if each.subject == "trace collector"]
        assert good.good is True
        assert receiver.headers["authorization"] == "Bearer x"
        receiver.status = 401
        (refused,) = [each for each in await check_servers(settings) if each.subject == "trace collector"]
        assert (refused.good, "HTTP 401" in refused.detail) == (False, True)
    (away,) = [each for each in await check_servers(settings) if each.subject == "trace collector"]
    assert away.good is False
    assert "otlp.endpoint" in away.detail


async def test_failures_are_said_once_and_their_end_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with receiving() as receiver:
        receiver.status = 500
        traced = Traced(otlp_exporter(Otlp(endpoint=receiver.url)))
        for status in (500, 500, 200, 200):
            receiver.status = status
            before = receiver.requests
            traced.traces.settled(traced.deliver(Record(receiver.requests)))
            while receiver.requests == before:
                await asyncio.sleep(0.05)
        await traced.traces.close()
    assert [record.message.split(" to ")[0] for record in caplog.records if "trace" in record.message] == [
        "traces cannot be sent",
        "traces are sent",
    ]


async def test_the_reasons_are_shown_to_those_who_ask(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with receiving() as receiver:
        receiver.status = 401
        traced = Traced(otlp_exporter(Otlp(endpoint=receiver.url)))
        traced.deliver(Record(1))
        await traced.traces.close()
    assert any(
        "401" in record.message for record in caplog.records if record.name.startswith("opentelemetry")
    )


# --- the extra --------------------------------------------------------------------------------------------


def python(program: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_traces_that_are_off_import_nothing() -> None:
    program = (
        "import sys, pipeline.worker.indexer, pipeline.settings as s, pipeline.worker.open_traces as t\n"
        "assert t.open_traces(s.Settings()) is t.NO_TRACES\n"
        "print(sorted(n for n in sys.modules if n.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))"
        " or n == 'pipeline.worker.otlp_traces'))"
    )
    assert python(program).stdout == "[]\n"


BLOCKED = "import sys\nsys.modules['opentelemetry'] = None\n"


def test_without_the_extra_everything_else_is_there() -> None:
    program = (
        BLOCKED + "import pipeline.worker.indexer, pipeline.settings as s, pipeline.worker.open_traces as t\n"
    )
    assert python(program + "print(t.open_traces(s.Settings()) is t.NO_TRACES)").stdout == "True\n"


def test_a_worker_without_the_extra_says_how_to_get_it() -> None:
    program = BLOCKED + "sys.argv = ['logpipe', 'index']\nfrom pipeline.__main__ import main\nmain()"
    result = python(program, LOGPIPE_OTLP__ENABLED="true", LOGPIPE_HTTP__PORT="0")
    assert result.returncode == SettingsError.exit_code, result.stderr
    assert "pip install 'kafka-log-pipeline[otlp]'" in result.stderr
    assert "Traceback" not in result.stderr


def test_with_the_extra_traces_are_opened() -> None:
    traces = open_traces(Settings(otlp=Otlp(enabled=True)))
    assert isinstance(traces, OtlpTraces)
    asyncio.run(traces.close())


# --- end to end -------------------------------------------------------------------------------------------


def event(number: int) -> bytes:
    return orjson.dumps(
        {
            "timestamp": "2026-01-15T10:30:00.123Z",
            "level": "INFO",
            "service": "api-gateway",
            "component": "c",
            "message": f"event {number}",
        }
    )


def traceparent(number: int) -> bytes:
    return f"00-{number:032x}-{number:016x}-01".encode()


async def produce(pipeline: Pipeline, numbers: range) -> None:
    """Write records to partition 1, each ten with one context."""
    producer = AIOKafkaProducer(bootstrap_servers=pipeline.servers.kafka_bootstrap, acks="all")
    await producer.start()
    try:
        for number in numbers:
            headers = [("traceparent", traceparent(1 + number // 10))]
            await producer.send(pipeline.name, event(number), partition=1, headers=headers)
        await producer.flush()
    finally:
        await producer.stop()


def settings(endpoint: str) -> dict[str, str]:
    return {
        "LOGPIPE_OTLP__ENABLED": "true",
        "LOGPIPE_OTLP__ENDPOINT": endpoint,
        "LOGPIPE_OTLP__SAMPLE_RATIO": "1",
    }


async def end(process: "subprocess.Popen[bytes]") -> str:
    """End a worker in order, while the receiver of this process goes on; gives what it has said."""
    process.send_signal(signal.SIGTERM)
    output, _ = await asyncio.to_thread(process.communicate, timeout=60)
    assert process.returncode == 0, output.decode()
    assert "Traceback" not in output.decode(), output.decode()
    return output.decode()


async def test_spans_arrive_linked_to_their_producers(pipeline: Pipeline) -> None:
    await produce(pipeline, range(100))
    async with receiving() as receiver:
        own = {
            **settings(receiver.url),
            "LOGPIPE_OTLP__HEADERS": "authorization=Bearer s3cret,x-scope=logs",
        }
        with running("index", settings=pipeline.environment(**own)) as process:
            assert sum((await pipeline.indexed(100)).values()) == 100
            output = await end(process)
    assert "traces cannot" not in output
    assert receiver.headers["authorization"] == "Bearer s3cret"
    assert receiver.headers["x-scope"] == "logs"
    assert receiver.resource["service.name"] == "log-pipeline"
    roots = receiver.named(f"process {pipeline.name}")
    told = [attributes(root.attributes) for root in roots]
    assert sum(each["messaging.batch.message_count"] for each in told) == 100
    assert {each["messaging.destination.partition.id"] for each in told} == {"1"}
    assert {each["messaging.consumer.group.name"] for each in told} == {pipeline.name}
    assert {(link.trace_id.hex(), link.span_id.hex()) for root in roots for link in root.links} == {
        (f"{number:032x}", f"{number:016x}") for number in range(1, 11)
    }
    for root in roots:
        assert not root.parent_span_id
        children = [span for span in receiver.spans if span.parent_span_id == root.span_id]
        assert {span.name for span in children} == {"transform", "bulk"}
        assert {span.trace_id for span in children} == {root.trace_id}
        assert all(
            root.start_time_unix_nano <= span.start_time_unix_nano
            and span.end_time_unix_nano <= root.end_time_unix_nano
            for span in children
        )
    bulks = [attributes(span.attributes) for span in receiver.named("bulk")]
    assert sum(each["logpipe.documents"] for each in bulks) == 100
    assert {each["db.response.status_code"] for each in bulks} == {"200"}
    assert all(each["logpipe.elasticsearch.took_ms"] >= 0 for each in bulks)


def absent(_: Receiver) -> str:
    return f"http://127.0.0.1:{free_port()}"


def failing(receiver: Receiver) -> str:
    receiver.status = 503
    return receiver.url


def hanging(receiver: Receiver) -> str:
    receiver.hangs = True
    return receiver.url


@pytest.mark.parametrize("collector", [absent, failing, hanging])
async def test_without_a_collector_everything_is_indexed(pipeline: Pipeline, collector: Any) -> None:
    await produce(pipeline, range(1000))
    async with receiving() as receiver:
        environment = pipeline.environment(**settings(collector(receiver)))
        with running("index", settings=environment) as process:
            assert sum((await pipeline.indexed(1000)).values()) == 1000
            output = await end(process)
    assert output.count("traces cannot be sent") <= 1, output
    assert "opentelemetry" not in output
    assert (await pipeline.committed())[1] == 1000
