"""What became of the dead letters that were replayed: the counts, and what is refused still."""

from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.events.document import Coordinates
from pipeline.kafka.dead_letters import DeadLetter

__all__ = ["Rejection", "Replayed"]


class Rejection(NamedTuple):
    """A document that Elasticsearch refuses still."""

    record: Coordinates
    error_type: str
    reason: str


@dataclass(slots=True)
class Replayed:
    """What became of the letters."""

    letters: int = 0
    documents: int = 0
    indexed: int = 0
    already_there: int = 0
    rejected: int = 0
    rejections: list[Rejection] = field(default_factory=list)
    """The first thousand."""
    rejected_now: list[DeadLetter] = field(default_factory=list)
    """Those of the chunk that is being written, without their bytes."""
    gone: int = 0
    """Letters that hold only the beginning of their record, which Kafka does not hold any more."""
    unusable: int = 0
    """Records in the topic that do not say where they come from: not written by this pipeline."""
    summaries: int = 0
    """Letters of summaries: their trace events are written again, for a correlator to tell them."""
