"""Dead letters: found, shown byte for byte, and indexed once more without any doubles."""

import asyncio
import base64
import json
import subprocess
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import orjson
import pytest

from pipeline.audit import audit
from pipeline.events.document import Coordinates
from pipeline.kafka.dead_letters import DeadLetter, DeadLetterProducer, read_dead_letters
from pipeline.kafka.letter_marks import Mark, mark_headers, mark_of
from pipeline.replay import Selection, replay
from pipeline.settings import Events
from tests.logpipe import logpipe, running
from tests.own_pipeline import Pipeline, stop

LETTER = DeadLetter(
    record=Coordinates("logs", 1, 7, 1_700_000_000_000),
    key=b"k",
    value=b'{"service":"api"}',
    headers=[("trace", b"\xff")],
    error_type="document_parsing_exception",
    reason="failed to parse field [n] of type [long]",
    field="n",
    status=400,
    attempts=1,
)


@pytest.mark.parametrize(
    ("selection", "meant"),
    [
        (Selection(), True),
        (Selection(reason="PARSING"), True),
        (Selection(reason="type [long]"), True),
        (Selection(reason="mapper"), False),
        (Selection(topic="logs"), True),
        (Selection(topic="log"), False),
        (Selection(partition=1, offset=7), True),
        (Selection(partition=0, offset=7), False),
        (Selection(partition=1, offset=0), False),
        (Selection(since_ms=1_700_000_000_000), True),
        (Selection(since_ms=1_700_000_000_001), False),
        (Selection(until_ms=1_700_000_000_001), True),
        (Selection(until_ms=1_700_000_000_000), False),
        (Selection(service="api", reason="mapper"), False),
    ],
)
def test_what_is_not_given_is_not_looked_at(selection: Selection, meant: bool) -> None:
    assert selection.matches(LETTER, Events()) is meant


@pytest.mark.parametrize(
    ("value", "service", "meant"),
    [
        (b'{"service":"api"}', "api", True),
        (b'{"service":"api"}', "ap", False),
        (b'{"service":{"name":"api"}}', "api", True),
        (b'{"service.name":"api"}', "api", True),
        (b'{"service":["api"]}', "api", False),
        (b'[{"service":"web"},{"service":"api"}]', "api", True),
        (b'{"fields":{"service":"claude-code-bot"},"message":"{\\"service\\":\\"api\\"}"}', "api", True),
        (b'{"fields":{"service":"claude-code-bot"},"message":"no json"}', "claude-code-bot", True),
        (b'{"fields":{"service":"other"},"message":"m"}', "other", True),
        (b"service: api", "api", False),
        (b"\xff", "api", False),
        (None, "api", False),
    ],
)
def test_services_are_read_from_whatever_is_json(value: bytes | None, service: str, meant: bool) -> None:
    assert Selection(service=service).matches(LETTER._replace(value=value), Events()) is meant


@asynccontextmanager
async def strict_template(pipeline: Pipeline) -> AsyncIterator[None]:
    """Let nothing in but messages: a template of somebody else's."""
    name = f"{pipeline.name}-strict"
    await pipeline.client.indices.put_index_template(
        name=name,
        index_patterns=[f"{pipeline.name}-*"],
        priority=1000,
        template={"mappings": {"dynamic": "strict", "properties": {"message": {"type": "text"}}}},
    )
    try:
        yield
    finally:
        await pipeline.client.indices.delete_index_template(name=name)


async def refuse(pipeline: Pipeline, values: Iterable[bytes], documents: int) -> None:
    """Have a worker make dead letters of all these records; afterwards nothing stands in their way."""
    async with strict_template(pipeline):
        await pipeline.send(values)
        with running("index", settings=pipeline.environment()) as process:
            async with asyncio.timeout(60):
                while len(await letters_of(pipeline)) < documents:
                    await asyncio.sleep(0.3)
            stop(process)
    await pipeline.delete_indices()


async def letters_of(pipeline: Pipeline) -> list[DeadLetter]:
    return [letter async for letter in read_dead_letters(pipeline.settings)]


async def write(pipeline: Pipeline, *letters: DeadLetter) -> None:
    producer = DeadLetterProducer(pipeline.settings)
    await producer.write(letters)
    await producer.close()


async def dlq(pipeline: Pipeline, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    return await asyncio.to_thread(logpipe, "dlq", *arguments, settings=pipeline.environment())


async def test_a_replay_indexes_what_was_refused_and_another_changes_nothing(pipeline: Pipeline) -> None:
    array = orjson.dumps([{"message": "a"}, {"message": "b"}])
    values = [*(b'{"message":"m%d"}' % number for number in range(20)), array, b"\xff\x00"]
    await refuse(pipeline, values, 23)
    before = await audit(pipeline.settings, to_end=True)
    assert (before.indexed, before.dead, before.missing, before.duplicated) == (0, 23, 0, 0)

    dry = await replay(pipeline.settings, read_dead_letters(pipeline.settings), dry_run=True)
    assert (dry.letters, dry.documents, dry.indexed) == (23, 23, 0)
    assert await pipeline.counts() == {}

    seen: list[int] = []
    first = await replay(pipeline.settings, read_dead_letters(pipeline.settings), report=seen.append)
    assert (first.letters, first.indexed, first.rejected) == (23, 23, 0)
    assert seen[-1] == 23
    documents = await pipeline.documents()
    assert len(documents) == 23

    second = await replay(pipeline.settings, read_dead_letters(pipeline.settings))
    assert (second.indexed, second.already_there, second.rejected) == (0, second.documents, 0)
    assert sorted(map(orjson.dumps, await pipeline.documents())) == sorted(map(orjson.dumps, documents))
    after = await audit(pipeline.settings, to_end=True)
    assert (after.indexed, after.dead, after.missing, after.duplicated) == (23, 0, 0, 0)


async def test_what_is_refused_still_is_named_and_no_new_letter_is_written(pipeline: Pipeline) -> None:
    await refuse(pipeline, [b'{"message":"m%d"}' % number for number in range(5)], 5)
    async with strict_template(pipeline):
        command = await dlq(pipeline, "replay")
        await pipeline.delete_indices()
    assert command.returncode == 1, command.stderr.decode()
    printed = command.stdout.decode()
    assert "5  still rejected" in printed
    assert printed.count("strict_dynamic_mapping_exception: ") == 5
    assert all(f"@{offset}  " in printed for offset in range(5))
    assert b"WARNING" not in command.stderr
    assert len(await letters_of(pipeline)) == 5
    command = await dlq(pipeline, "replay")
    assert command.returncode == 0, command.stderr.decode()
    assert "5  indexed" in command.stdout.decode()
    command = await dlq(pipeline, "replay")
    assert command.returncode == 0
    assert "5  already there" in command.stdout.decode()


async def test_more_letters_than_a_chunk_holds_in_no_order(pipeline: Pipeline) -> None:
    letters = [
        LETTER._replace(
            record=Coordinates(pipeline.name, number % 3, (number * 7919) % 1300, 1_700_000_000_000 + number),
            value=b'{"message":"%d"}' % number,
        )
        for number in range(1300)
    ]
    await write(pipeline, *letters, *letters[:100])
    replayed = await replay(pipeline.settings, read_dead_letters(pipeline.settings))
    assert replayed.letters == 1300  # each once, however often it was written
    assert (replayed.indexed, replayed.rejected) == (1300, 0)
    assert sum((await pipeline.counts()).values()) == 1300


async def test_records_of_an_earlier_topic_keep_their_own_ids(pipeline: Pipeline) -> None:
    record = Coordinates(pipeline.name, 0, 5, 1_700_000_000_000)
    await write(
        pipeline,
        LETTER._replace(record=record, value=b'{"message":"new"}'),
        LETTER._replace(record=record._replace(timestamp_ms=1_600_000_000_000), value=b'{"message":"old"}'),
    )
    replayed = await replay(pipeline.settings, read_dead_letters(pipeline.settings))
    assert (replayed.letters, replayed.indexed) == (2, 2)
    # Their days may not be written to any more; there they would be deleted at once.
    assert await pipeline.counts() == {f"{pipeline.name}-overflow": 2}


async def test_of_an_array_only_the_element_is_replayed_when_it_is_known(pipeline: Pipeline) -> None:
    letter = LETTER._replace(
        record=Coordinates(pipeline.name, 0, 5, 1_700_000_000_000),
        value=b'[{"message":"a"},{"message":"b"},{"message":"c"}]',
        element=1,
    )
    await write(pipeline, letter)
    replayed = await replay(pipeline.settings, read_dead_letters(pipeline.settings))
    assert (replayed.documents, replayed.indexed) == (1, 1)
    assert [document["message"] for document in await pipeline.documents()] == ["b"]
    await write(pipeline, letter._replace(element=None))
    replayed = await replay(pipeline.settings, read_dead_letters(pipeline.settings))
    assert (replayed.indexed, replayed.already_there) == (2, 1)


async def test_records_that_are_no_dead_letters_are_left_out(pipeline: Pipeline) -> None:
    await pipeline.send([b"somebody else's"], topic=f"{pipeline.name}.dead-letters")
    replayed = await replay(pipeline.settings, read_dead_letters(pipeline.settings))
    assert (replayed.unusable, replayed.letters, replayed.documents) == (1, 0, 0)


async def test_the_filters_of_the_commands(pipeline: Pipeline) -> None:
    first = LETTER._replace(record=Coordinates(pipeline.name, 1, 7, 1_700_000_000_000))
    second = first._replace(
        record=Coordinates(pipeline.name, 2, 8, 1_700_000_060_000),
        value=b'{"service":"web"}',
        error_type="illegal_argument_exception",
        reason="\x1b[31mline one\nline two " + "x" * 500,
    )
    await write(pipeline, first, second)
    every = await dlq(pipeline, "list")
    assert every.returncode == 0, every.stderr.decode()
    text = every.stdout.decode()
    assert "2023-11-14 22:13:20.000" in text
    assert "1  document_parsing_exception" in text
    assert "1  illegal_argument_exception" in text
    assert "2  dead letters in all" in text
    assert "\x1b" not in text
    assert "x" * 200 not in text.replace("\n", "")
    for filters in (
        ["--service", "web"],
        ["--reason", "illegal"],
        ["--since", "2023-11-14T22:14:00Z"],
    ):
        text = (await dlq(pipeline, "list", *filters)).stdout.decode()
        assert "1  illegal_argument_exception" in text, filters
        assert "1  dead letters in all" in text, filters
    text = (
        await dlq(pipeline, "list", "--until", "2023-11-14T22:14:00Z", "--topic", pipeline.name)
    ).stdout.decode()
    assert "1  document_parsing_exception" in text
    limited = (await dlq(pipeline, "list", "--limit", "0")).stdout.decode()
    assert pipeline.name not in limited
    assert "2  dead letters in all" in limited
    dry = await dlq(pipeline, "replay", "--dry-run", "--limit", "1")
    assert dry.returncode == 0, dry.stderr.decode()
    assert "1  documents" in dry.stdout.decode()
    assert await pipeline.counts() == {}
    wrong = await dlq(pipeline, "list", "--since", "yesterday")
    assert wrong.returncode == 2
    assert "--since = 'yesterday'" in wrong.stderr.decode()


async def test_show_tells_everything_and_raw_gives_the_bytes(pipeline: Pipeline) -> None:
    record = Coordinates(pipeline.name, 1, 7, 1_700_000_000_000)
    binary = bytes(range(256)) * 5
    await write(
        pipeline,
        LETTER._replace(record=record, value='{"m":"tür\x07 [bold]"}'.encode()),
        LETTER._replace(record=record._replace(offset=8), value=binary),
        LETTER._replace(record=record._replace(offset=9), value=None, key=None),
    )
    shown = await dlq(pipeline, "show", "--partition", "1", "--offset", "7")
    assert shown.returncode == 0, shown.stderr.decode()
    text = shown.stdout.decode()
    for part in (
        pipeline.name,
        "document_parsing_exception",
        "failed to parse field [n] of type [long]",
        "header trace base64: /w==",
        '{"m":"tür\\x07 [bold]"}',
        "1700000000000",
    ):
        assert part in text, part
    shown = await dlq(pipeline, "show", "--partition", "1", "--offset", "8")
    assert f"base64: {base64.b64encode(binary).decode()}\n" in shown.stdout.decode()
    raw = await dlq(pipeline, "show", "--partition", "1", "--offset", "8", "--raw")
    assert raw.stdout == binary
    shown = await dlq(pipeline, "show", "--partition", "1", "--offset", "9")
    assert "none: a tombstone" in shown.stdout.decode()
    none = await dlq(pipeline, "show", "--partition", "1", "--offset", "10")
    assert none.returncode == 1
    assert b"there is no dead letter" in none.stderr


async def test_without_elasticsearch_the_replay_exits_3(pipeline: Pipeline) -> None:
    command = await asyncio.to_thread(
        logpipe,
        "dlq",
        "replay",
        settings=pipeline.environment(LOGPIPE_ELASTICSEARCH__HOSTS="http://127.0.0.1:9"),
    )
    assert command.returncode == 3
    assert b"elasticsearch.hosts" in command.stderr


async def test_headers_called_like_ours_stay_the_records_own(pipeline: Pipeline) -> None:
    headers = [("logpipe.topic", None), ("logpipe.element", b"3"), ("logpipe.reason", b"\xff")]
    await write(pipeline, LETTER._replace(headers=headers))
    assert await letters_of(pipeline) == [LETTER._replace(headers=headers)]


@pytest.mark.timeout(300)  # one command after the other, each of which starts Python and connects
async def test_acknowledged_letters_are_left_out_and_stay(pipeline: Pipeline) -> None:
    letters = [
        LETTER._replace(record=Coordinates(pipeline.name, 0, offset, 1_700_000_000_000), value=value)
        for offset, value in enumerate((b'{"service":"web"}', b'{"service":"api"}', b"\xff"))
    ]
    await write(pipeline, *letters)
    refused = await dlq(pipeline, "ack")
    assert refused.returncode == 2, "without a choice nothing is acknowledged"
    done = await dlq(pipeline, "ack", "--service", "web", "--note", "INC-1")
    assert done.returncode == 0, done.stderr.decode()
    assert "1  acknowledged" in done.stdout.decode()
    listed = json.loads((await dlq(pipeline, "list", "--json")).stdout)
    assert listed["by_state"] == {"acknowledged": 1, "open": 2}
    # Letters lie in partitions of their topic, of which any may be read first.
    services = {letter["offset"]: letter["services"] for letter in listed["letters"]}
    assert services.keys() == {1, 2}
    assert services[1] == ["api"]
    every = (await dlq(pipeline, "list", "--all")).stdout.decode()
    assert "INC-1" in every
    replayed = await dlq(pipeline, "replay")
    assert replayed.returncode == 0, replayed.stderr.decode()
    assert "2  indexed" in replayed.stdout.decode()
    exported = [json.loads(line) for line in (await dlq(pipeline, "export")).stdout.splitlines()]
    states = {one["offset"]: (one["state"], one["value"]) for one in exported}
    assert states == {
        0: ("acknowledged", '{"service":"web"}'),
        1: ("replayed", '{"service":"api"}'),
        2: ("replayed", {"base64": "/w=="}),
    }
    # Written again after its mark, a letter is open again; the audit and the replay count it once.
    await write(pipeline, letters[0])
    assert json.loads((await dlq(pipeline, "list", "--json")).stdout)["by_state"] == {
        "open": 1,
        "replayed": 2,
    }
    assert len([letter async for letter in read_dead_letters(pipeline.settings)]) == 3


def test_a_record_s_own_headers_make_no_mark() -> None:
    mark = Mark("acknowledged", 5, "note")
    assert mark_of(None, mark_headers(mark)) == mark
    assert mark_of(b"", mark_headers(mark)) is None
    assert mark_of(None, [*mark_headers(mark), ("logpipe.topic", b"t")]) is None
