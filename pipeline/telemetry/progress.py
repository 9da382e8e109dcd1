"""The log's line a minute that says how it goes, and the summary at the end; written by figures, without a clock."""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline.telemetry.quantities import as_count, as_duration, as_rate
from pipeline.telemetry.troubles import Line

__all__ = ["Figures", "Progress", "summary"]

_SECONDS = 60.0


class Figures(NamedTuple):
    """What a worker has done since its start, and what it has before it."""

    at: float
    """Seconds of a clock that nobody sets."""
    events: int
    """Documents made of the records that were read."""
    outcomes: Mapping[str, int]
    """What became of them: indexed, already_there, dead_lettered, dropped."""
    in_flight: int
    """Records that were read and are not settled."""
    lag: int | None
    """Offsets behind what is committed, of the partitions that the worker owns; None while that is not known."""


class Progress:
    """Decide when a line is due: each minute, but only one when nothing happens any more."""

    def __init__(self, start: Figures) -> None:
        self._before = start
        self._quiet = False

    def is_due(self, now: float) -> bool:
        """Tell whether the figures are wanted, by the clock that they have."""
        return now - self._before.at >= _SECONDS

    def line(self, now: Figures, *, told_otherwise: bool = False) -> list[Line]:
        """Give the line, if there is one; `told_otherwise` is whether another line says why nothing moves."""
        before, self._before = self._before, now
        # A lag that is not known says nothing.
        fell_or_grew = None not in {now.lag, before.lag} and now.lag != before.lag
        moved = now.events != before.events or now.outcomes != before.outcomes or fell_or_grew
        if not moved and (self._quiet or told_otherwise):
            return []
        self._quiet = not moved
        return [_progress(before, now)]


def _progress(before: Figures, now: Figures) -> Line:
    seconds = now.at - before.at
    read = (now.events - before.events) / seconds
    done = (sum(now.outcomes.values()) - sum(before.outcomes.values())) / seconds
    context: dict[str, Any] = {
        "read_per_second": round(read, 1),
        "settled_per_second": round(done, 1),
        "in_flight_records": now.in_flight,
    }
    parts = [f"{as_rate(read)} read, {as_rate(done)} settled", f"{now.in_flight:,} in flight"]
    if now.lag is not None:
        context["lag_records"] = now.lag
        text = f"lag {as_count(now.lag)}"
        falling = 0.0 if before.lag is None else (before.lag - now.lag) / seconds
        if now.lag and falling > 0:
            context["eta_seconds"] = round(now.lag / falling)
            text += f", gone in {as_duration(now.lag / falling)}"
        elif falling < 0:
            text += f", growing by {as_rate(-falling)}"
        parts.insert(1, text)
    return Line(logging.INFO, "; ".join(parts), context)


def summary(start: Figures, end: Figures, counts: Mapping[str, int], troubles: list[str]) -> Line:
    """Say at the end what was done; `counts` are those of what was tried again, `troubles` what is wrong still."""
    outcomes = {name: number for name, number in end.outcomes.items() if number}
    done = ", ".join([f"{number:,} {name.replace('_', ' ')}" for name, number in outcomes.items()])
    sentences = [
        f"ended after {as_duration(end.at - start.at)}: {end.events:,} events read, {done or 'none settled'}"
    ]
    if again := [f"{number:,} {what}" for what, number in counts.items() if number]:
        sentences.append(", ".join(again))
    if end.in_flight:
        sentences.append(f"{end.in_flight:,} records are read again by the worker that comes next")
    if troubles:
        sentences.append(f"Still so: {'; '.join(troubles)}")
    context = {
        "events": end.events,
        **outcomes,
        "in_flight_records": end.in_flight,
        "seconds": round(end.at - start.at),
    }
    return Line(logging.INFO, ". ".join(sentences) + ".", context)
