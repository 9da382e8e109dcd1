"""Options of `logpipe logstash`: which configuration, and how it is read."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from pipeline.errors import SettingsError

if TYPE_CHECKING:
    from pipeline.logstash.compiler import Context

__all__ = ["EcsOption", "EscapesOption", "FilesArgument", "SetOption", "context_of"]

FilesArgument = Annotated[
    list[Path], typer.Argument(metavar="FILE…", help="Configurations, or folders of *.conf, read in order.")
]
EcsOption = Annotated[
    str | None, typer.Option("--ecs", help="pipeline.ecs_compatibility: disabled, v1 or v8; v8 unless given.")
]
EscapesOption = Annotated[
    bool, typer.Option("--support-escapes", help='config.support_escapes: read \\n, \\t and \\" in texts.')
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="A setting, such as filters.regex_timeout=0.5; repeatable."
    ),
]
# Logstash's own names of settings, and ours.
_LOGSTASH_NAMES = {
    "config.support_escapes": "filters.support_escapes",
    "pipeline.ecs_compatibility": "filters.ecs_compatibility",
}


def context_of(
    files: list[Path], ecs: str | None, settings: list[str] | None, escapes: bool
) -> "tuple[Context, bool]":
    """Make the context of the options and of `--set`; raises SettingsError."""
    from pipeline.logstash.compiler import Context
    from pipeline.logstash.configuration import configuration_files

    known: dict[str, str] = {}
    for text in settings or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise SettingsError(f"--set {text!r}: it is NAME=VALUE")
        known[_LOGSTASH_NAMES.get(name.strip(), name.strip())] = value.strip()
    chosen = ecs or known.pop("filters.ecs_compatibility", "v8")
    if chosen not in {"disabled", "v1", "v8"}:
        raise SettingsError(f"filters.ecs_compatibility = {chosen!r}: there are disabled, v1, v8")
    timeout = _seconds(known.pop("filters.regex_timeout", "1.0"))
    escaped = known.pop("filters.support_escapes", "false").lower()
    if known.pop("events.normalise", "false").lower() != "false":
        raise SettingsError(
            "events.normalise: here documents are shown as Logstash would send them, so it is false"
        )
    if known:
        raise SettingsError(
            f"--set {next(iter(known))}: this command looks at filters.* and events.normalise only"
        )
    paths = configuration_files(files)
    context = Context(
        ecs=cast("Literal['disabled', 'v1', 'v8']", chosen),
        timeout=timeout,
        directory=paths[0].parent,
        several_files=len(paths) > 1,
    )
    return context, escapes or escaped == "true"


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 3600:  # noqa: PLR2004 - an hour
        raise SettingsError(f"filters.regex_timeout = {text!r}: seconds, more than 0")
    return value
