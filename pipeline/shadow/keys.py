"""What two documents of one event have in common, whoever wrote them: pure.

The record's coordinates are the best: Logstash has them in `[@metadata][kafka]` where `decorate_events` is on, and a
configuration may have copied them to fields. Else the event's content, by its hash: the record's text, which ECS keeps
in `event.original`; all fields of the document; or the message.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import IntEnum
from typing import Any, Final, NamedTuple

from pipeline.logstash.timestamp import parse_timestamp
from pipeline.shadow.differences import flattened, is_ignored

__all__ = ["Key", "Place", "Rank", "coordinates_of", "keys_of_ours", "keys_of_theirs"]

# What may be a time of processing, and what only one of the two writes.
_NO_CONTENT: Final = ("@timestamp", "@version", "event.original")
_PARTITION: Final = re.compile(r"(?:^|[._-])partition\Z")


class Place(NamedTuple):
    """Where a record is in Kafka, and its timestamp in milliseconds since 1970."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int

    def __str__(self) -> str:
        """Write it as the audit does."""
        return f"{self.topic}/{self.partition}@{self.offset}"


class Rank(IntEnum):
    """How a document is found; a lower one is surer."""

    COORDINATES = 0
    ORIGINAL = 1
    CONTENT_AND_TIME = 2
    MESSAGE_AND_TIME = 3
    CONTENT = 4
    MESSAGE = 5


class Key(NamedTuple):
    """A text that two documents of one event have in common."""

    rank: Rank
    text: str


class Coordinates(NamedTuple):
    """A record's coordinates as a document holds them; the topic is None where only the numbers were copied."""

    topic: str | None
    partition: int
    offset: int


def coordinates_of(document: Mapping[str, Any], topics: Collection[str]) -> Coordinates | None:
    """Find a record's coordinates among the fields: `partition` and `offset` side by side, and `topic` with them.

    An object has them, or names that end so, such as `kafka_offset`; numbers may be texts, as
    `%{[@metadata][kafka][offset]}` makes them. Without one of these topics it has to be called Kafka's: an application
    may log coordinates of its own.
    """
    leaves = flattened(document)
    for path in leaves:
        if _PARTITION.search(path) is None:
            continue
        stem = path.removesuffix("partition")
        partition, offset = _number(leaves[path]), _number(leaves.get(f"{stem}offset"))
        topic = leaves.get(f"{stem}topic")
        if partition is None or offset is None:
            continue
        if isinstance(topic, str) and topic in topics:
            return Coordinates(topic, partition, offset)
        if "kafka" in stem.lower():
            return Coordinates(topic if isinstance(topic, str) else None, partition, offset)
    return None


def _number(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and re.fullmatch(r"\d{1,18}", value) else None


def keys_of_ours(
    place: Place, value: bytes, document: Mapping[str, Any], ignored: Iterable[str] = ()
) -> list[Key]:
    """Give the keys under which Logstash's document of the same event may be found, the surest first."""
    return [
        Key(Rank.COORDINATES, f"{place.topic}/{place.partition}/{place.offset}"),
        Key(Rank.COORDINATES, f"*/{place.partition}/{place.offset}"),
        Key(Rank.ORIGINAL, _hash(value.decode("utf-8", "replace"))),
        *_of_content(document, ignored),
    ]


def keys_of_theirs(
    document: Mapping[str, Any], topics: Collection[str], ignored: Iterable[str] = ()
) -> list[Key]:
    """Give the keys of one of Logstash's documents; where it has coordinates they are its only one."""
    coordinates = coordinates_of(document, topics)
    if coordinates is not None and (coordinates.topic is not None or len(topics) == 1):
        topic = "*" if coordinates.topic is None else coordinates.topic
        return [Key(Rank.COORDINATES, f"{topic}/{coordinates.partition}/{coordinates.offset}")]
    return [
        *(Key(Rank.ORIGINAL, _hash(text)) for text in _originals(document)),
        *_of_content(document, ignored),
    ]


def _originals(document: Mapping[str, Any]) -> list[str]:
    """Give the texts that may be the record's: what ECS keeps, or the message of the codec `plain`."""
    event = document.get("event")
    original = event.get("original") if isinstance(event, Mapping) else document.get("event.original")
    texts = [text for text in (original, document.get("message")) if isinstance(text, str)]
    return list(dict.fromkeys(texts))


def _of_content(document: Mapping[str, Any], ignored: Iterable[str]) -> Iterator[Key]:
    time = document.get("@timestamp")
    instant = parse_timestamp(time) if isinstance(time, str) else None
    at = None if instant is None else instant.nanoseconds // 1_000_000
    left_out = (*_NO_CONTENT, *ignored)
    leaves = {path: value for path, value in flattened(document).items() if not is_ignored(path, left_out)}
    if leaves:
        content = json.dumps(leaves, sort_keys=True, default=str)
        yield Key(Rank.CONTENT_AND_TIME, _hash(f"{at} {content}"))
        yield Key(Rank.CONTENT, _hash(content))
    message = document.get("message")
    if isinstance(message, str):
        yield Key(Rank.MESSAGE_AND_TIME, _hash(f"{at} {message}"))
        yield Key(Rank.MESSAGE, _hash(message))


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
