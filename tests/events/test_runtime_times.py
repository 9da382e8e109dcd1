"""Times as runtimes write them, and times that mean none."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from pipeline.events.runtime_times import is_no_time, read_time

MOMENT = "2026-11-28T11:59:58.250Z"
SECOND = "2026-11-28T11:59:58.000Z"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("2026-11-28T12:59:58.250+01:00[Europe/Berlin]", MOMENT),
        ("2026-11-28T11:59:58.250Z[UTC][u-ca=gregory]", MOMENT),
        ("2026-11-28 11:59:58.25 +0000 UTC m=+0.001", MOMENT),
        ("2026-11-28 12:59:58.25 +0100 CET", MOMENT),
        ("Sat, 28 Nov 2026 11:59:58 GMT", SECOND),
        ("28 Nov 2026 06:59:58 EST", SECOND),
        ("Sat, 28 Nov 2026 12:59:58 +0100", SECOND),
        ("28/Nov/2026:12:59:58 +0100", SECOND),
        ("[28/Nov/2026:11:59:58 +0000]", SECOND),
        ("Sat Nov 28 11:59:58 2026", SECOND),
        ("Sat Nov 28 12:59:58 CET 2026", SECOND),
        ("2026-11-28 12:59:58,250 CET", MOMENT),
        ("2026-11-28 06:59:58 EST", SECOND),
        ([2026, 11, 28, 11, 59, 58, 250_000_000], MOMENT),
        ([2026, 11, 28, 11, 59], "2026-11-28T11:59:00.000Z"),
        ({"$date": "2026-11-28T11:59:58.250Z"}, MOMENT),
        ({"$date": {"$numberLong": "1795867198250"}}, MOMENT),
        ({"$date": 1795867198250}, MOMENT),
        ("/Date(1795867198250)/", MOMENT),
        ("\\/Date(1795867198250+0100)\\/", MOMENT),
        ("1.79586719825E9", MOMENT),
        ({"epochSecond": 1795867198, "nanoOfSecond": 250_000_000}, MOMENT),
        ({"seconds": 1795867198, "nanos": 250_000_000}, MOMENT),
    ],
)
def test_it_is_read(value: Any, text: str) -> None:
    time = read_time(value)
    assert time is not None
    assert time.text == text


@pytest.mark.parametrize(
    "value",
    ["2026-11-28 11:59:58 IST", "2026-11-28 11:59:58 CST", [2026, 13, 1], [2026], [1, 2, 3], [True, 1, 1],
     {"$date": "x"}, {"$date": 1, "a": 2}, "/Date(x)/", "Sat, 31 Feb 2026 11:59:58 GMT", "1e999", {}, [], True, None],
)  # fmt: skip
def test_it_is_no_time(value: Any) -> None:
    assert read_time(value) is None


def test_a_list_is_in_the_zone_of_times_without_one() -> None:
    time = read_time([2026, 11, 28, 12, 59, 58], ZoneInfo("Europe/Berlin"))
    assert time is not None
    assert time.text == SECOND


@pytest.mark.parametrize(
    ("value", "none"),
    [
        ("0001-01-01T00:00:00Z", True),
        ("0001-01-02T00:00:00Z", False),
        (0, True),
        ("1970-01-01T00:00:00.999Z", True),
        (1, False),
        ("1601-01-01T00:00:00Z", True),
        ("20261128115958", True),
        (20261128115958250, True),
        ("1795867198250", False),
        ("20261399115958", False),
    ],
)
def test_times_that_mean_none(value: Any, none: bool) -> None:
    time = read_time(value)
    assert time is not None
    assert is_no_time(value, time) is none


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["$date", "$numberLong", "seconds", "nanos"]), inner)
    ),
    max_leaves=5,
)


@given(values | st.text(alphabet="0123456789-:+/ ,.TZGMNovSat[]()eE", max_size=40))
def test_nothing_makes_it_raise(value: Any) -> None:
    time = read_time(value)
    assert time is None or time.text.endswith("Z")
