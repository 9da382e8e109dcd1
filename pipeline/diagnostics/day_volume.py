"""Whether a day's index has as many shards as fit what a day brings: pure, from what the server has said."""

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.diagnostics.capacity import fitting_shards
from pipeline.install.check import Finding

__all__ = ["DayVolume", "volume_finding"]

# Elasticsearch's documentation, "Size your shards": smaller ones cost more than they bring.
_SMALL_SHARD_BYTES = 10_000_000_000


class DayVolume(NamedTuple):
    """What a day's index holds."""

    name: str
    """Of the index."""
    shards: int
    """Primaries."""
    documents: int
    stored_bytes: int
    """Of the primaries, on disk."""


def volume_finding(days: Sequence[DayVolume]) -> Finding:
    """Say how many primary shards fit the largest of these days, and whether it has them."""
    if not days:
        return Finding("shards a day", None, "no day is over yet: `logpipe plan` says how many fit a rate")
    largest = max(days, key=lambda day: day.stored_bytes)
    fitting = fitting_shards(largest.documents, largest.stored_bytes)
    gigabytes = largest.stored_bytes / 1e9
    told = (
        f"{largest.name}, the largest day, holds {largest.documents:,} documents and {gigabytes:,.1f} GB in "
        f"{largest.shards} primary shards"
    )
    change = f"Set index.shards = {fitting} and run `logpipe setup`, for the days to come (docs/scaling.md)"
    if fitting > largest.shards:
        return Finding(
            "shards a day",
            False,
            f"{told}: {fitting} fit, of 50 GB and 200 million documents at most. {change}",
        )
    if fitting < largest.shards and largest.stored_bytes / largest.shards < _SMALL_SHARD_BYTES:
        return Finding(
            "shards a day",
            None,
            f"{told}: {fitting} would do, and shards are what a cluster runs out of. {change}",
        )
    return Finding("shards a day", True, f"{told}, which fits")
