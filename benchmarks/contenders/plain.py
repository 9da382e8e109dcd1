"""The plain way: what one writes with aiokafka, json and `async_bulk` in an afternoon.

It does what the guide's Logstash pipeline does, and none of what makes that safe: no ids, so that a record
read twice is indexed twice, and `async_bulk` raises at the first rejected document.
"""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer
from elasticsearch import AsyncElasticsearch
from elasticsearch.helpers import async_bulk

from benchmarks.contenders.task import Task
from benchmarks.usage import Usage, measure

__all__ = ["run"]

_POLL_MS = 1000
_SERVICE = "claude-code-bot"


def run(task: Task) -> Usage:
    """Index the events, committing after each poll."""
    return measure(lambda: asyncio.run(_index(task)))


async def _index(task: Task) -> None:
    indexed = 0
    async with (
        AsyncElasticsearch(task.elasticsearch_url) as elasticsearch,
        AIOKafkaConsumer(
            task.topic,
            bootstrap_servers=task.bootstrap,
            group_id=task.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        ) as consumer,
    ):
        while indexed < task.events:
            batches = await consumer.getmany(timeout_ms=_POLL_MS)
            wanted = task.events - indexed
            actions = [
                to_action(record.value, record.timestamp, task.index_prefix)
                for records in batches.values()
                for record in records
            ][:wanted]
            await async_bulk(elasticsearch, actions)
            await consumer.commit()
            indexed += len(actions)


def to_action(value: bytes, timestamp_ms: int, prefix: str) -> dict[str, Any]:
    """Do the guide's steps: json, date, service_name, error tag, daily index."""
    try:
        event = json.loads(value)
        if event.get("fields", {}).get("service") == _SERVICE:
            event |= json.loads(event["message"])
        time = datetime.fromisoformat(event.pop("timestamp")).astimezone(UTC)
    except (ValueError, KeyError):
        event = {"message": value.decode(errors="replace"), "tags": ["_jsonparsefailure"]}
        time = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    event["@timestamp"] = time.isoformat()
    event["service_name"] = _SERVICE
    if event.get("level") == "ERROR":
        event["tags"] = [*event.get("tags", []), "error"]
    return {"_index": f"{prefix}-{time:%Y.%m.%d}", "_source": event}
