"""The command `logpipe dlq show`: parse, call, print."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from pipeline.cli.dlq.letters import chosen_letters
from pipeline.cli.dlq.options import TopicOption
from pipeline.cli.dlq.rendering import bytes_as_text, time_as_text
from pipeline.cli.options import ConfigOption, load_run_settings
from pipeline.cli.terminal import err, harmless, out
from pipeline.errors import SettingsError
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.kafka.dead_letters import DeadLetter
    from pipeline.replay import Selection

__all__ = ["show_letters"]


def show_letters(
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
        _print_letter(letter)


async def _read_all(settings: Settings, selection: "Selection") -> "list[DeadLetter]":
    return [letter async for letter in chosen_letters(settings, selection)]


def _print_letter(letter: "DeadLetter") -> None:
    record = letter.record
    rows = [
        ("topic", record.topic),
        ("partition", str(record.partition)),
        ("offset", str(record.offset)),
        ("time", f"{time_as_text(record.timestamp_ms)} ({record.timestamp_ms})"),
        ("status", str(letter.status)),
        ("error type", letter.error_type),
        ("field", letter.field or "none is named"),
        ("reason", letter.reason),
        ("attempts", str(letter.attempts)),
        ("element", "not known" if letter.element is None else str(letter.element)),
        ("key", "none" if letter.key is None else bytes_as_text(letter.key)),
        *((f"header {name}", bytes_as_text(content or b"")) for name, content in letter.headers),
        ("bytes", "none: a tombstone" if letter.value is None else str(len(letter.value))),
        *_cut_rows(letter),
    ]
    for name, text in rows:
        out.print(Text.assemble((f"{harmless(name):<11} ", "bold"), harmless(text)), soft_wrap=True)
    if letter.value is not None:
        out.print(Text(bytes_as_text(letter.value)), soft_wrap=True)
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
