"""A trace in the terminal: its summary, and its events one below the other along their time."""

from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from pipeline.events.timestamps import parse_timestamp
from pipeline.traces.lookup import FoundTrace

__all__ = ["OUTCOME_STYLES", "duration", "print_trace", "print_traces"]

OUTCOME_STYLES = {"ok": "green", "slow": "yellow", "incomplete": "magenta", "error": "red"}
_WIDEST_BAR, _NARROWEST_BAR = 40, 12
# What the other columns want of a terminal.
_OTHER_COLUMNS = 62
_LONGEST_ERROR = 60
_AS_WIDE_AS_NEEDED = 1000
_SECOND_MS = 1000
_MINUTE_MS = 60_000
_HOUR_MS = 3_600_000


def duration(milliseconds: float) -> str:
    """Write a time as people read it."""
    if milliseconds < _SECOND_MS:
        return f"{milliseconds:.0f} ms"
    if milliseconds < _MINUTE_MS:
        return f"{milliseconds / _SECOND_MS:.2f} s"
    if milliseconds < _HOUR_MS:
        minutes, rest = divmod(round(milliseconds / _SECOND_MS), 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, rest = divmod(round(milliseconds / _MINUTE_MS), 60)
    return f"{hours} h {rest} min"


def print_trace(found: FoundTrace, out: Console, limit: int) -> None:
    """Print the story of a trace, with at most so many events."""
    summary = found.summary
    style = OUTCOME_STYLES[summary["outcome"]]
    expected = f", expected {duration(summary['expected_ms'])}" if "expected_ms" in summary else ""
    out.print(Text.assemble(("trace ", "bold"), found.trace_id), soft_wrap=True)
    state = f"{summary['state']}" if found.written else "no summary yet, told from the events"
    out.print(
        Text.assemble(
            f"{summary['flow']}: ",
            (summary["outcome"], f"bold {style}"),
            f", {duration(summary['duration_ms'])}{expected}, {summary['event_count']} events, "
            f"{summary['error_count']} errors, {state}",
        )
    )
    out.print(f"{summary['start']} to {summary['end']}", highlight=False)
    for name, title in (("user_ids", "users"), ("integration_ids", "integrations")):
        if summary[name]:
            out.print(f"{title}: {', '.join(summary[name])}", highlight=False, markup=False)
    if summary.get("steps"):
        steps = (f"{step['name']} {duration(step['duration_ms'])}" for step in summary["steps"])
        out.print(f"steps: {' → '.join(steps)}", highlight=False)
        out.print(f"critical path: {duration(summary['critical_ms'])}", highlight=False)
    out.print(_waterfall(found, limit, max(_NARROWEST_BAR, min(_WIDEST_BAR, out.width - _OTHER_COLUMNS))))
    if len(found.events) > limit:
        out.print(f"… and {len(found.events) - limit} events more; --limit shows more of them")


def _waterfall(found: FoundTrace, limit: int, bar_width: int) -> Table:
    """Draw a bar from the event before to each event: what is logged is logged when it is done."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("after", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("component", no_wrap=True)
    table.add_column("event", overflow="fold")
    times = [_time_ms(event) for event in found.events]
    if not times:
        return table
    first, span = times[0], max(times[-1] - times[0], 1)
    gap = found.summary.get("largest_gap", {}).get("duration_ms", 0)
    before, marked = first, False
    for event, time in list(zip(found.events, times, strict=True))[:limit]:
        error = event.get("level") == "ERROR"
        largest = not marked and time > first and time - before == gap
        marked = marked or largest
        style = "red" if error else "yellow" if largest else "cyan"
        left = round((before - first) / span * bar_width)
        width = max(1, round((time - before) / span * bar_width))
        bar = Text(" " * min(left, bar_width - 1) + ("█" if time > before else "▏") * width, style)
        message = Text(str(event.get("message", ""))[:160], "red" if error else "")
        if largest:
            # A line of its own: beside a message it would be torn at 80 columns.
            message.append(f"\n◀ largest gap, {duration(gap)}", "yellow")
        table.add_row(duration(time - first), bar, Text(_component(event)), message)
        before = time
    return table


def print_traces(summaries: list[dict[str, Any]], out: Console) -> None:
    """List summaries, a line each: an id that is cut is of no use."""
    table = _trace_table(summaries)
    out.width = _AS_WIDE_AS_NEEDED
    out.width = Measurement.get(out, out.options, table).maximum
    out.print(table)


def _trace_table(summaries: list[dict[str, Any]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("trace", "flow", "outcome"):
        table.add_column(name, no_wrap=True)
    for name in ("duration", "expected", "events", "errors"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("started", no_wrap=True)
    table.add_column("first error", overflow="ellipsis", no_wrap=True)
    for one in summaries:
        error = one.get("first_error", {})
        table.add_row(
            Text(one["trace_id"]),
            one["flow"],
            Text(one["outcome"], OUTCOME_STYLES[one["outcome"]]),
            duration(one["duration_ms"]),
            duration(one["expected_ms"]) if "expected_ms" in one else "",
            str(one["event_count"]),
            str(one["error_count"]),
            one["start"],
            Text(f"{error['component']}: {error['message']}"[:_LONGEST_ERROR] if error else ""),
        )
    return table


def _time_ms(event: dict[str, Any]) -> int:
    parsed = parse_timestamp(event["@timestamp"])
    return 0 if parsed is None else parsed.epoch_ms


def _component(event: dict[str, Any]) -> str:
    return ".".join(str(event[name]) for name in ("service", "component") if event.get(name))
