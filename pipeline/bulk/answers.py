"""What was answered for the documents of a request → what is left of each part, and whose fault it is."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from pipeline.bulk.in_flight import InFlight
from pipeline.bulk.outcomes import Outcome, classify
from pipeline.bulk.parts import LINES_PER_DOCUMENT, Part
from pipeline.bulk.requests import BulkAnswer, BulkItem, operation_of, target_of
from pipeline.bulk.salvage import salvage
from pipeline.telemetry.metrics import Telemetry

__all__ = ["Left", "Refused", "held", "settle"]

_DONE = (Outcome.INDEXED, Outcome.ALREADY_THERE)


class Refused(NamedTuple):
    """Documents of one index that were not taken, and will not be at once."""

    index_name: str
    part: Part
    outcome: Outcome
    item: BulkItem
    """What was answered for the first of them."""
    took_others: bool = False
    """Whether their index has taken other documents of the same request."""


class Left(NamedTuple):
    """What is left of a part."""

    salvaged: list[Part]
    """To be sent once more, without the field that was in the way."""
    dead: list[tuple[bytes, BulkItem]]
    """The action line of each document that is given up, and what was answered."""
    waiting: list[Refused]


class _Evidence:
    """Which indices have taken documents in a request: looked for when something is refused that no row knows."""

    def __init__(self, parts: Sequence[Part], answers: Sequence[BulkAnswer]) -> None:
        self._answered = list(zip(parts, answers, strict=True))
        self.documents = sum([part.documents for part in parts])
        self._took: dict[str, bool] = {}

    def took(self, index: str) -> bool:
        """Tell whether this index has taken a document of the request."""
        if index not in self._took:
            self._took[index] = any(self._has_taken(index.encode(), *each) for each in self._answered)
        return self._took[index]

    @staticmethod
    def _has_taken(index: bytes, part: Part, items: BulkAnswer) -> bool:
        if items is None:
            return b'"_index":"%b","_id":' % index in part.body
        actions = part.body.splitlines()[::LINES_PER_DOCUMENT]
        return any(
            b'"_index":"%b","_id":' % index in action
            and classify(item.status, item.error_type, item.reason, operation_of(action)) in _DONE
            for action, item in zip(actions, items, strict=True)
        )


def settle(
    parts: Sequence[Part],
    answers: Sequence[BulkAnswer],
    in_flight: InFlight,
    telemetry: Telemetry,
    may_blame: Callable[[str], bool],
    max_salvaged_fields: int,
) -> list[tuple[Part, Left]]:
    """Settle the parts that were created as a whole, and look at each document of the others.

    `may_blame` tells whether a document that its index has refused alone, twice, may be at fault. Of a document that
    has been salvaged `max_salvaged_fields` times no further field is moved aside. The parts that are returned are not
    settled: that is the caller's, once it has taken what is left of them.
    """
    evidence = _Evidence(parts, answers)
    in_flight.created([part for part, items in zip(parts, answers, strict=True) if items is None])
    mixed = []
    for part, items in zip(parts, answers, strict=True):
        if items is not None:
            mixed.append(
                (part, _look_at(part, items, evidence, in_flight, telemetry, may_blame, max_salvaged_fields))
            )
    return mixed


def _look_at(
    part: Part,
    items: Sequence[BulkItem],
    evidence: _Evidence,
    in_flight: InFlight,
    telemetry: Telemetry,
    may_blame: Callable[[str], bool],
    max_salvaged_fields: int,
) -> Left:
    lines = part.body.splitlines(keepends=True)
    outcomes = [
        classify(item.status, item.error_type, item.reason, operation_of(action))
        for action, item in zip(lines[::LINES_PER_DOCUMENT], items, strict=True)
    ]
    for done in _DONE:
        in_flight.count(part, done, outcomes.count(done))
    if Outcome.INDEXED in outcomes:
        in_flight.note_age([part])
    if Outcome.ALREADY_THERE in outcomes:
        in_flight.conflicting(
            lambda: [
                target_of(action)[1]
                for action, outcome in zip(lines[::LINES_PER_DOCUMENT], outcomes, strict=True)
                if outcome is Outcome.ALREADY_THERE
            ]
        )
    salvaged: list[bytes] = []
    dead: list[tuple[bytes, BulkItem]] = []
    waiting: dict[tuple[str, Outcome], tuple[list[bytes], BulkItem]] = {}
    for number, (item, classified) in enumerate(zip(items, outcomes, strict=True)):
        if classified in _DONE:
            continue
        action, source = lines[2 * number], lines[2 * number + 1]
        index = target_of(action)[0]
        outcome = classified
        if outcome is Outcome.UNKNOWN and _is_its_own_fault(part, index, evidence, may_blame):
            outcome = Outcome.DOCUMENT
        if outcome is not Outcome.DOCUMENT:
            waiting.setdefault((index, outcome), ([], item))[0].extend((action, source))
            telemetry.retries.labels(_retry_label(item)).inc()
        elif part.salvaged < max_salvaged_fields and (moved := salvage(source, item.reason)) is not None:
            salvaged += (action, moved[0] + b"\n")
        else:
            dead.append((action, item))
    alone = evidence.documents == 1
    return Left(
        [_rest(part, salvaged)._replace(salvaged=part.salvaged + 1)] if salvaged else [],
        dead,
        [
            Refused(
                index,
                _rest(part, some)._replace(
                    refused_alone=part.refused_alone + (alone and outcome is Outcome.UNKNOWN)
                ),
                outcome,
                item,
                evidence.took(index),
            )
            for (index, outcome), (some, item) in waiting.items()
        ],
    )


def _is_its_own_fault(part: Part, index: str, evidence: _Evidence, may_blame: Callable[[str], bool]) -> bool:
    """Tell whether a document is refused for itself: its index takes others, or it is refused alone, twice."""
    if part.suspect or evidence.took(index):
        return True
    return evidence.documents == 1 and part.refused_alone > 0 and may_blame(index)


def _rest(part: Part, lines: list[bytes]) -> Part:
    return part._replace(
        documents=len(lines) // LINES_PER_DOCUMENT, body=b"".join(lines), attempts=part.attempts + 1
    )


def _retry_label(item: BulkItem) -> str:
    return "blocked" if item.error_type == "cluster_block_exception" else f"item_{item.status}"


def held(part: Part, dead: Sequence[tuple[bytes, BulkItem]]) -> list[Refused]:
    """Let documents wait that would be given up, were there not so many of them."""
    lines = part.body.splitlines(keepends=True)
    sources = dict(zip(lines[::2], lines[1::2], strict=True))
    waiting = []
    for action, item in dead:
        document = part._replace(documents=1, body=action + sources[action], attempts=part.attempts + 1)
        waiting.append(Refused(target_of(action)[0], document, Outcome.FLOOD, item))
    return waiting
