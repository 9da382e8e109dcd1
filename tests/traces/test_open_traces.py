"""When a trace is due, and which records may be acknowledged: against the rule that Faust commits over gaps."""

from collections.abc import Iterable
from itertools import islice
from typing import Any

import orjson
from hypothesis import given, strategies as st

from pipeline.settings import Traces
from pipeline.trace_stories.flows import chosen_flows
from pipeline.trace_stories.lines import Line, lines_of, rows_with_sources
from pipeline.trace_stories.shapes import Shapes
from pipeline.traces.open_traces import OpenTraces
from pipeline.traces.trace_state import Due
from tests.trace_stories.rows import line

SHAPES = Shapes(chosen_flows(Traces()))
INDEX = "p.traces-2024.01.15"


def event(trace_id: str, mark: int, **fields: Any) -> Line:
    made = line(mark, **{"trace_id": trace_id, "component": "job_runner", "message": "Job started", **fields})
    ((one,), _) = lines_of(orjson.dumps(made))
    return one


def marks_of(due: Due) -> list[int]:
    return [row[0] for each in due.lines for _, row in rows_with_sources(orjson.loads(each))]


def take(
    traces: OpenTraces, offset: int, lines: Iterable[Line], ack: Any, timestamp: float, now: float
) -> None:
    traces.take(0, offset, lines, ack, timestamp, now)


class Acks:
    """The offsets that were acknowledged, in their order."""

    def __init__(self) -> None:
        self.offsets: list[int] = []

    def of(self, offset: int) -> Any:
        return lambda: self.offsets.append(offset)


def opened(**settings: Any) -> OpenTraces:
    return OpenTraces(Traces(**settings), SHAPES)


def close_all(traces: OpenTraces, now: float) -> list[str]:
    due = list(traces.due(now, waiting=False))
    for one in due:
        traces.written(one, INDEX)
    return sorted(one.trace.id for one in due if one.closing)


def test_a_trace_is_closed_when_it_has_been_quiet_by_the_brokers_time() -> None:
    traces, acks = opened(idle_seconds=30), Acks()
    take(traces, 0, [event("a", 1)], acks.of(0), 1000.0, 0.0)
    take(traces, 1, [event("b", 2)], acks.of(1), 1029.0, 0.1)
    assert close_all(traces, 0.2) == []
    # Read quickly: no time has passed here, but half a minute where the events were written.
    take(traces, 2, [event("c", 3)], acks.of(2), 1032.0, 0.3)
    assert close_all(traces, 0.4) == ["a"]
    assert acks.offsets == [0]


def test_a_partition_without_records_has_time_go_on_unless_it_is_this_process_that_waits() -> None:
    traces = opened(idle_seconds=30)
    take(traces, 0, [event("a", 1)], Acks().of(0), 1000.0, 0.0)
    assert list(traces.due(60.0, waiting=True)) == []
    assert close_all(traces, 60.0) == ["a"]


def test_an_ended_trace_is_closed_sooner_than_one_that_goes_on() -> None:
    traces = opened()
    request = {"component": "http_server", "message": "Request received"}
    rows = [
        event("done", 1, **request),
        event("open", 2, **request),
        event("done", 3, component="http_server", message="Request completed"),
    ]
    take(traces, 0, rows, Acks().of(0), 1000.0, 0.0)
    assert close_all(traces, 7.0) == ["done"]
    assert close_all(traces, 12.0) == ["open"]


def test_records_are_acknowledged_from_the_head_only() -> None:
    traces, acks = opened(idle_seconds=10), Acks()
    integration = {"component": "integration_service", "message": "Integration requested"}
    take(traces, 0, [event("long", 1, **integration)], acks.of(0), 1000.0, 0.0)
    take(traces, 1, [event("short", 2)], acks.of(1), 1000.0, 0.0)
    take(traces, 2, [], acks.of(2), 1000.0, 0.0)
    assert close_all(traces, 20.0) == ["short"]
    assert acks.offsets == []
    # Shown while it is open: it keeps its last record, for it has to be closed some day.
    (shown,) = traces.due(31.5, waiting=False)
    assert not shown.closing
    traces.written(shown, INDEX)
    assert acks.offsets == []
    assert close_all(traces, 400.0) == ["long"]
    assert acks.offsets == [0, 1, 2]
    assert (len(traces), traces.bytes) == (0, 0)


def test_what_came_while_a_trace_was_written_stays() -> None:
    traces, acks = opened(idle_seconds=10), Acks()
    take(traces, 0, [event("a", 1)], acks.of(0), 1000.0, 0.0)
    (due,) = traces.due(20.0, waiting=False)
    take(traces, 1, [event("a", 2)], acks.of(1), 1011.0, 20.0)
    traces.written(due, INDEX)
    assert acks.offsets == [0]
    (again,) = traces.due(40.0, waiting=False)
    assert marks_of(again) == [2]
    traces.written(again, INDEX)
    assert acks.offsets == [0, 1]


def test_nothing_is_acknowledged_of_what_was_taken_away_meanwhile() -> None:
    traces, acks = opened(idle_seconds=10), Acks()
    take(traces, 0, [event("a", 1)], acks.of(0), 1000.0, 0.0)
    (due,) = traces.due(20.0, waiting=False)
    traces.forget()
    traces.written(due, INDEX)
    assert acks.offsets == []
    assert (len(traces), traces.bytes) == (0, 0)


def test_no_room_closes_the_quietest_traces_and_a_large_one_is_written_at_once() -> None:
    few = opened(max_open=3)
    take(few, 0, [event(f"t{number}", number) for number in range(5)], Acks().of(0), 1000.0, 0.0)
    assert few.full
    while few.full:
        for one in few.relief(10):
            assert one.forced
            few.written(one, INDEX)
    assert len(few) <= 3
    large = opened(max_events=10)
    take(large, 0, [event("a", number) for number in range(25)], Acks().of(0), 1000.0, 0.0)
    assert large.full
    (one,) = large.relief(10)
    large.written(one, INDEX)
    assert not large.full
    assert large.bytes < 1000


def test_what_comes_late_in_a_quiet_partition_is_closed_too() -> None:
    traces, acks = opened(idle_seconds=10), Acks()
    take(traces, 0, [event("a", 1)], acks.of(0), 1000.0, 0.0)
    looking = traces.due(60.0, waiting=False)
    first = next(looking)
    # It is behind the partition's time, and comes while a trace is written.
    take(traces, 1, [event("b", 2)], acks.of(1), 1005.0, 60.0)
    traces.written(first, INDEX)
    assert list(looking) == []
    # To write took its time.
    assert close_all(traces, 90.0) == ["b"]
    assert acks.offsets == [0, 1]


@given(
    records=st.lists(st.lists(st.sampled_from("abcdef"), max_size=4), min_size=1, max_size=30),
    data=st.data(),
)
def test_acknowledged_offsets_have_no_gap_and_hold_no_event_that_is_not_written(
    records: list[list[str]], data: st.DataObject
) -> None:
    traces, acks = opened(idle_seconds=5, show_open_seconds=3), Acks()
    written: set[int] = set()
    marks: dict[int, list[int]] = {}
    mark, now = 0, 0.0

    def write(dues: Iterable[Due]) -> None:
        for due in dues:
            written.update(marks_of(due))
            traces.written(due, INDEX)

    for offset, ids in enumerate(records):
        rows = []
        for trace_id in ids:
            mark += 1
            rows.append(event(trace_id, mark))
            marks.setdefault(offset, []).append(mark)
        now += data.draw(st.sampled_from([0.0, 0.5, 2.0, 7.0, 60.0]))
        # Time has gone on meanwhile, perhaps beyond that of the record, which comes while traces are written.
        looking = traces.due(now, waiting=False)
        write(islice(looking, data.draw(st.sampled_from([0, 1, 2]))))
        lag = data.draw(st.sampled_from([0.0, 3.0, 60.0]))
        take(traces, offset, rows, acks.of(offset), 1000.0 + now - lag, now)
        # To write takes its time.
        now += data.draw(st.sampled_from([0.0, 20.0]))
        write(looking)
        assert acks.offsets == list(range(len(acks.offsets)))
        assert all(set(marks.get(offset, ())) <= written for offset in acks.offsets)
    for _ in range(100):
        now += 0.5
        write(traces.due(now, waiting=False))
    assert acks.offsets == list(range(len(records)))
    assert (len(traces), traces.bytes) == (0, 0)
