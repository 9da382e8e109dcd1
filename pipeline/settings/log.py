"""Settings of the pipeline's own log."""

from typing import Any, Literal

from pydantic import field_validator

from pipeline.settings.group import Group

__all__ = ["LEVELS", "Log"]

LEVELS = ("DEBUG", "INFO", "WARN", "ERROR")


class Log(Group):
    """The pipeline's own log, on stderr."""

    format: Literal["text", "json"] = "text"
    """Lines to read, or one JSON object a line in the guide's format, which the pipeline can index itself."""
    level: Literal["DEBUG", "INFO", "WARN", "ERROR"] = "INFO"
    """The least level that is written. `--log-level` wins over it."""

    @field_validator("level", mode="before")
    @classmethod
    def _as_others_write_it(cls, value: Any) -> Any:
        """Take `warning` as well: Python's name for it."""
        if not isinstance(value, str):
            return value
        return {"WARNING": "WARN"}.get(value.strip().upper(), value.strip().upper())
