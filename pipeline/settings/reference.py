"""The reference of all settings, written from the model itself: `make docs` puts it into docs/settings.md."""

from collections.abc import Iterator
from types import NoneType
from typing import Any, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from pipeline.settings.model import Settings

__all__ = ["bounds_of", "reference"]

_HEAD = """# Settings

Written by `make docs` from the files of `pipeline/settings/`; change it there. `logpipe init` writes a settings file
that holds all of them.

A setting comes from the first of these that names it: an environment variable, a secret file in
`$LOGPIPE_SECRETS_DIR`, the settings file (`--config`, else `$LOGPIPE_CONFIG`, else `./logpipe.toml`; TOML or
YAML), the default. The variable of `kafka.topics` is `LOGPIPE_KAFKA__TOPICS`; lists are separated by commas
there. A secret file holds one value and is named after its setting, `elasticsearch.api_key` or
`logpipe_elasticsearch__api_key`, or holds one group as JSON: `logpipe_elasticsearch` with `{"api_key": "…"}`. A
wrong setting is refused at the start, by name, with the variable or the line of the file that it comes from, and the
name that was probably meant.

A setting of bytes, seconds or days also takes a unit: `"2 MiB"` or `"2 MB"`, `"500 ms"`, `"5 min"`, `"90 d"`.
`logpipe config show` prints what holds now, and where each value comes from.
"""


def reference() -> str:
    """Write the whole page, in Markdown."""
    return "\n".join([_HEAD, *_groups()])


def _groups() -> Iterator[str]:
    for name, group in Settings.model_fields.items():
        model = group.annotation
        shown = name
        if get_origin(model) is dict:
            # A group for each name that the user chooses.
            shown = f'{name}."<name>"'
            model = get_args(model)[1]
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise TypeError(f"{name} is no group of settings")
        yield f"## {name}\n\n{_one_line(group.description or model.__doc__)}\n"
        yield "| setting | type | default | what it does |\n|---|---|---|---|"
        for setting, field in model.model_fields.items():
            yield f"| `{shown}.{setting}` | {_type(field)} | {_default(field)} | {_one_line(field.description)} |"
        yield ""


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _type(field: FieldInfo) -> str:
    # `X | None` is shown as X: that it may be left out is in the column of defaults.
    chosen = [each for each in get_args(field.annotation) if each is not NoneType]
    annotation = chosen[0] if NoneType in get_args(field.annotation) else field.annotation
    name = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    if name.startswith("tuple"):
        name = "list"
    for module in ("typing.", "pathlib.", "pydantic.types."):
        name = name.replace(module, "")
    name = name.replace("Literal[", "").replace("]", "") if name.startswith("Literal") else name
    return ", ".join([name, *bounds_of(field)])


def bounds_of(field: FieldInfo) -> list[str]:
    """Give the limits of a number, such as `≥ 1`."""
    return [
        f"{sign} {limit}"
        for constraint in field.metadata
        for attribute, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))
        if (limit := getattr(constraint, attribute, None)) is not None
    ]


def _default(field: FieldInfo) -> str:
    value: Any = field.default
    if value is None or isinstance(value, SecretStr):
        return "none"
    if isinstance(value, tuple):
        value = ",".join(value)
    return f"`{value}`"


if __name__ == "__main__":
    print(reference(), end="")  # noqa: T201 - its purpose
