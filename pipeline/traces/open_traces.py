"""The traces that are open: their events, when each is due, and which records may be acknowledged. No I/O.

Time is the broker's: of each partition the timestamp of its newest record, so that what is read again is closed as it
was. Records are acknowledged in the order of their offsets, for Faust commits over gaps.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from pipeline.settings import Traces
from pipeline.trace_stories.flows import NO_ROLE, Flow, Role, Roles

__all__ = ["Due", "OpenTraces", "Trace"]

_QUIET_SECONDS = 2.0
_OVERHEAD_BYTES = 500
"""Of a trace beside its events: measured, see benchmarks/traces.py."""


class _Record:
    """A record that is not acknowledged, and how many open traces need it."""

    __slots__ = ("ack", "left", "timestamp")

    def __init__(self, ack: Callable[[], object], timestamp: float) -> None:
        self.ack = ack
        self.left = 0
        self.timestamp = timestamp


class Trace:
    """What is held of an open trace."""

    __slots__ = (
        "born",
        "data",
        "due",
        "ended",
        "events",
        "flow",
        "id",
        "index",
        "partition",
        "records",
        "seen",
        "shown",
    )

    def __init__(self, partition: int, trace_id: str, now: float, flow: int) -> None:
        self.partition = partition
        self.id = trace_id
        self.data = bytearray()
        """Its rows that are not written, as JSON with a comma behind each."""
        self.events = 0
        self.records: list[_Record] = []
        self.born = self.seen = now
        self.flow = flow
        self.ended = False
        self.due: int | None = None
        """The second of the partition's time in which it is looked at; None when that has to be found anew."""
        self.shown: float | None = None
        """When it was last written."""
        self.index: str | None = None
        """Where it was written to."""

    def rows(self, size: int) -> list[Sequence[Any]]:
        """Read the rows of so many bytes of the data."""
        rows: list[Sequence[Any]] = orjson.loads(b"[%b]" % bytes(self.data[: size - 1]))
        return rows


class Due(NamedTuple):
    """A trace that is to be written."""

    trace: Trace
    closing: bool
    bytes: int
    """As much of its data is meant."""
    events: int
    records: int
    epoch: int
    forced: bool = False


class _Shelf:
    """The open traces of one partition."""

    def __init__(self) -> None:
        self.traces: dict[str, Trace] = {}
        self.pending: deque[_Record] = deque()
        self.clock = 0.0
        self.arrived = 0.0
        self.deadlines: dict[int, list[Trace]] = {}
        """By the second of the partition's time in which they are looked at."""
        self.looked_at = 0


class OpenTraces:
    """Keep the events of open traces; one partition's are forgotten with all others when any is taken away."""

    def __init__(self, settings: Traces, flows: Iterable[Flow]) -> None:
        self._settings = settings
        self._roles = Roles(flows)
        self._no_flow = len(self._roles.flows)
        self._shelves: dict[int, _Shelf] = {}
        self._epoch = 0
        self._full: list[Trace] = []
        self.bytes = 0
        """Held, all partitions together."""

    def __len__(self) -> int:
        return sum([len(shelf.traces) for shelf in self._shelves.values()])

    @property
    def full(self) -> bool:
        """Whether traces have to be written before more is taken."""
        return (
            bool(self._full)
            or self.bytes > self._settings.max_open_bytes
            or any(len(shelf.traces) > self._settings.max_open for shelf in self._shelves.values())
        )

    @property
    def oldest_seconds(self) -> float:
        """By how much the oldest record that is not acknowledged is older than the newest."""
        return max(
            [shelf.clock - shelf.pending[0].timestamp for shelf in self._shelves.values() if shelf.pending],
            default=0.0,
        )

    def forget(self) -> None:
        """Forget everything: it is read again, by this process or another."""
        self._shelves.clear()
        self._full.clear()
        self.bytes = 0
        self._epoch += 1

    def take(
        self, partition: int, rows: Iterable[Any], ack: Callable[[], object], timestamp: float, now: float
    ) -> int:
        """Take the rows of a record; gives how many of them are no rows.

        `timestamp` is the record's, in seconds since 1970; `now` is any clock of this process.
        """
        shelf = self._shelves.get(partition)
        if shelf is None:
            shelf = self._shelves[partition] = _Shelf()
        shelf.clock = clock = max(shelf.clock, timestamp)
        shelf.arrived = now
        record = _Record(ack, timestamp)
        shelf.pending.append(record)
        traces, most, held, bad = shelf.traces, self._settings.max_events, 0, 0
        known, dumps, no_flow = self._roles.of, orjson.dumps, self._no_flow
        for row in rows:
            try:
                trace_id, service, component, level, message, _, _ = row[3]
                trace = traces.get(trace_id)
                if trace is None:
                    trace = traces[trace_id] = Trace(partition, trace_id, clock, no_flow)
                    held += _OVERHEAD_BYTES
                role = known(service, component, level, message)
            except (TypeError, ValueError, IndexError, KeyError):
                bad += 1
                continue
            if role is not NO_ROLE:
                self._note(trace, role)
            text = dumps(row)
            trace.data += text
            trace.data += b","
            held += len(text) + 1
            trace.events += 1
            trace.seen = clock
            if trace.due is None:
                self._schedule(shelf, trace, 0)
            records = trace.records
            if not records or records[-1] is not record:
                records.append(record)
                record.left += 1
            if trace.events == most:
                self._full.append(trace)
        self.bytes += held
        if not record.left:
            self._acknowledge(shelf)
        return bad

    def due(self, now: float, *, waiting: bool) -> list[Due]:
        """Give the traces that are quiet, and those that have been open for long.

        A partition that gets no records has time go on by `now`, unless it is this process that waits.
        """
        found = []
        for shelf in self._shelves.values():
            clock = shelf.clock
            if not waiting and now - shelf.arrived > _QUIET_SECONDS:
                clock += now - shelf.arrived
            second = int(clock)
            if shelf.looked_at == 0:
                shelf.looked_at = min(shelf.deadlines, default=second)
            if second - shelf.looked_at > len(shelf.deadlines):
                seconds = sorted(each for each in shelf.deadlines if each <= second)
            else:
                seconds = [each for each in range(shelf.looked_at, second + 1) if each in shelf.deadlines]
            shelf.looked_at = second
            for each in seconds:
                for trace in shelf.deadlines.pop(each):
                    if trace.due != each or shelf.traces.get(trace.id) is not trace:
                        continue
                    closing = clock - trace.seen >= self._idle(trace)
                    if closing or (trace.events and clock >= self._deadline(trace)):
                        found.append(self._due(trace, closing=closing))
                    # Also one that is due: it may have grown when it is written.
                    self._schedule(shelf, trace, second + 1)
        return found

    def relief(self, most: int) -> list[Due]:
        """Give traces to be written early, since there is no more room: as many as that, the oldest first."""
        settings = self._settings
        found = [
            self._due(trace, closing=False)
            for trace in dict.fromkeys(self._full)
            if trace.events and self._shelves[trace.partition].traces.get(trace.id) is trace
        ]
        self._full.clear()
        for shelf in self._shelves.values():
            excess = len(shelf.traces) - settings.max_open
            if excess > 0:
                found += [
                    self._due(trace, closing=True, forced=True)
                    for trace, _ in zip(
                        shelf.traces.values(), range(max(excess, min(most, excess * 2))), strict=False
                    )
                ]
        if not found and self.bytes > settings.max_open_bytes:
            every = [trace for shelf in self._shelves.values() for trace in shelf.traces.values()]
            every.sort(key=lambda trace: trace.seen)
            found = [self._due(trace, closing=True, forced=True) for trace in every[:most]]
        return found

    def written(self, due: Due, index: str) -> None:
        """Note that a trace has been written, as it was when it was due."""
        trace = due.trace
        shelf = self._shelves.get(trace.partition)
        if due.epoch != self._epoch or shelf is None:
            return
        del trace.data[: due.bytes]
        self.bytes -= due.bytes
        trace.events -= due.events
        trace.shown = shelf.clock
        trace.index = index
        grew = trace.events > 0 or len(trace.records) > due.records
        # An open trace keeps its last record, so that somebody closes it even if this process ends.
        gone = due.records if due.closing or grew else due.records - 1
        for record in trace.records[:gone]:
            record.left -= 1
        del trace.records[:gone]
        if due.closing and not grew:
            del shelf.traces[trace.id]
            self.bytes -= _OVERHEAD_BYTES
        self._acknowledge(shelf)

    def _due(self, trace: Trace, *, closing: bool, forced: bool = False) -> Due:
        return Due(trace, closing, len(trace.data), trace.events, len(trace.records), self._epoch, forced)

    def _idle(self, trace: Trace) -> float:
        """Give how long a trace has to be quiet until it is closed."""
        if trace.flow >= self._no_flow:
            return self._settings.idle_seconds
        flow = self._roles.flows[trace.flow]
        if trace.ended:
            return flow.ended_idle_seconds
        return self._settings.idle_seconds if flow.idle_seconds is None else flow.idle_seconds

    def _deadline(self, trace: Trace) -> float:
        quiet = trace.seen + self._idle(trace)
        if trace.flow >= self._no_flow and trace.shown is None:
            # Nobody expects anything of it.
            return quiet
        show = (trace.born if trace.shown is None else trace.shown) + self._settings.show_open_seconds
        return min(quiet, show)

    def _note(self, trace: Trace, role: Role) -> None:
        """Note what an event says of its trace: both may make it due sooner."""
        if role.begins < trace.flow:
            trace.flow, trace.due = role.begins, None
        if role.ends and not trace.ended and trace.flow < self._no_flow and role.ends >> trace.flow & 1:
            trace.ended, trace.due = True, None

    def _schedule(self, shelf: _Shelf, trace: Trace, earliest: int) -> None:
        """Have a trace looked at when it may be due; not when it was to be before."""
        trace.due = max(int(self._deadline(trace)) + 1, earliest)
        shelf.deadlines.setdefault(trace.due, []).append(trace)

    @staticmethod
    def _acknowledge(shelf: _Shelf) -> None:
        pending = shelf.pending
        while pending and not pending[0].left:
            pending.popleft().ack()


def rows_of(value: bytes | None) -> Iterator[Sequence[Any]]:
    """Read the rows of a record.

    Raises ValueError for anything else.
    """
    rows = orjson.loads(value or b"")
    if not isinstance(rows, list):
        raise ValueError("no array of rows")  # noqa: TRY004 - as of what is no JSON
    return iter(rows)
