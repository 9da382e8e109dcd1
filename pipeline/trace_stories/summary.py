"""A story, and the flow that it belongs to → the document that tells it."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from pipeline.events.timestamps import from_epoch_ms
from pipeline.trace_stories.flows import NO_FLOW, Flow, Roles
from pipeline.trace_stories.fold import Story

__all__ = ["OUTCOMES", "STATE_FIELD", "outcome_of", "summarise"]

OUTCOMES = ("ok", "error", "slow", "incomplete")
STATE_FIELD = "story"
"""The field that holds the story itself, so that a late event can be added; it is not indexed."""
_MOST_IDS = 20
_MOST_PLACES = 64
_LONGEST_TEXT = 200
# Where it stands in the row of an error.
_FINGERPRINT = 4


def outcome_of(summary: dict[str, Any]) -> str:
    """Give the one word for how a trace went: a failure counts more than a missing end, that more than slowness."""
    if summary["failed"]:
        return "error"
    if not summary["complete"]:
        return "incomplete"
    return "slow" if summary["slow"] else "ok"


class _Columns(NamedTuple):
    """The events of a story in order, a column for each thing: a story is short, and there are many."""

    trace_ids: Sequence[Any]
    services: Sequence[Any]
    components: Sequence[Any]
    levels: Sequence[Any]
    messages: Sequence[Any]
    user_ids: Sequence[Any]
    integration_ids: Sequence[Any]


def summarise(trace_id: str, story: Story, roles: Roles, *, closed: bool, late: int = 0) -> dict[str, Any]:
    """Write the summary; a pure function of the story but for `closed`, and `late`, the events after closing."""
    ordered = story.in_order()
    times = [each[0] for each in ordered]
    stamps = [each[3][2] for each in ordered]
    columns = _Columns(*zip(*[each[3][3] for each in ordered], strict=True))
    found = list(map(roles.of, *columns[1:5]))
    number = min([role.begins for role in found])
    flow = roles.flows[number] if number < len(roles.flows) else None
    start, end = stamps[0], stamps[-1]
    duration_ms = times[-1] - times[0]
    if story.first_ms is not None and story.last_ms is not None:
        first_ms, last_ms = min(times[0], story.first_ms), max(times[-1], story.last_ms)
        start, end, duration_ms = (
            from_epoch_ms(first_ms).text,
            from_epoch_ms(last_ms).text,
            last_ms - first_ms,
        )
    bit = 1 << number
    events, errors = story.event_count, story.error_count
    summary: dict[str, Any] = {
        "@timestamp": start,
        "trace_id": trace_id,
        "state": "closed" if closed else "open",
        "start": start,
        "end": end,
        "duration_ms": duration_ms,
        "flow": NO_FLOW if flow is None else flow.name,
        "slow": flow is not None and duration_ms > flow.expected_seconds * 1000,
        # Of a trace of no flow nobody knows what should be there.
        "complete": flow is None or any(role.ends & bit for role in found),
        # Calls that were tried again are errors, and no failure, where the flow says what is one.
        "failed": bool(errors) if flow is None else any(role.fails & bit for role in found),
        "event_count": events,
        "error_count": errors,
        "services": _in_order(columns.services, _MOST_PLACES),
        "components": _in_order(columns.components, _MOST_PLACES),
        "user_ids": _in_order(columns.user_ids, _MOST_IDS),
        "integration_ids": _in_order(columns.integration_ids, _MOST_IDS),
        "late_events": late,
        "cut": story.cut,
    }
    summary["outcome"] = outcome_of(summary)
    # The time before an event is its own: what is logged is logged when it is done.
    gaps = [after - before for before, after in pairwise(times)]
    if flow is not None:
        critical = flow.critical
        summary["expected_ms"] = round(flow.expected_seconds * 1000)
        summary["critical_ms"] = sum(
            [
                gap
                for gap, component in zip(gaps, columns.components[1:], strict=True)
                if component in critical
            ]
        )
        owners = [role.steps[number] for role in found]
        summary["steps"] = _steps(flow, owners, times, stamps, columns.levels)
    if gaps:
        summary["largest_gap"] = _largest_gap(gaps, stamps, columns)
    if "ERROR" in columns.levels:
        summary["first_error"] = _first_error(columns.levels.index("ERROR"), ordered, columns)
    summary[STATE_FIELD] = story.dump()
    return summary


def _in_order(values: Iterable[Any], most: int) -> list[str]:
    """Give each value once, in the order of its first appearance."""
    try:
        different: Iterable[Any] = dict.fromkeys(values)
    except TypeError:
        different = values
    return [text for text in dict.fromkeys(map(_text, different)) if text][:most]


def _text(value: Any) -> str:
    if type(value) is str:
        return value if len(value) <= _LONGEST_TEXT else value[:_LONGEST_TEXT]
    return str(value) if type(value) in {int, float} else ""


def _steps(
    flow: Flow,
    owners: Sequence[int | None],
    times: Sequence[int],
    stamps: Sequence[str],
    levels: Sequence[Any],
) -> list[dict[str, Any]]:
    """Cut the time of a story into the steps of its flow, without what is after the last of their events."""
    last_of: dict[int, int] = {}
    latest = 0
    for position, owner in enumerate(owners):
        # What a later step has begun no earlier one gets back.
        if owner is not None and owner >= latest:
            last_of[owner] = position
            latest = owner
    steps = []
    begin = before = 0
    for number, last in last_of.items():
        steps.append(
            {
                "name": flow.steps[number].name,
                "start": stamps[before],
                "duration_ms": times[last] - times[before],
                "error_count": levels[begin : last + 1].count("ERROR"),
            }
        )
        begin, before = last + 1, last
    return steps


def _largest_gap(gaps: Sequence[int], stamps: Sequence[str], columns: _Columns) -> dict[str, Any]:
    """Tell where most of the time went: between which two events, the first of the largest."""
    largest = max(gaps)
    position = gaps.index(largest)
    return {
        "duration_ms": largest,
        "start": stamps[position],
        "after_component": _text(columns.components[position]),
        "before_component": _text(columns.components[position + 1]),
        "before_message": _text(columns.messages[position + 1]),
    }


def _first_error(
    position: int, ordered: Sequence[tuple[int, str, int, Sequence[Any]]], columns: _Columns
) -> dict[str, Any]:
    row = ordered[position][3]
    error = {
        "@timestamp": row[2],
        "component": _text(columns.components[position]),
        "message": _text(columns.messages[position]),
    }
    if len(row) > _FINGERPRINT:
        error["fingerprint"] = _text(row[_FINGERPRINT])
    return error
