"""A window of Kafka's records, indexed beside the group."""

import asyncio
import json
import time

import pytest

from pipeline.backfill import Backfilled, Progress, backfill, into
from pipeline.errors import ServerRefused
from pipeline.install import run_setup
from tests.logpipe import logpipe
from tests.own_pipeline import Pipeline


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def fill(pipeline: Pipeline, since_ms: int, until_ms: int) -> tuple[Backfilled, list[Progress]]:
    seen: list[Progress] = []
    done = await backfill(pipeline.settings, since_ms=since_ms, until_ms=until_ms, report=seen.append)
    return done, seen


async def test_the_window_is_indexed_once_and_the_group_never_learns_of_it(pipeline: Pipeline) -> None:
    await pipeline.send([b'{"message":"before"}'] * 20)
    await asyncio.sleep(0.05)
    begin = now_ms()
    await pipeline.send_samples(3000)
    await pipeline.send([b'{"message":"inside"}'] * 10 + [b"[{},{}]"])
    await asyncio.sleep(0.05)
    end = now_ms()
    await pipeline.send([b'{"message":"behind"}'] * 5)
    done, seen = await fill(pipeline, begin, end)
    # The samples' own timestamps, which Kafka has, are of the last two days.
    assert (done.records, done.documents, done.indexed) == (11, 12, 12)
    assert (seen[-1].done, seen[-1].total) == (seen[-1].total, seen[-1].total)
    again, _ = await fill(pipeline, 0, now_ms() + 1000)
    assert (again.documents, again.already_there) == (3037, 12)
    assert again.indexed == 3025
    assert sum((await pipeline.counts()).values()) == 3037
    assert await pipeline.committed() == dict.fromkeys(range(4), 0)


async def test_the_command_ends_in_an_audit_of_the_window(pipeline: Pipeline) -> None:
    await pipeline.send([b'{"message":"m"}'] * 30)
    command = await asyncio.to_thread(
        logpipe, "backfill", "--from", "1h", "--json", settings=pipeline.environment()
    )
    assert command.returncode == 0, command.stderr.decode()
    told = json.loads(command.stdout)
    assert told["backfill"]["indexed"] == 30
    assert (told["audit"]["clean"], told["audit"]["indexed"]) == (True, 30)
    nothing = await asyncio.to_thread(
        logpipe, "backfill", "--from", "2d", "--to", "1d", settings=pipeline.environment()
    )
    assert nothing.returncode == 1
    wrong = await asyncio.to_thread(
        logpipe, "backfill", "--from", "1h", "--to", "2h", settings=pipeline.environment()
    )
    assert wrong.returncode == 2


async def test_another_prefix_has_to_be_set_up_and_gets_the_documents(pipeline: Pipeline) -> None:
    await pipeline.send([b'{"message":"m"}'] * 3)
    other = into(pipeline.settings, f"{pipeline.name}-other")
    with pytest.raises(ServerRefused, match="logpipe setup"):
        await backfill(other, since_ms=0, until_ms=now_ms() + 1000)
    await run_setup(other, dry_run=False, without_ilm=True, report=lambda _: None)
    try:
        done = await backfill(other, since_ms=0, until_ms=now_ms() + 1000)
        assert done.indexed == 3
        names = await pipeline.client.indices.get(index=f"{pipeline.name}-other-*")
        assert len(names) == 1
    finally:
        await pipeline.client.indices.delete_index_template(name=f"{pipeline.name}-other*")
        await pipeline.client.cluster.delete_component_template(name=f"{pipeline.name}-other@*")
