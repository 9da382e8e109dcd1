"""Settings of salvage: how much of a rejected document may be moved aside."""

from pydantic import Field

from pipeline.settings.group import Group

__all__ = ["Salvage"]


class Salvage(Group):
    """What is done for a document that Elasticsearch rejects for a field."""

    max_fields: int = Field(default=8, ge=0, le=100)
    """Fields of one document that are moved aside, one attempt each, before it becomes a dead letter; 0: none."""
