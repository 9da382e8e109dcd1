"""Ids of documents: how they are made of a record's place, read back, and which shard they are meant for.

There are two forms. Both tell a topic from one of the same name that is created later:

- `<topic>-<partition>-<topic key>-<offset>`, where the key is the beginning of Kafka's topic id (KIP-516). All ids of
  a partition differ in their ends alone, which is what Lucene stores well: nine tenths of what an id with a time costs
  is that time (10.6 bytes a document, measured).
- `<topic>-<partition>-<offset>-<record timestamp>`, the former form: of brokers that give no topic ids
  (Kafka before 2.8), of `index.id = record_time`, and of records from before `index.id_since`.

Behind either, `.n` is the n-th event of an array.
"""

import re
from typing import Any, NamedTuple

from pipeline.settings import Index

__all__ = [
    "BLOCK_BITS",
    "Coordinates",
    "DocumentIds",
    "IdParts",
    "document_id",
    "id_in_form",
    "read_id",
    "routing_of",
]

BLOCK_BITS = 10
"""So many low bits of an offset are left out of its routing: 1,024 neighbours go to one shard."""

# Of the 22 characters of a topic id. Kafka's are random UUIDs of version 4, so that the ninth is Q, R, S or T: a key is
# never all digits, and never a time or an offset.
_KEY_LENGTH = 12
_WITH_KEY = re.compile(
    rf"(?P<topic>.+)-(?P<partition>\d+)-(?!\d{{{_KEY_LENGTH}}}-)(?P<key>[A-Za-z0-9_-]{{{_KEY_LENGTH}}})-(?P<offset>\d{{12,}})(?:\.(?P<element>\d+))?"
)
_WITH_TIME = re.compile(
    r"(?P<topic>.+)-(?P<partition>\d+)-(?P<offset>\d{12,})-(?P<stamp>-?\d+)(?:\.(?P<element>\d+))?"
)


class Coordinates(NamedTuple):
    """Where Kafka keeps a record, its timestamp in milliseconds since 1970, and how ids name its topic."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    topic_key: str = ""
    """The beginning of the topic's id, see `DocumentIds`; empty where ids have the record's timestamp instead."""

    def as_json(self) -> dict[str, Any]:
        """Give what Kafka calls these things."""
        return dict(zip(self._fields[:4], self[:4], strict=True))


class IdParts(NamedTuple):
    """What an id says of its record; either the topic key or the timestamp is there."""

    topic: str
    partition: int
    offset: int
    topic_key: str
    timestamp_ms: int | None
    element: int | None
    """Number of the event within an array."""


class DocumentIds:
    """Which of the two forms a record's id has, by the settings: a pure function of the record and its topic's id."""

    def __init__(self, index: Index) -> None:
        self.with_topic_id = index.id == "topic_id"
        self.since_ms = index.id_since_ms if self.with_topic_id else None
        """Records with an earlier timestamp keep the form with the time; None where there is no such moment."""

    def topic_key(self, topic_id: str | None, timestamp_ms: int) -> str:
        """Give what stands for the topic in the id of a record; empty for the form with the record's timestamp."""
        if not self.with_topic_id or (self.since_ms is not None and timestamp_ms < self.since_ms):
            return ""
        return self.key_of(topic_id)

    def other_form(self, record: Coordinates, topic_id: str | None) -> Coordinates:
        """Give a record's place with the form of ids that its document does not have by these settings.

        The same place where there is no other form: a broker that gives no topic ids.
        """
        return record._replace(topic_key="" if record.topic_key else self.key_of(topic_id))

    @staticmethod
    def key_of(topic_id: str | None) -> str:
        """Shorten a topic's id; empty where the broker gives none (Kafka before 2.8)."""
        return (topic_id or "")[:_KEY_LENGTH]


def document_id(record: Coordinates) -> str:
    """Name a record for ever.

    At most 249 + 3 + 10 + 19 + 20 characters, within Elasticsearch's 512 bytes.
    """
    if record.topic_key:
        return f"{record.topic}-{record.partition}-{record.topic_key}-{record.offset:012d}"
    return f"{record.topic}-{record.partition}-{record.offset:012d}-{record.timestamp_ms}"


def id_in_form(identifier: str, record: Coordinates, form: Coordinates) -> str | None:
    """Give the id that a record's document has in another form, the place by which that is made; None for other ids."""
    own = document_id(record)
    if identifier != own and not identifier.startswith(f"{own}."):
        return None
    return document_id(form) + identifier.removeprefix(own)


def read_id(identifier: str) -> IdParts | None:
    """Read an id of either form; None for any other."""
    match = _WITH_KEY.fullmatch(identifier) or _WITH_TIME.fullmatch(identifier)
    if match is None:
        return None
    found = match.groupdict()
    stamp, element = found.get("stamp"), found["element"]
    return IdParts(
        found["topic"],
        int(found["partition"]),
        int(found["offset"]),
        found.get("key") or "",
        None if stamp is None else int(stamp),
        None if element is None else int(element),
    )


def routing_of(record: Coordinates) -> str:
    """Say which records share a shard: blocks of neighbours of a partition; empty for ids with the record's timestamp.

    Neighbours are alike, and cost less in one shard than scattered over several. Blocks are spread by Elasticsearch's
    own hash. Ids of the other form stay where they always were: by their id.
    """
    return f"{record.partition}.{record.offset >> BLOCK_BITS}" if record.topic_key else ""
