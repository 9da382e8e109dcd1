"""Where a partition is read from: the rules, without I/O."""

from enum import Enum
from typing import NamedTuple

from pipeline.kafka.commit_note import CommitNote

__all__ = ["Found", "Placement", "Reason", "place"]


class Reason(Enum):
    """Why reading does not simply go on."""

    GOES_ON = "goes on"
    NEW = "new"
    """There is no commit: a new group, partition or topic."""
    RECREATED = "recreated"
    """The commit is that of an earlier topic of the same name."""
    EXPIRED = "expired"
    """Retention has removed records that had not been read."""
    TRUNCATED = "truncated"
    """The partition ends before what had been read: brokers have lost records."""


class Found(NamedTuple):
    """What is known of a partition: offsets, ends not included."""

    position: int | None
    """Committed, or reached; None where there is neither."""
    note: CommitNote
    topic_id: str | None
    """Of the topic that there is now; None where that is not known."""
    start: int
    """First offset that Kafka holds."""
    end: int
    """The high watermark."""
    refused: bool = False
    """Whether the partition's leader has refused the position: until then an end before it may be one of a moment."""


class Placement(NamedTuple):
    """Where to read from, and what the next commit has to say."""

    position: int
    note: CommitNote
    reason: Reason
    expired: int = 0
    """Offsets that retention removed before they were read."""


def place(found: Found) -> Placement:
    """Choose where to read from: where it was left, else the beginning of what there is.

    `start_at = latest` needs no rule here: the end has been committed before (`starting_point.py`).
    """
    position, note, topic_id, start, end, refused = found
    afresh = CommitNote(topic_id, start)
    if position is None:
        return Placement(start, afresh, Reason.NEW)
    if note.topic_id is not None and topic_id is not None and note.topic_id != topic_id:
        return Placement(start, afresh, Reason.RECREATED)
    # A commit from before there were notes, or of another program, is taken for one of this topic.
    note = note._replace(topic_id=topic_id or note.topic_id)
    if position > end and refused:
        return Placement(start, note, Reason.TRUNCATED)
    if position < start:
        note = note._replace(expired=note.expired.plus(position, start))
        return Placement(start, note, Reason.EXPIRED, start - position)
    return Placement(position, note, Reason.GOES_ON)
