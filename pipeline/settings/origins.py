"""Where a setting's value comes from: which variable, which secret file, which line of the settings file."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

__all__ = ["Origins"]

_HEADER = re.compile(r"\s*\[\[?\s*(.+?)\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(
    r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=.*"""
)
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_TRIPLE = re.compile(r"'''|\"\"\"")

_Path = tuple[str, ...]


class Origins:
    """Find the place of a setting; the first source that names it wins, as for the settings themselves."""

    def __init__(self, file: Path | None, secrets: Path | None, environment: Mapping[str, str]) -> None:
        self._file = file
        self._lines: dict[_Path, int] = {}
        self._values: Any = {}
        if file is not None:
            self._lines, self._values = _read(file)
        self._variables = {name.upper(): name for name in environment}
        self._secrets = _secret_files(secrets)

    def of(self, location: Sequence[str | int]) -> str | None:
        """Say where `("kafka", "topics")` is set, in words; None when nothing names it, so that it is the default."""
        path = tuple(str(part) for part in location)
        for length in range(len(path), 0, -1):
            variable = self._variables.get("__".join(("LOGPIPE_" + path[0], *path[1:length])).upper())
            if variable is not None:
                return f"variable {variable}"
        if len(path) > 1 and (secret := self._secrets.get(path[:2]) or self._secrets.get(path[:1])):
            return f"secret file {secret}"
        if not _is_in(self._values, path):
            return None
        line = next((self._lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self._lines), None)
        return f"{self._file}" if line is None else f"{self._file}, line {line}"


def _secret_files(directory: Path | None) -> dict[_Path, Path]:
    """Name the setting, or the group, that each secret file is for."""
    found: dict[_Path, Path] = {}
    try:
        files = sorted(directory.iterdir()) if directory is not None else []
    except OSError:  # the settings' own reader says so
        return found
    for file in files:
        name = file.name.lower().removeprefix("logpipe_")
        parts = tuple(re.split(r"\.|__", name, maxsplit=1))
        found[parts] = file
    return found


def _is_in(values: Any, path: _Path) -> bool:
    """Tell whether a file's values have something at a path, or below which the path cannot lead further."""
    for part in path:
        if not isinstance(values, Mapping):
            return True
        if part not in values:
            return False
        values = values[part]
    return True


def _read(file: Path) -> tuple[dict[_Path, int], Any]:
    """Find the line of each key, and read the file; nothing where it is wrong, which the settings' own reader says."""
    try:
        text = file.read_text("utf-8")
        if file.suffix == ".toml":
            values, pairs = tomllib.loads(text), _toml_lines(text)
        else:
            values, pairs = yaml.safe_load(text), _yaml_lines(text)
        found: dict[_Path, int] = {}
        for path, line in pairs:
            found.setdefault(path, line)
    except (OSError, ValueError, yaml.YAMLError):
        return {}, {}
    return found, values


def _toml_lines(text: str) -> Iterator[tuple[_Path, int]]:
    """Go by the beginnings of lines: Python's parser gives no places. Texts over several lines are passed over."""
    table: _Path = ()
    inside = False
    for number, line in enumerate(text.splitlines(), start=1):
        was_inside, inside = inside, inside ^ (len(_TRIPLE.findall(line)) % 2 == 1)
        if was_inside:
            continue
        if match := _HEADER.fullmatch(line):
            table = _parts(match[1])
            yield table, number
        elif match := _KEY.fullmatch(line):
            yield (*table, *_parts(match[1])), number


def _parts(text: str) -> _Path:
    return tuple(part.strip("\"'") for part in _PART.findall(text))


def _yaml_lines(text: str) -> Iterator[tuple[_Path, int]]:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    todo: list[tuple[_Path, yaml.Node | None]] = [((), root)]
    while todo:
        path, node = todo.pop(0)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                yield (*path, str(key.value)), key.start_mark.line + 1
                todo.append(((*path, str(key.value)), value))
