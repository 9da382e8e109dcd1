"""What a Logstash filter section costs an event: filters alone, decoded events in, changed ones out; and in the worker.

Each configuration runs over fresh copies of the same events, a thousand at a time, and the configurations take turns;
the figure is processor time per event, without that of copying. `python -m benchmarks --only filters` shows them.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any, Final, NamedTuple

from benchmarks.hot_path import MemoryRecord
from benchmarks.traffic import sample_day
from pipeline.encode.fast_path import BatchEncoder
from pipeline.encode.filtering import Filtering
from pipeline.events.document import DocumentBuilder
from pipeline.logstash.compiler import Compiled, Context, compile_filters
from pipeline.logstash.configuration import compile_pipeline
from pipeline.logstash.fields import Event, copy_value
from pipeline.logstash.parse import parse
from pipeline.logstash.plugin import Origin, Outcomes
from pipeline.logstash.timestamp import Timestamp
from pipeline.settings import Settings

__all__ = ["COSTS", "Cost", "FilterRow", "Filters", "measure_filters"]

EVENTS: Final = 1000
REPETITIONS: Final = 3  # for each round: these are short
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


class Cost(NamedTuple):
    """A configuration, the events it runs over, and what it may cost in microseconds an event."""

    name: str
    config: str
    event: Callable[[int], Event]
    most: float | None = None


class FilterRow(NamedTuple):
    """What one configuration costs: processor time in microseconds an event."""

    name: str
    median: float
    least: float
    most: float | None

    @property
    def is_met(self) -> bool | None:
        """Say whether the bound is met; None where there is none."""
        return None if self.most is None else self.median <= self.most


class Filters(NamedTuple):
    """What was measured: a row for each configuration, and the ratio that has a bound of its own, by round."""

    rows: list[FilterRow]
    unmatched_to_matched: list[float]
    """A line that no pattern matches against one that does."""
    guide_to_built_in: list[float]
    """Records to documents with the guide's filter section, against the pipeline's own rules alone."""
    more_to_built_in: list[float]
    """The same with a filter that is none of the guide's, so that all of them run."""


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


MATCHED: Final = "one grok, lines that match"
UNMATCHED: Final = "one grok, lines that do not match"
COSTS: Final = (
    Cost("an empty filter section", "", application_event, 0.02),
    Cost("one condition with drop", DROP, application_event, 0.15),
    Cost("the guide's filter", GUIDE, application_event),
    Cost("ten filters", TEN, application_event, 8.0),
    Cost("ten filters and a grok", TEN + GROK, both_event, 16.0),
    Cost(MATCHED, GROK, access_event),
    Cost(UNMATCHED, GROK, other_event),
)


SERVICE: Final = """
if [fields][service] == "claude-code-bot" {
  json { source => "message" }
  date { match => ["timestamp", "ISO8601"] target => "@timestamp" }
  mutate { add_field => { "service_name" => "claude-code-bot" } remove_field => ["timestamp"] }
  if [level] == "ERROR" { mutate { add_tag => ["error"] } }
}
"""
MORE: Final = 'mutate { add_field => { "ran" => "1" } }'
BUILT_IN: Final = "built in"
WORKER: Final = {BUILT_IN: None, "guide": SERVICE, "more": SERVICE + MORE}
_TOPIC: Final = "claude-code-bot.logs"


class _Way:
    """Records to documents as a worker makes them, with a filter section or without."""

    def __init__(self, section: str | None, records: list[MemoryRecord]) -> None:
        self.times: list[float] = []
        self._records = records
        known = Settings()
        builder = DocumentBuilder(known.events, known.index)
        filtering = None
        if section is not None:
            text = (
                f'input {{ kafka {{ topics => ["{_TOPIC}"] codec => json }} }} filter {{ {section} }} '
                'output { elasticsearch { index => "claude-code-bot-%{+YYYY.MM.dd}" } }'
            )
            filtering = Filtering(compile_pipeline(parse(text), Context()), builder, known)
        self._encoder = BatchEncoder(builder, filtering=filtering)

    def run(self) -> None:
        """Take a turn."""
        self.times.append(median(self._once() for _ in range(REPETITIONS)))

    def _once(self) -> float:
        begun = time.process_time()
        for start in range(0, len(self._records), EVENTS):
            batch = self._records[start : start + EVENTS]
            self._encoder.encode(_TOPIC, 0, batch, batch[-1].timestamp)
        return time.process_time() - begun


class _Contender:
    """A compiled configuration and its events."""

    def __init__(self, cost: Cost) -> None:
        self.cost = cost
        self.times: list[float] = []
        self._compiled: Compiled = compile_filters(
            parse(f"filter {{ {cost.config} }}").statements("filter"), Context(ecs="disabled")
        )
        self._templates = [cost.event(number) for number in range(EVENTS)]

    def run(self) -> None:
        """Take a turn."""
        self.times.append(median(self._once() for _ in range(REPETITIONS)) / EVENTS * 1e6)

    def _once(self) -> float:
        events: list[dict[str, Any]] = [copy_value(template) for template in self._templates]
        origins = [ORIGIN] * len(events)
        outcomes = Outcomes()
        begun = time.process_time()
        self._compiled.run(events, origins, outcomes)
        return time.process_time() - begun


def measure_filters(rounds: int, events: int = 10 * EVENTS) -> Filters:
    """Measure all configurations in turns, after one that does not count; `events` are those of the worker's ways."""
    contenders = [_Contender(cost) for cost in COSTS]
    records = [
        MemoryRecord(offset, event.timestamp_ms, event.value)
        for offset, event in enumerate(sample_day(events))
    ]
    ways = {name: _Way(section, records) for name, section in WORKER.items()}
    running: list[_Contender | _Way] = [*contenders, *ways.values()]
    for number in range(rounds + 1):
        for contender in running:
            contender.run()
            if not number:
                contender.times.clear()
    times = {contender.cost.name: contender.times for contender in contenders}
    return Filters(
        [FilterRow(cost.name, median(times[cost.name]), min(times[cost.name]), cost.most) for cost in COSTS],
        _ratios(times[UNMATCHED], times[MATCHED]),
        _ratios(ways["guide"].times, ways[BUILT_IN].times),
        _ratios(ways["more"].times, ways[BUILT_IN].times),
    )


def _ratios(ones: list[float], others: list[float]) -> list[float]:
    return [one / other for one, other in zip(ones, others, strict=True)]
