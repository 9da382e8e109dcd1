"""A story, and the flow that it belongs to → the document that tells it."""

from collections.abc import Sequence
from operator import lt, sub
from typing import Any, NamedTuple

import orjson

from pipeline.events.timestamps import from_epoch_ms
from pipeline.trace_stories.emission import FIELDS
from pipeline.trace_stories.fold import FIRST_FIELD, Story, times_ms
from pipeline.trace_stories.lines import HEAD
from pipeline.trace_stories.shapes import Shape, Shapes, different_texts, short_text

__all__ = [
    "OUTCOMES",
    "STATE_FIELD",
    "Telling",
    "outcome_of",
    "summarise",
    "tell",
    "tell_lines",
    "write_summary",
]

OUTCOMES = ("ok", "error", "slow", "incomplete")
STATE_FIELD = "story"
"""The field that holds the story itself, so that a late event can be added; it is not indexed."""
_MOST_IDS = 20
# Where it stands in the row of an error.
_FINGERPRINT = FIRST_FIELD + len(FIELDS)
_new = tuple.__new__  # what Telling(...) calls, without what its own __new__ takes


def outcome_of(summary: dict[str, Any]) -> str:
    """Give the one word for how a trace went: a failure counts more than a missing end, that more than slowness."""
    if summary["failed"]:
        return "error"
    if not summary["complete"]:
        return "incomplete"
    return "slow" if summary["slow"] else "ok"


class Telling(NamedTuple):
    """A story in the order of its times: a column for each thing, for a story is short, and there are many."""

    trace_id: str
    times: Sequence[int]
    """In milliseconds since 1970."""
    stamps: Sequence[str]
    components: Sequence[Any]
    messages: Sequence[Any]
    user_ids: Sequence[Any]
    integration_ids: Sequence[Any]
    rows: Sequence[Sequence[Any]]
    shape: Shape
    story: Story | None
    """None where the rows are all of it."""


def tell(trace_id: str, story: Story, shapes: Shapes) -> Telling:
    """Put a story in order, and find its shape."""
    times, rows = story.in_order()
    return _telling(trace_id, times, rows, list(zip(*rows, strict=False)), shapes, story)


def tell_lines(lines: Sequence[bytes], shapes: Shapes, max_events: int) -> Telling | None:
    """Tell a story of lines that are of one source, in its order, and nothing else: nearly every one is.

    None for any other, which takes the way of a `Story`.
    """
    try:
        if len(lines) == 1:
            trace_id, source, _, *rows = orjson.loads(lines[0])
        else:
            rows = []
            (trace_id, source, *_), *_ = read = orjson.loads(b"[%b]" % b",".join(lines))
            for line in read:
                rows += line[HEAD:] if line[1] == source else [None]
        columns = list(zip(*rows, strict=False))
        marks, stamps = columns[:FIRST_FIELD]
        # Marks that grow are each there once, and in their order among those of one time.
        if len(rows) > max_events or type(marks[0]) is not int or not all(map(lt, marks, marks[1:])):
            return None
        "".join(stamps)
        times = times_ms(stamps)
        if times != sorted(times):
            order = sorted(range(len(times)), key=times.__getitem__)
            times, rows = [times[place] for place in order], [rows[place] for place in order]
            columns = list(zip(*rows, strict=False))
        return _telling(trace_id, times, rows, columns, shapes, None)
    except (ValueError, TypeError, IndexError, KeyError):
        return None


def _telling(
    trace_id: str,
    times: Sequence[int],
    rows: Sequence[Sequence[Any]],
    columns: Sequence[Sequence[Any]],
    shapes: Shapes,
    story: Story | None,
) -> Telling:
    # Columns end with the shortest row; where all are of errors there are their fingerprints too.
    _, stamps, services, components, levels, messages, users, integrations = columns[:_FINGERPRINT]
    shape = shapes.of(services, components, levels, messages)
    return _new(
        Telling,
        (trace_id, times, stamps, components, messages, users, integrations, rows, shape, story),
    )


def summarise(trace_id: str, story: Story, shapes: Shapes, *, closed: bool, late: int = 0) -> dict[str, Any]:
    """Write the summary; a pure function of the story but for `closed`, and `late`, the events after closing."""
    summary = write_summary(tell(trace_id, story, shapes), closed=closed, late=late)
    summary[STATE_FIELD] = story.dump(trace_id)
    return summary


def write_summary(telling: Telling, *, closed: bool, late: int) -> dict[str, Any]:
    """Write the summary without the story itself."""
    trace_id, times, stamps, components, messages, users, integrations, rows, shape, story = telling
    flow, _, _, fixed, critical, steps, errors, first_error = shape
    start, end = stamps[0], stamps[-1]
    duration_ms = times[-1] - times[0]
    events = len(rows)
    cut = story is not None and story.cut
    if story is not None and cut:
        events, errors = story.event_count, errors + story.errors_beyond
        first_ms, last_ms = min(times[0], story.first_ms or times[0]), max(times[-1], story.last_ms or 0)
        start, end = from_epoch_ms(first_ms).text, from_epoch_ms(last_ms).text
        duration_ms = last_ms - first_ms
    summary: dict[str, Any] = {
        "@timestamp": start,
        "trace_id": trace_id,
        "state": "closed" if closed else "open",
        "start": start,
        "end": end,
        "duration_ms": duration_ms,
        "event_count": events,
        "error_count": errors,
        **fixed,
        "slow": flow is not None and duration_ms > flow.expected_seconds * 1000,
        "user_ids": _ids(users),
        "integration_ids": _ids(integrations),
        "late_events": late,
        "cut": cut,
    }
    if flow is None and errors:
        # Also those that are only counted.
        summary["failed"] = True
    summary["outcome"] = outcome_of(summary)
    if events > 1 and len(times) > 1:
        gaps = list(map(sub, times[1:], times))
        largest = max(gaps)
        place = gaps.index(largest)
        # Where most of the time went: between which two events, the first of the largest.
        summary["largest_gap"] = {
            "duration_ms": largest,
            "start": stamps[place],
            "after_component": short_text(components[place]),
            "before_component": short_text(components[place + 1]),
            "before_message": short_text(messages[place + 1]),
        }
    else:
        gaps = []
    if flow is not None:
        summary["critical_ms"] = sum([gaps[place] for place in critical])
        summary["steps"] = [
            {
                "name": name,
                "start": stamps[before],
                "duration_ms": times[last] - times[before],
                "error_count": step_errors,
            }
            for name, before, last, step_errors in steps
        ]
    if first_error is not None:
        summary["first_error"] = _first_error(first_error, telling)
    return summary


def _ids(values: Sequence[Any]) -> list[str]:
    first = values[0]
    # As in nearly every story.
    if (first is None or type(first) is str) and values.count(first) == len(values):
        return [short_text(first)] if first else []
    return different_texts(values, _MOST_IDS)


def _first_error(place: int, telling: Telling) -> dict[str, Any]:
    error = {
        "@timestamp": telling.stamps[place],
        "component": short_text(telling.components[place]),
        "message": short_text(telling.messages[place]),
    }
    row = telling.rows[place]
    if len(row) > _FINGERPRINT:
        error["fingerprint"] = short_text(row[_FINGERPRINT])
    return error
