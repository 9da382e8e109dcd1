"""The dead letters' side: which records have one."""

import sqlite3
from collections.abc import Sequence
from contextlib import suppress

from pipeline.errors import TopicMissing
from pipeline.events.document import Coordinates
from pipeline.kafka.dead_letters import read_dead_letters
from pipeline.settings import Settings

__all__ = ["LetterFile"]

_LETTERS_AT_A_TIME = 1_000


class LetterFile:
    """Which records have dead letters: in a temporary file, for the topic has no order of ours."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("")  # a file that only this connection sees, kept in memory while small
        self._file.execute("CREATE TABLE letters (topic, part, position, stamp, element)")
        self._file.execute("CREATE INDEX by_record ON letters (topic, part, position, stamp)")

    async def read(self, settings: Settings) -> None:
        """Read the topic; one that does not exist holds none."""
        rows: list[tuple[str | int | None, ...]] = []
        with suppress(TopicMissing):
            async for letter in read_dead_letters(settings):
                rows.append((*letter.record[:4], letter.element))
                if len(rows) == _LETTERS_AT_A_TIME:
                    self.add(rows)
                    rows.clear()
        self.add(rows)

    def add(self, rows: Sequence[tuple[str | int | None, ...]]) -> None:
        """Remember letters: the record's coordinates, and the number of the array's element when known."""
        self._file.executemany("INSERT INTO letters VALUES (?, ?, ?, ?, ?)", rows)

    def without_letter(self, record: Coordinates, numbers: Sequence[int]) -> list[int]:
        """Leave out the elements of a record that have letters.

        A letter that does not say for which element it is stands for one of them.
        """
        elements = [
            row[0]
            for row in self._file.execute(
                "SELECT element FROM letters WHERE topic = ? AND part = ? AND position = ? AND stamp = ?",
                record[:4],
            )
        ]
        left = [number for number in numbers if number not in elements]
        return left[elements.count(None) :]

    def close(self) -> None:
        """Delete the file."""
        self._file.close()
