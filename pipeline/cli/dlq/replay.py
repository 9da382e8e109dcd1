"""The command `logpipe dlq replay`: parse, call, print."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

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
from pipeline.cli.terminal import err, harmless, out
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.replay import Replayed, Selection

__all__ = ["replay_letters"]


def replay_letters(
    config: ConfigOption = None,
    reason: ReasonOption = None,
    service: ServiceOption = None,
    topic: TopicOption = None,
    partition: PartitionOption = None,
    offset: OffsetOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Most letters; all unless given.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count; write nothing.")] = False,
) -> None:
    """Index dead letters once more, after what was wrong has been mended; exit 1 when some are refused still.

    What is indexed is marked as replayed. Acknowledged letters are left out.

    Each document gets the id and the index that it would have had: replaying twice changes nothing.
    """
    settings = load_run_settings(config)
    selection = selection_of(
        reason, service, topic, since, until, partition=partition, offset=offset, limit=limit
    )
    total = asyncio.run(_count(settings, selection))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err) as bar:
        task = bar.add_task("replayed", total=total)
        replayed = asyncio.run(
            _replay(
                settings, selection, dry_run=dry_run, report=lambda done: bar.update(task, completed=done)
            )
        )
    _print_replayed(replayed, dry_run=dry_run)
    if replayed.rejected or replayed.gone:
        raise typer.Exit(1)


async def _count(settings: Settings, selection: "Selection") -> int:
    total = 0
    async with aclosing(open_letters(settings, selection)) as letters:
        async for _ in letters:
            total += 1
    return total


async def _replay(
    settings: Settings, selection: "Selection", *, dry_run: bool, report: Callable[[int], None]
) -> "Replayed":
    from pipeline.kafka.dead_letters import dead_letter_topic
    from pipeline.kafka.letter_marks import Mark, write_marks
    from pipeline.replay import replay

    async def settled(ids: Sequence[str]) -> None:
        mark = Mark("replayed", time.time_ns() // 1_000_000)
        await write_marks(settings, dead_letter_topic(settings), ids, mark)

    async with aclosing(open_letters(settings, selection)) as letters:
        return await replay(settings, letters, dry_run=dry_run, report=report, settled=settled)


def _print_replayed(replayed: "Replayed", *, dry_run: bool) -> None:
    counts = [("dead letters", replayed.letters), ("documents", replayed.documents)]
    if not dry_run:
        counts += [
            ("indexed", replayed.indexed),
            ("already there", replayed.already_there),
            ("still rejected", replayed.rejected),
        ]
    if replayed.summaries:
        counts.append(("summaries of traces, told again by the correlator", replayed.summaries))
    if replayed.gone:
        counts.append(("cut, and their records are no longer in Kafka", replayed.gone))
    if replayed.unusable:
        counts.append(("not dead letters of this pipeline, left out", replayed.unusable))
    for name, number in counts:
        out.print(f"{number:>8}  {name}", highlight=False)
    for record, error_type, reason in replayed.rejections:
        where = f"{record.topic}/{record.partition}@{record.offset}"
        out.print(Text(harmless(f"{where}  {error_type}: {reason}")), soft_wrap=True)
    if replayed.rejected > len(replayed.rejections):
        out.print(f"and {replayed.rejected - len(replayed.rejections)} more", highlight=False)
