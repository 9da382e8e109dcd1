"""What was answered for the documents of a part → what is left of it: to be sent again, or to be given up."""

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.bulk.in_flight import InFlight
from pipeline.bulk.outcomes import Outcome, classify
from pipeline.bulk.parts import LINES_PER_DOCUMENT, Part
from pipeline.bulk.requests import BulkItem
from pipeline.bulk.salvage import salvage
from pipeline.telemetry.metrics import Telemetry

__all__ = ["Left", "settle_mixed"]

_DONE = (Outcome.INDEXED, Outcome.ALREADY_THERE)


class Left(NamedTuple):
    """What is left of a part."""

    again: list[Part]
    """To be sent again."""
    dead: list[tuple[bytes, BulkItem]]
    """The action line of each document that is given up, and what was answered."""
    wait: bool
    """Whether to wait before it is sent again."""


def settle_mixed(
    part: Part, items: Sequence[BulkItem], in_flight: InFlight, telemetry: Telemetry, max_salvaged_fields: int
) -> Left:
    """Look at each document of a part, and count those that are done.

    Of a document that has been salvaged `max_salvaged_fields` times no further field is moved aside.
    """
    outcomes = [classify(item.status, item.error_type or None) for item in items]
    for done in _DONE:
        in_flight.count(part, done, outcomes.count(done))
    if Outcome.INDEXED in outcomes:
        in_flight.note_age(part)
    lines = part.body.splitlines(keepends=True)
    wait = False
    retried: list[bytes] = []
    once_more: list[bytes] = []
    salvaged: list[bytes] = []
    dead: list[tuple[bytes, BulkItem]] = []
    for number, (item, outcome) in enumerate(zip(items, outcomes, strict=True)):
        if outcome in _DONE:
            continue
        action, source = lines[2 * number], lines[2 * number + 1]
        if outcome is Outcome.RETRY:
            retried += (action, source)
            telemetry.retries.labels(_retry_label(item)).inc()
            wait = True
        elif outcome is Outcome.RETRY_ONCE and not part.last_chance:
            once_more += (action, source)
            wait = True
        elif outcome is Outcome.REJECTED and part.salvaged < max_salvaged_fields:
            moved = salvage(source, item.reason)
            if moved is None:
                dead.append((action, item))
            else:
                salvaged += (action, moved[0] + b"\n")
        else:
            dead.append((action, item))
    again = [
        part._replace(
            documents=len(lines) // LINES_PER_DOCUMENT,
            body=b"".join(lines),
            attempts=part.attempts + 1,
            last_chance=part.last_chance or lines is once_more,
            salvaged=part.salvaged + (lines is salvaged),
        )
        for lines in (retried, once_more, salvaged)
        if lines
    ]
    return Left(again, dead, wait)


def _retry_label(item: BulkItem) -> str:
    return "blocked" if item.error_type == "cluster_block_exception" else f"item_{item.status}"
