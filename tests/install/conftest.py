"""A prefix of a test's own, and everything under it removed afterwards."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from elasticsearch import Elasticsearch, NotFoundError

from pipeline.install import run_setup
from pipeline.sandbox import Servers
from pipeline.settings import Settings, load_settings
from tests.install.ilm_server import IlmServer, ilm_server
from tests.install.indexer import Indexer

MakeSettings = Callable[..., Settings]


@pytest.fixture(scope="session")
def client(servers: Servers) -> Iterator[Elasticsearch]:
    with Elasticsearch(servers.elasticsearch_url, request_timeout=60) as connected:
        yield connected


@pytest.fixture
def prefix(client: Elasticsearch) -> Iterator[str]:
    name = f"setup-{uuid4().hex[:8]}"
    yield name
    remove(client, name)


def remove(client: Elasticsearch, prefix: str) -> None:
    for index in client.indices.get(index=f"{prefix}*", expand_wildcards="all"):
        client.indices.delete(index=index)
    for kind in (client.indices.delete_index_template, client.cluster.delete_component_template):
        with suppress(NotFoundError):
            kind(name=f"{prefix}*")


@pytest.fixture
def make_settings(servers: Servers, prefix: str) -> MakeSettings:
    """Settings of the sandbox's servers, with this prefix; groups given by name win, field by field."""

    def make(**groups: dict[str, Any]) -> Settings:
        defaults: dict[str, dict[str, Any]] = {
            "kafka": {"bootstrap_servers": [servers.kafka_bootstrap], "topics": [f"{prefix}.logs"]},
            "elasticsearch": {"hosts": [servers.elasticsearch_url]},
            "index": {"prefix": prefix},
        }
        return load_settings(
            overrides={
                name: {**defaults.get(name, {}), **groups.get(name, {})} for name in {*defaults, *groups}
            }
        )

    return make


@pytest.fixture
async def ilm(servers: Servers) -> AsyncIterator[IlmServer]:
    """The real server, with ILM as far as setup can tell."""
    async with ilm_server(servers.elasticsearch_url) as server:
        yield server


@pytest.fixture(scope="module")
def installed(servers: Servers, client: Elasticsearch) -> Iterator[str]:
    prefix = f"mapping-{uuid4().hex[:8]}"
    settings = load_settings(
        overrides={
            "kafka": {"bootstrap_servers": [servers.kafka_bootstrap]},
            "elasticsearch": {"hosts": [servers.elasticsearch_url]},
            "index": {"prefix": prefix},
        }
    )
    # One shard: a table of a hundred indices is quicker, and refuses the same.
    quick = {"index.number_of_shards": "1", "index.number_of_replicas": "0"}
    asyncio.run(
        run_setup(settings, without_ilm=True, with_topics=False, index_settings=quick, report=lambda _: None)
    )
    yield prefix
    remove(client, prefix)


@pytest.fixture(scope="module")
def shared_indexer(installed: str, client: Elasticsearch) -> Indexer:
    return Indexer(client, installed)


@pytest.fixture
def indexer(shared_indexer: Indexer) -> Indexer:
    shared_indexer.start_new_index()
    return shared_indexer
