"""A summary on its way to Elasticsearch: what is known of it, and what is to be done with it there."""

from typing import Any, NamedTuple

from pipeline.traces.trace_state import Due

__all__ = ["Stored", "Writing", "action_of"]


class Stored(NamedTuple):
    """A summary as it is in Elasticsearch."""

    index_name: str
    seq_no: int
    primary_term: int
    source: dict[str, Any]


class Writing:
    """A trace on its way."""

    __slots__ = (
        "closed_before",
        "conflict",
        "due",
        "index",
        "late",
        "places",
        "refused",
        "stored",
        "summary",
    )

    def __init__(self, due: Due) -> None:
        self.due = due
        self.index = due.trace.index
        self.places: list[str] = []
        self.summary: dict[str, Any] = {}
        self.stored: Stored | None = None
        self.conflict = self.refused = self.closed_before = False
        self.late = 0


def action_of(one: Writing) -> bytes:
    """Write what is to be done: create, or write over what was read, unless somebody else has."""
    key = one.due.trace.key
    if one.stored is None:
        return b'{"create":{"_index":"%b","_id":"%b"}}' % ((one.index or "").encode(), key)
    return b'{"index":{"_index":"%b","_id":"%b","if_seq_no":%d,"if_primary_term":%d}}' % (
        *(one.stored.index_name.encode(), key),
        *(one.stored.seq_no, one.stored.primary_term),
    )
