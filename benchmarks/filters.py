"""What a Logstash filter section costs an event, filters alone: decoded events in, changed events out.

Each configuration runs over fresh copies of the same events, in lists of a thousand, for its share of the time; the
figure is processor time per event, the copies' own cost taken off. `python -m benchmarks.filters` prints them.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pipeline.logstash.compiler import Compiled, Context, compile_filters
from pipeline.logstash.fields import Event, copy_value
from pipeline.logstash.parse import parse
from pipeline.logstash.plugin import Origin, Outcomes
from pipeline.logstash.timestamp import Timestamp

__all__ = ["Cost", "Measured", "measure", "measure_all"]

EVENTS: Final = 1000
ROUNDS: Final = 15
ORIGIN: Final = Origin("logs", 0, 0, 1_705_314_600_000)
ACCESS_LINE: Final = (
    '203.0.113.{n} - user{n} [15/Jan/2024:10:30:{s:02d} +0000] "GET /api/items/{n}?page=2 HTTP/1.1" 200 {n}12 '
    '"https://example.com/start" "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0"'
)
PLAIN_LINE: Final = (
    "worker {n}: the cache was warmed in {s} ms, 12 entries of 40 were kept, nothing else to say here"
)

DROP: Final = 'if [level] == "DEBUG" { drop { } }'
GUIDE: Final = """
date { match => ["timestamp", "ISO8601"] target => "@timestamp" }
mutate { remove_field => ["timestamp"] }
if [level] == "ERROR" { mutate { add_tag => ["error"] } }
mutate { add_field => { "service_name" => "%{service}" } }
"""
TEN: Final = """
date { match => ["timestamp", "ISO8601"] }
mutate { remove_field => ["timestamp"] }
if [level] == "ERROR" { mutate { add_tag => ["error"] } }
mutate { add_field => { "service_name" => "%{service}" } }
mutate { rename => { "usr" => "[user][name]" } }
mutate { convert => { "status" => "integer" } lowercase => ["level"] }
mutate { gsub => ["path", "/\\d+", "/:id"] }
if [status] >= 500 { mutate { add_tag => ["server"] } } else if [status] >= 400 { mutate { add_tag => ["client"] } }
mutate { replace => { "stream" => "%{service}-%{+YYYY.MM.dd}" } }
if "health" in [path] { drop { } }
"""
GROK: Final = 'grok { match => { "message" => "%{COMBINEDAPACHELOG}" } }'


@dataclass(frozen=True, slots=True)
class Cost:
    """A configuration, the events it runs over, and the bound in microseconds an event."""

    name: str
    config: str
    event: Callable[[int], Event]
    bound: float


@dataclass(frozen=True, slots=True)
class Measured:
    """A configuration's cost in microseconds of processor time an event."""

    name: str
    microseconds: float
    bound: float


def _instant() -> Timestamp:
    return Timestamp.of_milliseconds(ORIGIN.timestamp_ms)


def application_event(number: int) -> Event:
    """Make an event as an application logs it."""
    return {
        "@timestamp": _instant(),
        "@version": "1",
        "timestamp": f"2024-01-15T10:{number % 60:02d}:{number % 59:02d}.{number % 1000:03d}Z",
        "level": ("INFO", "INFO", "WARN", "ERROR", "DEBUG")[number % 5],
        "service": "shop",
        "message": f"request {number} done",
        "usr": f"user{number % 50}",
        "status": str((200, 200, 200, 404, 500)[number % 5]),
        "path": f"/api/items/{number}",
    }


def access_event(number: int) -> Event:
    """Make an event of a line that the pattern matches."""
    return {
        "@timestamp": _instant(),
        "@version": "1",
        "message": ACCESS_LINE.format(n=number % 200, s=number % 60),
    }


def other_event(number: int) -> Event:
    """Make an event of a line that no pattern matches."""
    return {
        "@timestamp": _instant(),
        "@version": "1",
        "message": PLAIN_LINE.format(n=number % 200, s=number % 60),
    }


def both_event(number: int) -> Event:
    """Make an application's event whose message is an access line."""
    return {**application_event(number), "message": access_event(number)["message"]}


COSTS: Final = (
    Cost("an empty filter section", "", application_event, 0.02),
    Cost("one condition with drop", DROP, application_event, 0.15),
    Cost("the guide's filter", GUIDE, application_event, 8.0),
    Cost("ten filters without grok", TEN, application_event, 8.0),
    Cost("ten filters and a grok", TEN + GROK, both_event, 16.0),
    Cost("grok, a line that matches", GROK, access_event, 8.0),
    Cost("grok, a line that does not", GROK, other_event, 8.0),
)


def measure(cost: Cost, rounds: int = ROUNDS) -> Measured:
    """Measure one configuration; the best of several rounds, which other load disturbs least."""
    compiled = compile_filters(
        parse(f"filter {{ {cost.config} }}").statements("filter"), Context(ecs="disabled")
    )
    templates = [cost.event(number) for number in range(EVENTS)]
    best = min(_round(compiled, templates) for _ in range(rounds))
    return Measured(cost.name, best / EVENTS * 1e6, cost.bound)


def _round(compiled: Compiled, templates: list[Event]) -> float:
    events: list[dict[str, Any]] = [copy_value(template) for template in templates]
    origins = [ORIGIN] * len(events)
    outcomes = Outcomes()
    begun = time.process_time()
    compiled.run(events, origins, outcomes)
    return time.process_time() - begun


def measure_all() -> list[Measured]:
    """Measure all configurations."""
    return [measure(cost) for cost in COSTS]


if __name__ == "__main__":
    for measured in measure_all():
        print(f"{measured.name:32} {measured.microseconds:7.3f} µs an event, bound {measured.bound} µs")
