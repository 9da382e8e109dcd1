"""Options that several commands have, and how their texts are read."""

import re
import time
from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import SettingsError
from pipeline.events.timestamps import parse_timestamp
from pipeline.settings import Settings, load_settings
from pipeline.telemetry.log_lines import set_up_log

__all__ = ["ConfigOption", "LogstashOption", "ago_milliseconds", "load_run_settings", "milliseconds"]

LogstashOption = Annotated[
    Path | None,
    typer.Option(
        "--logstash",
        metavar="FILE",
        help="A Logstash configuration, or a folder of *.conf, to run; the setting filters.file.",
    ),
]
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="Settings file, TOML or YAML; else $LOGPIPE_CONFIG, else ./logpipe.toml. "
        "Variables LOGPIPE_<GROUP>__<SETTING> win over it.",
    ),
]


def load_run_settings(config: Path | None, logstash: Path | None = None) -> Settings:
    """Read the settings; beneath them what the inputs and outputs of a Logstash configuration say, if there is one.

    From now on the log is written as they say.

    Raises SettingsError, and LogstashError for a configuration that cannot be run.
    """
    overrides = {"filters": {"file": logstash}} if logstash is not None else {}
    settings = load_settings(config, overrides)
    set_up_log(settings.log)
    if settings.filters.file is None:
        return settings
    # Only then: the compiler and what it needs take a tenth of a second to import.
    from pipeline.logstash.run_settings import settings_with

    return settings_with(settings, config, overrides)


def milliseconds(option: str, text: str | None) -> int | None:
    """Read an option's time as milliseconds since 1970; raises SettingsError when it is none."""
    if text is None:
        return None
    parsed = parse_timestamp(text)
    if parsed is None:
        raise SettingsError(f"{option} = {text!r}: not an ISO-8601 time such as 2024-01-15T10:30:00Z")
    return parsed.epoch_ms


def ago_milliseconds(option: str, text: str | None) -> int | None:
    """Read a time, or how long ago it was (`30m`, `1h`, `2d`), as milliseconds since 1970; raises SettingsError."""
    match = None if text is None else re.fullmatch(r"(\d{1,9})([smhd])", text.strip())
    if match is None:
        return milliseconds(option, text)
    return round((time.time() - int(match[1]) * _UNITS[match[2]]) * 1000)
