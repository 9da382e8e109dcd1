"""The options of several commands of `logpipe dlq`: which letters are meant."""

from typing import Annotated

import typer

__all__ = ["ReasonOption", "ServiceOption", "SinceOption", "TopicOption", "UntilOption"]

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
