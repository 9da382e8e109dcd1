"""The shape of a story: all that does not depend on its times and ids, found once for the many traces that share it."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from pipeline.trace_stories.flows import NO_FLOW, NO_ROLE, Flow, Role, Roles

__all__ = ["LONGEST_TEXT", "Shape", "Shapes", "different_texts", "short_text"]

LONGEST_TEXT = 200
_MOST_PLACES = 64
_MOST_REMEMBERED = 2000
# Of events: the stories of most traces are short, and the long ones are each of a shape of their own.
_LONGEST_REMEMBERED = 32


class Shape(NamedTuple):
    """What stories have in common whose events, in order, are of the same services, components, levels and roles."""

    flow: Flow | None
    begins: int
    """Number of the flow, as `Role.begins`."""
    ends: int
    """Bits of the flows that are ended."""
    fixed: dict[str, Any]
    """What a summary says of it."""
    critical: Sequence[int]
    """The places of the gaps, the time between two events, that are before an event of a critical component."""
    steps: Sequence[tuple[str, int, int, int]]
    """Name, place of the event where it begins, place of its last event, errors."""
    error_count: int
    first_error: int | None
    """Its place."""


class Shapes:
    """Find the shape of a story; remembers those of late, which changes no result."""

    def __init__(self, flows: Iterable[Flow]) -> None:
        self.roles = Roles(flows)
        self.flows = self.roles.flows
        self._by_message: dict[tuple[Sequence[Any], ...], Shape] = {}
        self._by_role: dict[tuple[Sequence[Any], ...], Shape] = {}

    def of(
        self,
        services: Sequence[Any],
        components: Sequence[Any],
        levels: Sequence[Any],
        messages: Sequence[Any],
    ) -> Shape:
        """Give the shape of events in the order of their times: a column, a tuple, for each thing."""
        key = (services, components, levels, messages)
        try:
            found = self._by_message.get(key)
        except TypeError:
            return self._make(*key[:3], self._roles(*key))
        if found is not None:
            return found
        roles = self._roles(*key)
        if len(messages) > _LONGEST_REMEMBERED:
            return self._make(*key[:3], roles)
        # Messages with numbers in them come once, and their roles all the same.
        by_role = (services, components, levels, tuple(map(id, roles)))
        found = self._by_role.get(by_role)
        if found is None:
            if len(self._by_role) >= _MOST_REMEMBERED:
                self._by_role.clear()
            found = self._by_role[by_role] = self._make(*key[:3], roles)
        if len(self._by_message) >= _MOST_REMEMBERED:
            self._by_message.clear()
        self._by_message[key] = found
        return found

    def _roles(self, *columns: Sequence[Any]) -> list[Role]:
        return [self.roles.of(*each) for each in zip(*columns, strict=True)]

    def _make(
        self,
        services: Sequence[Any],
        components: Sequence[Any],
        levels: Sequence[Any],
        roles: Sequence[Role],
    ) -> Shape:
        ends = fails = 0
        number = len(self.flows)
        for role in roles:
            if role is not NO_ROLE:
                number = min(number, role.begins)
                ends |= role.ends
                fails |= role.fails
        flow = self.flows[number] if number < len(self.flows) else None
        errors = levels.count("ERROR")
        fixed: dict[str, Any] = {
            "flow": NO_FLOW if flow is None else flow.name,
            # Of a trace of no flow nobody knows what should be there.
            "complete": flow is None or bool(ends >> number & 1),
            # Calls that were tried again are errors, and no failure, where the flow says what is one.
            "failed": bool(errors) if flow is None else bool(fails >> number & 1),
            "services": different_texts(services, _MOST_PLACES),
            "components": different_texts(components, _MOST_PLACES),
        }
        if flow is not None:
            fixed["expected_ms"] = round(flow.expected_seconds * 1000)
        return Shape(
            flow,
            number,
            ends,
            fixed,
            # The time before an event is its own: what is logged is logged when it is done.
            () if flow is None else [
                place for place, component in enumerate(components[1:]) if component in flow.critical
            ],
            () if flow is None else _steps(flow, [role.steps[number] for role in roles], levels),
            errors,
            levels.index("ERROR") if errors else None,
        )  # fmt: skip


def _steps(
    flow: Flow, owners: Iterable[int | None], levels: Sequence[Any]
) -> Sequence[tuple[str, int, int, int]]:
    """Cut a story into the steps of its flow, without what is after the last of their events."""
    last_of: dict[int, int] = {}
    latest = 0
    for place, owner in enumerate(owners):
        # What a later step has begun no earlier one gets back.
        if owner is not None and owner >= latest:
            last_of[owner] = place
            latest = owner
    steps = []
    begin = before = 0
    for number, last in last_of.items():
        steps.append((flow.steps[number].name, before, last, levels[begin : last + 1].count("ERROR")))
        begin, before = last + 1, last
    return steps


def different_texts(values: Sequence[Any], most: int) -> list[str]:
    """Give each value once, in the order of its first appearance."""
    try:
        different: Iterable[Any] = dict.fromkeys(values)
    except TypeError:
        different = values
    return [text for text in dict.fromkeys(map(short_text, different)) if text][:most]


def short_text(value: Any) -> str:
    """Give a text as it is shown, cut; a number as a text; nothing of anything else."""
    if type(value) is str:
        return value if len(value) <= LONGEST_TEXT else value[:LONGEST_TEXT]
    return str(value) if type(value) in {int, float} else ""
