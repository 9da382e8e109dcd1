"""The command `logpipe dlq export`: parse, call, print."""

import asyncio
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.dlq.letters import chosen_letters
from pipeline.cli.dlq.options import (
    ReasonOption,
    ServiceOption,
    SinceOption,
    TopicOption,
    UntilOption,
    selection_of,
)
from pipeline.cli.dlq.rendering import letter_as_json
from pipeline.cli.options import ConfigOption, load_run_settings
from pipeline.cli.tables import print_json_lines
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.replay import Selection

__all__ = ["export_letters"]


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
    settings = load_run_settings(config)
    asyncio.run(_export(settings, selection_of(reason, service, topic, since, until, limit=limit)))


async def _export(settings: Settings, selection: "Selection") -> None:
    from pipeline.kafka.letter_marks import MarkFile

    with closing(MarkFile()) as marks:
        async with aclosing(chosen_letters(settings, selection, marks)) as letters:
            async for letter in letters:
                print_json_lines([letter_as_json(letter, settings, marks.of(letter.id), whole=True)])
