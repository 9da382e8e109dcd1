"""What loggers and shippers really send becomes what it should, on both ways."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from pipeline.encode.fast_path import BatchEncoder
from pipeline.events.document import Coordinates, DocumentBuilder
from pipeline.settings import Events, Index
from tests.events.both_paths import Record, transform_all
from tests.events.formats.cases import CASES, Case, differences

BUILDER = DocumentBuilder(Events(), Index())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_record_becomes_what_it_should(case: Case) -> None:
    documents = [
        indexed.document
        for indexed in transform_all(case.value, at_ms=case.timestamp_ms, now_ms=case.timestamp_ms)
    ]
    if not documents and case.expected == [{"no_garbage": True}]:
        return  # a dead letter
    assert len(documents) == len(case.expected)
    wrong = [
        differences(expected, document) for expected, document in zip(case.expected, documents, strict=True)
    ]
    assert wrong == [[]] * len(documents)


@pytest.mark.parametrize("case", [case for case in CASES if case.format], ids=lambda case: case.name)
def test_a_record_is_recognised(case: Case) -> None:
    events = BUILDER.reader.read(case.value, BUILDER.window(case.timestamp_ms, case.timestamp_ms))
    assert {event.format for event in events} == {case.format}


def test_there_are_three_samples_of_each_format() -> None:
    """One may be among the first, unnamed; two are named."""
    named: dict[str, int] = {}
    for case in CASES:
        for name in (case.format or "").split(">"):
            named[name] = named.get(name, 0) + 1
    once = {name for name in BUILDER.formats.by_name if named.get(name, 0) < 1}
    assert once == {"aws_lambda_platform"}


# --- anything that looks like one of them ---------------------------------------------------------------


def _decoded(case: Case) -> Any:
    try:
        return orjson.loads(case.value)
    except orjson.JSONDecodeError:
        return None


OBJECTS = [decoded for case in CASES if isinstance(decoded := _decoded(case), dict)]
NAMES = sorted({name for event in OBJECTS for name in event} | set(BUILDER.formats.triggers))
VALUES = [value for event in OBJECTS for value in event.values()]
# orjson writes no integer beyond 64 bits: `encoded` puts one in its place.
BEYOND_64_BITS = 77.125
values: st.SearchStrategy[Any] = st.sampled_from(VALUES) | st.sampled_from(
    [
        None,
        "",
        0,
        3,
        12.5,
        BEYOND_64_BITS,
        {"n": [BEYOND_64_BITS]},
        True,
        [],
        {},
        "error",
        " X ",
        "2026-11-23T10:15:30Z",
        1795428930123,
        "0",
        {"level": 3},
    ]
)


def encoded(event: dict[str, Any]) -> bytes:
    return orjson.dumps(event).replace(b"77.125", b"18446744073709551617")


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """Take a sample, leave names out, put others in, change values; now and then as a payload of another."""
    event = dict(draw(st.sampled_from(OBJECTS)))
    for name in draw(st.lists(st.sampled_from(list(event)), max_size=2)):
        event.pop(name, None)
    event |= draw(st.dictionaries(st.sampled_from(NAMES), values, max_size=3))
    for name in draw(st.lists(st.sampled_from(list(event) or ["a"]), max_size=2)):
        event[name] = draw(values)
    if draw(st.integers(0, 3)) == 0:
        payload = orjson.dumps(event).decode()
        event = {
            **draw(st.sampled_from(OBJECTS)),
            draw(st.sampled_from(["message", "log", "payload", "MESSAGE"])): payload,
        }
    return encoded(event)


@given(mutations())
@hypothesis_settings(max_examples=6 * hypothesis_settings().max_examples)
def test_both_ways_read_whatever_looks_like_a_format(value: bytes) -> None:
    documents = transform_all(value, at_ms=CASES[0].timestamp_ms, now_ms=CASES[0].timestamp_ms)
    assert documents


@st.composite
def batches(draw: st.DrawFn) -> list[bytes]:
    """Take a sample several times, with other values at times: events of one shape that are not alike; two formats."""
    made: list[bytes] = []
    for sample in draw(st.lists(st.sampled_from(OBJECTS), min_size=1, max_size=2)):
        for _ in range(draw(st.integers(4, 7))):
            event = dict(sample)
            for name in draw(st.lists(st.sampled_from(list(event)), max_size=2)):
                event[name] = draw(values)
            if draw(st.booleans()):
                event = {"log": orjson.dumps(event).decode(), "stream": "stdout", "time": event.get("time")}
            made.append(encoded(event))
    return made


@given(batches())
@hypothesis_settings(max_examples=300)
def test_what_is_read_together_is_what_is_read_alone(made: list[bytes]) -> None:
    at_ms = CASES[0].timestamp_ms
    (payload,) = BatchEncoder(BUILDER).encode(
        "logs", 0, [Record(offset, at_ms, value) for offset, value in enumerate(made)], at_ms
    )
    defined = [
        orjson.loads(document.source)
        for offset, value in enumerate(made)
        for document in BUILDER.documents(value, Coordinates("logs", 0, offset, at_ms), at_ms)
    ]
    assert [orjson.loads(line) for line in payload.body.splitlines()[1::2]] == defined


@given(st.data(), st.sampled_from([case.value for case in CASES]))
@hypothesis_settings(max_examples=3 * hypothesis_settings().max_examples)
def test_both_ways_read_damaged_samples(data: st.DataObject, value: bytes) -> None:
    at = data.draw(st.integers(0, len(value)))
    cut = data.draw(st.integers(0, 3))
    more = data.draw(st.binary(max_size=3))
    transform_all(
        value[:at] + more + value[at + cut :], at_ms=CASES[0].timestamp_ms, now_ms=CASES[0].timestamp_ms
    )


def test_the_same_record_gives_the_same_bytes_again() -> None:
    for case in CASES:
        place = Coordinates("logs", 0, 1, case.timestamp_ms)
        again = DocumentBuilder(Events(), Index()).documents(case.value, place, case.timestamp_ms)
        assert BUILDER.documents(case.value, place, case.timestamp_ms) == again
