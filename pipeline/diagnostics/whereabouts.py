"""Where a record and its documents are now: in Kafka, in Elasticsearch, among the dead letters, or waiting."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import aclosing, suppress
from itertools import chain
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from elasticsearch import AsyncElasticsearch, NotFoundError

from pipeline.audit.records import commits_of_group, current_commits, reader
from pipeline.bulk.client import make_client, server_errors
from pipeline.errors import SettingsError, TopicMissing
from pipeline.events.ids import read_id
from pipeline.events.indices import log_index_patterns
from pipeline.kafka.client import admin_client, kafka_errors, partitions_of_topics
from pipeline.kafka.dead_letters import DeadLetter, SourceRecord, read_dead_letters
from pipeline.settings import Settings

__all__ = ["Found", "LiveMapping", "Place", "find_documents", "find_letters", "find_record", "read_place"]

_READ_SECONDS = 10.0
_POLL_MS = 200
_PLACE = re.compile(r"(?P<topic>[A-Za-z0-9._-]+)/(?P<partition>\d+)[/@](?P<offset>\d+)")


class Place(NamedTuple):
    """A record that is asked for; the timestamp or the topic key is known from an id only."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int | None = None
    topic_key: str = ""


class Found(NamedTuple):
    """What Kafka has at a place."""

    record: SourceRecord | None
    committed: int | None
    """The group's position in this partition."""
    end: int
    topic_id: str | None = None


class LiveMapping(NamedTuple):
    """How an index maps its fields, or would when it is made."""

    name: str
    """Of the index, or of the one that an alias leads to."""
    exists: bool
    mapping: Mapping[str, Any]
    ignore_malformed: bool


def read_place(text: str) -> Place:
    """Read `topic/partition/offset`, or a document's id; raises SettingsError for anything else."""
    text = text.strip()
    if match := _PLACE.fullmatch(text):
        return Place(match["topic"], int(match["partition"]), int(match["offset"]))
    if (parts := read_id(text)) is not None:
        return Place(parts.topic, parts.partition, parts.offset, parts.timestamp_ms, parts.topic_key)
    raise SettingsError(
        f"{text!r} is neither topic/partition/offset, such as app.logs/3/1042, nor the id of a document"
    )


async def find_record(settings: Settings, place: Place) -> Found:
    """Read the record at a place; None where retention or compaction has removed it.

    Raises ServerUnavailable when no broker answers, TopicMissing and ServerRefused when one says no, SettingsError for
    a partition that the topic does not have.
    """
    partition = TopicPartition(place.topic, place.partition)
    with kafka_errors(settings.kafka):
        async with reader(settings, "explain") as reading, admin_client(settings.kafka, "explain") as admin:
            there = await partitions_of_topics(admin, [place.topic])
            if partition not in there:
                raise SettingsError(
                    f"the topic {place.topic} has {len(there)} partitions; {place.partition} is none"
                )
            commits = await current_commits(reading.consumer, await commits_of_group(settings, admin))
            topic_ids = await reading.topic_ids({place.topic})
            consumer = reading.consumer
            consumer.assign([partition])
            start = (await consumer.beginning_offsets([partition]))[partition]
            end = (await consumer.end_offsets([partition]))[partition]
            record = None
            if start <= place.offset < end:
                consumer.seek(partition, place.offset)
                loop = asyncio.get_running_loop()
                deadline = loop.time() + _READ_SECONDS
                while record is None and loop.time() < deadline:
                    delivered = await consumer.getmany(partition, timeout_ms=_POLL_MS, max_records=1)
                    record = next(chain.from_iterable(chain.from_iterable(delivered.values())), None)
    commit = commits.get(partition)
    return Found(
        record if record is not None and record.offset == place.offset else None,
        None if commit is None or commit.of_earlier_topic else commit.offset,
        end,
        topic_ids.get(place.topic),
    )


async def find_letters(settings: Settings, place: Place) -> list[DeadLetter]:
    """Give the dead letters of a record; none where there is no such topic."""
    found = []
    with suppress(TopicMissing):
        async with aclosing(read_dead_letters(settings)) as letters:
            async for letter in letters:
                record = letter.record
                if (
                    record[:3] == place[:3]
                    and place.timestamp_ms in {None, record.timestamp_ms}
                    and place.topic_key in {"", record.topic_key}
                ):
                    found.append(letter)
    return found


async def find_documents(
    settings: Settings, ids: Sequence[str], indices: Sequence[str]
) -> tuple[dict[str, list[tuple[str, list[str]]]], dict[str, LiveMapping]]:
    """Look for documents, and at the mappings that they meet.

    Returns by id the indices that have it, each with its fields that are not searchable (`_ignored`), and by index
    its mapping.

    Raises ServerUnavailable when Elasticsearch does not answer, and ServerRefused when it says no.
    """
    async with make_client(settings.elasticsearch) as client:
        with server_errors(settings.elasticsearch, "look for documents"):
            answer = await client.search(
                index=list(log_index_patterns(settings.index.prefix)),
                ignore_unavailable=True,
                allow_no_indices=True,
                query={"ids": {"values": list(ids)}},
                size=100,
                source=False,
                fields=[{"field": "_ignored"}],
            )
            found: dict[str, list[tuple[str, list[str]]]] = {}
            for hit in answer["hits"]["hits"]:
                found.setdefault(hit["_id"], []).append((hit["_index"], list(hit.get("_ignored", ()))))
            mappings = {index: await _mapping(client, index) for index in dict.fromkeys(indices)}
    return found, mappings


async def _mapping(client: AsyncElasticsearch, index: str) -> LiveMapping:
    try:
        mappings = await client.indices.get_mapping(index=index)
        settings = await client.indices.get_settings(
            index=index, name="index.mapping.ignore_malformed", flat_settings=True
        )
    except NotFoundError:
        answer = await client.indices.simulate_index_template(name=index)
        template = answer["template"]
        lenient = template.get("settings", {}).get("index", {}).get("mapping", {}).get("ignore_malformed")
        return LiveMapping(index, False, template.get("mappings", {}), lenient == "true")
    # Behind an alias: the newest.
    name = max(mappings)
    setting = settings.get(name, {}).get("settings", {}).get("index.mapping.ignore_malformed")
    return LiveMapping(name, True, mappings[name]["mappings"], setting == "true")
