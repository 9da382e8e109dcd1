"""Settings of what Elasticsearch does not take: how long it waits, and when to stop."""

from pydantic import Field

from pipeline.settings.group import Group

__all__ = ["DeadLetterLimit", "IndexWait"]


class IndexWait(Group):
    """Documents of an index that takes none wait beside the others."""

    max_seconds: float = Field(default=900.0, ge=0, le=30 * 86_400)
    """How long; then they become dead letters with the reason `index_unavailable`. 0 is for ever."""
    max_share: float = Field(default=0.5, gt=0, le=4)
    """Memory of all that wait, as a share of `elasticsearch.max_in_flight_bytes` and beside it."""
    max_index_bytes: int = Field(default=4 << 20, ge=1 << 14, le=4 << 30)
    """Memory of what waits for one index. Where more has to wait, see docs/documents.md."""


class DeadLetterLimit(Group):
    """When dead letters are too many to be the documents' own fault."""

    max_ratio: float = Field(default=0.5, gt=0, le=1)
    """Share of the last 10,000 documents; above it nothing more is read or given up. 1 is no limit."""
