"""Which ids have been seen before, without keeping them in memory."""

import sqlite3

__all__ = ["SeenIds"]


class SeenIds:
    """Ids in a temporary file that only this object sees, kept in memory while it is small."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute("CREATE TABLE seen (id TEXT PRIMARY KEY) WITHOUT ROWID")

    def first_time(self, identifier: str) -> bool:
        """Remember an id; False when it was known."""
        return self._file.execute("INSERT OR IGNORE INTO seen VALUES (?)", (identifier,)).rowcount == 1

    def close(self) -> None:
        """Delete the file."""
        self._file.close()
