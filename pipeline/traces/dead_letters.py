"""Summaries that are refused: the events they were to be made of, as records and as dead letters."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, overload
from zlib import crc32

from pipeline.events.document import Coordinates
from pipeline.kafka.dead_letters import DeadLetter, DeadLetterProducer, Headers
from pipeline.kafka.trace_events import trace_events_topic
from pipeline.settings import Settings
from pipeline.trace_stories.lines import key_of
from pipeline.traces.pending_writes import Writing
from pipeline.traces.telemetry import TraceTelemetry
from pipeline.traces.trace_state import Due

__all__ = ["DeadSummaries", "Records"]


class _Record(NamedTuple):
    """The events of a summary as a record, for the writer's dead letters."""

    offset: int
    timestamp: int
    value: bytes
    key: bytes
    headers: Headers = ()


class Records(Sequence[_Record]):
    """The records of summaries, made when one is asked for: hardly ever."""

    def __init__(self, writing: Sequence[Writing]) -> None:
        self._writing = writing

    def __len__(self) -> int:
        return len(self._writing)

    @overload
    def __getitem__(self, place: int) -> _Record: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[_Record]: ...
    def __getitem__(self, place: int | slice) -> _Record | Sequence[_Record]:
        if isinstance(place, slice):
            return Records(self._writing[place])
        one = self._writing[place]
        # An offset that no id of a document can name.
        return _Record(-1 - place, -1, b"\n".join(one.due.lines), one.due.trace.id.encode())


class DeadSummaries:
    """The writer's dead letters: the events that a summary was to be made of, so that a replay tells them again."""

    def __init__(self, settings: Settings, writing: dict[bytes, Writing], telemetry: TraceTelemetry) -> None:
        self._topic = trace_events_topic(settings)
        self._writing = writing
        self._telemetry = telemetry
        self._producer = DeadLetterProducer(settings)

    async def write(self, letters: Iterable[DeadLetter]) -> None:
        """Write letters for the summaries that are refused."""
        found = [(letter, self._writing[key_of((letter.key or b"").decode())]) for letter in letters]
        await self._producer.write([self._letter(letter, one.due) for letter, one in found])
        for letter, one in found:
            one.refused = True
            self._telemetry.dead_letters.labels(letter.error_type).inc()

    async def close(self) -> None:
        """Disconnect."""
        await self._producer.close()

    def _letter(self, letter: DeadLetter, due: Due) -> DeadLetter:
        """Name the record in which the first of the events came, and the trace among those of the record."""
        record = due.trace.records[0]
        place = Coordinates(self._topic, due.trace.partition, record.offset, round(record.timestamp * 1000))
        return letter._replace(record=place, element=crc32(due.trace.key))
