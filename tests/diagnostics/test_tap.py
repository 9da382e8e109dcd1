"""Tapping a topic: which records are shown, and that the group never learns of it."""

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from pipeline.diagnostics.tap import as_event, tap
from pipeline.logstash.predicate import compile_condition
from tests.logpipe import COMMAND, environment, logpipe
from tests.own_pipeline import Pipeline


def event(**fields: Any) -> bytes:
    return json.dumps({"message": "m", "level": "info", **fields}).encode()


async def tapped(
    pipeline: Pipeline,
    condition: str | None = None,
    *,
    after_ms: int | None = None,
    before_ms: int | None = None,
) -> list[str]:
    now_ms = time.time_ns() // 1_000_000
    reading = tap(
        pipeline.settings,
        now_ms=now_ms,
        after_ms=after_ms,
        before_ms=now_ms + 1 if before_ms is None else before_ms,
        condition=None if condition is None else compile_condition(condition, "--where"),
    )
    return [one.document.fields["message"] async for one in reading]


async def test_what_is_shown_is_chosen_by_condition_and_time(pipeline: Pipeline) -> None:
    await pipeline.send(
        [event(message="first", level="err"), b"[%s,%s]" % (event(), event(message="second"))]
    )
    await asyncio.sleep(0.05)
    between = time.time_ns() // 1_000_000
    await asyncio.sleep(0.05)
    await pipeline.send([event(message="third", level="ERROR"), b"no JSON"])
    assert sorted(await tapped(pipeline)) == ["first", "m", "no JSON", "second", "third"]
    assert await tapped(pipeline, '[level] == "ERROR"') == ["first", "third"], (
        "of the document, not of the event"
    )
    assert await tapped(pipeline, '[level] == "ERROR"', after_ms=between) == ["third"]
    assert await tapped(pipeline, '[level] == "ERROR"', before_ms=between) == ["first"]
    assert await tapped(pipeline, '[@metadata][kafka][key] == "k" and [message] == "m"') == ["m"]
    assert await pipeline.committed() == dict.fromkeys(range(4), 0)


async def test_a_document_is_the_one_that_is_indexed_and_says_its_place(pipeline: Pipeline) -> None:
    await pipeline.send([event()], partition=2)
    (one,) = [
        one
        async for one in tap(
            pipeline.settings, now_ms=time.time_ns() // 1_000_000, before_ms=time.time_ns() // 1_000_000 + 1
        )
    ]
    assert one.place[:3] == (pipeline.name, 2, 0)
    assert one.place.topic_key
    assert one.as_json()["id"] == f"{pipeline.name}-2-{one.place.topic_key}-000000000000"
    assert as_event(one)["@metadata"]["kafka"]["partition"] == 2
    assert "@metadata" not in one.document.fields


def started(pipeline: Pipeline, options: Sequence[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [*COMMAND, "tap", *options],
        env=environment(pipeline.environment()),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


async def test_new_records_are_waited_for_and_ctrl_c_ends_it_in_order(pipeline: Pipeline) -> None:
    process = started(pipeline, ["--after", "1h"])
    try:
        await pipeline.send([event(message="one")])
        assert process.stdout is not None
        line = await asyncio.to_thread(process.stdout.readline)
        assert json.loads(line)["document"]["message"] == "one"
        await pipeline.send([event(message="two")])
        line = await asyncio.to_thread(process.stdout.readline)
        assert json.loads(line)["document"]["message"] == "two"
        os.kill(process.pid, signal.SIGINT)
        _, told = await asyncio.to_thread(process.communicate, timeout=30)
        assert process.returncode == 0
        assert told.decode().strip() == "2 of 2 documents"
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


async def test_a_reader_that_goes_away_ends_it_without_a_traceback(pipeline: Pipeline) -> None:
    await pipeline.send([event(message="x" * 1000)] * 500)
    process = started(pipeline, ["--after", "1h"])
    try:
        assert process.stdout is not None
        await asyncio.to_thread(process.stdout.readline)
        process.stdout.close()
        assert process.stderr is not None
        told = await asyncio.to_thread(process.stderr.read)
        await asyncio.to_thread(process.wait, 30)
        assert b"Traceback" not in told, told
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


async def test_the_limit_ends_it_and_a_wrong_condition_is_refused(pipeline: Pipeline) -> None:
    await pipeline.send([event()] * 5)
    result = await asyncio.to_thread(
        logpipe, "tap", "--after", "1h", "--limit", "2", "--raw", settings=pipeline.environment()
    )
    assert (result.returncode, result.stdout) == (0, (event() + b"\n") * 2)
    refused = await asyncio.to_thread(logpipe, "tap", "--where", "[level] =", settings=pipeline.environment())
    assert refused.returncode == 2
    assert "--where:1:9" in refused.stderr.decode()
