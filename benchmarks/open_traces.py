"""`python -m benchmarks.open_traces`: what a correlator holds of open traces, in a process of its own."""

import subprocess
import sys
import time
from typing import NamedTuple

import orjson
import psutil

from benchmarks.hot_path import MemoryRecord
from benchmarks.traffic import sample_day
from pipeline.encode.fast_path import BatchEncoder
from pipeline.events.document import DocumentBuilder
from pipeline.settings import Events, Index, Traces
from pipeline.trace_stories.emission import MOST_EVENTS, Bucket, TraceEvents
from pipeline.trace_stories.flows import chosen_flows
from pipeline.trace_stories.lines import Line, lines_of
from pipeline.trace_stories.shapes import Shapes
from pipeline.traces.open_traces import OpenTraces
from pipeline.worker.memory import tune_memory

__all__ = ["TRACE_PARTITIONS", "Held", "measure_held", "trace_events"]

TRACE_PARTITIONS = 8
_POLL = 4000
_LINES_A_RECORD = 80
_SAMPLE_EVENTS = 4000


def trace_events(events: int) -> list[Bucket]:
    """Take the trace events out of sample traffic, as a worker does."""
    encoder = BatchEncoder(DocumentBuilder(Events(), Index()))
    collected = encoder.trace_events = TraceEvents(TRACE_PARTITIONS)
    records = [
        MemoryRecord(offset, event.timestamp_ms, event.value)
        for offset, event in enumerate(sample_day(events))
    ]
    buckets: list[Bucket] = []
    for start in range(0, len(records), _POLL):
        encoder.encode("claude-code-bot.logs", 0, records[start : start + _POLL], records[-1].timestamp)
        if collected.events >= TRACE_PARTITIONS * MOST_EVENTS:
            buckets += collected.take()
    return [*buckets, *collected.take()]


class Held(NamedTuple):
    """So many open traces, and what the process grew by."""

    traces: int
    bytes: int

    @property
    def bytes_per_trace(self) -> float:
        """Give what one takes."""
        return self.bytes / self.traces


def measure_held(traces: int) -> Held:
    """Hold so many traces open, each with as many events as sample traffic has in the middle."""
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.open_traces", str(traces)], check=True, capture_output=True
    ).stdout
    return Held(*orjson.loads(answer))


def _hold(traces: int) -> Held:
    lines = [line for bucket in trace_events(_SAMPLE_EVENTS) for line in lines_of(bucket.value)[0]]
    lines.sort(key=lambda line: len(line.line))
    middle = lines[len(lines) // 2]
    tune_memory()
    process = psutil.Process()
    held = OpenTraces(Traces(max_open=10_000_000, max_open_bytes=64 << 30), Shapes(chosen_flows(Traces())))
    before = process.memory_info().rss
    for start in range(0, traces, _LINES_A_RECORD):
        keys = [b"%032x" % number for number in range(start, min(start + _LINES_A_RECORD, traces))]
        some = [Line(key, middle.events, middle.line.replace(middle.key, key, 1)) for key in keys]
        held.take(0, start, some, int, time.time(), time.monotonic())
    return Held(len(held), process.memory_info().rss - before)


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(tuple(_hold(int(sys.argv[1])))))
