"""The hot path by format: CPU time of each format's records against the guide's, in memory, without any server."""

import random
import time
from collections.abc import Iterator
from statistics import median
from typing import Any, NamedTuple

import orjson

from benchmarks.hot_path import MemoryRecord
from benchmarks.traffic import sample_day
from pipeline.encode.fast_path import BatchEncoder
from pipeline.events.document import DocumentBuilder
from pipeline.sample import SampleEvent
from pipeline.sample.formats import FORMATS, rewritten
from pipeline.settings import Events, Index
from pipeline.worker.memory import tune_memory

__all__ = ["FormatRow", "measure_formats"]

_TOPIC = "claude-code-bot.logs"
_RECORDS_PER_POLL = 4000
_MIX = "8 formats at random"
_ONE = "otlp, one log record a request"
# As many log records as an SDK or collector sends in a request at the least.
_LOG_RECORDS = 20
# Loggers twice the guide's; envelopes, which are decoded twice, three times.
_MOST_FLAT = 2.0
_MOST = {
    **dict.fromkeys(("filebeat", "fluent-bit", "fluentd", "vector", "docker", "kafka-connect"), 3.0),
    "otlp": 2.5,
    _MIX: 2.0,
}
_MIXED = ("guide", "pino", "zap", "logrus", "ecs", "logstash-encoder", "filebeat", "fluent-bit")


class FormatRow(NamedTuple):
    """One format: CPU microseconds an event, and how many times the guide's that is."""

    name: str
    us_per_event: float
    times_guide: float

    @property
    def most_times_guide(self) -> float | None:
        """What a format of its kind may cost; None where that is not said."""
        if self.name in {"guide", _ONE}:
            return None
        return _MOST.get(self.name, _MOST_FLAT)


def measure_formats(events: int, repetitions: int) -> list[FormatRow]:
    """Measure each format so many times, in turns; the factor is the median of the rounds'."""
    tune_memory()
    sent = [event for event in sample_day(events) if b'"timestamp"' in event.value[:20]]
    lines = {name: [rewritten(event.value, name) for event in sent] for name in FORMATS}
    lines[_ONE] = lines["otlp"]
    lines["otlp"] = list(_together(lines["otlp"]))
    draw = random.Random(0)
    lines[_MIX] = [lines[draw.choice(_MIXED)][number] for number in range(len(sent))]
    batches = {name: list(_batches(values, sent)) for name, values in lines.items()}
    encoders = {name: BatchEncoder(DocumentBuilder(Events(), Index())) for name in lines}
    numbers = {name: _run(encoders[name], each) for name, each in batches.items()}
    times: dict[str, list[float]] = {name: [] for name in lines}
    for _ in range(repetitions):
        for name, each in batches.items():
            started = time.process_time()
            _run(encoders[name], each)
            times[name].append((time.process_time() - started) / numbers[name] * 1e6)
    guide = times["guide"]
    return [
        FormatRow(name, median(taken), median(one / other for one, other in zip(taken, guide, strict=True)))
        for name, taken in times.items()
    ]


def _together(requests: list[bytes]) -> Iterator[bytes]:
    """Put the log records of one service into requests, as SDKs and collectors do; what is no request stays."""
    waiting: dict[bytes, list[Any]] = {}
    for value in requests:
        try:
            (of_resource,) = orjson.loads(value)["resourceLogs"]
        except (orjson.JSONDecodeError, KeyError):
            yield value
            continue
        resource = orjson.dumps(of_resource["resource"])
        (scope,) = of_resource["scopeLogs"]
        waiting.setdefault(resource, []).extend(scope["logRecords"])
        if len(waiting[resource]) == _LOG_RECORDS:
            scopes = [{"scope": scope["scope"], "logRecords": waiting.pop(resource)}]
            yield orjson.dumps({"resourceLogs": [{"resource": of_resource["resource"], "scopeLogs": scopes}]})


def _batches(values: list[bytes], events: list[SampleEvent]) -> Iterator[list[MemoryRecord]]:
    records = [
        MemoryRecord(offset, event.timestamp_ms, value)
        for offset, (value, event) in enumerate(zip(values, events, strict=False))
    ]
    for start in range(0, len(records), _RECORDS_PER_POLL):
        yield records[start : start + _RECORDS_PER_POLL]


def _run(encoder: BatchEncoder, batches: list[list[MemoryRecord]]) -> int:
    """Encode all; gives the number of documents."""
    return sum(
        payload.documents
        for records in batches
        for payload in encoder.encode(_TOPIC, 0, records, records[-1].timestamp)
    )
