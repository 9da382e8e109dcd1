"""The traces that are open: their events, when each is due, and which records may be acknowledged. No I/O.

Time is the broker's: of each partition the timestamp of its newest record, so that what is read again is closed as it
was. Records are acknowledged in the order of their offsets, for Faust commits over gaps. Events are held as they came,
as bytes, and read when their trace may be due: what flow it is of is not known before.
"""

from collections.abc import Callable, Iterable, Iterator

from pipeline.settings import Traces
from pipeline.trace_stories.fold import Story
from pipeline.trace_stories.lines import Line, read_lines
from pipeline.trace_stories.shapes import Shapes
from pipeline.trace_stories.summary import Telling, tell, tell_lines
from pipeline.traces.trace_state import Due, Record, Shelf, Trace

__all__ = ["OpenTraces"]

_QUIET_SECONDS = 2.0
_OVERHEAD_BYTES = 500
"""Of a trace beside its events: measured, see benchmarks/open_traces.py."""
_new = tuple.__new__  # what Due(...) calls, without what its own __new__ takes


class OpenTraces:
    """Keep the events of open traces; one partition's are forgotten with all others when any is taken away."""

    def __init__(self, settings: Traces, shapes: Shapes) -> None:
        self._settings = settings
        self._shapes = shapes
        self._flows = shapes.flows
        self._no_flow = len(self._flows)
        idles = [settings.idle_seconds, *[flow.ended_idle_seconds for flow in self._flows]]
        idles += [flow.idle_seconds for flow in self._flows if flow.idle_seconds is not None]
        self._least_idle = min(idles)
        self._shelves: dict[int, Shelf] = {}
        self._epoch = 0
        self._full: list[Trace] = []
        self.bytes = 0
        """Held, all partitions together."""
        self.bad = 0
        """Rows that were none."""

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
        self,
        partition: int,
        offset: int,
        lines: Iterable[Line],
        ack: Callable[[], object],
        timestamp: float,
        now: float,
    ) -> None:
        """Take the lines of a record.

        `timestamp` is the record's, in seconds since 1970; `now` is any clock of this process.
        """
        shelf = self._shelves.get(partition)
        if shelf is None:
            shelf = self._shelves[partition] = Shelf()
        shelf.clock = clock = max(shelf.clock, timestamp)
        shelf.arrived = now
        record = Record(offset, ack, timestamp)
        shelf.pending.append(record)
        traces, most, held = shelf.traces, self._settings.max_events, 0
        # In that second all may be quiet that come with this record and do not come again.
        due = int(clock + self._least_idle) + 1
        begun: list[Trace] = []
        for line in lines:
            key, events, text = line
            held += len(text)
            trace = traces.get(key)
            if trace is None:
                trace = traces[key] = Trace(partition, line, record, clock, self._no_flow, due)
                begun.append(trace)
                record.left += 1
                held += _OVERHEAD_BYTES
                if events >= most:
                    self._full.append(trace)
                continue
            trace.lines.append(text)
            trace.bytes += len(text)
            trace.seen = clock
            records = trace.records
            if not records or records[-1] is not record:
                records.append(record)
                record.left += 1
            if trace.due > due:
                # It may end with these.
                self._schedule(shelf, trace, due)
            before = trace.events
            trace.events += events
            if before < most <= trace.events:
                self._full.append(trace)
        if begun:
            shelf.deadlines.setdefault(due, []).extend(begun)
        self.bytes += held
        if not record.left:
            self._acknowledge(shelf)

    def due(self, now: float, *, waiting: bool) -> Iterator[Due]:
        """Give the traces that are quiet, and those that have been open for long, one by one.

        What it has given must be `written` before another begins. A partition that gets no records has time go on by
        `now`, unless it is this process that waits.
        """
        epoch = self._epoch
        for shelf in list(self._shelves.values()):
            clock = shelf.clock
            if not waiting and now - shelf.arrived > _QUIET_SECONDS:
                clock += now - shelf.arrived
            # All of them, each time: a record that comes late is due in a second that has been looked at.
            for each in sorted(second for second in shelf.deadlines if second <= clock):
                traces = shelf.deadlines[each]
                while traces:
                    trace = traces.pop()
                    if trace.due == each and shelf.traces.get(trace.key) is trace:
                        due = self._look_at(shelf, trace, clock)
                        if due is not None:
                            yield due
                            if self._epoch != epoch:
                                return
                shelf.deadlines.pop(each, None)

    def _look_at(self, shelf: Shelf, trace: Trace, clock: float) -> Due | None:
        """See whether a trace is due, else when it is to be looked at again."""
        quiet = clock - trace.seen
        shows = (trace.born if trace.shown is None else trace.shown) + self._settings.show_open_seconds
        if quiet < self._least_idle and clock < shows:
            # It goes on: no need to know more of it.
            self._schedule(shelf, trace, int(min(trace.seen + self._least_idle, shows)) + 1)
            return None
        telling = self._tell(trace)
        closing = quiet >= self._idle(trace)
        if closing or (trace.events and clock >= self._deadline(trace, shows)):
            return self._due(trace, telling, closing=closing)
        self._schedule(shelf, trace, int(max(self._deadline(trace, shows), clock)) + 1)
        return None

    def relief(self, most: int) -> list[Due]:
        """Give traces to be written early, since there is no more room: as many as that, the oldest first."""
        settings = self._settings
        found = [
            self._due(trace, self._tell(trace), closing=False)
            for trace in dict.fromkeys(self._full)
            if trace.events and self._shelves[trace.partition].traces.get(trace.key) is trace
        ]
        self._full.clear()
        for shelf in self._shelves.values():
            excess = len(shelf.traces) - settings.max_open
            if excess > 0:
                found += [
                    self._due(trace, self._tell(trace), closing=True, forced=True)
                    for trace, _ in zip(
                        shelf.traces.values(), range(max(excess, min(most, excess * 2))), strict=False
                    )
                ]
        if not found and self.bytes > settings.max_open_bytes:
            every = [trace for shelf in self._shelves.values() for trace in shelf.traces.values()]
            every.sort(key=lambda trace: trace.seen)
            found = [self._due(trace, self._tell(trace), closing=True, forced=True) for trace in every[:most]]
        return found

    def written(self, due: Due, index: str) -> None:
        """Note that a trace has been written, as it was when it was due."""
        trace = due.trace
        shelf = self._shelves.get(trace.partition)
        if due.epoch != self._epoch or shelf is None:
            return
        lines = len(due.lines)
        del trace.lines[:lines]
        trace.looked_at = max(0, trace.looked_at - lines)
        trace.bytes -= due.bytes
        self.bytes -= due.bytes
        trace.events -= due.events
        trace.shown = shelf.clock
        trace.index = index or None
        grew = bool(trace.lines) or len(trace.records) > due.records
        # An open trace keeps its last record, so that somebody closes it even if this process ends.
        gone = due.records if due.closing or grew else due.records - 1
        for record in trace.records[:gone]:
            record.left -= 1
        del trace.records[:gone]
        if due.closing and not grew:
            del shelf.traces[trace.key]
            self.bytes -= _OVERHEAD_BYTES
        elif trace.due == 0:
            self._schedule(shelf, trace, int(shelf.clock) + 1)
        self._acknowledge(shelf)

    def _due(self, trace: Trace, telling: Telling | None, *, closing: bool, forced: bool = False) -> Due:
        trace.due = 0
        lines, records = tuple(trace.lines), len(trace.records)
        return _new(
            Due,
            (trace, closing, lines, trace.bytes, trace.events, records, self._epoch, forced, telling),
        )

    def _tell(self, trace: Trace) -> Telling | None:
        """Tell the lines that have not been told, for what they say of their trace; gives it if they are all."""
        since = trace.looked_at
        if since == len(trace.lines):
            return None
        lines = trace.lines[since:] if since else trace.lines
        trace.looked_at = len(trace.lines)
        telling = tell_lines(lines, self._shapes, self._settings.max_events)
        if telling is None:
            read, bad = read_lines(lines)
            self.bad += bad
            story = Story()
            story.add(read, self._settings.max_events)
            if not story.rows:
                return None
            telling = tell(read[0][0], story, self._shapes)
        shape = telling.shape
        trace.flow = min(trace.flow, shape.begins)
        trace.ends |= shape.ends
        return telling if since == 0 else None

    def _idle(self, trace: Trace) -> float:
        """Give how long a trace has to be quiet until it is closed."""
        if trace.flow >= self._no_flow:
            return self._settings.idle_seconds
        flow = self._flows[trace.flow]
        if trace.ends >> trace.flow & 1:
            return flow.ended_idle_seconds
        return self._settings.idle_seconds if flow.idle_seconds is None else flow.idle_seconds

    def _deadline(self, trace: Trace, shows: float) -> float:
        quiet = trace.seen + self._idle(trace)
        if trace.flow >= self._no_flow and trace.shown is None:
            # Nobody expects anything of it.
            return quiet
        return min(quiet, shows)

    @staticmethod
    def _schedule(shelf: Shelf, trace: Trace, second: int) -> None:
        """Have a trace looked at in that second; not when it was to be before."""
        trace.due = second
        shelf.deadlines.setdefault(second, []).append(trace)

    @staticmethod
    def _acknowledge(shelf: Shelf) -> None:
        pending = shelf.pending
        while pending and not pending[0].left:
            pending.popleft().ack()
