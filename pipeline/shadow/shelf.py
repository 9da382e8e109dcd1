"""Documents that wait for their counterpart: in a temporary file, for there may be millions.

Logstash's are put on the shelf first, each with its keys; ours take from it what is theirs.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from pipeline.shadow.differences import Written
from pipeline.shadow.keys import Key, Place, Rank

__all__ = ["Left", "Shelf", "Shelved"]

_CANDIDATES = 50


class Shelved(NamedTuple):
    """One of Logstash's documents, by its number on the shelf."""

    number: int
    written: Written


class Left(NamedTuple):
    """One of our documents that has no counterpart yet."""

    number: int
    place: Place
    written: Written
    pending: bool
    keys: list[Key]


class Shelf:
    """Documents and their keys; what is taken is found no more."""

    def __init__(self) -> None:
        self._file = sqlite3.connect(
            "", isolation_level=None
        )  # only this connection sees it, in memory while small
        self._file.executescript(
            """
            PRAGMA journal_mode = OFF;
            PRAGMA synchronous = OFF;
            CREATE TABLE theirs (number INTEGER PRIMARY KEY, name, id, document, counts, taken DEFAULT 0);
            CREATE TABLE keys (rank, text, number);
            CREATE INDEX by_key ON keys (rank, text);
            CREATE TABLE ours (number INTEGER PRIMARY KEY, place, name, id, document, pending, keys);
            """
        )

    def put(self, documents: Iterable[tuple[Written, Sequence[Key], bool]]) -> None:
        """Put Logstash's documents up, each with its keys, and whether it counts where nobody takes it."""
        self._file.execute("BEGIN")
        for written, keys, counts in documents:
            number = self._file.execute(
                "INSERT INTO theirs (name, id, document, counts) VALUES (?, ?, ?, ?)",
                (written.index_name, written.id, _encoded(written), counts),
            ).lastrowid
            self._file.executemany(
                "INSERT INTO keys VALUES (?, ?, ?)", [(key.rank, key.text, number) for key in keys]
            )
        self._file.execute("COMMIT")

    def find(self, key: Key, most: int = _CANDIDATES) -> list[Shelved]:
        """Give the documents with a key that nobody has taken, in the order in which they were put up."""
        rows = self._file.execute(
            "SELECT theirs.number, name, id, document FROM keys JOIN theirs USING (number) "
            "WHERE rank = ? AND text = ? AND NOT taken ORDER BY theirs.number LIMIT ?",
            (key.rank, key.text, most),
        )
        return [Shelved(number, _written(name, id_, text)) for number, name, id_, text in rows]

    def take(self, number: int) -> None:
        """Take a document off."""
        self._file.execute("UPDATE theirs SET taken = 1 WHERE number = ?", (number,))

    def left(self) -> tuple[int, int]:
        """Count the documents that nobody has taken: those that count, and those that do not."""
        counting, all_left = self._file.execute(
            "SELECT coalesce(sum(counts), 0), count(*) FROM theirs WHERE NOT taken"
        ).fetchone()
        return counting, all_left - counting

    def some_left(self, most: int) -> list[Written]:
        """Give some of those that count."""
        rows = self._file.execute(
            "SELECT name, id, document FROM theirs WHERE NOT taken AND counts ORDER BY number LIMIT ?",
            (most,),
        )
        return [_written(*row) for row in rows]

    def wait(self, place: Place, written: Written, keys: Sequence[Key], *, pending: bool) -> None:
        """Keep one of our documents until the surer matches are all made."""
        self._file.execute(
            "INSERT INTO ours (place, name, id, document, pending, keys) VALUES (?, ?, ?, ?, ?, ?)",
            (
                json.dumps(place),
                written.index_name,
                written.id,
                _encoded(written),
                pending,
                json.dumps([[int(key.rank), key.text] for key in keys]),
            ),
        )

    def waiting(self) -> Iterator[Left]:
        """Give our documents that wait, in their order; the one that was given may be settled meanwhile."""
        after = 0
        while rows := self._file.execute(
            "SELECT number, place, name, id, document, pending, keys FROM ours "
            "WHERE number > ? ORDER BY number LIMIT 500",
            (after,),
        ).fetchall():
            after = rows[-1][0]
            for number, place, name, id_, text, pending, keys in rows:
                yield Left(
                    number,
                    Place(*json.loads(place)),
                    _written(name, id_, text),
                    bool(pending),
                    [Key(Rank(rank), key) for rank, key in json.loads(keys)],
                )

    def settle(self, number: int) -> None:
        """Forget one of our documents that has found its counterpart."""
        self._file.execute("DELETE FROM ours WHERE number = ?", (number,))

    def close(self) -> None:
        """Delete the file."""
        self._file.close()


def _encoded(written: Written) -> str:
    # The standard library's JSON has integers of any size, as Logstash's documents may.
    return json.dumps(written.document, default=str)


def _written(name: str | None, identifier: str | None, text: str) -> Written:
    document: dict[str, Any] = json.loads(text)
    return Written(document, name, identifier)
