"""Settings of the filters: a Logstash configuration, functions of one's own, and their bounds."""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from pipeline.settings.group import Group, StringList

__all__ = ["Filters"]


class Filters(Group):
    """What is done with events before they become documents; nothing while neither `file` nor `python` is set."""

    file: Path | None = None
    """A Logstash configuration, or a folder whose `*.conf` are read in the order of their names. What its inputs and
    outputs say holds where no setting says otherwise. `logpipe logstash check` tells what of it is done."""
    python: StringList = ()
    """Functions `module:name` that are called for each event, after the filters of `file`."""
    ecs_compatibility: Literal["disabled", "v1", "v8"] = "v8"
    """Logstash's `pipeline.ecs_compatibility`: how plugins name the fields that they set."""
    support_escapes: bool = False
    """Logstash's `config.support_escapes`: whether `\\n`, `\\t` and such are read in texts of `file`."""
    regex_timeout: float = Field(default=1.0, gt=0, le=3600)
    """Seconds of processor time that one regular expression may take for one text."""
    python_timeout: float = Field(default=1.0, gt=0, le=3600)
    """Seconds of processor time that a function of one's own may take for one event."""
    max_document_bytes: int = Field(default=16 << 20, ge=1 << 10, le=1 << 30)
    """An event that filters have made longer than this, as JSON, becomes a dead letter."""
    max_indices: int = Field(default=1000, ge=1, le=100_000)
    """How many indices a worker may write to within a day, where events say which; what is for others becomes dead
    letters."""

    @field_validator("python")
    @classmethod
    def _functions_are_named(cls, functions: tuple[str, ...]) -> tuple[str, ...]:
        for function in functions:
            if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", function):
                raise ValueError(f"{function!r} is not module:name")
        return functions

    @property
    def wanted(self) -> bool:
        """Whether there is anything to do."""
        return self.file is not None or bool(self.python)
