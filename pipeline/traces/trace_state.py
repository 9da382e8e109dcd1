"""What is held of open traces: each of them, the records they came in, and those of one partition."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import orjson

from pipeline.trace_stories.lines import Line
from pipeline.trace_stories.summary import Telling

__all__ = ["Due", "Record", "Shelf", "Trace"]


class Record:
    """A record that is not acknowledged, and how many open traces need it."""

    __slots__ = ("ack", "left", "offset", "timestamp")

    def __init__(self, offset: int, ack: Callable[[], object], timestamp: float) -> None:
        self.offset = offset
        self.ack = ack
        self.left = 0
        self.timestamp = timestamp


class Trace:
    """What is held of an open trace."""

    __slots__ = (
        "born",
        "bytes",
        "due",
        "ends",
        "events",
        "flow",
        "index",
        "key",
        "lines",
        "looked_at",
        "partition",
        "records",
        "seen",
        "shown",
    )

    def __init__(self, partition: int, line: Line, record: Record, now: float, flow: int, due: int) -> None:
        self.partition = partition
        self.key = line.key
        """Its id as JSON, without the quotes."""
        self.lines = [line.line]
        """Of its events that are not written."""
        self.bytes = len(line.line)
        self.events = line.events
        self.records = [record]
        self.born = self.seen = now
        self.flow = flow
        self.ends = 0
        """Bits of the flows that its events end."""
        self.looked_at = 0
        """How many of the lines have been read for `flow` and `ends`."""
        self.due = due
        """The second of the partition's time in which it is looked at; 0 while it is being written."""
        self.shown: float | None = None
        """When it was last written."""
        self.index: str | None = None
        """Where it was written to."""

    @property
    def id(self) -> str:
        """Its id.

        Raises ValueError where it is none: such a trace has no row either.
        """
        found: str = orjson.loads(b'"%b"' % self.key)
        return found


class Due(NamedTuple):
    """A trace that is to be written, as it was when it was due."""

    trace: Trace
    closing: bool
    lines: Sequence[bytes]
    bytes: int
    events: int
    records: int
    epoch: int
    forced: bool
    telling: Telling | None
    """The story of the lines, if it has been told of them all."""


class Shelf:
    """The open traces of one partition."""

    def __init__(self) -> None:
        self.traces: dict[bytes, Trace] = {}
        self.pending: deque[Record] = deque()
        self.clock = 0.0
        self.arrived = 0.0
        self.deadlines: dict[int, list[Trace]] = {}
        """By the second of the partition's time in which they are looked at."""
