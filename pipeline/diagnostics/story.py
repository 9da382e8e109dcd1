"""What becomes of one record, step by step and why: pure, by the same functions that make the document."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.events.decode import decode
from pipeline.events.document import (
    DATE_FAILURE_TAG,
    IMPLAUSIBLE_TAG,
    NO_TIME_TAG,
    OUT_OF_RANGE_TAG,
    OVERFLOW_TAG,
    TIMESTAMP_FAILURE_TAG,
    Coordinates,
    Document,
    DocumentBuilder,
)
from pipeline.events.event import Event
from pipeline.events.ids import document_id
from pipeline.events.indices import is_plausible
from pipeline.events.runtime_times import read_time
from pipeline.events.timestamps import from_epoch_ms

__all__ = ["Step", "Story", "tell"]

_OF_THE_PIPELINE = ("@timestamp", "kafka", "tags", "unmapped")
_MARKS = {
    DATE_FAILURE_TAG: "`timestamp` is there and is no date",
    NO_TIME_TAG: "the event's time is one that programs write when they have none",
    TIMESTAMP_FAILURE_TAG: "the event's own `@timestamp` is no time",
}


class Step(NamedTuple):
    """One change of a field; None is for a field that is not there."""

    field: str
    before: Any
    after: Any


class Story(NamedTuple):
    """One document, and why it is as it is."""

    document: Document
    steps: tuple[Step, ...]
    why_time: str
    why_level: str
    why_index: str
    why_id: str

    def as_json(self) -> dict[str, Any]:
        """Give everything of it but the document's bytes."""
        document = self.document
        return {
            "format": document.format,
            "taken": dict(document.taken),
            "steps": [step._asdict() for step in self.steps],
            "time": {"value": document.fields["@timestamp"], "because": self.why_time},
            "level": {"value": document.fields.get("level"), "because": self.why_level},
            "index": {"value": document.index_name, "because": self.why_index},
            "id": {"value": document.id, "because": self.why_id},
            "document": document.fields,
        }


def tell(
    value: bytes | None,
    place: Coordinates,
    builder: DocumentBuilder,
    now_ms: int,
    headers: Sequence[tuple[str, bytes | None]] = (),
) -> list[Story]:
    """Tell the story of each document that a record becomes; `now_ms` is the time of reading."""
    documents = builder.documents(value, place, now_ms, headers)
    # A second reading, for the first has been turned into the documents.
    events = _read(value, place, builder, now_ms)
    if len(events) != len(documents):  # nested too deeply for JSON: there is one text
        events = [Event({})] * len(documents)
    return [
        Story(
            document,
            tuple(_steps(event.fields, document.fields)),
            _why_time(event, document, place, builder, now_ms),
            _why_level(event, document),
            _why_index(document, place, builder),
            _why_id(document, place),
        )
        for event, document in zip(events, documents, strict=True)
    ]


def _read(value: bytes | None, place: Coordinates, builder: DocumentBuilder, now_ms: int) -> list[Event]:
    wanted = builder.inputs.of(place.topic)
    if wanted.format == "guide":
        events = builder.events
        return decode(value, service=events.service, max_array_events=events.max_array_events)
    return builder.reader.read(value, builder.window(place.timestamp_ms, now_ms), wanted.format)


def _steps(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Step]:
    """Compare an event, as its format was read, with its document, field by field of the root."""
    for name, value in before.items():
        if name not in after:
            yield Step(name, value, None)
        elif after[name] != value:
            yield Step(name, value, after[name])
    for name, value in after.items():
        if name not in before:
            yield Step(name, None, value)


def _why_time(
    event: Event, document: Document, place: Coordinates, builder: DocumentBuilder, now_ms: int
) -> str:
    taken = dict(document.taken)
    written = document.fields["@timestamp"]
    tags = document.fields.get("tags", ())
    failed = "; ".join(text for tag, text in _MARKS.items() if tag in tags)
    names = ("timestamp", "@timestamp") if event.ours else ("@timestamp",)
    for name in names:
        raw = event.fields.get(name)
        if raw is None:
            continue
        parsed = read_time(raw, builder.events.zone)
        if parsed is not None and parsed.text == written:
            source = f" (taken from `{taken[name]}`)" if name in taken else ""
            return f"the event's `{name}`{source} is {raw!r}" + (f"; {failed}" if failed else "")
    reason = failed or "the event has no time of its own"
    if is_plausible(place.timestamp_ms, now_ms) and from_epoch_ms(place.timestamp_ms).text == written:
        return f"{reason}: Kafka's timestamp of the record"
    if not is_plausible(place.timestamp_ms, now_ms):
        return f"{reason}, and Kafka's {place.timestamp_ms} cannot be true: the time of reading"
    return f"{reason}: read by its format"


def _why_level(event: Event, document: Document) -> str:
    level, raw = document.fields.get("level"), event.fields.get("level")
    source = dict(document.taken).get("level")
    where = f"`{source}`" if source else "`level`"
    if level is None:
        return "the event has none"
    if not event.ours:
        return "of another service: it stays as it is"
    logged = document.fields.get("log")
    was = logged.get("level") if isinstance(logged, dict) else None
    if was is not None and was != level:
        return f"{where} is {was!r}"
    return f"{where} is {raw!r}" if raw == level else f"{where} says so"


def _why_index(document: Document, place: Coordinates, builder: DocumentBuilder) -> str:
    tags = document.fields.get("tags", ())
    if builder.indices.rolled_by_ilm:
        return "index.roll = ilm: the write alias, whatever the time"
    if OVERFLOW_TAG in tags:
        return "its day is beyond index.max_open_days: the index without a day"
    if document.index_name == builder.indices.undated:
        return "neither the event nor Kafka has a time that can be true: the index without a day"
    if OUT_OF_RANGE_TAG in tags:
        return (
            "the event's time is outside events.retention_days and events.max_future_seconds around Kafka's: "
            f"the day of Kafka's timestamp, {from_epoch_ms(place.timestamp_ms).text}"
        )
    if IMPLAUSIBLE_TAG in tags:
        return "the day of the event's time; Kafka's timestamp cannot be true"
    return "the day of `@timestamp`, in UTC"


def _why_id(document: Document, place: Coordinates) -> str:
    parts = (
        "topic, partition, the beginning of the topic's id, and offset"
        if place.topic_key
        else "topic, partition, offset and Kafka's timestamp"
    )
    return f"{parts}, and the event's number in the array" if document.id != document_id(place) else parts
