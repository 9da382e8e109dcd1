"""A story is the same in whichever order, parts and repetitions its events come."""

import random
from typing import Any

import orjson
from hypothesis import given, strategies as st

from pipeline.settings import Traces
from pipeline.trace_stories.flows import chosen_flows
from pipeline.trace_stories.fold import Story
from pipeline.trace_stories.shapes import Shapes
from pipeline.trace_stories.summary import summarise
from tests.trace_stories.rows import line

SHAPES = Shapes(chosen_flows(Traces()))
MANY = 1000

_LINES = st.lists(
    st.builds(
        line,
        st.integers(0, 40),
        st.integers(0, 5000),
        source=st.sampled_from(["logs/0", "logs/1", "other/0"]),
        component=st.sampled_from(["http_server", "auth_middleware", "database", "claude_client"]),
        level=st.sampled_from(["INFO", "ERROR"]),
        message=st.sampled_from(["Request received", "Request completed", "Integration requested", "?"]),
    ),
    min_size=1,
    max_size=30,
    unique_by=lambda each: (each[1], each[3][0]),
)


def told(story: Story) -> dict[str, Any]:
    return summarise("t", story, SHAPES, closed=True)


def stored(story: Story) -> Story:
    return Story.load(orjson.loads(orjson.dumps(story.dump("t"))))


@given(lines=_LINES, seed=st.integers(), parts=st.integers(1, 5))
def test_any_order_parts_and_repetitions_give_what_all_events_at_once_give(
    lines: list[list[Any]], seed: int, parts: int
) -> None:
    at_once = Story()
    assert at_once.add(lines, MANY) == len(lines)
    chance = random.Random(seed)
    shuffled = [*lines, *chance.choices(lines, k=len(lines))]
    chance.shuffle(shuffled)
    story = Story()
    for number in range(parts):
        # Each part is added to what has been stored of those before.
        story = stored(story)
        story.add(shuffled[number::parts], MANY)
    assert story.dump("t") == at_once.dump("t")
    assert told(story) == told(at_once)


@given(lines=_LINES)
def test_what_has_been_added_is_not_new_again(lines: list[list[Any]]) -> None:
    story = Story()
    story.add(lines, MANY)
    before = story.dump("t")
    assert story.add(lines, MANY) == 0
    assert story.dump("t") == before


@given(
    sources=st.lists(st.integers(0, 30), min_size=1, max_size=3),
    room=st.integers(1, 20),
    data=st.data(),
)
def test_counts_are_exact_beyond_the_room_however_often_a_source_is_read_again(
    sources: list[int], room: int, data: st.DataObject
) -> None:
    streams = [
        [
            line(mark, mark, source=f"logs/{number}", level="ERROR" if mark % 3 == 0 else "INFO")
            for mark in range(size)
        ]
        for number, size in enumerate(sources)
    ]
    story = Story()
    positions = [0] * len(streams)
    # Each source is read in its order, from time to time again from somewhere earlier, and at last to its end.
    for _ in range(data.draw(st.integers(0, 15))):
        which = data.draw(st.integers(0, len(streams) - 1))
        begin = data.draw(st.integers(0, positions[which]))
        end = data.draw(st.integers(begin, len(streams[which])))
        story = stored(story)
        story.add(streams[which][begin:end], room)
        positions[which] = max(positions[which], end)
    for which, stream in enumerate(streams):
        story.add(stream[positions[which] :], room)
    every = [each for stream in streams for each in stream]
    assert story.event_count == len(every)
    assert not every or told(story)["error_count"] == sum(each[3][4] == "ERROR" for each in every)
    assert len(story.rows) <= room
    assert story.cut == (len(every) > room)


def test_a_cut_story_still_tells_its_whole_duration() -> None:
    story = Story()
    story.add([line(mark, mark * 10) for mark in range(100)], 10)
    summary = told(story)
    assert summary["cut"]
    assert summary["event_count"] == 100
    assert summary["duration_ms"] == 990


@given(st.lists(st.one_of(st.none(), st.integers(), st.text(), st.lists(st.integers()))))
def test_fields_of_any_type_are_folded(values: list[Any]) -> None:
    story = Story()
    rows = [[mark, "2024-01-15T10:30:00.000Z", *[value] * 6] for mark, value in enumerate(values)]
    story.add([["t", "logs/0", len(rows), *rows], line(10_000)], MANY)
    assert told(story)["event_count"] == len(values) + 1
