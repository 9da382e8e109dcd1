"""Which line of the log is due about what is wrong: one when it begins, few while it lasts, one when it is over.

A state machine of facts and clocks that writes nothing itself. Each part of the pipeline says once a second what is
wrong with it (`Trouble`), as if nobody had been told; what was said before is remembered here.

- What has passed before its `grace_seconds` are over is not told.
- While it lasts there is a line a minute, and after the fifth one in five minutes.
- What is part of something greater is not over before that is.
- What comes back within ten seconds was not over. What comes back later begins anew, told no earlier than a minute
  after the last time: of what comes and goes without end there are no more than two lines a minute.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pipeline.events.timestamps import from_epoch_ms
from pipeline.telemetry.quantities import as_duration

__all__ = [
    "COMMITS_AGAIN",
    "DOCUMENTS_AGAIN",
    "ELASTICSEARCH",
    "KAFKA",
    "LETTERS_AGAIN",
    "LOST",
    "Line",
    "OngoingTroubles",
    "Trouble",
    "write",
]

_OVER_AFTER_SECONDS = 10.0
_REMIND_SECONDS = 60.0
_REMINDERS_EACH_MINUTE = 5
_REMIND_LATER_SECONDS = 300.0
_SECONDS = len("2024-01-15T10:30:00")
ELASTICSEARCH, KAFKA = "elasticsearch", "kafka"
"""The keys of the troubles that explain others."""
COMMITS_AGAIN = "commits were tried again"
DOCUMENTS_AGAIN = "documents were sent again"
LETTERS_AGAIN = "writes of dead letters were tried again"
LOST = "records were lost"
"""What is counted while something is wrong, as it is said when that is over."""


class Trouble(NamedTuple):
    """Something that is wrong now."""

    key: str
    """What it is known by: the same from its beginning to its end."""
    what: str
    """A clause without a stop: what is wrong with what, on which host."""
    over: str
    """A clause without a stop: what it is like when that has passed."""
    why: str = ""
    """What was answered last, say."""
    means: str = ""
    """Sentences: what does not happen now, and what goes on."""
    waits: str = ""
    """A sentence with numbers: what waits."""
    next_try: str = ""
    """A sentence: when it is tried again."""
    counted: str = ""
    """Of the counts those that say what was tried again, such as "documents were sent again"."""
    seconds: float = 0.0
    """How long it has lasted already when it is first told."""
    grace_seconds: float = 5.0
    """How long it may last without a line."""
    level: int = logging.WARNING
    lost_before: int = 0
    """How many of the records that were lost were so before it was first told: they are part of it."""
    part_of: str = ""
    """The key of another trouble that explains it: while there is that one, nothing is told of this one."""


class Line(NamedTuple):
    """A line that is due."""

    level: int
    text: str
    context: dict[str, Any]
    """The same for machines: of a trouble its key, whether it begins, lasts or is over, and for how many seconds."""
    trace_id: str | None = None
    """Of the event that it is about, where it is about one that has a trace."""


@dataclass(slots=True)
class _Ongoing:
    trouble: Trouble
    since: float
    seen: float
    counts: Mapping[str, int]
    """What was counted when it began."""
    told: bool = False
    told_at: float = 0.0
    reminders: int = 0

    @property
    def seconds(self) -> float:
        return self.seen - self.since


class OngoingTroubles:
    """Remember what is wrong, and what was told of it."""

    def __init__(self, counts: Callable[[], Mapping[str, int]] = dict) -> None:
        """Take what gives the counts that `Trouble.counted` and LOST name; asked when a trouble begins and ends."""
        self._counts = counts
        self._ongoing: dict[str, _Ongoing] = {}
        self._quiet_until: dict[str, float] = {}

    @property
    def told(self) -> list[str]:
        """What is wrong now and was told, as clauses."""
        return [each.trouble.what for each in self._ongoing.values() if each.told]

    def due(self, now: float, wall_seconds: float, troubles: Iterable[Trouble]) -> list[Line]:
        """Take what is wrong now; gives the lines that are due.

        now -- seconds of a clock that nobody sets; wall_seconds -- the time since 1970
        """
        for trouble in troubles:
            ongoing = self._ongoing.get(trouble.key)
            if ongoing is None:
                since = now - trouble.seconds
                counts = dict(self._counts())
                counts[LOST] = counts.get(LOST, 0) - trouble.lost_before
                self._ongoing[trouble.key] = _Ongoing(trouble, since, now, counts)
            else:
                ongoing.trouble, ongoing.seen = trouble, now
        self._quiet_until = {key: until for key, until in self._quiet_until.items() if until > now}
        lines = []
        for key, ongoing in list(self._ongoing.items()):
            if ongoing.seen == now:
                lines += self._present(key, ongoing, now, wall_seconds)
            elif ongoing.told and ongoing.trouble.part_of in self._ongoing:
                # It is not over because nobody can see it any more.
                continue
            elif now - ongoing.seen >= _OVER_AFTER_SECONDS:
                lines += self._end(key, ongoing)
        return lines

    def end(self, now: float, troubles: Iterable[Trouble]) -> list[Line]:
        """Take what is wrong at the end, and give the lines of what has passed just before: nobody will ask again."""
        for trouble in troubles:
            if trouble.key in self._ongoing:
                self._ongoing[trouble.key].seen = now
        return [
            line
            for key, ongoing in list(self._ongoing.items())
            if ongoing.seen < now
            for line in self._end(key, ongoing)
        ]

    def _present(self, key: str, ongoing: _Ongoing, now: float, wall_seconds: float) -> list[Line]:
        trouble = ongoing.trouble
        if trouble.part_of in self._ongoing:
            return []
        if not ongoing.told:
            if ongoing.seconds < trouble.grace_seconds or now < self._quiet_until.get(key, now):
                return []
            ongoing.told, ongoing.told_at = True, now
            since = f"{from_epoch_ms(round((wall_seconds - ongoing.seconds) * 1000)).text[:_SECONDS]}Z"
            text = _sentences(
                f"{trouble.what}, since {since}{_because(trouble)}",
                trouble.means,
                trouble.waits,
                trouble.next_try,
            )
            return [Line(trouble.level, text, _context(ongoing, "begins"))]
        each_minute = ongoing.reminders < _REMINDERS_EACH_MINUTE
        if now - ongoing.told_at < (_REMIND_SECONDS if each_minute else _REMIND_LATER_SECONDS):
            return []
        ongoing.told_at = now
        ongoing.reminders += 1
        text = _sentences(
            f"{trouble.what}, for {as_duration(ongoing.seconds)} now{_because(trouble)}",
            trouble.waits,
            trouble.next_try,
        )
        return [Line(trouble.level, text, _context(ongoing, "lasts"))]

    def _end(self, key: str, ongoing: _Ongoing) -> list[Line]:
        del self._ongoing[key]
        if not ongoing.told:
            return []
        self._quiet_until[key] = ongoing.told_at + _REMIND_SECONDS
        trouble, counts = ongoing.trouble, self._counts()

        def counted(what: str) -> int:
            return counts.get(what, 0) - ongoing.counts.get(what, 0)

        again, lost = counted(trouble.counted), counted(LOST)
        text = _sentences(
            f"{trouble.over}, after {as_duration(ongoing.seconds)}",
            f"{again:,} {trouble.counted}" if again else "",
            f"{lost:,} {LOST}" if lost else "Nothing was lost",
        )
        context = _context(ongoing, "over") | {"tried_again": again, "lost": lost}
        return [Line(logging.WARNING if lost else logging.INFO, text, context)]


def write(log: logging.Logger, lines: Iterable[Line]) -> None:
    """Write lines to a log."""
    for line in lines:
        log.log(line.level, "%s", line.text, extra={"context": line.context, "trace_id": line.trace_id})


def _because(trouble: Trouble) -> str:
    why = trouble.why.rstrip(" .;:")
    return f": {why}" if why else ""


def _sentences(*texts: str) -> str:
    return " ".join([text if text.endswith((".", "!", "?")) else f"{text}." for text in texts if text])


def _context(ongoing: _Ongoing, state: str) -> dict[str, Any]:
    return {"trouble": ongoing.trouble.key, "state": state, "seconds": round(ongoing.seconds, 1)}
