"""Traffic of other kinds than the sample's good weather, made from the sample: the rows of the weather table."""

import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from benchmarks.traffic import sample_day
from pipeline.sample import SampleEvent
from pipeline.sample.formats import rewritten

__all__ = ["BASE", "TRAFFIC", "weather_events"]

Event = dict[str, Any]
_Change = Callable[[Event, random.Random], Event | bytes]

BASE = "base"
_FRAMES = 22
_ANOTHER_WAY = 0.1
_MODULES = ("orders", "billing", "sessions", "payments", "search", "inventory", "mail", "ledger")
_CALLS = (
    "retry",
    "fetch",
    "_commit",
    "handle",
    "render",
    "validate",
    "_send",
    "dispatch",
    "close",
    "read_all",
)
_KINDS = ("TimeoutError", "ConnectionResetError", "ValueError", "KeyError", "IntegrityError")
_MESSAGES = (
    "could not reach the orders service",
    "payment provider refused the request",
    "session store is not available",
    "deadline exceeded while waiting for a connection",
    "unexpected answer of the search backend",
)
_TEXT = """request answer customer order item payment retried after seconds while cache was cold the of in for with
service returned status took longer than limit queue partition leader offset batch worker node"""
_WORDS = tuple(_TEXT.split())
_TEXT_CHARACTERS = 5000
_LINE = '  File "/srv/app/{module}/{call}.py", line {line}, in {call}\n    return self.{call}(request, timeout=3)\n'


def _calls(draw: random.Random) -> str:
    return "".join(
        _LINE.format(module=draw.choice(_MODULES), call=draw.choice(_CALLS), line=draw.randrange(20, 400))
        for _ in range(_FRAMES)
    )


_FAULTS = tuple(
    (kind, message, _calls(random.Random(f"{kind} {message}"))) for kind in _KINDS for message in _MESSAGES
)


def _failing(event: Event, draw: random.Random, suffix: str = "") -> Event:
    """Make an event an error with a stack trace of some 2 kB; one in ten came to its fault another way."""
    kind, message, calls = draw.choice(_FAULTS)
    if draw.random() < _ANOTHER_WAY:
        calls = _calls(draw)
    message += suffix
    trace = f"Traceback (most recent call last):\n{calls}{kind}: {message}"
    context = {**(event.get("context") or {}), "exception_type": kind, "stack_trace": trace}
    return {**event, "level": "ERROR", "message": message, "context": context}


def _storm(event: Event, draw: random.Random) -> Event:
    if draw.random() < 1 / 2:
        return event
    return _failing(event, draw)


def _storm_with_ids(event: Event, draw: random.Random) -> Event:
    if draw.random() < 1 / 2:
        return event
    return _failing(event, draw, f" (request {draw.getrandbits(64):016x}, order {draw.randrange(10**7)})")


def _long_text(event: Event, draw: random.Random) -> Event:
    words: list[str] = []
    characters = 0
    while characters < _TEXT_CHARACTERS:
        word = draw.choice(_WORDS) if draw.random() < 0.9 else str(draw.randrange(100_000))
        words.append(word)
        characters += len(word) + 1
    return {**event, "message": " ".join(words)}


def _services(number: int) -> _Change:
    def of_one(event: Event, draw: random.Random) -> Event:
        return {**event, "service": f"service-{draw.randrange(number)}"}

    return of_one


def _tagged(event: Event, _: random.Random) -> Event:
    return {**event, "tags": ["blue", "canary"]}


def _as_it_is(event: Event, _: random.Random) -> Event:
    return event


def _in_filebeat(event: Event, _: random.Random) -> bytes:
    return rewritten(orjson.dumps(event), "filebeat")


TRAFFIC: dict[str, _Change] = {
    BASE: _as_it_is,
    "error_storm": _storm,
    "error_storm_with_ids": _storm_with_ids,
    "long_text": _long_text,
    "services_20": _services(20),
    "services_50": _services(50),
    "services_200": _services(200),
    "services_1000": _services(1000),
    "filebeat": _in_filebeat,
    "tags": _tagged,
}
"""What each kind of traffic makes of an event of the sample."""


def weather_events(kind: str, count: int) -> Iterator[SampleEvent]:
    """Give so many events of one of `TRAFFIC`, the same at every call; what is no object stays as it is."""
    change, draw = TRAFFIC[kind], random.Random(kind)
    sent: Iterable[SampleEvent] = sample_day(count)
    if change is _as_it_is:
        yield from sent
        return
    for each in sent:
        try:
            event = orjson.loads(each.value)
        except orjson.JSONDecodeError:
            event = None
        if not isinstance(event, dict):
            yield each
            continue
        changed = change(event, draw)
        yield each._replace(value=changed if isinstance(changed, bytes) else orjson.dumps(changed))
