"""Record → documents: every rule as a table, the hot path against the definition, and any bytes at all."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings as hypothesis_settings, strategies as st

from pipeline.encode.fast_path import BatchEncoder
from pipeline.events.document import Coordinates, DocumentBuilder
from pipeline.settings import Events, Index
from tests.events.both_paths import KAFKA_MS, TOPIC, Indexed, Record, transform_all, transform_one

# Four times as many as elsewhere: what comes in here is anything.
EXAMPLES = 4 * hypothesis_settings().max_examples
KAFKA_TEXT = "2024-01-15T10:30:00.500Z"
GUIDE_EVENT: dict[str, Any] = {
    "timestamp": "2024-01-15T10:30:00.123Z",
    "level": "INFO",
    "service": "api",
    "component": "integration_service",
    "trace_id": "abc-123-def",
    "span_id": "456-ghi",
    "user_id": "user-789",
    "integration_id": "int-456",
    "message": "Integration created successfully",
    "context": {"integration_type": "slack", "processing_time_ms": 1234, "github_issue_id": "123"},
}


def document(event: Any, **events: Any) -> dict[str, Any]:
    return transform_one(event, events).document


def test_the_guides_own_event() -> None:
    assert transform_one(GUIDE_EVENT) == Indexed(
        "claude-code-bot-2024.01.15",
        f"logs-3-000000000007-{KAFKA_MS}",
        {
            "@timestamp": "2024-01-15T10:30:00.123Z",
            "level": "INFO",
            "service": "api",
            "service_name": "claude-code-bot",
            "component": "integration_service",
            "trace_id": "abc-123-def",
            "span_id": "456-ghi",
            "user_id": "user-789",
            "integration_id": "int-456",
            "message": "Integration created successfully",
            "context": {"integration_type": "slack", "processing_time_ms": 1234, "github_issue_id": "123"},
            "kafka": {"topic": "logs", "partition": 3, "offset": 7},
        },
    )


# --- timestamps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stamp", "text", "index"),
    [
        ("2024-01-15T10:30:00.123Z", "2024-01-15T10:30:00.123Z", "2024.01.15"),
        ("2024-01-15T10:30:00Z", "2024-01-15T10:30:00.000Z", "2024.01.15"),
        ("2024-01-15t10:30:00,123z", "2024-01-15T10:30:00.123Z", "2024.01.15"),
        ("2024-01-15 00:30:00+02:00", "2024-01-14T22:30:00.000Z", "2024.01.14"),
        ("2024-01-15T24:00:00Z", "2024-01-16T00:00:00.000Z", "2024.01.16"),
        ("2024-01-15T23:59:60Z", "2024-01-16T00:00:00.000Z", "2024.01.16"),
        ("2024-01-15", "2024-01-15T00:00:00.000Z", "2024.01.15"),
        ("2024-W03-1T10:30Z", "2024-01-15T10:30:00.000Z", "2024.01.15"),
        ("2024-015T10:30Z", "2024-01-15T10:30:00.000Z", "2024.01.15"),
        (1705314600, "2024-01-15T10:30:00.000Z", "2024.01.15"),
        (1705314600123, "2024-01-15T10:30:00.123Z", "2024.01.15"),
        ("1705314600123456", "2024-01-15T10:30:00.123456Z", "2024.01.15"),
        (1705314600123456789, "2024-01-15T10:30:00.123456789Z", "2024.01.15"),
    ],
)
def test_timestamp_becomes_the_time_in_utc_and_the_index(stamp: Any, text: str, index: str) -> None:
    indexed = transform_one({"timestamp": stamp, "message": "m", "level": "INFO"})
    assert indexed.document["@timestamp"] == text
    assert "timestamp" not in indexed.document
    assert "tags" not in indexed.document
    assert indexed.index_name == f"claude-code-bot-{index}"


def test_naive_timestamp_is_in_the_configured_zone() -> None:
    event = {"timestamp": "2024-01-15T10:30:00.123", "level": "INFO"}
    assert document(event)["@timestamp"] == "2024-01-15T10:30:00.123Z"
    assert document(event, default_timezone="Europe/Berlin")["@timestamp"] == "2024-01-15T09:30:00.123Z"


@pytest.mark.parametrize(
    "stamp", ["yesterday", "", "2024-13-45T00:00:00.000Z", "2024-01-15T10:61:00.000Z", True, {}, ["x"]]
)
def test_unparsable_timestamp_is_kept_and_tagged(stamp: Any) -> None:
    indexed = transform_one({"timestamp": stamp, "level": "INFO"})
    assert indexed.document["timestamp"] == stamp
    assert indexed.document["tags"] == ["_dateparsefailure"]
    assert indexed.document["@timestamp"] == KAFKA_TEXT
    assert indexed.index_name == "claude-code-bot-2024.01.15"


@pytest.mark.parametrize("event", [{"level": "INFO"}, {"level": "INFO", "timestamp": None}])
def test_missing_timestamp_is_kafkas_without_a_tag(event: dict[str, Any]) -> None:
    result = document(event)
    assert result["@timestamp"] == KAFKA_TEXT
    assert "tags" not in result
    assert "timestamp" not in result


def test_own_at_timestamp_serves_when_there_is_no_timestamp() -> None:
    assert document({"@timestamp": "2024-01-15T08:00:00+01:00"})["@timestamp"] == "2024-01-15T07:00:00.000Z"


def test_timestamp_wins_over_own_at_timestamp() -> None:
    event = {"@timestamp": "2024-01-15T08:00:00Z", "timestamp": "2024-01-15T09:00:00.000Z"}
    assert document(event)["@timestamp"] == "2024-01-15T09:00:00.000Z"


@pytest.mark.parametrize(("own", "kept"), [(5, 5), ("soon", "soon"), ({"a": 1}, '{"a":1}'), ([1], "[1]")])
def test_wrong_at_timestamp_is_moved_aside(own: Any, kept: Any) -> None:
    result = document({"@timestamp": own, "message": "m"})
    assert result["@timestamp"] == KAFKA_TEXT
    assert result["unmapped"] == {"@timestamp": kept}
    assert result["tags"] == ["_timestampparsefailure"]


@pytest.mark.parametrize(
    ("stamp", "in_range"),
    [
        ("2024-01-16T10:30:00.500Z", True),  # exactly a day ahead
        ("2024-01-16T10:30:00.501Z", False),
        ("2023-10-17T10:30:00.500Z", True),  # exactly 90 days old
        ("2023-10-17T10:30:00.499Z", False),
        ("9999-12-31T23:59:59.999Z", False),
        ("0001-01-02T00:00:00.000Z", False),
    ],
)
def test_window_of_the_index(stamp: str, in_range: bool) -> None:
    indexed = transform_one({"timestamp": stamp, "level": "INFO"})
    assert indexed.document["@timestamp"] == stamp
    assert indexed.document.get("tags") == (None if in_range else ["_timestampoutofrange"])
    day = stamp[:10].replace("-", ".") if in_range else "2024.01.15"
    assert indexed.index_name == f"claude-code-bot-{day}"


def test_window_is_a_setting() -> None:
    event = {"timestamp": "2024-01-15T10:40:00.000Z", "level": "INFO"}
    assert "tags" not in document(event)
    assert document(event, max_future_seconds=60)["tags"] == ["_timestampoutofrange"]
    old = {"timestamp": "2024-01-13T10:40:00.000Z", "level": "INFO"}
    assert document(old, retention_days=1)["tags"] == ["_timestampoutofrange"]


# --- level, tags ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("logged", "level"),
    [
        ("INFO", "INFO"),
        ("info", "INFO"),
        ("warning", "WARN"),
        ("Fatal", "ERROR"),
        ("critical", "ERROR"),
        ("err", "ERROR"),
        (" error ", "ERROR"),
        ("trace", "DEBUG"),
        (30, "INFO"),
        (50, "ERROR"),
        (60, "ERROR"),
        ("custom", "CUSTOM"),
    ],
)
def test_level_is_normalised_and_the_original_kept(logged: Any, level: str) -> None:
    result = document({"level": logged, "timestamp": "2024-01-15T10:30:00.123Z"})
    assert result["level"] == level
    assert result.get("log") == (None if logged == level else {"level": logged})
    assert result.get("tags") == (["error"] if level == "ERROR" else None)


@pytest.mark.parametrize("logged", [None, True, {"a": "b"}, ["ERROR"], 5, ""])
def test_what_is_no_level_stays(logged: Any) -> None:
    result = document({"level": logged})
    assert result["level"] == logged
    assert "log" not in result
    assert "tags" not in result


def test_syslog_numbers_only_when_configured() -> None:
    assert document({"level": 3})["level"] == 3
    result = document({"level": 3}, syslog_levels=True)
    assert (result["level"], result["log"], result["tags"]) == ("ERROR", {"level": 3}, ["error"])


def test_log_level_joins_what_is_in_log() -> None:
    result = document({"level": "warning", "log": {"file": {"path": "/a"}}})
    assert result["log"] == {"file": {"path": "/a"}, "level": "warning"}


def test_log_that_is_no_object_is_moved_aside() -> None:
    result = document({"level": "warning", "message": "m", "log": "text"})
    assert result["log"] == {"level": "warning"}
    assert result["unmapped"] == {"log": "text"}


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (None, ["error"]),
        ("prod", ["prod", "error"]),
        (["a", "b"], ["a", "b", "error"]),
        (["error"], ["error"]),
        ("error", ["error"]),
        ([], ["error"]),
    ],
)
def test_error_tag_is_appended_never_twice(tags: Any, expected: list[str]) -> None:
    assert document({"level": "ERROR", "tags": tags})["tags"] == expected


@pytest.mark.parametrize("tags", [5, {"a": 1}, [1, "a"], [None], [["a"]]])
def test_tags_that_are_no_strings_are_moved_aside(tags: Any) -> None:
    result = document({"level": "ERROR", "tags": tags})
    assert result["tags"] == ["_tagsparsefailure", "error"]
    kept = result["unmapped"]["tags"]
    assert (json.loads(kept) if isinstance(tags, dict | list) else kept) == tags


# --- service, ids, reserved names -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        (None, "claude-code-bot"),
        ("claude-code-bot", "claude-code-bot"),
        ("other", ["other", "claude-code-bot"]),
        (["a", "b"], ["a", "b", "claude-code-bot"]),
    ],
)
def test_service_name_is_added_as_logstash_does(present: Any, expected: Any) -> None:
    assert document({"service_name": present})["service_name"] == expected


@pytest.mark.parametrize(
    ("logged", "expected"),
    [
        ("4BF92F3577B34DA6A3CE929D0E0E4736", "4bf92f3577b34da6a3ce929d0e0e4736"),
        (" 4bf92f3577b34da6a3ce929d0e0e4736\n", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("00F067AA0BA902B7", "00f067aa0ba902b7"),
        ("F47AC10B-58CC-4372-A567-0E02B2C3D479", "F47AC10B-58CC-4372-A567-0E02B2C3D479"),
        (" abc-123-DEF ", "abc-123-DEF"),
        ("ZBF92F3577B34DA6A3CE929D0E0E4736", "ZBF92F3577B34DA6A3CE929D0E0E4736"),
        (5, 5),
        (None, None),
    ],
)
@pytest.mark.parametrize("name", ["trace_id", "span_id"])
def test_ids_are_trimmed_and_w3c_ones_lower_case(name: str, logged: Any, expected: Any) -> None:
    event = {"timestamp": "2024-01-15T10:30:00.123Z", "level": "INFO", name: logged}
    assert document(event)[name] == expected


@pytest.mark.parametrize("name", ["_id", "_index", "_source", "_foo", "", " ", "\u2003", "x" * 8001])
def test_refused_names_are_moved_aside(name: str) -> None:
    for _ in range(2):
        result = document({"level": "INFO", "timestamp": "2024-01-15T10:30:00.123Z", name: {"deep": [1]}})
        assert name not in result
        assert list(result["unmapped"].values()) == ['{"deep":[1]}']


@pytest.mark.parametrize("name", ["", " ", ".", "a..b", "a\0b", "_id", "x" * 3000])
def test_inside_an_object_any_name_is_taken(name: str) -> None:
    event = {"timestamp": "2024-01-15T10:30:00.123Z", "level": "INFO", "context": {name: {name: 1}}}
    assert document(event)["context"] == {name: {name: 1}}


def test_a_name_longer_than_elasticsearch_takes_is_moved_aside_with_its_path() -> None:
    event = {
        "timestamp": "2024-01-15T10:30:00.123Z",
        "level": "INFO",
        "context": {"a": {"x" * 8001: 1, "b": 2}},
    }
    result = document(event)
    assert result["context"] == {"a": {"b": 2}}
    assert result["unmapped"] == {("context.a." + "x" * 8001)[:200]: 1}


def test_a_path_longer_than_elasticsearch_takes_ends_where_it_becomes_too_long() -> None:
    event: Any = 1
    for _ in range(20):
        event = {"x" * 1000: event}
    result = document({"timestamp": "2024-01-15T10:30:00.123Z", "level": "INFO", "a": [event]})
    assert len(result["unmapped"]) == 1
    depth, inner = 0, result["a"][0]
    while inner:
        depth, inner = depth + 1, inner["x" * 1000]
    assert depth == 7  # "a" and seven times a dot and 1,000 characters


def test_the_pipelines_own_names_are_moved_aside() -> None:
    result = document({"kafka": {"offset": 99}, "unmapped": "mine"})
    assert result["kafka"] == {"topic": "logs", "partition": 3, "offset": 7}
    assert result["unmapped"] == {"kafka": '{"offset":99}', "unmapped": "mine"}


@pytest.mark.parametrize("context", ["text", 5, [1, 2], True])
def test_context_that_is_no_object_is_wrapped(context: Any) -> None:
    event = {"timestamp": "2024-01-15T10:30:00.123Z", "level": "INFO", "context": context}
    assert document(event)["context"] == {"value": context}


@pytest.mark.parametrize("number", [2**53, -(2**63), 2**63 - 1, 2**63, 2**64 - 1, 1e308, -0.0])
def test_numbers_of_64_bits_stay_as_they_are(number: float) -> None:
    event = {"timestamp": "2024-01-15T10:30:00.123Z", "level": "INFO", "context": {"n": number}}
    assert document(event)["context"]["n"] == number


@pytest.mark.parametrize(
    "digits", ["18446744073709551616", "-9223372036854775809", "136226447259282480168556905957809988804"]
)
@pytest.mark.parametrize(
    "form", ['{"n":%s}', '{"context":{"n":%s}}', '{"trace_id":%s}', '{"a":[[{"b":%s}]]}']
)
def test_integers_beyond_64_bits_keep_every_digit_as_text(digits: str, form: str) -> None:
    result = document((form % digits).encode())
    assert f'"{digits}"' in orjson.dumps(result).decode()
    assert result["tags"] == ["_integertoolarge"]


@pytest.mark.parametrize("quoted", [1, 2])
def test_integers_beyond_64_bits_in_a_payload_that_is_text_keep_every_digit(quoted: int) -> None:
    payload = '{"timestamp":"2024-01-15T10:30:00.123Z","context":{"n":18446744073709551616}}'
    for _ in range(quoted - 1):
        payload = orjson.dumps(payload).decode()
    result = document(orjson.dumps(envelope(payload)))
    assert result["context"] == {"n": "18446744073709551616"}
    assert result["tags"] == ["_integertoolarge"]


# --- envelope, arrays, what cannot be parsed --------------------------------------------------------------


def envelope(message: Any, service: Any = "claude-code-bot", **more: Any) -> dict[str, Any]:
    return {
        "@timestamp": "2024-01-15T11:00:00.000Z",
        "message": message,
        "fields": {"service": service},
        "host": {"name": "h"},
        **more,
    }


def test_inner_fields_go_to_the_root_and_the_envelopes_are_kept() -> None:
    result = document(envelope(json.dumps(GUIDE_EVENT), agent={"type": "filebeat"}, log={"offset": 5}))
    assert result == {
        **document(GUIDE_EVENT),
        "fields": {"service": "claude-code-bot"},
        "host": {"name": "h"},
        "agent": {"type": "filebeat"},
        "log": {"offset": 5},
    }


def test_metadata_is_no_part_of_the_document() -> None:
    assert document({**GUIDE_EVENT, "@metadata": {"beat": "filebeat"}}) == document(GUIDE_EVENT)


def test_envelopes_time_serves_when_the_inner_object_has_none() -> None:
    result = document(envelope('{"level":"ERROR"}'))
    assert result["@timestamp"] == "2024-01-15T11:00:00.000Z"
    assert result["tags"] == ["error"]
    assert result["message"] == '{"level":"ERROR"}'


@pytest.mark.parametrize("message", ["plain text", "[1]", '[{"a":1}]', "5", '{"a":', "", 5])
def test_message_that_is_no_json_object_is_kept_and_tagged(message: Any) -> None:
    result = document(envelope(message, tags=["beats"]))
    assert result["message"] == message
    assert result["tags"] == ["beats", "_jsonparsefailure"]
    assert result["service_name"] == "claude-code-bot"


def test_envelope_without_a_message_is_not_a_failure() -> None:
    assert "tags" not in document(
        {"fields": {"service": "claude-code-bot"}, "@timestamp": "2024-01-15T11:00:00Z"}
    )


@pytest.mark.parametrize("service", ["nginx", 5, ["claude-code-bot"], ""])
def test_other_services_pass_through_unparsed(service: Any) -> None:
    agent = {"type": "filebeat"}
    event = envelope('{"level":"ERROR"}', service, level="error", timestamp="x", trace_id=" A ", agent=agent)
    assert document(event) == {**event, "kafka": {"topic": "logs", "partition": 3, "offset": 7}}


def test_arrays_of_objects_are_one_event_each() -> None:
    value = orjson.dumps([GUIDE_EVENT, {"level": "error"}])
    first, second = transform_all(value)
    assert first == Indexed(
        "claude-code-bot-2024.01.15", f"logs-3-000000000007-{KAFKA_MS}.0", document(GUIDE_EVENT)
    )
    assert second.id == f"logs-3-000000000007-{KAFKA_MS}.1"
    assert second.document["tags"] == ["error"]


def test_array_of_one_is_that_event() -> None:
    assert transform_all(orjson.dumps([GUIDE_EVENT])) == [transform_one(GUIDE_EVENT)]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"not json", "not json"),
        (b"", ""),
        (None, ""),
        (b"5", "5"),
        (b"null", "null"),
        (b"[]", "[]"),
        (b'{"a":1', '{"a":1'),
        (b"caf\xe9", "caf\ufffd"),
        (b"\x00\x01", "\x00\x01"),
        (b'{"a":NaN', '{"a":NaN'),
        (b'{"a":1}{"b":', '{"a":1}{"b":'),
    ],
)
def test_what_cannot_be_parsed_is_kept_as_text(value: bytes | None, text: str) -> None:
    (indexed,) = transform_all(value)
    assert indexed == Indexed(
        "claude-code-bot-2024.01.15",
        f"logs-3-000000000007-{KAFKA_MS}",
        {
            "message": text,
            "tags": ["_jsonparsefailure"],
            "@timestamp": KAFKA_TEXT,
            "service_name": "claude-code-bot",
            "kafka": {"topic": "logs", "partition": 3, "offset": 7},
        },
    )


@pytest.mark.parametrize(
    ("depth", "parsed"),
    [
        (99, True),
        (253, True),
        (254, False),
        (300, False),
        (900, False),
        (1023, False),
        (2000, False),
        (100_000, False),
    ],
)
def test_nesting_is_bounded(depth: int, parsed: bool) -> None:
    value = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
    (indexed,) = transform_all(value)
    assert ("a" in indexed.document) is parsed
    assert (indexed.document.get("message") == value.decode()) is not parsed


def test_array_longer_than_the_setting_is_kept_as_text() -> None:
    value = b"[" + b",".join([b"{}"] * 11) + b"]"
    assert len(transform_all(value, {"max_array_events": 11})) == 11
    assert transform_one(value, {"max_array_events": 10}).document["message"] == value.decode()


# --- any input at all -------------------------------------------------------------------------------------

scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text()
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(
    [
        *GUIDE_EVENT,
        "tags",
        "fields",
        "@timestamp",
        "kafka",
        "unmapped",
        "log",
        "service_name",
        "_id",
        "",
        "a.b",
        "a.",
    ]
)
values = (
    anything
    | st.sampled_from(list(GUIDE_EVENT.values()))
    | st.sampled_from(
        ["ERROR", "warning", "2024-01-15T10:30:00.12Z", "2024-01-15T99:30:00.123Z", 30, " X ", "{", "a{b"]
    )
    | st.datetimes().map(lambda moment: moment.isoformat(timespec="milliseconds") + "Z")
)
events = st.dictionaries(names | st.text(max_size=5), values, max_size=6).map(
    lambda extra: {**GUIDE_EVENT, **extra}
)
envelopes = st.fixed_dictionaries(
    {},
    optional={
        "host": st.just({"name": "h", "ip": ["10.0.0.1"]}) | anything,
        "agent": st.just({"type": "filebeat", "version": "9.1.0"}),
        "log": st.just({"offset": 5, "file": {"path": "/a"}}) | anything,
        "input": st.just({"type": "filestream"}),
        "tags": st.just(["beats"]),
        "context": st.just({"a": 1}) | st.just("text"),
        "level": st.just("warning") | st.just({"a": 1}),
        "@timestamp": st.just("2024-01-15T11:00:00") | anything,
    },
)
sparse_events = st.dictionaries(names, values, max_size=6)


def check_outcome(value: bytes) -> None:
    indexed = transform_all(value)
    if not indexed:
        place = Coordinates(TOPIC, 3, 7, KAFKA_MS)
        (document,) = DocumentBuilder(Events(), Index()).documents(value, place, KAFKA_MS)
        assert document.unreadable  # a dead letter
    assert len({one.id for one in indexed}) == len(indexed)
    for one in indexed:
        assert one.document["kafka"] == {"topic": TOPIC, "partition": 3, "offset": 7}
        assert one.index_name.startswith("claude-code-bot-20")
        assert isinstance(one.document["@timestamp"], str)
        assert not any(name.startswith("_") for name in one.document)
        tags = one.document.get("tags", [])
        assert len(set(tags)) == len(tags) or "tags" in value.decode("utf-8", "replace")


@given(st.binary(max_size=200) | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"\xef\xbb\xbf{}")
@example(b"\0\0\0\0\0\0")
def test_any_bytes_in_one_document_out(value: bytes) -> None:
    check_outcome(value)


@given(anything | events | sparse_events | st.lists(sparse_events, max_size=3))
@hypothesis_settings(max_examples=EXAMPLES)
def test_any_json_in_one_document_out(value: Any) -> None:
    check_outcome(orjson.dumps(value))


@given(
    events | sparse_events | anything,
    st.sampled_from(["claude-code-bot", "other", None]),
    sparse_events | envelopes,
)
@hypothesis_settings(max_examples=EXAMPLES)
def test_any_envelope_in_one_document_out(inner: Any, service: Any, outer: dict[str, Any]) -> None:
    value = {**envelope(orjson.dumps(inner).decode(), service), **outer}
    check_outcome(orjson.dumps(value))


stamps: st.SearchStrategy[Any] = st.sampled_from(
    [
        "2024-01-15T10:30:00.123Z", "2024-01-15T10:59:59.999Z", "2024-01-15T11:00:00.000Z",
        "2024-01-15T10:30:00.123456Z", "2024-01-15 13:30:00,123+03:00", "2024-01-15T24:00:00.000Z",
        "2024-01-15T10:60:00.000Z", "2024-01-15T10:30:60.000Z", "2024-01-15T99:30:00.123Z",
        "2024-13-15T10:30:00.123Z", "2024-01-15T10:30:00.123Z\n2024-01-15T10:30:00.123Z", "\n", "",
        "1999-01-15T10:30:00.123Z", "2024-01-17T10:30:00.123Z", "nonsense",
        1705314600, 1705314600123, 1.5, None, True, [], {},
    ]
)  # fmt: skip
guide_like = st.fixed_dictionaries(
    {"timestamp": stamps},
    optional={
        "level": st.sampled_from(["INFO", "ERROR", "warning", "err", "notice", 30, 3, None, True, ["x"], ""]),
        "service": st.sampled_from(["api", "", 1, None, ["a"]]),
        "component": st.sampled_from(["http_server", {"a": 1}]),
        "trace_id": st.sampled_from(
            [
                "4bf92f3577b34da6a3ce929d0e0e4736",
                "4BF92F3577B34DA6A3CE929D0E0E4736",
                " abc ",
                "x\x1f",
                "É",
                5,
                None,
                "",
            ]
        ),
        "span_id": st.sampled_from(["00F067AA0BA902B7", "\t", "00f067aa0ba902b7", None, ["a"]]),
        "message": st.text(max_size=5),
        "context": st.sampled_from([{}, {"a": 1}, {"b": {"c": [None]}}, None, "text", []]),
        "tags": st.just(["a"]),
        "_id": st.just("1"),
        "log": st.just({"a": 1}),
    },
)
record_values = st.one_of(
    guide_like.map(orjson.dumps),
    guide_like.map(orjson.dumps),
    guide_like.map(lambda inner: orjson.dumps(envelope(orjson.dumps(inner).decode(), "claude-code-bot"))),
    guide_like.map(
        lambda inner: orjson.dumps(
            {
                **envelope(orjson.dumps(inner).decode(), "claude-code-bot"),
                "error": {"type": "T", "message": "m"},
            }
        )
    ),
    sparse_events.map(orjson.dumps),
    st.lists(guide_like, max_size=3).map(orjson.dumps),
    st.sampled_from([None, b"", b"nope", b"{}", b"1", b"\xff", b'{"a":' * 300 + b"1" + b"}" * 300]),
    st.just(b'{"timestamp":"2024-01-15T10:30:00.123Z","x":"' + b"y" * 9000 + b'"}'),
    st.just(b'{"timestamp":"2024-01-15T10:30:00.123Z","x":' + b"[" * 300 + b"]" * 300 + b"}"),
)


@given(
    st.lists(
        st.tuples(record_values, st.sampled_from([0, 1, 86_400_000, -400 * 86_400_000, 10**15, -(2**62)])),
        max_size=12,
    )
)
@hypothesis_settings(max_examples=EXAMPLES)
def test_records_that_travel_together_become_what_each_becomes_by_itself(
    given_records: list[tuple[bytes | None, int]],
) -> None:
    builder = DocumentBuilder(Events(), Index())
    records = [
        Record(990 + 3 * number, KAFKA_MS + later, value)
        for number, (value, later) in enumerate(given_records)
    ]
    defined = [
        [
            Indexed(document.index_name, document.id, orjson.loads(document.source))
            for document in builder.documents(
                record.value, Coordinates(TOPIC, 3, record.offset, record.timestamp), KAFKA_MS
            )
        ]
        for record in records
    ]
    encoder = BatchEncoder(builder)
    for size in (1000, 1000, 5, 1):
        found = []
        for start in range(0, len(records), size):
            for payload in encoder.encode(TOPIC, 3, records[start : start + size], KAFKA_MS):
                lines = [orjson.loads(line) for line in payload.body.splitlines()]
                assert payload.documents == len(lines) // 2
                found += [
                    Indexed(action["create"]["_index"], action["create"]["_id"], source)
                    for action, source in zip(lines[::2], lines[1::2], strict=True)
                ]
        assert found == [document for documents in defined for document in documents]


def test_a_service_may_be_called_anything() -> None:
    name = 'a"b\\c %d é'
    assert document(GUIDE_EVENT, service=name)["service_name"] == name


@given(events)
def test_a_replay_gives_the_same_bytes(event: dict[str, Any]) -> None:
    value = orjson.dumps(event)
    builders = [DocumentBuilder(Events(), Index()) for _ in range(2)]
    first, second = (
        builder.documents(value, Coordinates(TOPIC, 0, 1, KAFKA_MS), KAFKA_MS) for builder in builders
    )
    assert first == second


def test_ids_differ_for_a_topic_created_again() -> None:
    ids = {transform_one(GUIDE_EVENT, at_ms=at_ms).id for at_ms in (KAFKA_MS, KAFKA_MS + 1)}
    assert len(ids) == 2


def test_rolled_by_ilm_everything_goes_to_the_alias() -> None:
    builder = DocumentBuilder(Events(), Index(roll="ilm"))
    for stamp in ("2024-01-15T10:30:00.123Z", "1999-01-01T00:00:00.000Z"):
        value = orjson.dumps({"timestamp": stamp, "level": "INFO"})
        (payload,) = BatchEncoder(builder).encode(TOPIC, 0, [Record(1, KAFKA_MS, value)], KAFKA_MS)
        action, source = payload.body.splitlines()
        assert orjson.loads(action)["create"]["_index"] == "claude-code-bot"
        assert orjson.loads(source)["@timestamp"] == stamp


CANONICAL = "2024-01-15T10:30:00.123Z"


@given(st.integers(13, 23), st.characters(), st.integers(13, 24), st.text(max_size=2))
def test_a_canonical_timestamp_with_one_fault_is_no_canonical_timestamp(
    position: int, character: str, place: int, more: str
) -> None:
    for stamp in (
        CANONICAL[:position] + character + CANONICAL[position + 1 :],
        CANONICAL[:place] + more + CANONICAL[place:],
        CANONICAL[:position] + "\0" + CANONICAL[position + 1 :],
        # Python's own parser takes this to end with its first Z.
        CANONICAL[:position] + "Z\0" + CANONICAL[position + 2 :],
    ):
        value = orjson.dumps({"timestamp": stamp.encode("utf-8", "replace").decode(), "level": "INFO"})
        # The encoder has seen the canonical form, and knows its hour.
        builder = DocumentBuilder(Events(), Index())
        encoder = BatchEncoder(builder)
        encoder.encode(
            TOPIC, 3, [Record(1, KAFKA_MS, orjson.dumps({"timestamp": CANONICAL, "level": "INFO"}))], KAFKA_MS
        )
        (payload,) = encoder.encode(TOPIC, 3, [Record(7, KAFKA_MS, value)], KAFKA_MS)
        (defined,) = builder.documents(value, Coordinates(TOPIC, 3, 7, KAFKA_MS), KAFKA_MS)
        assert orjson.loads(payload.body.splitlines()[1]) == orjson.loads(defined.source)
