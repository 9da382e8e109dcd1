"""A first settings file: every setting with its comment, written from the model itself."""

import json
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipeline.settings.loading import check_values
from pipeline.settings.model import Settings
from pipeline.settings.reference import bounds_of

__all__ = ["starter_file"]

_WIDTH = 100
# What everybody looks at first; all else is a comment until somebody needs it.
_ESSENTIAL = {
    "kafka": {"bootstrap_servers", "topics", "group_id"},
    "elasticsearch": {"hosts"},
    "events": {"service"},
    "index": {"prefix", "roll"},
    "http": {"host", "port"},
    "run": {"workers"},
}
_HEAD = """\
# Settings of logpipe. What is behind a # has the value that is shown; take the # away to change it. Settings without a
# value, such as passwords, show "".
#
# Environment variables win over this file: LOGPIPE_KAFKA__TOPICS is kafka.topics. Passwords and keys need not be
# here: $LOGPIPE_SECRETS_DIR names a directory with a file for each, such as `elasticsearch.api_key`.
"""


def starter_file(chosen: Mapping[str, Mapping[str, Any]]) -> str:
    """Write a TOML file with all settings by group.

    chosen -- values, by group and setting; they and what everybody needs are set, the others are comments

    Raises SettingsError when a value is wrong or there is no such setting.
    """
    text = "\n".join([_HEAD, *_groups(chosen)])
    check_values({**tomllib.loads(text), **{name: dict(values) for name, values in chosen.items()}})
    return text


def _groups(chosen: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, group in Settings.model_fields.items():
        model = group.annotation
        if get_origin(model) is dict:
            yield from _named_groups(name, get_args(model)[1], group)
            continue
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise TypeError(f"{name} is no group of settings")
        values, essential = chosen.get(name, {}), _ESSENTIAL.get(name, set())
        yield _comment(model.__doc__)
        yield f"[{name}]"
        for setting, field in model.model_fields.items():
            yield _comment(field.description)
            mark = "" if setting in values or setting in essential else "# "
            yield f"{mark}{setting} = {_toml(values.get(setting, field.default))}{_allowed(field)}"
        yield ""


def _named_groups(name: str, model: type[BaseModel], group: FieldInfo) -> Iterator[str]:
    """Write groups that have names of the user's: what each setting means, and an example as a comment."""
    yield _comment(group.description or model.__doc__)
    yield f"[{name}]"
    for setting, field in model.model_fields.items():
        yield _comment(f"{setting}: {' '.join((field.description or '').split())}")
    values = ", ".join(f"{setting} = {_toml(field.default)}" for setting, field in model.model_fields.items())
    yield f'# "a-topic" = {{ {values} }}'
    yield ""


def _comment(text: str | None) -> str:
    return textwrap.fill(
        " ".join((text or "").split()),
        _WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _toml(value: Any) -> str:
    """Write a value; what JSON writes for text, numbers, booleans and lists of them is TOML too."""
    return '""' if value is None else json.dumps(value, ensure_ascii=False)


def _allowed(field: FieldInfo) -> str:
    """Say which values there may be, where that is not any."""
    for each in (field.annotation, *get_args(field.annotation)):
        if each is not NoneType and get_origin(each) is Literal:
            return f"  # one of {', '.join(get_args(each))}"
    bounds = bounds_of(field)
    return f"  # {', '.join(bounds)}" if bounds else ""
