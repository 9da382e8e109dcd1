"""What is wrong is told when it begins, seldom while it lasts, and when it is over."""

import itertools
from collections import defaultdict
from typing import NamedTuple

import pytest
from hypothesis import given, strategies as st

from pipeline.telemetry.troubles import LOST, Line, OngoingTroubles, Trouble

WALL = 1_705_314_600  # 2024-01-15T10:30:00Z
AWAY = Trouble(
    key="elasticsearch",
    what="Elasticsearch at http://es:9200 does not answer",
    over="Elasticsearch at http://es:9200 takes documents again",
    why="Connection refused",
    means="Documents wait in memory",
    waits="12 MiB wait",
    next_try="Each request is sent again",
    counted="documents were sent again",
)
INDEX = Trouble(key="index old", what="index old takes none", over="index old is done", part_of=AWAY.key)


class Played(NamedTuple):
    second: int
    line: Line


def play(
    wrong: list[set[Trouble]], counts: dict[str, int] | None = None, *, end: bool = False
) -> list[Played]:
    """Play seconds, with what is wrong in each; gives the lines with the seconds in which they were due."""
    counted = {} if counts is None else counts
    ongoing = OngoingTroubles(lambda: counted)
    told = []
    for second, troubles in enumerate(wrong):
        due = ongoing.due(float(second), WALL + second, sorted(troubles))
        told += [Played(second, line) for line in due]
    if end:
        told += [Played(len(wrong), line) for line in ongoing.end(float(len(wrong)), wrong[-1])]
    return told


def states(told: list[Played]) -> list[tuple[int, str]]:
    return [(second, line.context["state"]) for second, line in told]


def test_the_lines_say_what_since_when_why_what_waits_and_what_comes_next() -> None:
    begins, lasts, over = play([{AWAY}] * 70 + [set()] * 20)
    assert begins.line.text == (
        "Elasticsearch at http://es:9200 does not answer, since 2024-01-15T10:30:00Z: Connection refused. "
        "Documents wait in memory. 12 MiB wait. Each request is sent again."
    )
    assert lasts.line.text == (
        "Elasticsearch at http://es:9200 does not answer, for 1 min 5 s now: Connection refused. "
        "12 MiB wait. Each request is sent again."
    )
    assert over.line.text == (
        "Elasticsearch at http://es:9200 takes documents again, after 1 min 9 s. Nothing was lost."
    )
    assert over.line.context == {
        "trouble": "elasticsearch",
        "state": "over",
        "seconds": 69.0,
        "tried_again": 0,
        "lost": 0,
    }


def test_the_end_says_what_was_tried_again_and_what_was_lost() -> None:
    counts = {"documents were sent again": 5, LOST: 2}
    ongoing = OngoingTroubles(lambda: counts)
    for second in range(20):
        ongoing.due(second, WALL, [AWAY])
    counts.update({"documents were sent again": 1505, LOST: 5})
    (over,) = ongoing.due(40, WALL, [])
    assert over.text.endswith("after 19 s. 1,500 documents were sent again. 3 records were lost.")
    assert over.context["lost"] == 3


def test_what_passes_soon_is_not_told() -> None:
    assert play([{AWAY}] * 4 + [set()] * 100) == []


def test_sixteen_minutes_are_few_lines() -> None:
    told = play([{AWAY}] * 960 + [set()] * 60)
    assert states(told) == [
        (5, "begins"),
        *((5 + 60 * minute, "lasts") for minute in range(1, 6)),
        (605, "lasts"),
        (905, "lasts"),
        (969, "over"),
    ]


def test_a_week_of_coming_and_going_is_two_lines_a_minute_at_most() -> None:
    told = play(([{AWAY}] * 8 + [set()] * 12) * 3 * 60)
    assert len(told) <= 2 * 60


def test_what_comes_back_soon_was_not_over() -> None:
    wrong = ([{AWAY}] * 2 + [set()] * 8) * 3 + [set()] * 20
    assert states(play(wrong)) == [(10, "begins"), (31, "over")]


def test_of_what_another_trouble_explains_nothing_is_told() -> None:
    told = play([{AWAY, INDEX}] * 30 + [{INDEX}] * 20)
    assert [(second, line.context["trouble"]) for second, line in told] == [
        (5, "elasticsearch"),
        (39, "elasticsearch"),
        (39, "index old"),
    ]


def test_what_another_trouble_hides_is_over_no_earlier_than_that() -> None:
    """Some requests are not answered, then none is: that others are answered again would be untrue."""
    told = play([{INDEX}] * 10 + [{AWAY}] * 60 + [set()] * 20)
    assert [(second, line.context["trouble"], line.context["state"]) for second, line in told] == [
        (5, "index old", "begins"),
        (15, "elasticsearch", "begins"),
        (79, "elasticsearch", "over"),
        (80, "index old", "over"),
    ]
    assert told[-1].line.context["seconds"] == 9


def test_what_was_lost_before_it_was_seen_is_part_of_what_was_lost() -> None:
    counts = {LOST: 7}
    ongoing = OngoingTroubles(lambda: counts)
    ongoing.due(0, WALL, [AWAY._replace(grace_seconds=0, lost_before=5)])
    counts[LOST] = 8
    (over,) = ongoing.due(40, WALL, [])
    assert over.text.endswith("6 records were lost.")


def test_a_process_that_ends_tells_what_has_passed_and_not_what_has_not() -> None:
    assert states(play([{AWAY}] * 10 + [set()], end=True)) == [(5, "begins"), (11, "over")]
    assert states(play([{AWAY}] * 10, end=True)) == [(5, "begins")]


KEYS = [
    AWAY,
    INDEX,
    AWAY._replace(key="kafka", grace_seconds=0),
    AWAY._replace(key="slow", grace_seconds=30),
]


@st.composite
def histories(draw: st.DrawFn) -> list[set[Trouble]]:
    """Stretches of seconds in each of which the same is wrong."""
    stretches = draw(
        st.lists(st.tuples(st.sets(st.sampled_from(KEYS)), st.integers(1, 150)), min_size=1, max_size=12)
    )
    return [wrong for wrong, seconds in stretches for _ in range(seconds)]


@given(histories())
def test_any_history_is_told_in_pairs_and_seldom(wrong: list[set[Trouble]]) -> None:
    told = play(wrong + [set()] * 21)
    by_key = defaultdict(list)
    for second, line in told:
        by_key[line.context["trouble"]].append((second, line.context["state"]))
    for lines in by_key.values():
        order = "".join({"begins": "b", "lasts": "l", "over": "o"}[state] for _, state in lines)
        # What begins is over once, and is neither before.
        assert all(each.startswith("b") and each.count("b") == 1 for each in order.split("o")[:-1])
        assert order.endswith("o")
        spoken = [second for second, state in lines if state != "over"]
        assert all(later - earlier >= 60 for earlier, later in itertools.pairwise(spoken))
    for second, line in told:
        if line.context["state"] != "over":
            # Only of what is wrong at that moment.
            assert line.context["trouble"] in {each.key for each in wrong[second]}


@given(st.integers(0, 300), st.integers(66, 400))
@pytest.mark.parametrize("trouble", KEYS, ids=lambda trouble: trouble.key)
def test_whatever_lasts_for_more_than_a_minute_is_told(trouble: Trouble, before: int, lasts: int) -> None:
    told = play([set[Trouble]()] * before + [{trouble}] * lasts + [set()] * 11)
    assert states(told)[0] == (before + trouble.grace_seconds, "begins")
    assert states(told)[-1][1] == "over"
    assert told[-1].line.context["seconds"] == lasts - 1
