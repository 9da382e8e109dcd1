"""Which document is whose counterpart, and that every document is counted exactly once."""

import random
from typing import Any

import pytest
from hypothesis import given, strategies as st

from pipeline.shadow.keys import Coordinates, coordinates_of
from tests.shadow.documents import DOCUMENTS, TOPIC, compare

EVENTS = st.lists(DOCUMENTS, min_size=1, max_size=8)


def located(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give each document the coordinates of its record."""
    return [
        {**document, "kafka": {"topic": TOPIC, "partition": 0, "offset": number}}
        for number, document in enumerate(documents)
    ]


@given(EVENTS, st.randoms())
def test_documents_with_coordinates_are_found_in_any_order(
    documents: list[dict[str, Any]], order: random.Random
) -> None:
    theirs = located(documents)
    order.shuffle(theirs)
    parity = compare(
        [(number, [document]) for number, document in enumerate(documents)], theirs, ignored=("kafka",)
    )
    assert parity.is_equal
    assert (parity.equal, parity.only_here, parity.only_there) == (len(documents), 0, 0)
    assert parity.found_by == {"coordinates": len(documents)}


@given(EVENTS, st.randoms())
def test_documents_without_coordinates_are_found_by_their_content(
    documents: list[dict[str, Any]], order: random.Random
) -> None:
    ours = [{**document, "number": number} for number, document in enumerate(documents)]
    theirs = [{**document, "@version": "1"} for document in ours]
    order.shuffle(theirs)
    parity = compare(
        [(number, [document]) for number, document in enumerate(ours)], theirs, ignored=("@version",)
    )
    assert (parity.equal, parity.different) == (len(documents), 0)


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.lists(DOCUMENTS, max_size=3)),
        max_size=6,
        unique_by=lambda one: one[0],
    ),
    st.lists(DOCUMENTS, max_size=8),
    st.frozensets(st.integers(0, 5)),
)
def test_every_document_is_counted_once(
    ours: list[tuple[int, list[dict[str, Any]]]], theirs: list[dict[str, Any]], pending: frozenset[int]
) -> None:
    parity = compare(ours, theirs, pending=pending)
    assert parity.here == sum(len(documents) for _offset, documents in ours)
    assert parity.there == len(theirs)
    assert parity.equal + parity.different + parity.only_here + parity.pending == parity.here
    assert parity.equal + parity.different + parity.only_there + parity.outside == parity.there
    assert parity.found_by.total() == parity.compared
    assert all(report.documents <= parity.different for report in parity.fields.values())
    if not pending:
        assert parity.pending == 0


@given(EVENTS, st.data())
def test_what_is_lost_or_doubled_there_is_found(documents: list[dict[str, Any]], data: st.DataObject) -> None:
    theirs = located(documents)
    lost = data.draw(st.integers(0, len(theirs) - 1))
    doubled = data.draw(st.integers(0, len(theirs) - 1))
    ours = [(number, [document]) for number, document in enumerate(documents)]
    parity = compare(ours, [*theirs[:lost], *theirs[lost + 1 :]], ignored=("kafka",))
    assert (parity.only_here, parity.only_there) == (1, 0)
    assert [pair.record for pair in parity.samples_here] == [f"{TOPIC}/0@{lost}"]
    parity = compare(ours, [*theirs, theirs[doubled]], ignored=("kafka",))
    assert (parity.only_here, parity.only_there) == (0, 1)
    assert not parity.is_equal


def test_a_field_that_differs_is_named_with_its_record() -> None:
    ours = [(0, [{"level": "WARN", "n": 1}]), (1, [{"level": "INFO", "n": 2}])]
    theirs = located([{"level": "warn", "n": 1}, {"level": "INFO", "n": 2}])
    parity = compare(ours, theirs, ignored=("kafka",))
    assert (parity.equal, parity.different) == (1, 1)
    (sample,) = parity.fields["level"].samples
    assert (sample.record, sample.difference.here, sample.difference.there) == (
        f"{TOPIC}/0@0",
        "WARN",
        "warn",
    )


def test_the_records_text_finds_a_document_that_is_quite_another() -> None:
    value = b'{"level":"info","m":"x"}'
    theirs = [{"severity": "info", "event": {"original": value.decode()}}]
    parity = compare([(7, [{"level": "INFO"}])], theirs, values={7: value}, ignored=("event.original",))
    assert parity.found_by == {"original": 1}
    assert set(parity.fields) == {"level", "severity"}


def test_a_message_is_not_given_away_before_the_surer_matches_are_made() -> None:
    ours = [(0, [{"message": "beat", "n": 9}]), (1, [{"message": "beat", "n": 1}])]
    parity = compare(ours, [{"message": "beat", "n": 1}, {"message": "beat", "n": 2}])
    assert parity.found_by == {"content_and_time": 1, "message_and_time": 1}
    assert (parity.equal, parity.different) == (1, 1)


def test_a_lost_document_takes_nothing_from_records_with_the_same_content() -> None:
    values = {number: b'{"n":%d}' % number for number in range(3)}
    ours = [(number, [{"message": "beat"}]) for number in range(3)]
    theirs = [{"message": "beat", "event": {"original": values[number].decode()}} for number in (1, 2)]
    parity = compare(ours, theirs, values=values, ignored=("event.original",))
    assert (parity.equal, parity.only_here) == (2, 1)
    assert [pair.record for pair in parity.samples_here] == [f"{TOPIC}/0@0"]


def test_the_same_content_at_other_times_is_told_apart() -> None:
    times = [f"2024-01-15T10:30:0{number}.000Z" for number in range(5)]
    ours = [(number, [{"message": "beat", "@timestamp": time}]) for number, time in enumerate(times)]
    theirs = [{"message": "beat", "@timestamp": time} for time in reversed(times[1:])]
    parity = compare(ours, theirs)
    assert (parity.equal, parity.different, parity.only_here) == (4, 0, 1)


def test_several_documents_of_one_record_find_the_nearest() -> None:
    ours = [(0, [{"n": 1, "x": "a"}, {"n": 2, "x": "b"}, {"n": 3, "x": "c"}])]
    place = {"kafka": {"topic": TOPIC, "partition": 0, "offset": 0}}
    theirs = [{"n": 3, "x": "c", **place}, {"n": 2, "x": "other", **place}, {"n": 1, "x": "a", **place}]
    parity = compare(ours, theirs, ignored=("kafka",))
    assert (parity.equal, parity.different) == (2, 1)
    assert set(parity.fields) == {"x"}


def test_a_comparison_of_nothing_is_no_proof() -> None:
    assert not compare([], []).is_equal
    assert not compare([(0, [])], []).is_equal


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"kafka": {"topic": TOPIC, "partition": 2, "offset": 7}}, Coordinates(TOPIC, 2, 7)),
        ({"meta": {"kafka": {"partition": "2", "offset": "7"}}}, Coordinates(None, 2, 7)),
        ({"kafka_topic": TOPIC, "kafka_partition": "2", "kafka_offset": "7"}, Coordinates(TOPIC, 2, 7)),
        ({"kafka.partition": 2, "kafka.offset": 7, "kafka.topic": "other"}, Coordinates("other", 2, 7)),
        ({"record": {"topic": TOPIC, "partition": 2, "offset": 7}}, Coordinates(TOPIC, 2, 7)),
        ({"topic": TOPIC, "partition": 2, "offset": 7}, Coordinates(TOPIC, 2, 7)),
        ({"topic": "orders", "partition": 2, "offset": 7}, None),
        ({"disk": {"partition": 2, "offset": 7}}, None),
        ({"kafka": {"partition": True, "offset": 7}}, None),
        ({"kafka": {"partition": 2}}, None),
        ({"kafka": "text"}, None),
    ],
)
def test_coordinates_are_found_where_configurations_put_them(
    document: dict[str, Any], found: Coordinates | None
) -> None:
    assert coordinates_of(document, {TOPIC}) == found
