"""Where a partition is read from, and what a commit says of it."""

import pytest
from hypothesis import given, strategies as st

from pipeline.kafka.commit_note import CommitNote, Gaps
from pipeline.kafka.placement import Found, Placement, Reason, place
from pipeline.kafka.positions import Positions
from pipeline.telemetry.metrics import Telemetry

NOTE = CommitNote("id", 0)


@pytest.mark.parametrize(
    ("position", "note", "topic_id", "start", "end", "expected"),
    [
        (None, CommitNote(), "id", 0, 9, Placement(0, CommitNote("id", 0), Reason.NEW)),
        (None, CommitNote(), "id", 5, 9, Placement(5, CommitNote("id", 5), Reason.NEW)),
        (7, NOTE, "id", 5, 9, Placement(7, NOTE, Reason.GOES_ON)),
        (9, NOTE, "id", 9, 9, Placement(9, NOTE, Reason.GOES_ON)),
        (7, NOTE, "other", 0, 9, Placement(0, CommitNote("other", 0), Reason.RECREATED)),
        (7, CommitNote(), "id", 0, 9, Placement(7, CommitNote("id"), Reason.GOES_ON)),
        (7, NOTE, None, 0, 9, Placement(7, NOTE, Reason.GOES_ON)),
        (12, NOTE, "id", 2, 9, Placement(12, NOTE, Reason.GOES_ON)),  # the leader may not know its end yet
        (
            10,
            NOTE,
            "id",
            50,
            90,
            Placement(50, NOTE._replace(expired=Gaps(40, ((10, 50),))), Reason.EXPIRED, 40),
        ),
    ],
)
def test_a_partition_is_read_from_where_it_was_left_or_else_from_its_beginning(
    position: int | None, note: CommitNote, topic_id: str | None, start: int, end: int, expected: Placement
) -> None:
    assert place(Found(position, note, topic_id, start, end)) == expected


def test_a_position_that_the_leader_refuses_is_read_again_from_the_beginning() -> None:
    assert place(Found(12, NOTE, "id", 2, 9, refused=True)) == Placement(2, NOTE, Reason.TRUNCATED)
    assert place(Found(8, NOTE, "id", 2, 9, refused=True)) == Placement(8, NOTE, Reason.GOES_ON)
    assert place(Found(0, NOTE, "id", 2, 9, refused=True)).reason is Reason.EXPIRED


def test_a_topic_without_an_id_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    positions = Positions(Telemetry())
    for topic in ("logs", "logs", "audit"):
        positions.topic_without_id(topic)
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [
        "Kafka gives no id of the topic logs",
        "Kafka gives no id of the topic audit",
    ]


ranges = st.lists(st.tuples(st.integers(0, 2**63 - 1), st.integers(1, 2**63 - 1)))


@given(st.none() | st.text(max_size=30), st.none() | st.integers(0, 2**63 - 1), ranges, ranges)
def test_a_note_is_read_as_it_was_written_and_fits_into_a_commit(
    topic_id: str | None,
    start: int | None,
    expired: list[tuple[int, int]],
    corrupt: list[tuple[int, int]],
) -> None:
    def gaps(sizes: list[tuple[int, int]]) -> Gaps:
        collected = Gaps()
        for begin, size in sizes:
            collected = collected.plus(begin, min(begin + size, 2**63))
        return collected._replace(offsets=min(collected.offsets, 2**63))

    note = CommitNote(topic_id, start, gaps(expired), gaps(corrupt))
    text = note.text()
    assert CommitNote.read(text) == note
    assert len(text.encode()) <= 4096
    brief = note.text(ranges=False)
    assert CommitNote.read(brief).expired.offsets == note.expired.offsets


@pytest.mark.parametrize(
    "text",
    [None, "", "of another program", "[]", "3", '{"topic_id":3,"start":"x","expired":[]}', '{"expired":{}}'],
)
def test_metadata_of_others_says_nothing(text: str | None) -> None:
    assert CommitNote.read(text) == CommitNote()


def test_gaps_that_touch_are_one_and_the_last_twenty_are_named() -> None:
    gaps = Gaps().plus(0, 5).plus(5, 8)
    assert gaps == Gaps(8, ((0, 8),))
    for number in range(30):
        gaps = gaps.plus(100 * number + 100, 100 * number + 101)
    assert gaps.offsets == 38
    assert len(gaps.ranges) == 20
    assert gaps.ranges[-1] == (3000, 3001)
