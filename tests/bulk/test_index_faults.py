"""Indices of the real Elasticsearch that take no documents: who is at fault, and that others go on."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from elasticsearch import AsyncElasticsearch

from pipeline.settings import IndexWait
from tests.bulk.delivery import PARTITION, Delivery, all_created, delivery, payload

Step = Callable[[AsyncElasticsearch, str], Awaitable[Any]]


async def create(client: AsyncElasticsearch, index: str, **settings: Any) -> None:
    await client.indices.create(
        index=index, settings={"index.number_of_replicas": 0, **settings}, wait_for_active_shards=0
    )


async def change(client: AsyncElasticsearch, index: str, name: str, value: Any) -> None:
    await client.indices.put_settings(index=index, settings={name: value})


def set_index(name: str, bad: Any, good: Any) -> tuple[Step, Step]:
    async def spoil(client: AsyncElasticsearch, index: str) -> None:
        await create(client, index)
        await change(client, index, name, bad)

    async def mend(client: AsyncElasticsearch, index: str) -> None:
        await change(client, index, name, good)

    return spoil, mend


def set_cluster(name: str, bad: Any) -> tuple[Step, Step]:
    async def spoil(client: AsyncElasticsearch, _: str) -> None:
        await client.cluster.put_settings(persistent={name: bad})

    async def mend(client: AsyncElasticsearch, _: str) -> None:
        await client.cluster.put_settings(persistent={name: None})

    return spoil, mend


async def create_red(client: AsyncElasticsearch, index: str) -> None:
    await create(client, index, **{"index.routing.allocation.require._name": "nowhere"})


async def allocate(client: AsyncElasticsearch, index: str) -> None:
    await change(client, index, "index.routing.allocation.require._name", None)
    await client.cluster.health(index=index, wait_for_status="yellow", timeout="30s")


async def create_closed(client: AsyncElasticsearch, index: str) -> None:
    await create(client, index)
    await client.indices.close(index=index)


async def reopen(client: AsyncElasticsearch, index: str) -> None:
    await client.indices.open(index=index)


class Case(NamedTuple):
    name: str
    steps: tuple[Step, Step]
    reason: str
    fault: str
    ready: bool


CASES = [
    Case("write block", set_index("index.blocks.write", True, None), "FORBIDDEN/8", "the index", True),
    Case("read-only", set_index("index.blocks.read_only", True, None), "FORBIDDEN/5", "the index", True),
    Case("closed", (create_closed, reopen), "index_closed_exception", "the index", True),
    Case(
        "missing default pipeline",
        set_index("index.default_pipeline", "enrich-x", None),
        "pipeline with id [enrich-x] does not exist",
        "the index",
        True,
    ),
    Case("no primary shard", (create_red, allocate), "unavailable_shards_exception", "passing", True),
    Case(
        "flood stage",
        set_index("index.blocks.read_only_allow_delete", True, None),
        "TOO_MANY_REQUESTS/12",
        "the cluster",
        False,
    ),
    Case(
        "shard limit",
        set_cluster("cluster.max_shards_per_node", 1),
        "maximum normal shards open",
        "the cluster",
        False,
    ),
    Case(
        "no automatic creation",
        set_cluster("action.auto_create_index", "-waiting-*-old"),
        "no such index",
        "the cluster",
        False,
    ),
]


@pytest.fixture
async def client(elasticsearch_url: str) -> AsyncIterator[AsyncElasticsearch]:
    async with AsyncElasticsearch(elasticsearch_url, request_timeout=60) as one:
        yield one


async def counts(client: AsyncElasticsearch, *indices: str) -> list[int]:
    await client.indices.refresh(index=list(indices))
    return [(await client.count(index=index))["count"] for index in indices]


async def waits(to: Delivery, index: str, documents: int) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while not (told := to.writer.waiting) or told[0]["documents"] < documents:
            await asyncio.sleep(0.02)
    to.writer.show()
    assert to.count("logpipe_index_waiting_documents", index=index) == documents
    return told[0]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_its_documents_wait_and_others_go_on(
    case: Case, client: AsyncElasticsearch, elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.bulk.waiting.WARN_SECONDS", 0.0)
    name = f"waiting-{uuid4().hex[:8]}"
    old, new = f"{name}-old", f"{name}-new"
    await create(client, new)
    spoil, mend = case.steps
    wait = IndexWait(max_seconds=0)
    try:
        await spoil(client, old)
        async with delivery(all_created, hosts=(elasticsearch_url,), index_wait=wait) as to:
            to.add(4, payload(0, 1, index=old), payload(2, 3, index=new))
            to.writer.flush()
            told = await waits(to, old, 2)
            assert (told["index"], told["fault"]) == (old, case.fault)
            assert case.reason in told["reason"], json.dumps(told)
            assert to.writer.forbidden is None
            assert (to.writer.not_ready is None) == case.ready
            to.add(6, payload(4, index=new), payload(5, index=old))
            to.writer.flush()
            async with asyncio.timeout(20):
                while to.count_documents("indexed") < 3:
                    await asyncio.sleep(0.02)
            assert await counts(client, new) == [3]
            assert to.letters.written == []
            await mend(client, old)
            assert await to.settled() == {PARTITION: 6}
            assert to.letters.written == []
            assert to.writer.not_ready is None
        assert await counts(client, old, new) == [3, 3]
    finally:
        await mend(client, old)
        for index in (old, new):
            await client.options(ignore_status=404).indices.delete(index=index)


async def test_the_real_answer_names_the_documents_by_their_ids(
    client: AsyncElasticsearch, elasticsearch_url: str
) -> None:
    index = f"waiting-{uuid4().hex[:8]}"
    await client.indices.create(index=index, mappings={"properties": {"p": {"type": "long"}}})
    try:
        async with delivery(all_created, hosts=(elasticsearch_url,)) as to:
            # Text where a number is wanted: the field moves aside.
            to.add(3, payload(0, index=index), payload(1, index=index, padding=3), payload(2, index=index))
            assert await to.settled() == {PARTITION: 3}
            assert to.count("logpipe_documents_salvaged_total") >= 1
            assert to.count_documents("indexed") == 3
    finally:
        await client.indices.delete(index=index)
