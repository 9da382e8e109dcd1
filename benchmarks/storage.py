"""`python -m benchmarks.storage`: what a document costs Elasticsearch, on disk and in CPU, by the template that it has.

Apart from the other measurements because it takes long: a server that has not seen two million documents still
compiles, and bytes are those of a million documents whose segments have been merged. The documents are the hot path's
own lines, in the order in which a worker sends them, without Kafka and without a worker beside the server.
"""

import asyncio
import random
import time
import zlib
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from statistics import median
from typing import Annotated, Any, NamedTuple

import orjson
import typer
from elasticsearch import Elasticsearch

from benchmarks.machine import describe_machine
from benchmarks.report import say, write_side_results
from benchmarks.server_cpu import ServerCpu
from benchmarks.templates import GUIDE_TEMPLATE, delete_indices
from benchmarks.traffic import PARTITIONS, sample_day
from pipeline.bulk.body import BulkBody
from pipeline.bulk.client import make_bulk_client, make_client
from pipeline.bulk.requests import all_created, send_bulk
from pipeline.encode.fast_path import BatchEncoder
from pipeline.events.document import DocumentBuilder
from pipeline.events.indices import DAY_MS
from pipeline.install import load_resources
from pipeline.install.elasticsearch import fitting
from pipeline.install.plan import self_contained
from pipeline.sandbox import start_sandbox
from pipeline.settings import Elasticsearch as ElasticsearchSettings, Events, Index

__all__ = ["Contender", "Kind", "Round", "as_markdown", "bodies_of", "measure"]

_RESULTS = Path(__file__).parent / "results"
_TOPIC = "claude-code-bot.logs"
_TOPIC_ID = "mZ4k9QxLT2yAbCdEfGhIjK"
_RECORDS_PER_POLL = 4000
_REQUESTS_AT_A_TIME = 4
_REQUEST_SECONDS = 600
_STORE_SECONDS = 11
_QUIET_LOOK_SECONDS = 1.0
_QUIET_TIMEOUT_SECONDS = 60.0
_MOST_BYTES_TO_GUIDE = 0.45
_MOST_TEXT_BYTES_TO_GUIDE = 0.75
_MOST_CPU_TO_GUIDE = 0.62
_SENTENCES = 20_000


class Kind(StrEnum):
    """Traffic."""

    SAMPLE = "sample"
    """Short messages that come from templates, as the guide's application writes them."""
    TEXT = "text"
    """The same events with messages of 60 to 700 characters of words and numbers."""


class Contender(StrEnum):
    """What the documents are indexed with; all have three shards."""

    GUIDE = "guide"
    """The guide's template, former ids."""
    FORMER = "former"
    """The templates of before: former ids, no routing, `span_id` in doc values, `double`, `message` of type text."""
    OURS = "ours"
    """The templates of today."""
    SPANS = "spans_searchable"
    """The same with a `span_id` that can be searched, still without doc values."""
    LOGSDB = "logsdb"
    """The same with `index.storage = logsdb`."""


class Round(NamedTuple):
    """One million documents, say, of one kind with one template."""

    kind: Kind
    contender: Contender
    documents: int
    bytes_per_document: float
    """After a force merge to one segment a shard."""
    cpu_us_per_document: float
    """Of the server's process, until all is refreshed and merges have come to rest; without the force merge."""
    documents_per_second: float
    shards: list[int]
    """Documents of each shard."""


class _Event(NamedTuple):
    offset: int
    timestamp: int
    value: bytes


def _events(kind: Kind, count: int) -> Iterator[tuple[int, list[_Event]]]:
    """Give the records of a day as polls of one partition each."""
    polls: list[list[_Event]] = [[] for _ in range(PARTITIONS)]
    offsets = [0] * PARTITIONS
    retold = _Texts()
    for event in sample_day(count):
        partition = zlib.crc32(event.trace_id.encode()) % PARTITIONS
        value = event.value if kind is Kind.SAMPLE else retold(event.value)
        polls[partition].append(_Event(offsets[partition], event.timestamp_ms, value))
        offsets[partition] += 1
        if len(polls[partition]) == _RECORDS_PER_POLL:
            yield partition, polls[partition]
            polls[partition] = []
    yield from ((partition, poll) for partition, poll in enumerate(polls) if poll)


class _Texts:
    """Put longer messages into events, the same ones in every run."""

    def __init__(self) -> None:
        self._random = random.Random(7)
        syllables = [a + b for a in "bcdfghjklmnprstvz" for b in "aeiou"]
        words = ["".join(self._random.choices(syllables, k=self._random.randint(1, 4))) for _ in range(3000)]
        self._sentences = [
            " ".join(self._random.choices(words, k=self._random.randint(5, 12))) for _ in range(_SENTENCES)
        ]

    def __call__(self, value: bytes) -> bytes:
        try:
            event = orjson.loads(value)
        except ValueError:
            return value
        if type(event.get("message")) is not str:
            return value
        parts = self._random.choices(self._sentences, k=self._random.randint(1, 9))
        event["message"] = f" {self._random.randrange(10**6)} ".join(parts)[:700]
        return orjson.dumps(event)


def bodies_of(prefix: str, contender: Contender, kind: Kind, count: int) -> Iterator[tuple[int, bytes]]:
    """Write the bodies of bulk requests; gives the number of documents of each."""
    former = contender in {Contender.GUIDE, Contender.FORMER}
    builder = DocumentBuilder(Events(), Index(prefix=prefix, id="record_time" if former else "topic_id"))
    encoder = BatchEncoder(builder)
    for partition, records in _events(kind, count):
        payloads = encoder.encode(_TOPIC, partition, records, records[-1].timestamp, _TOPIC_ID)
        yield sum([one.documents for one in payloads]), b"".join([one.body for one in payloads])


def _former(template: dict[str, Any]) -> None:
    """Put the changes back that the templates have seen."""
    del template["settings"]["index.seq_no.index_options"]
    properties = template["mappings"]["properties"]
    del properties["span_id"]["doc_values"]
    properties["message"] = {**properties["message"], "type": "text", "norms": False}


async def _template(url: str, prefix: str, contender: Contender) -> dict[str, Any]:
    """Give settings and mappings of the daily indices, as this server takes them."""
    if contender is Contender.GUIDE:
        return deepcopy(GUIDE_TEMPLATE)
    storage = "logsdb" if contender is Contender.LOGSDB else "standard"
    wanted = load_resources(Index(prefix=prefix, storage=storage), lifecycle=False)
    async with make_client(ElasticsearchSettings(hosts=(url,))) as client:
        wanted, _notes = await fitting(client, wanted)
    template: dict[str, Any] = deepcopy(self_contained(wanted)[-1].body["template"])
    if contender is Contender.FORMER:
        _former(template)
    if contender is Contender.SPANS:
        template["mappings"]["properties"]["span_id"]["index"] = True
    return template


async def _send(url: str, bodies: Iterator[tuple[int, bytes]]) -> int:
    """Send all, some at a time; gives the number of documents, every one of which is there then."""
    sent = 0
    async with make_bulk_client(ElasticsearchSettings(hosts=(url,))) as client:

        async def work() -> None:
            nonlocal sent
            for documents, body in bodies:
                sent += documents
                left = body
                while left:
                    answer = await send_bulk(
                        client.options(request_timeout=_REQUEST_SECONDS), BulkBody([left])
                    )
                    left = b"" if all_created(answer.body, documents) else _refused(left, answer.body)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(_REQUESTS_AT_A_TIME):
                tasks.create_task(work())
    return sent


def _refused(body: bytes, answer: bytes) -> bytes:
    """Give the lines of what is to be sent again: a busy server gives up on what waits for a change of the mapping."""
    lines = body.splitlines(keepends=True)
    statuses = [item["create"]["status"] for item in orjson.loads(answer)["items"]]
    return b"".join(
        action + source
        for action, source, status in zip(lines[::2], lines[1::2], statuses, strict=True)
        if status not in {HTTPStatus.CREATED, HTTPStatus.CONFLICT}
    )


class _Server:
    def __init__(self, url: str, process: int) -> None:
        self.url = url
        self._cpu = ServerCpu(process)

    def run(self, contender: Contender, kind: Kind, count: int) -> Round:
        """Index so many documents into new indices, look at them, and delete them."""
        prefix = f"storage-{contender.value.replace('_', '-')}"
        template = asyncio.run(_template(self.url, prefix, contender))
        with Elasticsearch(self.url, request_timeout=_REQUEST_SECONDS) as client:
            client.indices.put_index_template(
                name=prefix, index_patterns=[f"{prefix}-*"], template=template, priority=900
            )
            # Ready before the first request, which would not wait for it for longer than five seconds.
            (day,) = {event.timestamp_ms // DAY_MS for event in sample_day(1)}
            indices = DocumentBuilder(Events(), Index(prefix=prefix)).indices
            client.indices.create(index=indices.name(day * DAY_MS), wait_for_active_shards="1", timeout="60s")
            self._cpu.wait_until_quiet(_QUIET_LOOK_SECONDS, _QUIET_TIMEOUT_SECONDS)
            before, started = self._cpu.seconds(), time.monotonic()
            sent = asyncio.run(_send(self.url, bodies_of(prefix, contender, kind, count)))
            wall = time.monotonic() - started
            client.indices.refresh(index=f"{prefix}-*")
            self._cpu.wait_until_quiet(_QUIET_LOOK_SECONDS, _QUIET_TIMEOUT_SECONDS)
            taken = self._cpu.seconds() - before
            client.indices.forcemerge(index=f"{prefix}-*", max_num_segments=1)
            client.indices.flush(index=f"{prefix}-*", force=True)
            # What a shard takes on disk is looked at no more often than this.
            time.sleep(_STORE_SECONDS)
            stats = client.indices.stats(index=f"{prefix}-*", metric=["docs", "store"], level="shards")
            primaries = stats["_all"]["primaries"]
            if primaries["docs"]["count"] != sent:
                raise RuntimeError(f"{prefix}-* holds {primaries['docs']['count']} documents, not {sent}")
            shards = [
                copy["docs"]["count"]
                for index in stats["indices"].values()
                for copies in index["shards"].values()
                for copy in copies
            ]
            delete_indices(client, prefix)
            client.indices.delete_index_template(name=prefix)
        return Round(
            kind,
            contender,
            sent,
            primaries["store"]["size_in_bytes"] / sent,
            taken / sent * 1e6,
            sent / wall,
            shards,
        )


def measure(
    url: str,
    process: int,
    documents: int,
    rounds: int,
    warm: int,
    *,
    contenders: tuple[Contender, ...] = (Contender.GUIDE, Contender.FORMER, Contender.OURS),
    kinds: tuple[Kind, ...] = tuple(Kind),
    report: Callable[[str], None],
) -> list[Round]:
    """Index the same documents with each template in turns; `process` is the id of the server's."""
    server = _Server(url, process)
    if warm:
        report(f"warming the server up with {warm:,} documents")
        server.run(Contender.OURS, Kind.SAMPLE, warm)
    done = []
    for number in range(rounds):
        for kind in kinds:
            for contender in contenders:
                one = server.run(contender, kind, documents)
                done.append(one)
                report(
                    f"round {number + 1} of {rounds}, {kind}, {contender}: {one.bytes_per_document:.1f} B, "
                    f"{one.cpu_us_per_document:.1f} µs of CPU, {one.documents_per_second:,.0f} documents/s, "
                    f"shards {one.shards}"
                )
    return done


def as_markdown(rounds: list[Round], machine: dict[str, str | int]) -> str:
    """Write the table."""
    rows = [
        "| traffic | template | bytes a document | of the guide's | CPU µs a document (minimum) | of the guide's |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for kind in dict.fromkeys(one.kind for one in rounds):
        of_kind = [one for one in rounds if one.kind is kind]
        guide = [one for one in of_kind if one.contender is Contender.GUIDE]
        for contender in dict.fromkeys(one.contender for one in of_kind):
            mine = [one for one in of_kind if one.contender is contender]
            size, cpu = _bytes(mine), _cpu(mine)
            least = min(one.cpu_us_per_document for one in mine)
            ratios = ["", ""]
            if guide:
                ratios = [f"{size / _bytes(guide):.2f}", f"{cpu / _cpu(guide):.2f}"]
                if contender is Contender.OURS:
                    most = _MOST_BYTES_TO_GUIDE if kind is Kind.SAMPLE else _MOST_TEXT_BYTES_TO_GUIDE
                    ratios[0] += f" (at most {most})"
                    if kind is Kind.SAMPLE:
                        ratios[1] += f" (at most {_MOST_CPU_TO_GUIDE})"
            rows.append(
                f"| {kind} | {contender} | {size:.1f} | {ratios[0]} | {cpu:.1f} ({least:.1f}) | {ratios[1]} |"
            )
    turns = len([one for one in rounds if one[:2] == rounds[0][:2]])
    about = (
        f"{rounds[0].documents:,} documents of each kind and template, three shards, merged to one segment each; "
        f"rounds: {turns}, medians of them. {machine['cpu']}, {machine['cores']} cores, Elasticsearch "
        f"{machine['elasticsearch_server']}. `python -m benchmarks.storage` measures it again."
    )
    return "\n".join([*rows, "", about, ""])


def _bytes(rounds: list[Round]) -> float:
    return median(one.bytes_per_document for one in rounds)


def _cpu(rounds: list[Round]) -> float:
    return median(one.cpu_us_per_document for one in rounds)


def main(
    documents: Annotated[int, typer.Option(min=1000, help="Of each kind and template.")] = 1_000_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often each template has its turn.")] = 1,
    warm: Annotated[int, typer.Option(min=0, help="Documents before the first figure.")] = 2_000_000,
    only: Annotated[list[Contender] | None, typer.Option(help="This template; may be repeated.")] = None,
    results: Annotated[
        Path | None, typer.Option(help="Where to write storage.json and .md.", show_default=False)
    ] = None,
) -> None:
    """Measure Elasticsearch's side with the guide's template, the former templates and today's."""
    chosen = tuple(only or (Contender.GUIDE, Contender.FORMER, Contender.OURS))

    with start_sandbox(report=say) as servers:
        measured = measure(
            servers.elasticsearch_url,
            servers.elasticsearch.pid,
            documents,
            rounds,
            warm,
            contenders=chosen,
            report=say,
        )
    machine = describe_machine()
    text = as_markdown(measured, machine)
    say(text)
    directory = results or (None if only else _RESULTS)
    if directory is not None:
        found = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine,
            "warmed_with": warm,
            "rounds": [one._asdict() for one in measured],
        }
        write_side_results(found, text, directory, "storage")


if __name__ == "__main__":
    typer.run(main)
