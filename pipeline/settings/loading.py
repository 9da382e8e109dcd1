"""Reading the settings, and saying what is wrong with them: which setting, its value, what is allowed."""

import difflib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import yaml
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsError as PydanticSettingsError,
)

from pipeline.errors import SettingsError
from pipeline.settings.group import renamed
from pipeline.settings.model import Settings
from pipeline.settings.origins import Origins

__all__ = [
    "CONFIG_FILE_VARIABLE",
    "DEFAULT_CONFIG_FILE",
    "WORKER_PIPE_VARIABLE",
    "check_values",
    "config_file",
    "load_settings",
    "overriding_variables",
    "secret",
    "settings_origins",
]

CONFIG_FILE_VARIABLE = "LOGPIPE_CONFIG"
SECRETS_DIRECTORY_VARIABLE = "LOGPIPE_SECRETS_DIR"
# No setting: how `run` hands a worker its end of the pipe between them.
WORKER_PIPE_VARIABLE = "LOGPIPE_WORKER_PIPE"
DEFAULT_CONFIG_FILE = Path("logpipe.toml")

_NOT_SETTINGS = {
    CONFIG_FILE_VARIABLE,
    WORKER_PIPE_VARIABLE,
    SECRETS_DIRECTORY_VARIABLE,
    "LOGPIPE_SANDBOX_CACHE",
}
# Whose value is shown in no message; also where a secret may be put by mistake.
_SECRET_NAMES = {"api_key", "password", "sasl_password", "headers", "ca_certs", "client_cert", "client_key"}


def load_settings(
    config: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    beneath: Mapping[str, Any] | None = None,
) -> Settings:
    """Read the settings from all sources.

    `config` is a TOML or YAML file; without it `LOGPIPE_CONFIG`, then `./logpipe.toml` when it exists.
    `overrides` is a nested mapping of settings from the command line; `beneath` is one of those that hold where no
    source says anything.

    Raises SettingsError, which names every wrong setting, its value and what is allowed.
    """
    file = config_file(config)
    if file is not None and not file.is_file():
        raise SettingsError(f"the settings file {file} does not exist")
    if file is not None and file.suffix not in {".toml", ".yaml", ".yml"}:
        raise SettingsError(f"the settings file {file} is neither .toml nor .yaml")
    _refuse_unknown_variables()
    secrets = os.environ.get(SECRETS_DIRECTORY_VARIABLE)

    class _FromHere(Settings):
        config_file: ClassVar[Path | None] = file
        secrets_directory: ClassVar[Path | None] = Path(secrets) if secrets else None
        implied: ClassVar[Mapping[str, Any]] = beneath or {}

    try:
        return _FromHere(**dict(overrides or {}))
    except ValidationError as error:
        raise _refusal(error, _origins(file, dict(overrides or {}))) from None
    except PydanticSettingsError as error:
        raise SettingsError(f"a setting could not be read: {error.__cause__ or error}") from None
    except yaml.MarkedYAMLError as error:
        # Its text may quote the file, and so a secret in it.
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise SettingsError(f"the settings file {file} could not be read: no valid YAML{line}") from None
    except (ValueError, OSError, yaml.YAMLError) as error:
        raise SettingsError(f"the settings file {file} could not be read: {error}") from None


def check_values(values: Mapping[str, Any]) -> None:
    """Look at these settings alone, by group, whatever file and environment say.

    Raises SettingsError as `load_settings` does.
    """

    class _Alone(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],  # noqa: ARG003 - the interface's
            init_settings: PydanticBaseSettingsSource,
            *others: PydanticBaseSettingsSource,  # noqa: ARG003
            **_: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (init_settings,)

    try:
        _Alone(**dict(values))
    except ValidationError as error:
        raise _refusal(error) from None


def settings_origins(config: Path | None = None) -> Origins:
    """Find out where settings come from, from the same sources as `load_settings`."""
    secrets = os.environ.get(SECRETS_DIRECTORY_VARIABLE)
    return Origins(config_file(config), Path(secrets) if secrets else None, os.environ)


def _origins(file: Path | None, overrides: Mapping[str, Any]) -> Callable[[Sequence[str | int]], str | None]:
    """Find places; what comes from the command line has none."""
    found = settings_origins(file)

    def of(location: Sequence[str | int]) -> str | None:
        group = overrides.get(str(location[0])) if location else None
        overridden = isinstance(group, Mapping) and len(location) > 1 and location[1] in group
        return None if overridden else found.of(location)

    return of


def _refusal(
    error: ValidationError, origin: Callable[[Sequence[str | int]], str | None] = lambda _: None
) -> SettingsError:
    lines = []
    for line in error.errors():
        place = origin(line["loc"])
        lines.append(_explain(line) + (f" [{place}]" if place else ""))
    return SettingsError("\n".join(lines))


def config_file(config: Path | None = None) -> Path | None:
    """Give the settings file that is read: this one, that of `LOGPIPE_CONFIG`, `./logpipe.toml`, or none."""
    if config is not None:
        return config
    named = os.environ.get(CONFIG_FILE_VARIABLE)
    if named:
        return Path(named)
    return DEFAULT_CONFIG_FILE if DEFAULT_CONFIG_FILE.is_file() else None


def overriding_variables() -> list[str]:
    """Name the environment variables that win over the settings file."""
    groups = tuple(f"LOGPIPE_{name.upper()}" for name in Settings.model_fields)
    return sorted(name for name in os.environ if name.split("__")[0].upper() in groups)


def _refuse_unknown_variables() -> None:
    """Refuse a misspelt variable: pydantic-settings silently ignores unknown groups."""
    groups = tuple(f"LOGPIPE_{name.upper()}" for name in Settings.model_fields)
    for variable in sorted(os.environ):
        if (
            not variable.startswith("LOGPIPE_")
            or variable in _NOT_SETTINGS
            or variable.startswith("LOGPIPE_TEST_")
        ):
            continue
        group, _, setting = variable.removeprefix("LOGPIPE_").lower().partition("__")
        if moved := renamed(group, setting):
            raise SettingsError(f"{variable}: {moved}")
        if variable.split("__")[0] not in groups:
            meant = _nearest(variable, groups)
            raise SettingsError(
                f"{variable}: there is no such setting; {meant}variables are named LOGPIPE_<GROUP>__<SETTING>, "
                f"with the groups {', '.join(Settings.model_fields)}"
            )


def _explain(error: Any) -> str:
    """One line: the setting, its value, what is allowed."""
    location = ".".join(str(part) for part in error["loc"]) or "settings"
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        if moved := renamed(*location.split(".", 1)) if "." in location else None:
            return f"{location}: {moved}"
        group = Settings.model_fields.get(str(error["loc"][0]))
        model = group.annotation if group else None
        names = (
            model.model_fields
            if isinstance(model, type) and issubclass(model, BaseModel)
            else Settings.model_fields
        )
        meant = _nearest_setting(location, names)
        return f"{location}: there is no such setting; {meant}there are {', '.join(names)}"
    if _SECRET_NAMES.intersection(map(str, error["loc"])):
        return f"{location}: {message}"
    value = error["input"]
    # A rule about a whole group, or user:password@host: with secrets in the value only the rule is told.
    hidden = len(error["loc"]) == 1 or isinstance(value, Mapping | BaseModel) or "@" in str(value)
    shown = "" if hidden else f" = {value!r}"
    return f"{location}{shown}: {message}"


def _nearest(name: str, known: Iterable[str]) -> str:
    """Say which name is probably meant; nothing where none is like it."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {found[0]}? " if found else ""


def _nearest_setting(location: str, names: Iterable[str]) -> str:
    """Look among the names that can stand there, then for the setting in other groups."""
    if "." not in location:
        return _nearest(location, names)
    group, _, setting = location.partition(".")
    if here := difflib.get_close_matches(setting, list(names), n=1):
        return f"did you mean {group}.{here[0]}? "
    every = {
        name: other
        for other, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        for name in field.annotation.model_fields
    }
    found = difflib.get_close_matches(setting, list(every), n=1)
    return f"did you mean {every[found[0]]}.{found[0]}? " if found else ""


def secret(name: str, value: Any) -> bool:
    """Tell whether a setting's value is to be shown to nobody."""
    return isinstance(value, SecretStr) or name == "headers"
