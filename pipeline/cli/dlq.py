"""The commands `logpipe dlq list`, `show`, `replay`, `ack` and `export`: parse, call, print."""

import asyncio
import base64
import dataclasses
import logging
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from pipeline.cli.options import ConfigOption, load_run_settings, milliseconds
from pipeline.cli.tables import Column, print_json, print_json_lines, print_table
from pipeline.cli.terminal import err, harmless, out
from pipeline.errors import SettingsError
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.kafka.dead_letters import DeadLetter
    from pipeline.kafka.letter_marks import Mark, MarkFile
    from pipeline.replay import Replayed, Selection

__all__ = ["dlq"]

dlq = typer.Typer(
    help="Look at the records that Elasticsearch refused, and index them once more.", no_args_is_help=True
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHOWN_REASON = 120
_LISTED = 100
_MARKS_AT_A_TIME = 1000

ReasonOption = Annotated[
    str | None, typer.Option("--reason", help="Part of the error type or of the reason, in any case.")
]
ServiceOption = Annotated[
    str | None, typer.Option("--service", help="The event's `service`, or that of its envelope.")
]
TopicOption = Annotated[str | None, typer.Option("--topic", help="The topic that the record came from.")]
SinceOption = Annotated[
    str | None, typer.Option("--since", help="The record's timestamp at the earliest, ISO-8601.")
]
EveryOption = Annotated[
    bool, typer.Option("--all", help="Those too that have been acknowledged or replayed.")
]
UntilOption = Annotated[
    str | None, typer.Option("--until", help="The first timestamp that is too late, ISO-8601.")
]


@dlq.command("list")
def list_letters(
    config: ConfigOption = None,
    reason: ReasonOption = None,
    service: ServiceOption = None,
    topic: TopicOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int, typer.Option(min=0, help="Most letters in the table; all are counted.")] = _LISTED,
    every: EveryOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """Show dead letters as a table, and how many there are by error type; acknowledged and replayed ones with --all."""
    from pipeline.replay import Selection

    settings = load_run_settings(config)
    selection = Selection(
        reason,
        service,
        topic,
        since_ms=milliseconds("--since", since),
        until_ms=milliseconds("--until", until),
    )
    asyncio.run(_list(settings, selection, limit, every=every, as_json=as_json))


async def _list(
    settings: Settings, selection: "Selection", limit: int, *, every: bool, as_json: bool
) -> None:
    from pipeline.kafka.letter_marks import MarkFile

    names = (
        "topic",
        "partition",
        "offset",
        "time",
        "service",
        "status",
        "error type",
        "field",
        "reason",
        "state",
    )
    columns = [Column(name, number=name in {"partition", "offset", "status"}) for name in names]
    counts: Counter[str] = Counter()
    states: Counter[str] = Counter()
    rows: list[list[str]] = []
    told: list[dict[str, Any]] = []
    with closing(MarkFile()) as marks:
        async with aclosing(_chosen(settings, selection, marks)) as letters:
            async for letter in letters:
                mark = marks.of(letter.id)
                states[mark.kind if mark else "open"] += 1
                if mark is not None and not every:
                    continue
                counts[letter.error_type] += 1
                if counts.total() <= limit:
                    rows.append(_row(letter, settings, mark))
                    told.append(letter_as_json(letter, settings, mark, whole=False))
    if as_json:
        print_json(
            {
                "letters": told,
                "total": counts.total(),
                "by_error_type": dict(counts.most_common()),
                "by_state": dict(states),
            }
        )
        return
    if rows:
        print_table(out, columns, rows)
        out.print()
    for error_type, number in counts.most_common():
        out.print(Text(f"{number:>8}  {harmless(error_type) or 'no error type'}"))
    out.print(f"{counts.total():>8}  dead letters in all", highlight=False)
    if hidden := sum(number for state, number in states.items() if state != "open" and not every):
        out.print(f"{hidden:>8}  acknowledged or replayed, shown with --all", highlight=False)


def _row(letter: "DeadLetter", settings: Settings, mark: "Mark | None") -> list[str]:
    from pipeline.replay import services_of

    record = letter.record
    reason = harmless(letter.reason).replace("\n", " ")
    return [
        harmless(record.topic),
        str(record.partition),
        str(record.offset),
        _time(record.timestamp_ms),
        harmless(", ".join(sorted(services_of(letter.value, settings.events)))),
        str(letter.status),
        harmless(letter.error_type),
        harmless(letter.field),
        reason if len(reason) <= _SHOWN_REASON else f"{reason[:_SHOWN_REASON]}…",
        "" if mark is None else f"{mark.kind} {_time(mark.at_ms)[:16]} {harmless(mark.note)}".rstrip(),
    ]


def letter_as_json(
    letter: "DeadLetter", settings: Settings, mark: "Mark | None", *, whole: bool
) -> dict[str, Any]:
    """Give a letter for a program to read; `whole` adds the record's key, headers and bytes."""
    from pipeline.replay import services_of

    told: dict[str, Any] = {
        "id": letter.id,
        **letter.record._asdict(),
        "services": sorted(services_of(letter.value, settings.events)),
        "status": letter.status,
        "error_type": letter.error_type,
        "field": letter.field,
        "reason": letter.reason,
        "attempts": letter.attempts,
        "element": letter.element,
        "state": "open" if mark is None else mark.kind,
        "note": "" if mark is None else mark.note,
    }
    if whole:
        told |= {
            "whole_bytes": letter.whole_bytes,
            "key": _bytes_as_json(letter.key),
            "headers": [[name, _bytes_as_json(content)] for name, content in letter.headers],
            "value": _bytes_as_json(letter.value),
        }
    return told


def _bytes_as_json(content: bytes | None) -> Any:
    """Give text as it is, other bytes as `{"base64": …}`."""
    if content is None:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


@dlq.command()
def show(
    partition: Annotated[int, typer.Option(min=0, help="Partition of the record.")],
    offset: Annotated[int, typer.Option(min=0, help="Offset of the record.")],
    config: ConfigOption = None,
    topic: TopicOption = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Write the record's bytes, and nothing else, to stdout.")
    ] = False,
) -> None:
    """Show everything of the dead letters of one record, its bytes included; exit 1 when there are none."""
    from pipeline.replay import Selection

    settings = load_run_settings(config)
    letters = asyncio.run(_read_all(settings, Selection(topic=topic, partition=partition, offset=offset)))
    topics = sorted({letter.record.topic for letter in letters})
    if len(topics) > 1:
        raise SettingsError(
            f"there are such records of several topics; --topic is one of {', '.join(topics)}"
        )
    if not letters:
        err.print("there is no dead letter of this record", style="red")
        raise typer.Exit(1)
    if raw:
        # Where the topic has been created anew, there may be several: the youngest.
        youngest = max(letters, key=lambda letter: letter.record.timestamp_ms)
        sys.stdout.buffer.write(youngest.value or b"")
        sys.stdout.buffer.flush()
        return
    for letter in letters:
        _show(letter)


async def _read_all(settings: Settings, selection: "Selection") -> "list[DeadLetter]":
    return [letter async for letter in _chosen(settings, selection)]


def _show(letter: "DeadLetter") -> None:
    record = letter.record
    rows = [
        ("topic", record.topic),
        ("partition", str(record.partition)),
        ("offset", str(record.offset)),
        ("time", f"{_time(record.timestamp_ms)} ({record.timestamp_ms})"),
        ("status", str(letter.status)),
        ("error type", letter.error_type),
        ("field", letter.field or "none is named"),
        ("reason", letter.reason),
        ("attempts", str(letter.attempts)),
        ("element", "not known" if letter.element is None else str(letter.element)),
        ("key", "none" if letter.key is None else _readable(letter.key)),
        *((f"header {name}", _readable(content or b"")) for name, content in letter.headers),
        ("bytes", "none: a tombstone" if letter.value is None else str(len(letter.value))),
        *_cut_rows(letter),
    ]
    for name, text in rows:
        out.print(Text.assemble((f"{harmless(name):<11} ", "bold"), harmless(text)), soft_wrap=True)
    if letter.value is not None:
        out.print(Text(_readable(letter.value)), soft_wrap=True)
    out.print()


def _cut_rows(letter: "DeadLetter") -> list[tuple[str, str]]:
    """Say how much of a record is not in its letter."""
    if letter.whole_bytes is None:
        return []
    return [
        (
            "cut",
            f"the record has {letter.whole_bytes} bytes, too many for this topic; it is in {letter.record.topic}",
        ),
        ("sha256", letter.sha256),
    ]


@dlq.command("replay")
def replay_letters(
    config: ConfigOption = None,
    reason: ReasonOption = None,
    service: ServiceOption = None,
    topic: TopicOption = None,
    partition: Annotated[int | None, typer.Option(min=0, help="Partition of the records.")] = None,
    offset: Annotated[int | None, typer.Option(min=0, help="Offset of the record.")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Most letters; all unless given.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count; write nothing.")] = False,
) -> None:
    """Index dead letters once more, after what was wrong has been mended; exit 1 when some are refused still.

    What is indexed is marked as replayed. Acknowledged letters are left out.

    Each document gets the id and the index that it would have had: replaying twice changes nothing.
    """
    from pipeline.replay import Selection

    settings = load_run_settings(config)
    selection = Selection(
        reason,
        service,
        topic,
        partition,
        offset,
        milliseconds("--since", since),
        milliseconds("--until", until),
        limit,
    )
    # The writer's word on each refused document: they are listed at the end.
    logging.getLogger("pipeline.bulk.dead_letter_queue").addFilter(
        lambda line: not line.getMessage().startswith("dead letter:")
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
    async with aclosing(_open(settings, selection)) as letters:
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

    async with aclosing(_open(settings, selection)) as letters:
        return await replay(settings, letters, dry_run=dry_run, report=report, settled=settled)


async def _open(settings: Settings, selection: "Selection") -> "AsyncGenerator[DeadLetter, None]":
    """Leave out what somebody has acknowledged: there is nothing more to be done about it."""
    from pipeline.kafka.letter_marks import MarkFile

    unlimited = dataclasses.replace(selection, limit=None)
    left = selection.limit
    with closing(MarkFile()) as marks:
        async with aclosing(_chosen(settings, unlimited, marks)) as letters:
            async for letter in letters:
                mark = marks.of(letter.id)
                if mark is not None and mark.kind == "acknowledged":
                    continue
                if left == 0:
                    return
                left = None if left is None else left - 1
                yield letter


@dlq.command("ack")
def acknowledge_letters(
    config: ConfigOption = None,
    reason: ReasonOption = None,
    service: ServiceOption = None,
    topic: TopicOption = None,
    partition: Annotated[int | None, typer.Option(min=0, help="Partition of the records.")] = None,
    offset: Annotated[int | None, typer.Option(min=0, help="Offset of the record.")] = None,
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
    times = milliseconds("--since", since), milliseconds("--until", until)
    selection = Selection(reason, service, topic, partition, offset, *times)
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
    async with aclosing(_open(settings, selection)) as letters:
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


@dlq.command("export")
def export_letters(
    config: ConfigOption = None,
    reason: ReasonOption = None,
    service: ServiceOption = None,
    topic: TopicOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Most letters; all unless given.")] = None,
) -> None:
    """Write dead letters to stdout, one JSON object a line, with the record's key, headers and bytes.

    Bytes that are no UTF-8 are {"base64": …}. `state` is open, acknowledged or replayed.
    """
    from pipeline.replay import Selection

    settings = load_run_settings(config)
    times = milliseconds("--since", since), milliseconds("--until", until)
    asyncio.run(_export(settings, Selection(reason, service, topic, None, None, *times, limit)))


async def _export(settings: Settings, selection: "Selection") -> None:
    from pipeline.kafka.letter_marks import MarkFile

    with closing(MarkFile()) as marks:
        async with aclosing(_chosen(settings, selection, marks)) as letters:
            async for letter in letters:
                print_json_lines([letter_as_json(letter, settings, marks.of(letter.id), whole=True)])


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


async def _chosen(
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


def _time(timestamp_ms: int) -> str:
    try:
        time = _EPOCH + timedelta(milliseconds=timestamp_ms)
    except OverflowError:
        return str(timestamp_ms)
    return time.isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")


def _readable(content: bytes) -> str:
    """Give text as text, anything else as base64."""
    try:
        return harmless(content.decode())
    except UnicodeDecodeError:
        return f"base64: {base64.b64encode(content).decode()}"
