"""Settings from a directory of files, as Docker, Kubernetes and systemd hand over secrets."""

import json
import re
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from pipeline.errors import SettingsError
from pipeline.settings.group import renamed

__all__ = ["SecretFiles"]

# kafka.sasl_password, logpipe_kafka__sasl_password
_ONE_SETTING = re.compile(r"(?P<prefix>logpipe_)?(?P<group>[a-z]+)(?P<mark>\.|__)(?P<setting>[a-z_]+)")
# logpipe_kafka, holding a JSON object
_ONE_GROUP = re.compile(r"logpipe_(?P<group>[a-z]+)")


class SecretFiles(PydanticBaseSettingsSource):
    """Read each file whose name says which setting it holds; others in the directory are not ours.

    A file that is named as ours but names no setting is refused like any other misspelt setting.
    """

    def __init__(self, settings_cls: type[BaseSettings], directory: Path | None) -> None:
        super().__init__(settings_cls)
        self._directory = directory

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """Give nothing: all values are read at once, by file."""
        return None, field_name, False

    def __call__(self) -> dict[str, dict[str, Any]]:
        """Read the directory.

        Raises SettingsError when it or a file cannot be read; no message holds what is in a file.
        """
        if self._directory is None:
            return {}
        groups: dict[str, dict[str, Any]] = {}
        settings: list[tuple[str, str, str]] = []
        for file in self._files(self._directory):
            name = file.name.lower()
            if (match := _ONE_GROUP.fullmatch(name)) and match["group"] in self.settings_cls.model_fields:
                groups[match["group"]] = _read_object(file)
            elif match := _ONE_SETTING.fullmatch(name):
                if moved := renamed(match["group"], match["setting"]):
                    raise SettingsError(f"{file}: {moved}")
                if match["group"] in self.settings_cls.model_fields:
                    settings.append((match["group"], match["setting"], _read(file)))
                elif match["prefix"] and match["mark"] == "__":
                    raise SettingsError(f"{file}: there is no group of settings {match['group']!r}")
        for group, setting, value in settings:
            groups.setdefault(group, {})[setting] = value
        return groups

    @staticmethod
    def _files(directory: Path) -> list[Path]:
        try:
            return sorted(file for file in directory.iterdir() if file.is_file())
        except OSError as error:
            raise SettingsError(
                f"LOGPIPE_SECRETS_DIR = {str(directory)!r}: not a directory that can be read: {error.strerror}"
            ) from None


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8").strip()
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{file}: is no UTF-8") from None


def _read_object(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(_read(file))
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise SettingsError(
            f'{file}: holds no JSON object such as {{"password": "…"}}; a file with one value alone is named '
            f"after its setting, {file.name}__password"
        )
    return value
