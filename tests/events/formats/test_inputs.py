"""What is set for a topic, and formats of a file of one's own; on both ways."""

import base64
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from pipeline.encode.fast_path import BatchEncoder
from pipeline.encode.transform import transform
from pipeline.errors import SettingsError
from pipeline.events.document import Coordinates, DocumentBuilder
from pipeline.events.formats import load_formats
from pipeline.settings import Events, Index, Input, Settings, load_settings
from tests.events.formats.cases import CASES

AT_MS = 1_795_429_200_000  # 2026-11-23T10:20:00Z
PINO = b'{"level":50,"time":1795428930123,"pid":1,"hostname":"h","name":"cart","msg":"bad"}'


class Record(NamedTuple):
    offset: int
    timestamp: int
    value: bytes


def read(value: bytes, *, topic: str = "logs", events: Events | None = None, **inputs: Any) -> dict[str, Any]:
    """Read a record by the definition and by the hot path, among others of the guide's, and want the same."""
    chosen = {name.replace("_", "-"): Input(**one) for name, one in inputs.items()}
    builder = DocumentBuilder(events or Events(), Index(), chosen)
    (document,) = builder.documents(value, Coordinates(topic, 0, 1, AT_MS), AT_MS)
    other = Record(0, AT_MS, b'{"timestamp":"2026-11-23T10:20:00.000Z","level":"INFO","message":"m"}')
    for _ in range(2):
        (payload,) = BatchEncoder(builder).encode(topic, 0, [other, Record(1, AT_MS, value)], AT_MS)
        assert orjson.loads(payload.body.splitlines()[3]) == orjson.loads(document.source)
    return document.fields


def test_without_a_setting_the_format_is_found_out() -> None:
    assert read(PINO)["level"] == "ERROR"


def test_guide_is_the_guides_format_and_nothing_else() -> None:
    fields = read(PINO, logs={"format": "guide"})
    assert (fields["msg"], fields["time"], "message" in fields) == ("bad", 1795428930123, False)
    assert fields["@timestamp"] == "2026-11-23T10:20:00.000Z"


@pytest.mark.parametrize("value", [b'{"a":NaN}', b'"text"', b'{"a":1}{"b":2}'])
def test_guide_repairs_nothing(value: bytes) -> None:
    fields = read(value, logs={"format": "guide"})
    assert (fields["message"], fields["tags"]) == (value.decode(), ["_jsonparsefailure"])


def test_text_is_not_looked_into() -> None:
    fields = read(b'{"level":"error"}', logs={"format": "text"})
    assert (fields["message"], "tags" in fields, "level" in fields) == ('{"level":"error"}', False, False)


def test_a_format_by_its_name() -> None:
    assert read(b'{"what":1,"msg":"m","ts":1795428930.5}', logs={"format": "zap"})["@timestamp"] == (
        "2026-11-23T10:15:30.500Z"
    )


def test_otlp_proto_that_is_none_is_binary() -> None:
    fields = read(b"\x0a\x01", logs={"format": "otlp_proto"})
    assert fields["tags"] == ["_binary"]
    assert base64.b64decode(fields["event.original"]) == b"\x0a\x01"


AVRO = b"\0\0\0\x01\xc8\x02\x06abc"


def test_confluents_avro_is_a_dead_letter_that_names_its_schema() -> None:
    builder = DocumentBuilder(Events(), Index())
    (document,) = builder.documents(AVRO, Coordinates("logs", 0, 1, AT_MS), AT_MS)
    assert "the schema id 456" in document.unreadable
    others = [Record(0, AT_MS, PINO), Record(1, AT_MS, AVRO), Record(2, AT_MS, PINO)]
    (payload,) = BatchEncoder(builder).encode("logs", 0, others, AT_MS)
    assert (payload.documents, len(payload.body.splitlines())) == (2, 4)
    ((action, reason, _),) = payload.dead
    assert orjson.loads(action)["create"]["_id"] == document.id
    assert reason == document.unreadable
    assert "confluent" not in payload.formats


def test_transform_says_what_is_a_dead_letter() -> None:
    said: list[tuple[str, str]] = []
    lines = list(transform([PINO, AVRO, PINO], Settings(), AT_MS, lambda *what: said.append(what)))
    ((identifier, reason),) = said
    assert (len(lines), "-000000000001-" in identifier, "456" in reason) == (2, True, True)


@pytest.mark.parametrize(
    ("topic", "service"), [("logs", "exact"), ("logs-a", "pattern"), ("other", None), ("logs-b", "pattern")]
)
def test_a_service_for_events_that_name_none(topic: str, service: str | None) -> None:
    inputs = {"logs": Input(service="exact"), "logs-*": Input(service="pattern")}
    builder = DocumentBuilder(Events(), Index(), inputs)
    for value in (b'{"timestamp":"2026-11-23T10:20:00.000Z","level":"INFO"}', b'{"msg":"m","level":"info"}'):
        (document,) = builder.documents(value, Coordinates(topic, 0, 1, AT_MS), AT_MS)
        (payload,) = BatchEncoder(builder).encode(topic, 0, [Record(1, AT_MS, value)], AT_MS)
        assert orjson.loads(payload.body.splitlines()[1]) == orjson.loads(document.source)
        assert document.fields.get("service") == service


def test_an_events_own_service_wins() -> None:
    assert read(b'{"service":"own","level":"INFO"}', logs={"service": "x"})["service"] == "own"


def test_an_unknown_format_is_refused_with_the_name_of_the_setting() -> None:
    with pytest.raises(SettingsError, match=r'inputs\."logs"\.format = \'pinot\''):
        DocumentBuilder(Events(), Index(), {"logs": Input(format="pinot")})


def test_inputs_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "logpipe.toml"
    file.write_text('[inputs."legacy.*"]\nformat = "text"\nservice = "old"\n')
    assert load_settings(file).inputs == {"legacy.*": Input(format="text", service="old")}


# --- ids of headers ------------------------------------------------------------------------------------

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01".encode()


class WithHeaders(NamedTuple):
    offset: int
    timestamp: int
    value: bytes
    headers: tuple[tuple[str, bytes | None], ...]


@pytest.mark.parametrize(
    ("headers", "trace", "span"),
    [
        ([("traceparent", TRACEPARENT)], TRACE, SPAN),
        ([("Traceparent", TRACEPARENT), ("b3", b"0")], TRACE, SPAN),
        ([("b3", f"{TRACE.upper()}-{SPAN}-1".encode())], TRACE, SPAN),
        ([("X-B3-TraceId", TRACE[:16].encode()), ("X-B3-SpanId", SPAN.encode())], TRACE[:16], SPAN),
        ([("traceparent", f"00-{'0' * 32}-{SPAN}-01".encode())], None, None),
        ([("traceparent", None), ("other", b"\xff")], None, None),
        ([("traceparent", b"00-abc")], None, None),
    ],
)
@pytest.mark.parametrize(
    "value",
    [
        b'{"timestamp":"2026-11-23T10:20:00.000Z","level":"INFO","message":"m"}',
        PINO,
        b"a line",
        b'[{"msg":"a"},{"msg":"b"}]',
    ],
)
def test_a_trace_that_only_the_headers_name(
    value: bytes, headers: list[tuple[str, bytes | None]], trace: str | None, span: str | None
) -> None:
    builder = DocumentBuilder(Events(), Index())
    defined = builder.documents(value, Coordinates("logs", 0, 1, AT_MS), AT_MS, headers)
    assert {(one.fields.get("trace_id"), one.fields.get("span_id")) for one in defined} == {(trace, span)}
    (payload,) = BatchEncoder(builder).encode(
        "logs", 0, [WithHeaders(1, AT_MS, value, tuple(headers))], AT_MS
    )
    assert list(map(orjson.loads, payload.body.splitlines()[1::2])) == [one.fields for one in defined]


@pytest.mark.parametrize("own", ["own", "0af7651916cd43dd8448eb211c80319c"])
def test_an_events_own_trace_wins_over_the_headers(own: str) -> None:
    builder = DocumentBuilder(Events(), Index())
    value = orjson.dumps({"timestamp": "2026-11-23T10:20:00.000Z", "level": "INFO", "trace_id": own})
    headers = (("traceparent", TRACEPARENT),)
    (document,) = builder.documents(value, Coordinates("logs", 0, 1, AT_MS), AT_MS, headers)
    assert (document.fields["trace_id"], "span_id" in document.fields) == (own, False)
    (payload,) = BatchEncoder(builder).encode("logs", 0, [WithHeaders(1, AT_MS, value, headers)], AT_MS)
    assert orjson.loads(payload.body.splitlines()[1]) == document.fields


def test_the_guides_format_looks_at_no_headers() -> None:
    builder = DocumentBuilder(Events(), Index(), {"logs": Input(format="guide")})
    value = b'{"timestamp":"2026-11-23T10:20:00.000Z","level":"INFO"}'
    headers = (("traceparent", TRACEPARENT),)
    (document,) = builder.documents(value, Coordinates("logs", 0, 1, AT_MS), AT_MS, headers)
    (payload,) = BatchEncoder(builder).encode("logs", 0, [WithHeaders(1, AT_MS, value, headers)], AT_MS)
    assert "trace_id" not in document.fields
    assert orjson.loads(payload.body.splitlines()[1]) == document.fields


# --- formats of one's own -------------------------------------------------------------------------------


def own(tmp_path: Path, text: str) -> Events:
    file = tmp_path / "formats.toml"
    file.write_text(text)
    return Events(formats_file=file)


def test_a_format_of_ones_own_is_tried_first(tmp_path: Path) -> None:
    events = own(
        tmp_path, '[shop]\nhas = ["when", "msg"]\ntake.timestamp = ["when"]\ntake.message = ["what"]\n'
    )
    fields = read(b'{"when":1795428930.5,"msg":"a","what":"b","level":"warn"}', events=events)
    assert (fields["@timestamp"], fields["message"], fields["msg"]) == ("2026-11-23T10:15:30.500Z", "b", "a")


def test_a_format_of_the_same_name_replaces(tmp_path: Path) -> None:
    events = own(tmp_path, '[pino]\nhas = ["level", "time", "pid", "hostname"]\ntake.component = ["name"]\n')
    fields = read(PINO, events=events)
    assert (fields["component"], "service" in fields) == ("cart", False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a", "is not TOML"),
        ("[a]\nhass = []", "the format a of .*: hass"),
        ('[a]\ntake.msg = ["m"]', "'msg' is not a field that can be taken"),
        ('[a]\ntake.level = ["l as loud"]', "there are the converters"),
        ('[a]\nhas = ["x"]\nsplit = "y"\nthen = "nothing"', "then = 'nothing' is not a format"),
    ],
)
def test_a_wrong_file_is_refused_and_says_where(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        DocumentBuilder(own(tmp_path, text), Index())


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="could not be read"):
        load_formats(tmp_path / "none.toml")


def test_shapes_without_end_take_no_memory_without_end() -> None:
    builder = DocumentBuilder(Events(), Index())
    encoder = BatchEncoder(builder)
    records = [Record(number, AT_MS, b'{"msg":"m","a%d":1}' % number) for number in range(9000)]
    encoder.encode("logs", 0, records, AT_MS)
    assert len(encoder._plans._plans) <= 4096  # noqa: SLF001
    assert len(builder.formats._candidates) <= 4096  # noqa: SLF001


def test_every_format_has_a_title() -> None:
    assert [name for name, each in load_formats().by_name.items() if not each.title] == []
    assert len(CASES) > 150
