"""The command `logpipe dlq list`: parse, call, print."""

import asyncio
from collections import Counter
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from pipeline.cli.dlq.letters import chosen_letters
from pipeline.cli.dlq.options import (
    ReasonOption,
    ServiceOption,
    SinceOption,
    TopicOption,
    UntilOption,
    selection_of,
)
from pipeline.cli.dlq.rendering import letter_as_json, time_as_text
from pipeline.cli.options import ConfigOption, load_run_settings
from pipeline.cli.tables import Column, print_json, print_table
from pipeline.cli.terminal import harmless, out
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.kafka.dead_letters import DeadLetter
    from pipeline.kafka.letter_marks import Mark
    from pipeline.replay import Selection

__all__ = ["list_letters"]

_SHOWN_REASON = 120
_LISTED = 100

EveryOption = Annotated[
    bool, typer.Option("--all", help="Those too that have been acknowledged or replayed.")
]


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
    settings = load_run_settings(config)
    selection = selection_of(reason, service, topic, since, until)
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
        async with aclosing(chosen_letters(settings, selection, marks)) as letters:
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
        time_as_text(record.timestamp_ms),
        harmless(", ".join(sorted(services_of(letter.value, settings.events)))),
        str(letter.status),
        harmless(letter.error_type),
        harmless(letter.field),
        reason if len(reason) <= _SHOWN_REASON else f"{reason[:_SHOWN_REASON]}…",
        "" if mark is None else f"{mark.kind} {time_as_text(mark.at_ms)[:16]} {harmless(mark.note)}".rstrip(),
    ]
