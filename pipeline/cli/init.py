"""The command `logpipe init`: a first settings file, and what to do next."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.terminal import say
from pipeline.errors import SettingsError
from pipeline.settings.loading import CONFIG_FILE_VARIABLE, DEFAULT_CONFIG_FILE, overriding_variables

__all__ = ["init_command"]


def init_command(
    file: Annotated[Path, typer.Argument(help="The file to write.")] = DEFAULT_CONFIG_FILE,
    bootstrap_servers: Annotated[
        str | None, typer.Option(help="Your Kafka: host:port, commas between several.")
    ] = None,
    topic: Annotated[
        list[str] | None, typer.Option(help="Topic to read; give it again for each further one.")
    ] = None,
    group_id: Annotated[str | None, typer.Option(help="Consumer group, which nothing else may use.")] = None,
    hosts: Annotated[
        str | None, typer.Option(help="Your Elasticsearch: http(s)://host:port, commas between several.")
    ] = None,
    prefix: Annotated[
        str | None, typer.Option(help="Beginning of the names of indices and templates.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Write a settings file with every setting and its comment. Needs no server."""
    from pipeline.settings.starter import starter_file

    if file.suffix != ".toml":
        raise SettingsError(f"the settings file {file} has to be called *.toml")
    asked: dict[str, dict[str, Any]] = {
        "kafka": {
            "bootstrap_servers": _split(bootstrap_servers),
            "topics": topic or None,
            "group_id": group_id,
        },
        "elasticsearch": {"hosts": _split(hosts)},
        "index": {"prefix": prefix},
    }
    chosen = {
        group: {name: value for name, value in values.items() if value is not None}
        for group, values in asked.items()
    }
    _write(file, starter_file(chosen), force=force)
    say(f"wrote {file}\n\n{_next_steps(file)}")


def _split(text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def _write(file: Path, text: str, *, force: bool) -> None:
    try:
        with file.open("w" if force else "x", encoding="utf-8") as writing:
            writing.write(text)
    except FileExistsError:
        raise SettingsError(
            f"{file} is there already; --force overwrites it, `logpipe init ANOTHER.toml` writes another"
        ) from None
    except OSError as error:
        raise SettingsError(f"{file} cannot be written: {error.strerror}") from None


def _next_steps(file: Path) -> str:
    named = file == DEFAULT_CONFIG_FILE and CONFIG_FILE_VARIABLE not in os.environ
    option = "" if named else f" --config {file}"
    lines = [
        "Next:",
        f"  look through {file}: servers, topics, credentials",
        f"  logpipe setup{option} --dry-run   shows what would be created; without --dry-run, it is created",
        f"  logpipe check{option}             says whether Kafka and Elasticsearch are as they should be",
        f"  logpipe run{option}               moves the logs, until Ctrl-C or SIGTERM",
    ]
    if winning := overriding_variables():
        lines += ["", f"These variables are set and win over the file: {', '.join(winning)}"]
    return "\n".join(lines)
