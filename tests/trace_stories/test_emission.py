"""Trace events as the hot path collects them: the same rows that the documents hold, in the order of the offsets."""

from itertools import pairwise
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import given, strategies as st

from pipeline.encode.fast_path import BatchEncoder
from pipeline.events.document import Coordinates, DocumentBuilder
from pipeline.sample import sample_events
from pipeline.settings import Events, Index
from pipeline.trace_stories.emission import FIELDS, Bucket, TraceEvents, is_useful, mark_of
from pipeline.trace_stories.lines import lines_of, read_lines, rows_with_sources

END_MS = 1_705_314_600_000


class Record(NamedTuple):
    offset: int
    timestamp: int
    value: bytes


def emitted(values: list[bytes], partitions: int = 4) -> list[Bucket]:
    encoder = BatchEncoder(DocumentBuilder(Events(), Index()))
    encoder.trace_events = TraceEvents(partitions)
    records = [Record(offset, END_MS, value) for offset, value in enumerate(values)]
    encoder.encode("logs", 3, records, END_MS)
    return list(encoder.trace_events.take())


class Row(NamedTuple):
    trace_id: str
    source: str
    mark: int
    fields: list[Any]


def rows(buckets: list[Bucket]) -> list[Row]:
    found = []
    for bucket in buckets:
        lines, bad = lines_of(bucket.value)
        assert not bad
        assert sum(line.events for line in lines) == bucket.events
        read, bad = read_lines([line.line for line in lines])
        assert not bad
        found += [
            Row(line[0], source, row[0], list(row[1:]))
            for line in read
            for source, row in rows_with_sources(line)
        ]
    return found


def expected(values: list[bytes]) -> list[Row]:
    builder = DocumentBuilder(Events(), Index())
    found = []
    for offset, value in enumerate(values):
        for number, document in enumerate(
            builder.documents(value, Coordinates("logs", 3, offset, END_MS), END_MS)
        ):
            fields = document.fields
            if is_useful(fields.get("trace_id")):
                fingerprint = fields.get("error.fingerprint")
                found.append(
                    Row(
                        fields["trace_id"],
                        "logs/3",
                        mark_of(offset, number),
                        [
                            fields["@timestamp"],
                            *[fields.get(name) for name in FIELDS],
                            *([] if fingerprint is None else [fingerprint]),
                        ],
                    )
                )
    return found


def test_every_event_with_a_trace_is_emitted_once_as_it_is_indexed() -> None:
    values = [event.value for event in sample_events(3000, seed=5, end_ms=END_MS, span_seconds=3000)]
    assert sorted(rows(emitted(values)), key=lambda row: row.mark) == expected(values)


def test_a_bucket_holds_a_trace_wholly_and_a_traces_events_in_their_order() -> None:
    values = [event.value for event in sample_events(3000, seed=5, end_ms=END_MS, span_seconds=3000)]
    homes: dict[str, int] = {}
    marks: dict[str, list[int]] = {}
    for bucket in emitted(values):
        assert bucket.events <= 500
        assert len(bucket.value) <= 64_000
        for row in rows([bucket]):
            assert homes.setdefault(row.trace_id, bucket.partition) == bucket.partition
            marks.setdefault(row.trace_id, []).append(row.mark)
    assert set(homes.values()) == {0, 1, 2, 3}
    assert all(before < after for some in marks.values() for before, after in pairwise(some))


def test_events_of_a_trace_from_several_partitions_are_one_line_that_says_where_each_is_kept() -> None:
    encoder = BatchEncoder(DocumentBuilder(Events(), Index()))
    encoder.trace_events = TraceEvents(4)
    event = {"timestamp": "2024-01-15T10:29:00.000Z", "message": "m", "trace_id": "abc"}
    for partition, offset in ((3, 0), (1, 0), (3, 1)):
        encoder.encode("logs", partition, [Record(offset, END_MS, orjson.dumps(event))], END_MS)
    (bucket,) = encoder.trace_events.take()
    assert len(bucket.value.splitlines()) == 1
    assert [(row.source, row.mark) for row in rows([bucket])] == [
        ("logs/3", mark_of(0)),
        ("logs/1", mark_of(0)),
        ("logs/3", mark_of(1)),
    ]


def test_a_trace_of_more_events_than_a_record_holds_is_in_several() -> None:
    event = {"timestamp": "2024-01-15T10:29:00.000Z", "message": "m" * 150, "trace_id": "abc"}
    buckets = emitted([orjson.dumps(event)] * 1200)
    assert all(bucket.events <= 500 and len(bucket.value) <= 64_000 for bucket in buckets)
    assert [row.mark for row in rows(buckets)] == [mark_of(offset) for offset in range(1200)]


def test_an_otlp_record_of_several_events_emits_a_row_for_each() -> None:
    logged = [
        {
            "timeUnixNano": "1705314540000000000",
            "severityText": level,
            "body": {"stringValue": message},
            "traceId": trace_id,
        }
        for level, message, trace_id in (
            ("INFO", "a", "4bf92f3577b34da6a3ce929d0e0e4736"),
            ("ERROR", "b", "4bf92f3577b34da6a3ce929d0e0e4736"),
            ("INFO", "c", "0af7651916cd43dd8448eb211c80319c"),
        )
    ]
    service = {"attributes": [{"key": "service.name", "value": {"stringValue": "api"}}]}
    record = {"resourceLogs": [{"resource": service, "scopeLogs": [{"logRecords": logged}]}]}
    values = [orjson.dumps(record)] * 2
    found = rows(emitted(values))
    assert sorted(found, key=lambda row: row.mark) == expected(values)
    assert [(row.mark, row.fields[1], row.fields[4]) for row in found] == [
        (mark_of(offset, element), "api", message)
        for some in ((0, 1), (2,))
        for offset in (0, 1)
        for element, message in enumerate("abc")
        if element in some
    ]


@pytest.mark.parametrize(
    "trace_id",
    ["0", "-", "null", "", "  ", "00000000000000000000000000000000", "00000000-0000-0000-0000-000000000000", "None",
     "x" * 129, None, 0, True, 1.5, ["a"], {"a": 1}],
)  # fmt: skip
def test_an_id_that_names_no_trace_is_none(trace_id: Any) -> None:
    event = {"timestamp": "2024-01-15T10:29:00.000Z", "message": "m", "trace_id": trace_id}
    assert emitted([orjson.dumps(event)] * 3) == []


def test_a_number_is_an_id_as_the_text_that_elasticsearch_finds_it_by() -> None:
    event = {"timestamp": "2024-01-15T10:29:00.000Z", "message": "m", "trace_id": 4711}
    assert [row.trace_id for row in rows(emitted([orjson.dumps(event)]))] == ["4711"]


_JSON = st.recursive(
    st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"trace_id": st.sampled_from(["abc", "DEF", "-"])},
            optional=dict.fromkeys(
                ("service", "component", "level", "message", "user_id", "integration_id"), _JSON
            ),
        ),
        max_size=20,
    )
)
def test_any_fields_are_emitted_in_bounds(events: list[dict[str, Any]]) -> None:
    values = [orjson.dumps({"timestamp": "2024-01-15T10:29:00.000Z", **event}) for event in events]
    found = rows(emitted(values)) if values else []
    assert len(found) == sum(event["trace_id"] != "-" for event in events)


def test_an_event_of_another_day_than_its_index_is_told_at_its_records_time() -> None:
    event = {"timestamp": "1999-01-15T10:29:00.000Z", "message": "m", "trace_id": "abc"}
    (row,) = rows(emitted([orjson.dumps(event)]))
    assert row.fields[0] == "2024-01-15T10:30:00.000Z"


def test_huge_texts_are_cut() -> None:
    event = {
        "timestamp": "2024-01-15T10:29:00.000Z",
        "message": "m" * 100_000,
        "user_id": "u" * 200_000,
        "trace_id": "abc",
    }
    buckets = emitted([orjson.dumps(event)] * 3)
    assert all(len(bucket.value) < 64_000 for bucket in buckets)
    assert len(rows(buckets)) == 3
