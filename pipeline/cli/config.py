"""The commands `logpipe config`: what is set and where, whether it is right, and a first file."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from pydantic import BaseModel
from rich.text import Text

from pipeline.cli.check import show_findings
from pipeline.cli.init import init_command
from pipeline.cli.options import ConfigOption
from pipeline.cli.tables import Column, print_json, print_table
from pipeline.cli.terminal import harmless, out
from pipeline.settings import Settings, load_settings
from pipeline.settings.loading import secret, settings_origins
from pipeline.telemetry.quantities import as_bytes, as_duration

if TYPE_CHECKING:
    from pipeline.settings.origins import Origins

__all__ = ["config"]

config = typer.Typer(help="Write, show and check the settings.", no_args_is_help=True)
config.command("init")(init_command)

_DEFAULT = "default"
_HIDDEN = "*** (secret)"
_COLUMNS = (Column("setting"), Column("value"), Column("from"))


class _Shown(NamedTuple):
    setting: str
    value: Any
    """As JSON can hold it; None for nothing, and a secret never."""
    source: str


@config.command("show")
def show_command(
    config: ConfigOption = None,
    changed: Annotated[
        bool, typer.Option("--changed", help="Those only that something names; no defaults.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """Show each setting with its value and where that comes from; secrets are hidden. Needs no server."""
    settings = load_settings(config)
    rows = [one for one in _rows(settings, settings_origins(config)) if not changed or one.source != _DEFAULT]
    if as_json:
        print_json({one.setting: {"value": one.value, "from": one.source} for one in rows})
    elif rows:
        print_table(
            out,
            _COLUMNS,
            [
                [
                    one.setting,
                    _as_text(one),
                    Text(one.source, "dim" if one.source == _DEFAULT else "cyan"),
                ]
                for one in rows
            ],
        )
    else:
        out.print("Every setting has its default.")


@config.command("check")
def check_command(
    config: ConfigOption = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="The settings and the files they name only; contact no server.")
    ] = False,
) -> None:
    """Check the settings, the files that they name, and the servers; exit 2 for a setting, 3 for a server."""
    settings = load_settings(config)
    out.print("[green]ok[/]   settings")
    for what in _check_files(settings):
        out.print(Text.assemble(("ok", "green"), f"   {what}"), soft_wrap=True)
    if not offline and not show_findings(settings):
        raise typer.Exit(3)


def _check_files(settings: Settings) -> Iterator[str]:
    """Read what the settings point to as a worker would; raises SettingsError for what it would refuse."""
    from pipeline.bulk.client import make_client
    from pipeline.events.document import DocumentBuilder
    from pipeline.kafka.client import connection_options
    from pipeline.log_metrics.rules import chosen_rules
    from pipeline.trace_stories.flows import chosen_flows

    builder = DocumentBuilder(settings.events, settings.index, settings.inputs)
    yield f"{len(builder.formats.by_name)} formats of events"
    if settings.metrics.from_logs:
        yield f"{len(chosen_rules(settings.metrics))} rules of metrics from the logs"
    if settings.traces.enabled:
        yield f"{len(chosen_flows(settings.traces))} flows of traces"
    connection_options(settings.kafka)
    yield f"kafka.security_protocol {settings.kafka.security_protocol}, with its certificates"
    make_client(settings.elasticsearch)
    yield "elasticsearch, with its certificates"


def _rows(settings: Settings, origins: "Origins") -> Iterator[_Shown]:
    for group, values in settings:
        if isinstance(values, BaseModel):
            yield from _of_group((group,), values, origins)
        else:
            for name, inner in values.items():
                yield from _of_group((group, name), inner, origins)


def _of_group(path: tuple[str, ...], values: BaseModel, origins: "Origins") -> Iterator[_Shown]:
    for name, value in values:
        shown = f'{path[0]}."{path[1]}".{name}' if len(path) > 1 else f"{path[0]}.{name}"
        hidden = value is not None and secret(name, value)
        source = origins.of((*path, name)) or _DEFAULT
        yield _Shown(shown, _HIDDEN if hidden else _plain(value), source)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return list(value) if isinstance(value, (tuple, list, set, frozenset)) else str(value)


def _as_text(one: _Shown) -> str:
    value = one.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, (int, float)) and one.setting.endswith("_bytes"):
        return f"{value} ({as_bytes(value)})"
    if isinstance(value, (int, float)) and one.setting.endswith("_seconds") and value >= 60:  # noqa: PLR2004 - a minute
        return f"{value:g} ({as_duration(value)})"
    return f"{value:g}" if isinstance(value, float) else harmless(str(value)).replace("\n", "\\n")
