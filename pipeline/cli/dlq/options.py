"""The options of several commands of `logpipe dlq`: which letters are meant."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import milliseconds

if TYPE_CHECKING:
    from pipeline.replay import Selection

__all__ = [
    "OffsetOption",
    "PartitionOption",
    "ReasonOption",
    "ServiceOption",
    "SinceOption",
    "TopicOption",
    "UntilOption",
    "selection_of",
]

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
UntilOption = Annotated[
    str | None, typer.Option("--until", help="The first timestamp that is too late, ISO-8601.")
]
PartitionOption = Annotated[int | None, typer.Option("--partition", min=0, help="Partition of the records.")]
OffsetOption = Annotated[int | None, typer.Option("--offset", min=0, help="Offset of the record.")]


def selection_of(
    reason: str | None,
    service: str | None,
    topic: str | None,
    since: str | None,
    until: str | None,
    *,
    partition: int | None = None,
    offset: int | None = None,
    limit: int | None = None,
) -> "Selection":
    """Make of the options which letters are meant; raises SettingsError for a time that is none."""
    from pipeline.replay import Selection

    return Selection(
        reason,
        service,
        topic,
        partition,
        offset,
        milliseconds("--since", since),
        milliseconds("--until", until),
        limit,
    )
