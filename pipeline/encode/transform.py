"""What the pipeline would index, without any server: raw records in, documents out."""

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import orjson

from pipeline.encode.fast_path import BatchEncoder
from pipeline.encode.run_filters import filtering_of
from pipeline.errors import LogpipeError
from pipeline.events.document import Coordinates, Document, DocumentBuilder
from pipeline.settings import Settings

__all__ = ["BadInputError", "Explained", "decode_base64", "explain", "split_lines", "transform"]

_BATCH = 1000


class BadInputError(LogpipeError):
    """Say which line of the input could not be read."""

    exit_code = 2


class Explained(NamedTuple):
    """A document, which says of itself what it was made of, and the number of its record."""

    record: int
    document: Document

    def as_json(self) -> bytes:
        """Write a line as `transform` does, with `format` and `taken`."""
        document = self.document
        said = {
            "index": document.index_name,
            "id": document.id,
            "format": document.format,
            "taken": dict(document.taken),
            "document": orjson.Fragment(document.source),
        }
        if document.unreadable:
            said["dead_letter"] = document.unreadable
        return orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE)


class _Record(NamedTuple):
    offset: int
    timestamp: int
    value: bytes


def transform(
    values: Iterable[bytes],
    settings: Settings,
    timestamp_ms: int,
    on_dead_letter: Callable[[str, str], None] = lambda _identifier, _reason: None,
) -> Iterator[bytes]:
    """Yield a JSON line `{"index": …, "id": …, "document": …}` for each document, in order.

    By the outputs of a Logstash configuration there may be `action`, `pipeline` and `routing` too.

    The records are offsets 0, 1, 2 … of partition 0 of the first configured topic, with `timestamp_ms` as
    Kafka's timestamp and the time of reading. The documents are made by the same code as in production. A record that
    would be a dead letter has none: `on_dead_letter` is told its id and why.
    """
    topic = settings.kafka.topics[0] if settings.kafka.topics else settings.index.prefix
    builder = DocumentBuilder(settings.events, settings.index, settings.inputs)
    encoder = BatchEncoder(builder, filtering=filtering_of(settings, builder))
    records = (_Record(offset, timestamp_ms, value) for offset, value in enumerate(values))
    while batch := list(islice(records, _BATCH)):
        for payload in encoder.encode(topic, 0, batch, timestamp_ms):
            for dead in payload.dead:
                on_dead_letter(orjson.loads(dead.action)["create"]["_id"], dead.reason)
            for body in (payload.body, *(one.body for one in payload.alone)):
                lines = body.splitlines()
                for action, source in zip(lines[::2], lines[1::2], strict=True):
                    yield _row(action, source)


def _row(action: bytes, source: bytes) -> bytes:
    ((operation, target),) = orjson.loads(action).items()
    row = {"index": target.pop("_index"), "id": target.pop("_id"), **target}
    if operation != "create":
        row["action"] = operation
    if source:
        row["document"] = orjson.Fragment(source)
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def explain(values: Iterable[bytes], settings: Settings, timestamp_ms: int) -> Iterator[Explained]:
    """Yield what each document was made of, by the definition itself; records as in `transform`."""
    topic = settings.kafka.topics[0] if settings.kafka.topics else settings.index.prefix
    builder = DocumentBuilder(settings.events, settings.index, settings.inputs)
    make = (filtering_of(settings, builder) or builder).documents
    for offset, value in enumerate(values):
        for document in make(value, Coordinates(topic, 0, offset, timestamp_ms), timestamp_ms):
            yield Explained(offset, document)


def split_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Take the line ends off; everything else is the record's."""
    for line in lines:
        yield line.removesuffix(b"\n")


def decode_base64(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Decode each line; raises BadInputError with the number of a line that is no base64."""
    for number, line in enumerate(lines, start=1):
        try:
            yield base64.b64decode(line.strip(), validate=True)
        except binascii.Error as error:
            raise BadInputError(f"line {number} of the input is not base64: {error}") from error
