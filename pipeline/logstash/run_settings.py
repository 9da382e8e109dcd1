"""A run with a Logstash configuration: it compiled, and the settings that its inputs and outputs stand for."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.logstash.compiler import SETTING, Context, Wrap
from pipeline.logstash.configuration import (
    Pipeline,
    compile_pipeline,
    configuration_files,
    read_configuration,
)
from pipeline.logstash.equivalent import equivalent_settings
from pipeline.logstash.syntax import Attribute, Configuration, Plugin, Position, Section, Text
from pipeline.settings import Filters, Settings, load_settings

__all__ = ["compile_filters_of", "settings_with"]

log = logging.getLogger(__name__)

_CREDENTIALS = {"api_key", "username", "password"}


def settings_with(settings: Settings, config: Path | None, overrides: Mapping[str, Any]) -> Settings:
    """Read settings that name a configuration once more, with what its inputs and outputs say beneath them.

    `config` and `overrides` are what `settings` were read from. Raises LogstashError for what cannot be run.
    """
    found, notes = equivalent_settings(compile_filters_of(settings.filters))
    for note in notes:
        log.warning("%s: %s", settings.filters.file, note)
    beneath: dict[str, dict[str, Any]] = {}
    for name, value in found.items():
        group, _dot, key = name.partition(".")
        beneath.setdefault(group, {})[key] = value
    _give_way(beneath, settings)
    return load_settings(config, overrides, beneath)


def _give_way(beneath: dict[str, dict[str, Any]], settings: Settings) -> None:
    """Leave out what would stand beside a setting of which there may be only one."""
    for group, names in (("kafka", {"topics", "topic_pattern"}), ("elasticsearch", _CREDENTIALS)):
        if names & getattr(settings, group).model_fields_set:
            for name in names:
                beneath.get(group, {}).pop(name, None)


def compile_filters_of(filters: Filters, wrap: Wrap | None = None) -> Pipeline:
    """Compile what the settings name: the files, then the functions.

    `wrap` puts something around each function of one's own. Raises LogstashError.
    """
    paths = [filters.file] if filters.file is not None else []
    files = configuration_files(paths)
    configuration = read_configuration(paths, os.environ, support_escapes=filters.support_escapes)
    context = Context(
        ecs=filters.ecs_compatibility,
        timeout=filters.regex_timeout,
        directory=files[0].parent if files else Path(),
        several_files=len(files) > 1,
        wrap=wrap,
    )
    return compile_pipeline(_with_functions(configuration, filters.python), context)


def _with_functions(configuration: Configuration, functions: Sequence[str]) -> Configuration:
    """Put the functions of the setting behind all filters."""
    if not functions:
        return configuration
    place = Position(SETTING, 1, 1)
    sections = list(configuration.sections)
    if not sections:
        # Without a configuration records are JSON: a function wants fields.
        codec = Attribute("codec", Text("json", place), place)
        sections.append(Section("input", (Plugin("kafka", (codec,), place),), place))
    plugins = tuple(
        Plugin("python", (Attribute("function", Text(name, place), place),), Position(SETTING, number, 1))
        for number, name in enumerate(functions, 1)
    )
    return Configuration((*sections, Section("filter", plugins, place)))
