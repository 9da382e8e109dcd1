"""Our settings that a configuration's inputs and outputs stand for, as the text of a `logpipe.toml`."""

import json
import re
from typing import Any, Final

from pipeline.logstash.configuration import Pipeline

__all__ = ["DAILY", "equivalent_settings", "settings_toml"]

_SECRETS: Final = {"elasticsearch.api_key", "elasticsearch.password", "kafka.sasl_password"}
DAILY: Final = re.compile(r"([^%]+)-%\{\+(?:YYYY|yyyy)\.MM\.dd\}\Z")
"""An index a day, and its prefix."""
_STARTS: Final = {"earliest": "earliest", "smallest": "earliest", "latest": "latest", "largest": "latest"}


def settings_toml(pipeline: Pipeline, file: str) -> str:
    """Write the settings, group by group; secrets are named, not shown.

    `file` is what `filters.file` is set to.
    """
    settings, notes = equivalent_settings(pipeline)
    settings["filters.file"] = file
    if pipeline.ecs != "v8":
        settings["filters.ecs_compatibility"] = pipeline.ecs
    return _written(settings, notes)


def equivalent_settings(pipeline: Pipeline) -> tuple[dict[str, Any], list[str]]:
    """Give the settings that inputs and outputs stand for, by their full names, and what has no equivalent."""
    settings: dict[str, Any] = {}
    notes: list[str] = []
    for known in pipeline.inputs:
        for name, value in known.settings.items():
            _merge(settings, name, value, notes)
    for output in pipeline.outputs.elasticsearch:
        for name, value in output.settings.items():
            _merge(settings, name, value, notes)
    if settings.get("kafka.topic_pattern") is not None:
        settings["kafka.topics"] = []
    if "kafka.start_at" in settings:
        start = _STARTS.get(settings["kafka.start_at"])
        if start is None:
            notes.append(
                f"auto_offset_reset = {settings['kafka.start_at']!r} has no equivalent: a group starts somewhere."
            )
            del settings["kafka.start_at"]
        else:
            settings["kafka.start_at"] = start
    if "run.workers" in settings:
        settings["run.workers"] = int(settings["run.workers"])
    prefixes = {
        found[1]
        for output in pipeline.outputs.elasticsearch
        if (found := DAILY.match(output.given["index"] or ""))
    }
    if len(prefixes) == 1:
        settings["index.prefix"] = prefixes.pop()
    return settings, notes


def _merge(settings: dict[str, Any], name: str, value: Any, notes: list[str]) -> None:
    if name not in settings:
        settings[name] = value
    elif name == "run.workers":
        settings[name] += value
    elif isinstance(value, list) and isinstance(settings[name], list):
        settings[name] += [inner for inner in value if inner not in settings[name]]
    elif settings[name] != value:
        notes.append(f"{name} is given twice, as {settings[name]!r} and {value!r}: the first is taken.")


def _written(settings: dict[str, Any], notes: list[str]) -> str:
    lines = [f"# {note}" for note in notes]
    groups: dict[str, list[str]] = {}
    for name, value in settings.items():
        group, _dot, key = name.partition(".")
        if name in _SECRETS:
            variable = f"LOGPIPE_{group.upper()}__{key.upper()}"
            groups.setdefault(group, []).append(
                f"# {key}: set the variable {variable}, or name a file with it."
            )
        elif value is not None:
            groups.setdefault(group, []).append(f"{key} = {_toml(value)}")
    for group, entries in groups.items():
        lines += ["", f"[{group}]", *entries]
    return "\n".join(lines).strip() + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return f"{value:.1f}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)
