"""A configuration tried on samples: what becomes of each record, and what each filter changed."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pipeline.errors import LogstashError
from pipeline.logstash.configuration import Pipeline
from pipeline.logstash.fields import Event, copy_value
from pipeline.logstash.outputs import Action
from pipeline.logstash.plugin import Origin, Outcomes
from pipeline.logstash.timestamp import Timestamp, parse_timestamp

__all__ = [
    "Sample",
    "Seen",
    "Trial",
    "differences",
    "plain_document",
    "read_samples",
    "try_sample",
    "without_the_moment",
]

_ENVELOPE: Final = {"value", "topic", "key", "timestamp", "headers", "partition", "offset"}
_COMPARED: Final = ("index", "id", "action", "pipeline", "routing", "doc_as_upsert", "dropped", "dead_letter")
# Set at the time of processing: compared only where an expectation names them.
_OF_THE_MOMENT: Final = {"@timestamp", "@version"}


class _Moment:
    """Stands for a value that depends on when a sample is tried."""

    def __repr__(self) -> str:
        return "<of the moment>"


_MOMENT: Final = _Moment()


@dataclass(frozen=True, slots=True)
class Sample:
    """One record: its value and where it would come from."""

    value: bytes
    origin: Origin


@dataclass(frozen=True, slots=True)
class Seen:
    """An event after one filter."""

    step: str
    event: Event


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one record: the lines to print, the event as it came in, and after each filter."""

    rows: tuple[dict[str, Any], ...]
    before: tuple[Event, ...]
    seen: tuple[Seen, ...]
    exceptions: Mapping[str, str]


def read_samples(lines: Iterable[bytes], now_ms: int, topic: str) -> Iterator[Sample]:
    """Read samples, a record a line: as it is, or an object with `value` and what else belongs to a record.

    Raises LogstashError for an envelope that cannot be read. `topic` and `now_ms` stand for what is not given.
    """
    for number, line in enumerate(lines):
        raw = line.rstrip(b"\r\n")
        yield _sample(raw, number, now_ms, topic)


def _sample(raw: bytes, number: int, now_ms: int, topic: str) -> Sample:
    try:
        envelope = json.loads(raw)
    except (ValueError, RecursionError):
        envelope = None
    if not isinstance(envelope, dict) or "value" not in envelope or not envelope.keys() <= _ENVELOPE:
        return Sample(raw, Origin(topic=topic, offset=number, timestamp_ms=now_ms))
    value = envelope["value"]
    key, headers = envelope.get("key"), envelope.get("headers") or {}
    if not isinstance(value, str) or not isinstance(headers, dict):
        raise LogstashError(f"Sample {number}: `value` is a text, and `headers` an object of texts.")
    origin = Origin(
        topic=str(envelope.get("topic", topic)),
        partition=int(envelope.get("partition", 0)),
        offset=int(envelope.get("offset", number)),
        timestamp_ms=_milliseconds(envelope.get("timestamp"), now_ms, number),
        key=None if key is None else str(key).encode(),
        headers=tuple((name, None if text is None else str(text).encode()) for name, text in headers.items()),
    )
    return Sample(value.encode("utf-8", "surrogatepass"), origin)


def _milliseconds(given: Any, now_ms: int, number: int) -> int:
    if given is None:
        return now_ms
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    instant = parse_timestamp(given) if isinstance(given, str) else None
    if instant is None:
        raise LogstashError(f"Sample {number}: `timestamp` is milliseconds since 1970, or an ISO 8601 text.")
    return instant.nanoseconds // 1_000_000


def try_sample(pipeline: Pipeline, number: int, sample: Sample) -> Trial:
    """Send one record through; the pipeline has to be compiled `watched` for `seen` to be filled."""
    outcomes = Outcomes()
    seen: list[Seen] = []
    outcomes.watch = lambda step, event: seen.append(Seen(step, copy_value(event)))
    events = pipeline.events(sample.value, sample.origin)
    before = tuple(copy_value(event) for event in events)
    left, _origins = pipeline.filters.run(events, [sample.origin] * len(events), outcomes)
    rows: list[dict[str, Any]] = []
    if not events:
        rows.append({"in": number, "dropped": True, "by": "codec: an empty record is no event"})
    rows.extend({"in": number, "dropped": True, "by": step} for _origin, step in outcomes.dropped)
    for event in left:
        rows.extend(_rows(pipeline, number, event, sample.origin, outcomes))
    return Trial(tuple(rows), before, tuple(seen), dict(outcomes.samples))


def _rows(
    pipeline: Pipeline, number: int, event: Event, origin: Origin, outcomes: Outcomes
) -> Iterator[dict[str, Any]]:
    if not pipeline.configuration.statements("output"):
        yield _row(
            number, Action(None, {name: value for name, value in event.items() if name != "@metadata"})
        )
        return
    actions = pipeline.outputs.route(event, origin, outcomes)
    if not actions:
        yield {"in": number, "dropped": True, "by": "no output takes it"}
    for action in actions:
        if action.problem is not None:
            yield {"in": number, "dead_letter": True, "reason": action.problem}
        else:
            yield _row(number, action)


def _row(number: int, action: Action) -> dict[str, Any]:
    row: dict[str, Any] = {
        "in": number,
        "index": action.index,
        "id": action.id,
        "action": action.action,
        "pipeline": action.pipeline,
    }
    if action.routing is not None:
        row["routing"] = action.routing
    if action.doc_as_upsert:
        row["doc_as_upsert"] = True
    if action.upsert is not None:
        row["upsert"] = action.upsert
    row["document"] = plain_document(action.document)
    return row


def plain_document(value: Any) -> Any:
    """Write times as texts, at every depth, so that JSON can hold the document."""
    if isinstance(value, Timestamp):
        return str(value)
    if value.__class__ is dict:
        return {name: plain_document(inner) for name, inner in value.items()}
    if value.__class__ is list:
        return [plain_document(inner) for inner in value]
    return value


def without_the_moment(one: Any, other: Any) -> Any:
    """Give the rows of a sample, with what is another at another time marked: it is equal to anything.

    `one` and `other` are of the same sample at two times. So a sample without a `timestamp` can be a test.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        return {name: without_the_moment(value, other.get(name)) for name, value in one.items()}
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) and len(one) == len(other):
        return [without_the_moment(value, another) for value, another in zip(one, other, strict=True)]
    return one if one == other else _MOMENT


def differences(expected: list[dict[str, Any]], actual: list[dict[str, Any]]) -> list[str]:
    """Hold the lines of one record against what is expected; the order of a record's documents says nothing."""
    found: list[str] = []
    left = list(actual)
    if len(expected) != len(actual):
        found.append(f"{len(expected)} lines are expected, {len(actual)} came")
    for row in expected:
        if not left:
            break
        best = min(left, key=lambda candidate: len(_row_differences(row, candidate)))
        left.remove(best)
        found += _row_differences(row, best)
    return found


def _row_differences(expected: dict[str, Any], actual: dict[str, Any]) -> list[str]:
    found = [
        f"{name}: expected {expected[name]!r}, got {actual.get(name)!r}"
        for name in _COMPARED
        if name in expected and not _same(expected[name], actual.get(name))
    ]
    wanted, got = expected.get("document"), actual.get("document")
    if wanted is None:
        return found
    if got is None:
        return [*found, "a document is expected, and none came"]
    for name in sorted(wanted.keys() | got.keys()):
        if name not in wanted and name in _OF_THE_MOMENT:
            continue
        if name not in wanted or name not in got or not _same(wanted[name], got[name]):
            found.append(f"{name}: expected {_shown(wanted, name)}, got {_shown(got, name)}")
    return found


def _shown(document: dict[str, Any], name: str) -> str:
    return json.dumps(document[name], ensure_ascii=False, default=repr) if name in document else "nothing"


def _same(left: Any, right: Any) -> bool:
    """Compare numbers by value and all else exactly."""
    if right is _MOMENT:
        return True
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        return left == right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(value, right[name]) for name, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)
