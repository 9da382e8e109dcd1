"""What every group of settings has in common: frozen, nothing unknown, docstrings that become the reference."""

import json
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, field_validator
from pydantic_settings import NoDecode

__all__ = ["RENAMED_GROUPS", "Group", "StringList", "renamed"]

RENAMED_GROUPS = {"traces": "otlp"}
"""Groups that have another name now, by the former one."""


def renamed(group: str) -> str:
    """Say what a group is called now, to somebody who uses its former name."""
    new = RENAMED_GROUPS[group]
    return (
        f"the group [{group}] is now [{new}] (variables: LOGPIPE_{new.upper()}__…); its settings are the same"
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

    @field_validator("ca_certs", "client_cert", "client_key", mode="before", check_fields=False)
    @classmethod
    def _paths_are_no_contents(cls, value: Any) -> Any:
        """Refuse a file's content in place of its path: a secret file named after the setting may hold that."""
        if isinstance(value, str) and "-----BEGIN" in value:
            raise ValueError("this is the content of a file; the setting is the path of one")
        return value
