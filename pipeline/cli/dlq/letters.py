"""The dead letters that a command of `logpipe dlq` is about, read from Kafka."""

import dataclasses
from collections.abc import AsyncGenerator
from contextlib import aclosing, closing
from typing import TYPE_CHECKING

from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.kafka.dead_letters import DeadLetter
    from pipeline.kafka.letter_marks import MarkFile
    from pipeline.replay import Selection

__all__ = ["chosen_letters", "open_letters"]


async def chosen_letters(
    settings: Settings, selection: "Selection", marks: "MarkFile | None" = None
) -> "AsyncGenerator[DeadLetter, None]":
    """Give the letters that are meant; the marks on all of them are read into `marks` first."""
    from pipeline.kafka.dead_letters import read_dead_letters, read_marks
    from pipeline.replay import select

    if marks is not None:
        await read_marks(settings, marks)
    async with aclosing(read_dead_letters(settings)) as letters:
        async for letter in select(letters, selection, settings.events):
            yield letter


async def open_letters(settings: Settings, selection: "Selection") -> "AsyncGenerator[DeadLetter, None]":
    """Leave out what somebody has acknowledged: there is nothing more to be done about it."""
    from pipeline.kafka.letter_marks import MarkFile

    unlimited = dataclasses.replace(selection, limit=None)
    left = selection.limit
    with closing(MarkFile()) as marks:
        async with aclosing(chosen_letters(settings, unlimited, marks)) as letters:
            async for letter in letters:
                mark = marks.of(letter.id)
                if mark is not None and mark.kind == "acknowledged":
                    continue
                if left == 0:
                    return
                left = None if left is None else left - 1
                yield letter
