"""Marks on dead letters: acknowledged by somebody, or replayed. A mark is a record of its own in their topic.

Its key is the letter's, so that it comes into the same partition behind it; the value is empty. Readers of earlier
versions take it for one more copy of the letter, and pass over it. A letter that is written again after its mark is
open again.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from aiokafka import AIOKafkaProducer

from pipeline.kafka.client import connection_options, kafka_errors, start_client
from pipeline.settings import Settings

__all__ = ["Mark", "MarkFile", "MarkKind", "mark_headers", "mark_of", "write_marks"]

_HEADER, _NOTE, _AT = "logpipe.mark", "logpipe.mark_note", "logpipe.mark_at"
_KINDS = ("acknowledged", "replayed")

MarkKind = Literal["acknowledged", "replayed"]
_Headers = Sequence[tuple[str, bytes | None]]


class Mark(NamedTuple):
    """What was done about a letter."""

    kind: MarkKind
    at_ms: int
    """When, in milliseconds since 1970."""
    note: str = ""


_ANY = Mark("acknowledged", 0)


def mark_headers(mark: Mark) -> list[tuple[str, bytes]]:
    """Write a mark."""
    return [
        (_HEADER, mark.kind.encode()),
        (_AT, str(mark.at_ms).encode()),
        (_NOTE, mark.note.encode()),
    ]


def mark_of(value: bytes | None, headers: _Headers) -> Mark | None:
    """Read a mark; None for a letter, whose record may have headers that are called like ours."""
    if (
        value is not None
        or not headers
        or headers[0][0] != _HEADER
        or len(headers) != len(mark_headers(_ANY))
    ):
        return None
    texts = {name: (content or b"").decode("utf-8", "replace") for name, content in headers}
    at = texts.get(_AT, "")
    kind: MarkKind = "replayed" if texts[_HEADER] == "replayed" else "acknowledged"
    return Mark(kind, int(at) if at.isdecimal() else 0, texts.get(_NOTE, ""))


class MarkFile:
    """The last mark of each letter: in a temporary file, kept in memory while it is small."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute("CREATE TABLE marks (id TEXT PRIMARY KEY, kind, at, note) WITHOUT ROWID")

    def put(self, identifier: str, mark: Mark) -> None:
        """Remember a mark, instead of an earlier one of the same letter."""
        self._file.execute("INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?)", (identifier, *mark))

    def reopen(self, identifier: str) -> None:
        """Forget a letter's mark: it has been written again."""
        self._file.execute("DELETE FROM marks WHERE id = ?", (identifier,))

    def of(self, identifier: str) -> Mark | None:
        """Give a letter's mark."""
        row = self._file.execute("SELECT kind, at, note FROM marks WHERE id = ?", (identifier,)).fetchone()
        return None if row is None else Mark(*row)

    def close(self) -> None:
        """Delete the file."""
        self._file.close()


async def write_marks(settings: Settings, topic: str, ids: Iterable[str], mark: Mark) -> int:
    """Mark letters, by their ids; returns how many, when every mark is acknowledged by all in-sync replicas.

    Raises ServerUnavailable when no broker answers, and ServerRefused when one says no.
    """
    with kafka_errors(settings.kafka):
        producer = AIOKafkaProducer(
            **connection_options(settings.kafka, "marks"), acks="all", enable_idempotence=True
        )
        try:
            await start_client(producer, settings.kafka)
            headers = mark_headers(mark)
            sent = [await producer.send(topic, None, key=one.encode(), headers=headers) for one in ids]
            for each in sent:
                await each
        finally:
            await producer.stop()
    return len(sent)
