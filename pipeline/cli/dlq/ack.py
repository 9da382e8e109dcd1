"""The command `logpipe dlq ack`: parse, call, print."""

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.dlq.letters import open_letters
from pipeline.cli.dlq.options import (
    OffsetOption,
    PartitionOption,
    ReasonOption,
    ServiceOption,
    SinceOption,
    TopicOption,
    UntilOption,
    selection_of,
)
from pipeline.cli.options import ConfigOption, load_run_settings
from pipeline.cli.terminal import out
from pipeline.errors import SettingsError
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.replay import Selection

__all__ = ["acknowledge_letters"]

_MARKS_AT_A_TIME = 1000


def acknowledge_letters(
    config: ConfigOption = None,
    reason: ReasonOption = None,
    service: ServiceOption = None,
    topic: TopicOption = None,
    partition: PartitionOption = None,
    offset: OffsetOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    every: Annotated[bool, typer.Option("--all", help="All there are, without any of the above.")] = False,
    note: Annotated[str, typer.Option(help="Why: a ticket, a word.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count; write nothing.")] = False,
) -> None:
    """Acknowledge dead letters: somebody has looked, nothing more is to be done.

    `list` and `replay` leave them out from then on; they stay in Kafka, and `audit` counts them as before.
    """
    from pipeline.replay import Selection

    settings = load_run_settings(config)
    selection = selection_of(reason, service, topic, since, until, partition=partition, offset=offset)
    if not every and selection == Selection():
        raise SettingsError(
            "which letters? --reason, --service, --topic, --since … choose some, --all is all"
        )
    number = asyncio.run(_acknowledge(settings, selection, note, dry_run=dry_run))
    out.print(f"{number:>8}  {'would be acknowledged' if dry_run else 'acknowledged'}", highlight=False)


async def _acknowledge(settings: Settings, selection: "Selection", note: str, *, dry_run: bool) -> int:
    from pipeline.kafka.dead_letters import dead_letter_topic
    from pipeline.kafka.letter_marks import Mark, write_marks

    mark = Mark("acknowledged", time.time_ns() // 1_000_000, note)
    number, ids = 0, list[str]()
    async with aclosing(open_letters(settings, selection)) as letters:
        async for letter in letters:
            number += 1
            if not dry_run:
                ids.append(letter.id)
            if len(ids) == _MARKS_AT_A_TIME:
                await write_marks(settings, dead_letter_topic(settings), ids, mark)
                ids.clear()
    if ids:
        await write_marks(settings, dead_letter_topic(settings), ids, mark)
    return number
