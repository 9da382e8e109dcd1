"""Settings of a topic's records, where their shape is not enough: `inputs."<topic or pattern>"`."""

from pydantic import Field

from pipeline.settings.group import Group

__all__ = ["Input"]


class Input(Group):
    """How the records of a topic are read."""

    format: str = Field(default="auto", pattern=r"[a-z0-9_]+")
    """`auto` finds out for each record; `guide` reads the guide's format and nothing else; `text` reads a line of
    text; `syslog`, `otlp_proto`, `otlp_json`, `confluent_json` and every name that `logpipe formats` lists read that
    one."""
    service: str | None = Field(default=None, min_length=1)
    """`service` of events that do not name one."""
