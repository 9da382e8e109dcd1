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


def rows(buckets: list[Bucket]) -> list[list[Any]]:
    return [row for bucket in buckets for row in orjson.loads(bucket.value)]


def expected(values: list[bytes]) -> list[list[Any]]:
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
                    [
                        "logs/3",
                        mark_of(offset, number),
                        fields["@timestamp"],
                        [fields.get(name) for name in FIELDS],
                        *([] if fingerprint is None else [fingerprint]),
                    ]
                )
    return found


def test_every_event_with_a_trace_is_emitted_once_as_it_is_indexed() -> None:
    values = [event.value for event in sample_events(3000, seed=5, end_ms=END_MS, span_seconds=3000)]
    assert sorted(rows(emitted(values)), key=lambda row: row[1]) == expected(values)


def test_a_bucket_holds_a_trace_wholly_and_a_partitions_events_in_their_order() -> None:
    values = [event.value for event in sample_events(3000, seed=5, end_ms=END_MS, span_seconds=3000)]
    homes: dict[str, int] = {}
    marks: dict[int, list[int]] = {}
    for bucket in emitted(values):
        assert bucket.events <= 500
        assert len(bucket.value) <= 64_000
        for row in orjson.loads(bucket.value):
            assert homes.setdefault(row[3][0], bucket.partition) == bucket.partition
            marks.setdefault(bucket.partition, []).append(row[1])
    assert len(marks) == 4
    assert all(before < after for some in marks.values() for before, after in pairwise(some))


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
    assert [row[3][0] for row in rows(emitted([orjson.dumps(event)]))] == ["4711"]


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
    assert row[2] == "2024-01-15T10:30:00.000Z"


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
