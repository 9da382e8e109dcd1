"""Reading the settings, and saying what is wrong with them: which setting, its value, what is allowed."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsError as PydanticSettingsError,
)

from pipeline.errors import SettingsError
from pipeline.settings.group import renamed
from pipeline.settings.model import Settings

__all__ = [
    "CONFIG_FILE_VARIABLE",
    "DEFAULT_CONFIG_FILE",
    "WORKER_PIPE_VARIABLE",
    "check_values",
    "load_settings",
    "overriding_variables",
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


def load_settings(config: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings from all sources.

    `config` is a TOML or YAML file; without it `LOGPIPE_CONFIG`, then `./logpipe.toml` when it exists.
    `overrides` is a nested mapping of settings from the command line.

    Raises SettingsError, which names every wrong setting, its value and what is allowed.
    """
    file = config or _default_config_file()
    if file is not None and not file.is_file():
        raise SettingsError(f"the settings file {file} does not exist")
    if file is not None and file.suffix not in {".toml", ".yaml", ".yml"}:
        raise SettingsError(f"the settings file {file} is neither .toml nor .yaml")
    _refuse_unknown_variables()
    secrets = os.environ.get(SECRETS_DIRECTORY_VARIABLE)

    class _FromHere(Settings):
        config_file: ClassVar[Path | None] = file
        secrets_directory: ClassVar[Path | None] = Path(secrets) if secrets else None

    try:
        return _FromHere(**dict(overrides or {}))
    except ValidationError as error:
        raise _refusal(error) from None
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


def _refusal(error: ValidationError) -> SettingsError:
    return SettingsError("\n".join(_explain(line) for line in error.errors()))


def _default_config_file() -> Path | None:
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
            raise SettingsError(
                f"{variable}: there is no such setting; variables are named LOGPIPE_<GROUP>__<SETTING>, "
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
        return f"{location}: there is no such setting; there are {', '.join(names)}"
    if _SECRET_NAMES.intersection(map(str, error["loc"])):
        return f"{location}: {message}"
    value = error["input"]
    # A rule about a whole group, or user:password@host: with secrets in the value only the rule is told.
    hidden = len(error["loc"]) == 1 or isinstance(value, Mapping | BaseModel) or "@" in str(value)
    shown = "" if hidden else f" = {value!r}"
    return f"{location}{shown}: {message}"
