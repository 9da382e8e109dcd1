"""The flows: which events begin one, which steps it has, which end it, and what it may take."""

import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from pipeline.errors import SettingsError
from pipeline.settings import Traces

__all__ = ["NO_FLOW", "NO_ROLE", "Flow", "Pattern", "Role", "Roles", "Step", "chosen_flows", "load_flows"]

NO_FLOW = "none"
"""The name of the flow of a trace that belongs to no flow."""
_MOST_FLOWS = 20
_MOST_STEPS = 20
_MOST_REMEMBERED = 10_000


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


_Words = Annotated[tuple[str, ...] | None, BeforeValidator(_as_tuple)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Pattern(_Model):
    """Which events are meant; of what is given every one has to hold."""

    service: _Words = None
    """Services, one of which it has to be."""
    component: _Words = None
    """Components, one of which it has to be."""
    level: _Words = None
    """Levels, one of which it has to be."""
    message: str | None = None
    """A regular expression that its message has to begin with."""

    @field_validator("message")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return value

    def matches(self, service: str, component: str, level: str, message: str) -> bool:
        """Tell whether an event is meant."""
        return self.means(service, component, level) and (
            self.message is None or re.match(self.message, message) is not None
        )

    def means(self, service: str, component: str, level: str) -> bool:
        """Tell whether an event may be meant, whatever its message."""
        return (
            (self.service is None or service in self.service)
            and (self.component is None or component in self.component)
            and (self.level is None or level in self.level)
        )


class Step(_Model):
    """A step: it ends with the last event that is its own, and begins where the one before it ends."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    """Its name, a label's value."""
    events: tuple[Pattern, ...] = Field(min_length=1)
    """Which events are its own."""


class Flow(_Model):
    """What traces of one kind have in common."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    """Its name, a label's value."""
    begins: tuple[Pattern, ...] = Field(min_length=1)
    """Events of which one makes a trace one of this flow; the first flow of the file that fits wins."""
    ends: tuple[Pattern, ...] = Field(min_length=1)
    """Events of which one has to be there for the trace to be complete."""
    fails: tuple[Pattern, ...] = (Pattern(level=("ERROR",)),)
    """Events of which one makes its outcome `error`; any event of level ERROR without it."""
    expected_seconds: float = Field(gt=0)
    """What it may take; longer is slow."""
    idle_seconds: float | None = Field(default=None, gt=0, le=86_400)
    """How long it has to be quiet until it is closed; `traces.idle_seconds` without it."""
    ended_idle_seconds: float = Field(default=5.0, gt=0, le=86_400)
    """The same once it has ended: only what is late is waited for."""
    critical: tuple[str, ...] = ()
    """Components whose time is its critical path."""
    steps: tuple[Step, ...] = Field(default=(), max_length=_MOST_STEPS)
    """Its steps, in order."""


class _File(_Model):
    flows: tuple[Flow, ...] = Field(max_length=_MOST_FLOWS)

    @field_validator("flows")
    @classmethod
    def _names_differ(cls, flows: tuple[Flow, ...]) -> tuple[Flow, ...]:
        names = [flow.name for flow in flows]
        for name in names:
            if names.count(name) > 1 or name == NO_FLOW:
                raise ValueError(f"the name {name!r} is taken")
        return flows


def load_flows(text: str, where: str) -> tuple[Flow, ...]:
    """Read flows from TOML.

    Raises SettingsError, which names `where` and each thing that is wrong.
    """
    try:
        return _File.model_validate(tomllib.loads(text)).flows
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{where}: no valid TOML: {error}") from error
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise SettingsError("\n".join(f"{where}: {line}" for line in lines)) from None


def chosen_flows(settings: Traces) -> tuple[Flow, ...]:
    """Give the flows of `traces.flows_file`, or those that the pipeline brings along.

    Raises SettingsError as `load_flows` does, and when the file cannot be read.
    """
    file: Path | None = settings.flows_file
    if file is None:
        brought = resources.files("pipeline.trace_stories") / "default_flows.toml"
        return load_flows(brought.read_text("utf-8"), "default_flows.toml")
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"traces.flows_file = {str(file)!r}: cannot be read: {error}") from None
    return load_flows(text, f"traces.flows_file = {str(file)!r}")


class Role(NamedTuple):
    """What an event is for each flow."""

    begins: int
    """Number of the first flow that it begins; the number of flows when it begins none."""
    ends: int
    """Bits of the flows that it ends."""
    fails: int
    """Bits of the flows that it makes fail."""
    steps: Sequence[int | None]
    """By flow, the number of the step whose it is."""


NO_ROLE = Role(_MOST_FLOWS, 0, 0, (None,) * _MOST_FLOWS)
"""Of an event that no flow knows."""


class _Plan(NamedTuple):
    """What is known of events of one service, component and level: their roles depend on some expressions only."""

    matches: Sequence[Callable[[str], object]]
    roles: dict[tuple[bool, ...], Role]


class Roles:
    """Find the role of an event; remembers those of late, which changes no result."""

    def __init__(self, flows: Iterable[Flow]) -> None:
        self.flows = tuple(flows)
        self._known: dict[tuple[Any, ...], Role] = {}
        self._plans: dict[tuple[str, str, str], _Plan] = {}

    def of(self, service: Any, component: Any, level: Any, message: Any) -> Role:
        """Give what an event is; anything but texts is as good as none."""
        key = (service, component, level, message)
        try:
            role = self._known.get(key)
        except TypeError:
            return self._find(key)
        if role is None:
            role = self._find(key)
            # Messages with numbers in them come once.
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            self._known[key] = role
        return role

    def _find(self, key: Sequence[Any]) -> Role:
        service, component, level, message = (value if type(value) is str else "" for value in key)
        plan = self._plans.get((service, component, level))
        if plan is None:
            if len(self._plans) >= _MOST_REMEMBERED:
                self._plans.clear()
            plan = self._plans[service, component, level] = self._plan(service, component, level)
        hits = tuple([match(message) is not None for match in plan.matches])
        role = plan.roles.get(hits)
        if role is None:
            role = plan.roles[hits] = self._role(service, component, level, message)
        return role

    def _plan(self, service: str, component: str, level: str) -> _Plan:
        """Find the expressions that an event's message has to be compared with."""
        patterns = [
            pattern
            for flow in self.flows
            for some in (flow.begins, flow.ends, flow.fails, *[step.events for step in flow.steps])
            for pattern in some
            if pattern.message is not None and pattern.means(service, component, level)
        ]
        expressions = dict.fromkeys([pattern.message or "" for pattern in patterns])
        return _Plan([re.compile(expression).match for expression in expressions], {})

    def _role(self, *texts: str) -> Role:
        begins = [number for number, flow in enumerate(self.flows) if _any(flow.begins, texts)]
        fails = [number for number, flow in enumerate(self.flows) if _any(flow.fails, texts)]
        ends = [number for number, flow in enumerate(self.flows) if _any(flow.ends, texts)]
        steps = tuple(
            next((number for number, step in enumerate(flow.steps) if _any(step.events, texts)), None)
            for flow in self.flows
        )
        if not begins and not ends and not fails and not any(step is not None for step in steps):
            return NO_ROLE
        return Role(begins[0] if begins else _MOST_FLOWS, _bits(ends), _bits(fails), steps)


def _bits(numbers: Iterable[int]) -> int:
    return sum(1 << number for number in numbers)


def _any(patterns: Iterable[Pattern], texts: Sequence[str]) -> bool:
    return any(pattern.matches(*texts) for pattern in patterns)
