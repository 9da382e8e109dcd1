"""The hot path alone: CPU time of record bytes → document bytes, in memory, without any server."""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

import orjson

from benchmarks.traffic import sample_day
from pipeline.encode.fast_path import BatchEncoder
from pipeline.events.document import Coordinates, DocumentBuilder
from pipeline.log_metrics.errors import LogErrors
from pipeline.log_metrics.gather import LogMetrics
from pipeline.log_metrics.rules import load_rules
from pipeline.settings import Events, Index
from pipeline.trace_stories.emission import MOST_EVENTS, TraceEvents
from pipeline.worker.memory import tune_memory

__all__ = ["HotPath", "MemoryRecord", "Row", "measure_hot_path"]

_TOPIC = "claude-code-bot.logs"
_RECORDS_PER_POLL = 4000
_TRACE_PARTITIONS = 8
_PATH = "ours: decode → document"
_WITH_TRACES = "ours, with trace events"


class MemoryRecord(NamedTuple):
    """As much of a Kafka record as the encoder looks at."""

    offset: int
    timestamp: int
    value: bytes


class Row(NamedTuple):
    """One way through; CPU microseconds per event."""

    name: str
    minimum: float
    median: float


class HotPath(NamedTuple):
    """What was measured, and over how many events; the first row is the worker's own path."""

    events: int
    rows: list[Row]

    @property
    def us_per_event(self) -> float:
        """Give the figure: the median of the worker's path."""
        return self.rows[0].median

    @property
    def trace_events_us(self) -> float | None:
        """Give what trace events add to the worker's path, by the least times; None where it was not measured."""
        least = {row.name: row.minimum for row in self.rows}
        return least[_WITH_TRACES] - least[_PATH] if _WITH_TRACES in least else None


def measure_hot_path(events: int, repetitions: int) -> HotPath:
    """Measure each way so many times, in turns."""
    tune_memory()
    records = [
        MemoryRecord(offset, event.timestamp_ms, event.value)
        for offset, event in enumerate(sample_day(events))
    ]
    enveloped = [record._replace(value=_in_envelope(record.value)) for record in records]
    builder = DocumentBuilder(Events(), Index())
    encoder = BatchEncoder(builder)
    counting = BatchEncoder(builder, LogMetrics(load_rules()), LogErrors(50))
    tracing = BatchEncoder(builder)
    tracing.trace_events = traces = TraceEvents(_TRACE_PARTITIONS)
    without_ids = [record._replace(value=_without_trace_id(record.value)) for record in records]
    ways: dict[str, Callable[[], None]] = {
        _PATH: lambda: _encode(encoder, records),
        "ours, with metrics from the logs": lambda: _encode(counting, records),
        _WITH_TRACES: lambda: _encode_and_take(tracing, traces, records),
        "ours, no event has a trace id": lambda: _encode(encoder, without_ids),
        "ours, with trace events, no event has a trace id": lambda: _encode_and_take(
            tracing, traces, without_ids
        ),
        "orjson.loads alone": lambda: _decode(records),
        "ours, each event the careful way": lambda: _build(builder, records),
        "ours, each in a Filebeat envelope": lambda: _encode(encoder, enveloped),
    }
    for work in ways.values():
        work()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repetitions):
        for name, work in ways.items():
            started = time.process_time()
            work()
            times[name].append((time.process_time() - started) / events * 1e6)
    return HotPath(events, [Row(name, min(taken), median(taken)) for name, taken in times.items()])


def _encode(encoder: BatchEncoder, records: Sequence[MemoryRecord]) -> None:
    for start in range(0, len(records), _RECORDS_PER_POLL):
        encoder.encode(_TOPIC, 0, records[start : start + _RECORDS_PER_POLL], records[-1].timestamp)


def _encode_and_take(encoder: BatchEncoder, traces: TraceEvents, records: Sequence[MemoryRecord]) -> None:
    """Encode, and write the trace events as records as the worker does."""
    for start in range(0, len(records), _RECORDS_PER_POLL):
        encoder.encode(_TOPIC, 0, records[start : start + _RECORDS_PER_POLL], records[-1].timestamp)
        if traces.events >= _TRACE_PARTITIONS * MOST_EVENTS:
            list(traces.take())
    list(traces.take())


def _without_trace_id(value: bytes) -> bytes:
    try:
        event = orjson.loads(value)
    except ValueError:
        return value
    event.pop("trace_id", None)
    return orjson.dumps(event)


def _decode(records: Sequence[MemoryRecord]) -> None:
    loads = orjson.loads
    for record in records:
        try:
            loads(record.value)
        except ValueError:  # one in two thousand is not JSON
            continue


def _build(builder: DocumentBuilder, records: Sequence[MemoryRecord]) -> None:
    for record in records:
        builder.documents(
            record.value, Coordinates(_TOPIC, 0, record.offset, record.timestamp), records[-1].timestamp
        )


def _in_envelope(value: bytes) -> bytes:
    """Wrap a line as Filebeat ships it."""
    return orjson.dumps(
        {
            "@timestamp": "2024-01-15T10:30:01.000Z",
            "message": value.decode(),
            "fields": {"service": "claude-code-bot"},
            "host": {"name": "node-a1"},
            "agent": {"type": "filebeat", "version": "9.1.5", "name": "node-a1"},
            "log": {"offset": 4711, "file": {"path": "/var/log/containers/api.log"}},
            "input": {"type": "filestream"},
            "ecs": {"version": "8.0.0"},
        }
    )
