"""Which dead letters are meant: by where their records come from, when, of which service, and why they are dead."""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass

from pipeline.events.decode import decode
from pipeline.kafka.dead_letters import DeadLetter
from pipeline.settings import Events

__all__ = ["Selection", "select", "services_of"]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters are meant; what is not given is not looked at."""

    reason: str | None = None
    """Part of the error type or of the reason, in any case."""
    service: str | None = None
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    since_ms: int | None = None
    """Earliest timestamp of the record, in milliseconds since 1970."""
    until_ms: int | None = None
    """First timestamp that is too late."""
    limit: int | None = None

    def matches(self, letter: DeadLetter, events: Events) -> bool:
        """Tell whether a letter is meant, but for the limit."""
        topic, partition, offset, timestamp_ms, _ = letter.record
        return (
            self.topic in {None, topic}
            and self.partition in {None, partition}
            and self.offset in {None, offset}
            and (self.since_ms is None or timestamp_ms >= self.since_ms)
            and (self.until_ms is None or timestamp_ms < self.until_ms)
            and (
                self.reason is None
                or self.reason.casefold() in f"{letter.error_type}\n{letter.reason}".casefold()
            )
            and (self.service is None or self.service in services_of(letter.value, events))
        )


async def select(
    letters: AsyncIterable[DeadLetter], selection: Selection, events: Events
) -> AsyncIterator[DeadLetter]:
    """Give the letters that are meant, up to the limit."""
    left = selection.limit
    async for letter in letters:
        if left == 0:
            return
        if selection.matches(letter, events):
            yield letter
            if left is not None:
                left -= 1


def services_of(value: bytes | None, events: Events) -> set[str]:
    """Give the services that a record names: of each event, and of the envelope around it."""
    services: set[str] = set()
    for event in decode(value, service=events.service, max_array_events=events.max_array_events):
        for fields in (event.fields, event.fields.get("fields")):
            if isinstance(fields, dict):
                service = fields.get("service")
                name = service.get("name") if isinstance(service, dict) else service
                services.update(one for one in (name, fields.get("service.name")) if isinstance(one, str))
    return services
