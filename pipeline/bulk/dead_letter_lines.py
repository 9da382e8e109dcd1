"""What the log says of dead letters: a line for each reason at once, then one a minute with their number."""

import logging
from dataclasses import dataclass

import orjson

from pipeline.kafka.dead_letters import DeadLetter
from pipeline.telemetry.troubles import Line

__all__ = ["DeadLetterLines"]

_SECONDS = 60.0
# Of more kinds of errors there is one line: their names may come from the events.
_MOST_REASONS = 20
_OTHER = ("other reasons", "")
_LONGEST_REASON = 300


@dataclass(slots=True)
class _Reason:
    """What came of one kind of error since its last line, with an example."""

    letters: int
    example: DeadLetter
    index: str
    told_at: float = float("-inf")


class DeadLetterLines:
    """Count letters by error type and field, until a line is due."""

    def __init__(self) -> None:
        self._reasons: dict[tuple[str, str], _Reason] = {}

    def note(self, letter: DeadLetter, index: str) -> None:
        """Count a letter of a document that was for this index."""
        key = (letter.error_type, letter.field)
        if key not in self._reasons and len(self._reasons) >= _MOST_REASONS:
            key = _OTHER
        reason = self._reasons.get(key)
        if reason is None:
            self._reasons[key] = _Reason(1, letter, index)
            return
        if not reason.letters:
            reason.example, reason.index = letter, index
        reason.letters += 1

    def due(self, now: float) -> list[Line]:
        """Give the lines that are due, by a clock in seconds that nobody sets."""
        lines = []
        for key, reason in list(self._reasons.items()):
            if now - reason.told_at < _SECONDS:
                continue
            if reason.letters:
                lines.append(_line(key, reason))
                reason.letters, reason.told_at = 0, now
            else:
                del self._reasons[key]
        return lines

    def rest(self) -> list[Line]:
        """Give the lines of what is not told yet: nobody will ask again."""
        lines = [_line(key, reason) for key, reason in self._reasons.items() if reason.letters]
        self._reasons.clear()
        return lines


def _line(key: tuple[str, str], reason: _Reason) -> Line:
    error_type, field = key
    letter = reason.example
    place, see = _place(letter)
    several = f"{reason.letters:,} dead letters" if reason.letters > 1 else "dead letter"
    # Without an HTTP status Elasticsearch was not asked.
    status = f"HTTP {letter.status} " if letter.status else ""
    of = f" for the field {field}" if field else ""
    text = (
        f"{several}: {error_type}{of}, such as {place} for the index {reason.index}: "
        f"{status}{letter.reason[:_LONGEST_REASON].rstrip('.')}. {see} says more; after what is wrong has been "
        "mended, `logpipe dlq replay` indexes them."
    )
    context = {
        "dead_letters": reason.letters,
        "error_type": error_type,
        "field": field,
        "index": reason.index,
        "example": place,
    }
    return Line(logging.WARNING, text, context, _trace_id(letter.value))


def _place(letter: DeadLetter) -> tuple[str, str]:
    """Name what a letter stands for, and the command that says more."""
    topic, partition, offset = letter.record[:3]
    if offset < 0:  # the summary of a trace, which is of no single record
        return f"the trace {(letter.key or b'').decode('utf-8', 'replace')}", "`logpipe dlq list`"
    return f"{topic}/{partition}/{offset}", f"`logpipe explain {topic}/{partition}/{offset}`"


def _trace_id(value: bytes | None) -> str | None:
    """Find the trace of an event in the guide's format; another's is in its dead letter."""
    try:
        event = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    trace_id = event.get("trace_id") if isinstance(event, dict) else None
    return trace_id if isinstance(trace_id, str) else None
