"""What a committed offset says of its partition besides the position: the metadata of Kafka's commits.

Which topic the position belongs to, for one of the same name may have been made since; where reading began; and what
could never be read, so that `audit` knows it after everyone else has forgotten.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

__all__ = ["CommitNote", "Gaps"]

# Kafka takes 4,096 bytes (`offset.metadata.max.bytes`); so many ranges of two 19-digit offsets are under half.
_NAMED_RANGES = 20


class Gaps(NamedTuple):
    """Offsets that were passed over; `ranges` are the last twenty of them, each up to and not including its end."""

    offsets: int = 0
    ranges: tuple[tuple[int, int], ...] = ()

    def plus(self, start: int, end: int) -> "Gaps":
        """Add a range, to the last one where it goes on from there."""
        ranges = list(self.ranges)
        if ranges and ranges[-1][1] == start:
            ranges[-1] = (ranges[-1][0], end)
        else:
            ranges.append((start, end))
        return Gaps(self.offsets + end - start, tuple(ranges[-_NAMED_RANGES:]))


class CommitNote(NamedTuple):
    """The note, as JSON in the metadata of a commit; empty for commits of others."""

    topic_id: str | None = None
    """Id of the topic, as `kafka-topics.sh --describe` shows it; None where the broker gives none."""
    start: int | None = None
    """First offset that this group was to read."""
    expired: Gaps = Gaps()
    """What retention removed before it was read."""
    corrupt: Gaps = Gaps()
    """What was damaged and skipped (`kafka.corrupt_batches = skip`)."""

    def text(self, *, ranges: bool = True) -> str:
        """Write the note; without its ranges it has less than 300 bytes."""
        parts: dict[str, Any] = {}
        if self.topic_id is not None:
            parts["topic_id"] = self.topic_id
        if self.start is not None:
            parts["start"] = self.start
        for name, gaps in (("expired", self.expired), ("corrupt", self.corrupt)):
            if gaps.offsets:
                parts[name] = {"offsets": gaps.offsets} | ({"ranges": gaps.ranges} if ranges else {})
        return orjson.dumps(parts).decode()

    @classmethod
    def read(cls, text: str | None) -> "CommitNote":
        """Read a note; what is none, such as another program's metadata, says nothing."""
        try:
            parts = orjson.loads(text or "{}")
        except ValueError:
            return cls()
        if not isinstance(parts, dict):
            return cls()
        topic_id, start = parts.get("topic_id"), parts.get("start")
        return cls(
            topic_id if isinstance(topic_id, str) else None,
            start if isinstance(start, int) else None,
            _gaps(parts.get("expired")),
            _gaps(parts.get("corrupt")),
        )


def _gaps(parts: Any) -> Gaps:
    if not isinstance(parts, dict) or not isinstance(parts.get("offsets"), int):
        return Gaps()
    ranges: Sequence[Any] = parts["ranges"] if isinstance(parts.get("ranges"), list) else ()
    return Gaps(
        parts["offsets"],
        tuple(
            (one[0], one[1])
            for one in ranges
            if isinstance(one, list) and list(map(type, one)) == [int, int] and one[0] < one[1]
        ),
    )
