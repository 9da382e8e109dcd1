"""What a filter is: the interface of the modules in `filters/`, and what they hand to the compiler."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, TypeAlias

from pipeline.logstash.fields import Event, FieldError, parse_reference, tag_failure
from pipeline.logstash.interpolation import PatternError, checked
from pipeline.logstash.oniguruma import UntranslatableError
from pipeline.logstash.options import Given, Option
from pipeline.logstash.patterns import DEFAULT_TIMEOUT, Pattern
from pipeline.logstash.syntax import Position
from pipeline.logstash.timestamp import Timestamp

if TYPE_CHECKING:
    from pipeline.logstash.source import Source

__all__ = [
    "FILTER_EXCEPTION",
    "Change",
    "Ecs",
    "FilterPlugin",
    "Inline",
    "Origin",
    "Outcomes",
    "Site",
    "Spread",
    "Step",
]

Ecs: TypeAlias = Literal["disabled", "v1", "v8"]
FILTER_EXCEPTION: Final = "_filterexception"


class Origin(NamedTuple):
    """The record that an event comes from; all that a filter may know besides the event."""

    topic: str = ""
    partition: int = 0
    offset: int = 0
    timestamp_ms: int = 0
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()

    @property
    def now(self) -> Timestamp:
        """What counts as now: the record's own time, so that a replay gives the same."""
        return Timestamp.of_milliseconds(self.timestamp_ms)


@dataclass(slots=True)
class Outcomes:
    """What happened to events besides their changes, for the counters and for `logpipe logstash test`."""

    dropped: list[tuple[Any, str]] = field(default_factory=list)
    exceptions: Counter[str] = field(default_factory=Counter)
    samples: dict[str, str] = field(default_factory=dict)
    watch: Callable[[str, Event], None] | None = None

    def drop(self, origin: Any, step: str) -> None:
        """Note that a filter has dropped an event of this record."""
        self.dropped.append((origin, step))

    def fail(self, event: Event, step: str, error: Exception, tag: str = FILTER_EXCEPTION) -> bool:
        """Tag and count an event whose filter or condition could not be run; False, as the condition then is."""
        self.exceptions[step] += 1
        self.samples.setdefault(step, f"{type(error).__name__}: {error}")
        tag_failure(event, tag)
        return False


@dataclass(frozen=True, slots=True)
class Change:
    """A filter that changes an event in place. `run` says whether the common options are to be applied."""

    run: Callable[[Event, Origin], bool]


@dataclass(frozen=True, slots=True)
class Spread:
    """A filter that makes several events of one, or none.

    `run` gives pairs of an event and whether the common options apply to it; None means that it did nothing.
    """

    run: Callable[[Event, Origin], list[tuple[Event, bool]] | None]
    may_drop: bool = False
    tag_on_exception: str = FILTER_EXCEPTION


@dataclass(frozen=True, slots=True)
class Inline:
    """A filter that writes its own Python; `emit` writes statements about `event`.

    With `drops`, the event is gone where they end.
    """

    emit: "Callable[[Source], None]"
    drops: bool = False
    handles_common: bool = False


Step: TypeAlias = Change | Spread | Inline


@dataclass(slots=True)
class Site:
    """What a filter may know when it is built."""

    position: Position
    label: str
    ecs: Ecs = "v8"
    timeout: float = DEFAULT_TIMEOUT
    directory: Path = field(default_factory=Path)
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    wrap: Callable[[str, Callable[[Event], Any]], Callable[[Event], Any]] | None = None

    @property
    def has_ecs(self) -> bool:
        """Say whether fields follow the Elastic Common Schema."""
        return self.ecs != "disabled"

    def pattern(
        self, source: str, place: Position, timeout: float | None = None, *, dot_is_any: bool = False
    ) -> Pattern:
        """Compile a regular expression of the configuration; raises LogstashError."""
        try:
            # 0 is Logstash's word for no limit of its own.
            limit = self.timeout if timeout is None or timeout <= 0 else min(self.timeout, timeout)
            return _pattern(source, limit, dot_is_any)
        except UntranslatableError as error:
            raise place.error(
                f"The regular expression /{source[:200]}/ cannot be used: {error} (at character {error.place + 1}).",
                "Write it without that, or match it in a Python function.",
            ) from None

    def template(self, text: str, place: Position) -> str:
        """Check a text with `%{…}`; raises LogstashError for a date pattern that is none."""
        try:
            return checked(text)
        except PatternError as error:
            raise place.error(f"`{text}`: {error}.", "See Joda's DateTimeFormat for its letters.") from None

    def path(self, reference: str, place: Position) -> tuple[str, ...]:
        """Check a field reference; raises LogstashError."""
        try:
            return parse_reference(reference)
        except FieldError as error:
            raise place.error(f"{error}.", "A nested field is written [a][b].") from None

    def file(self, name: str, place: Position) -> Path:
        """Find a file that the configuration names, beside it unless the path is absolute; raises LogstashError."""
        path = Path(name)
        path = path if path.is_absolute() else self.directory / path
        if not path.is_file():
            raise place.error(f"The file {path} does not exist.")
        return path


@lru_cache(512)
def _pattern(source: str, timeout: float, dot_is_any: bool) -> Pattern:
    return Pattern(source, timeout=timeout, dot_is_any=dot_is_any)


class FilterPlugin(Protocol):
    """A module of `filters/`: its table of options, and how it is built from them."""

    OPTIONS: Mapping[str, Option]

    @staticmethod
    def build(given: Given, site: Site) -> Step:
        """Make the step; raises LogstashError for what cannot be done."""
