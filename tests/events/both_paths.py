"""A record through the definition and through the hot path, which have to agree."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from pipeline.encode.fast_path import BatchEncoder
from pipeline.events.document import Coordinates, DocumentBuilder
from pipeline.settings import Events, Index

TOPIC = "logs"
TOGETHER = 5
KAFKA_MS = 1_705_314_600_500  # 2024-01-15T10:30:00.500Z


class Indexed(NamedTuple):
    index_name: str
    id: str
    document: dict[str, Any]


class Record(NamedTuple):
    offset: int
    timestamp: int
    value: bytes | None


def transform_all(
    value: bytes | None,
    events: Mapping[str, Any] | None = None,
    *,
    at_ms: int = KAFKA_MS,
    now_ms: int = KAFKA_MS,
    offset: int = 7,
) -> list[Indexed]:
    """Transform by the definition and by the hot path, with cold and warm caches, and want the same."""
    settings = Events(**(events or {}))
    builder = DocumentBuilder(settings, Index())
    defined = [
        Indexed(document.index_name, document.id, orjson.loads(document.source))
        for document in builder.documents(value, Coordinates(TOPIC, 3, offset, at_ms), now_ms)
        if not document.unreadable
    ]
    encoder = BatchEncoder(builder)
    for _ in range(2):
        (payload,) = encoder.encode(TOPIC, 3, [Record(offset, at_ms, value)], now_ms)
        lines = [orjson.loads(line) for line in payload.body.splitlines()]
        assert payload.documents == len(defined)
        assert [
            Indexed(action["create"]["_index"], action["create"]["_id"], source)
            for action, source in zip(lines[::2], lines[1::2], strict=True)
        ] == defined
    _transform_together(encoder, value, defined, at_ms=at_ms, now_ms=now_ms, offset=offset)
    return defined


def _transform_together(
    encoder: BatchEncoder,
    value: bytes | None,
    defined: list[Indexed],
    *,
    at_ms: int,
    now_ms: int,
    offset: int,
) -> None:
    """Transform the same record several times in one batch, which is done column by column."""
    records = [Record(offset + number, at_ms, value) for number in range(TOGETHER)]
    (payload,) = encoder.encode(TOPIC, 3, records, now_ms)
    assert payload.documents == TOGETHER * len(defined)
    sources = [orjson.loads(line) for line in payload.body.splitlines()[1::2]]
    for number in range(TOGETHER):
        expected = [
            {**one.document, "kafka": {**one.document["kafka"], "offset": offset + number}} for one in defined
        ]
        assert sources[number * len(defined) : (number + 1) * len(defined)] == expected


def transform_one(
    event: Any, events: Mapping[str, Any] | None = None, *, at_ms: int = KAFKA_MS, now_ms: int = KAFKA_MS
) -> Indexed:
    value = event if isinstance(event, bytes) else orjson.dumps(event)
    (indexed,) = transform_all(value, events, at_ms=at_ms, now_ms=now_ms)
    return indexed
