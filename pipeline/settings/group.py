"""What every group of settings has in common: frozen, nothing unknown, docstrings that become the reference."""

import json
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo, field_validator
from pydantic_settings import NoDecode

from pipeline.settings.units import read_quantity

__all__ = ["Group", "StringList", "renamed"]

_RENAMED = {
    ("traces", name): "otlp" for name in ("endpoint", "headers", "ca_certs", "sample_ratio", "max_links")
}
"""Settings that are in another group now, by their former one."""


def renamed(group: str, setting: str) -> str | None:
    """Say where a setting is now, to somebody who has it in its former group; None when it has not moved."""
    new = _RENAMED.get((group, setting))
    if new is None:
        return None
    return (
        f"the settings of the pipeline's own spans are now in the group [{new}]: this one is {new}.{setting} "
        f"(variable LOGPIPE_{new.upper()}__{setting.upper()}); [{group}] is for the traces of the logs"
    )


def _split_commas(value: Any) -> Any:
    """Take `a,b` from an environment variable as well as a list from a file."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [part.strip() for part in value.split(",") if part.strip()]


StringList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_commas)]


class Group(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _quantities_have_units(cls, value: Any, info: ValidationInfo) -> Any:
        """Take "2 MiB" for a setting of bytes, "500 ms" for one of seconds."""
        return read_quantity(info.field_name or "", value)

    @field_validator("ca_certs", "client_cert", "client_key", mode="before", check_fields=False)
    @classmethod
    def _paths_are_no_contents(cls, value: Any) -> Any:
        """Refuse a file's content in place of its path: a secret file named after the setting may hold that."""
        if isinstance(value, str) and "-----BEGIN" in value:
            raise ValueError("this is the content of a file; the setting is the path of one")
        return value
