"""What to take of events of one shape, and the series that they count for."""

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from pipeline.log_metrics.rules import MISSING, OTHER, Rule
from pipeline.log_metrics.series import Amounts, CounterSeries, DerivedMetric, GaugeSeries, Series, amounts_of

__all__ = [
    "FIXED",
    "Cell",
    "Context",
    "Group",
    "Kind",
    "KnownRule",
    "Plan",
    "in_context",
    "known_rule",
    "scalar",
]

_CONTEXT = "context."
_STAMP = "@timestamp"
_SERVICE = "service"
FIXED = (_SERVICE, "component", "level")
"""The fields of the root that every event is told apart by, whatever the rules look at."""

Context = dict[str, Any]
_Take = Callable[[Context], Any]


class Cell(NamedTuple):
    """Where events of one kind go: `groups[key_of(context)].append(number_of(context))`.

    Methods of built-in types, which is what makes them fast. `stamped`: the number comes with the stamp.
    """

    key_of: _Take
    number_of: _Take
    groups: dict[Any, list[Any]]
    stamped: bool


class Kind:
    """Events of one plan, level and component, and of one service or of several for which no series is left."""

    __slots__ = ("cell", "groups", "plan")

    def __init__(self, plan: "Plan") -> None:
        self.plan = plan
        self.groups: dict[Any, list[Any]] = {}
        """Lists of events by what else they have in common."""
        self.cell = plan.cell(self.groups)


class _Compound:
    """Stands for a value that is there and is no label: a list, an object, or a number of its own."""


_COMPOUND = _Compound()


class KnownRule(NamedTuple):
    """A rule, its metric, and what it looks at."""

    rule: Rule
    metric: DerivedMetric
    needed: frozenset[str]
    """Fields of the context without which no event satisfies it."""
    fields: frozenset[str]
    """Fields that decide whether and where an event counts."""
    read: frozenset[str]
    """Those of them of which it matters what they are, not only whether they are there."""


class _Target(NamedTuple):
    """One series that events count for."""

    rule: "_Prepared"
    series: Series | None
    """None for a reading that belongs to nothing."""
    folded: bool


class Group:
    """Events that count for the same series: what is taken of each, until the next flush."""

    __slots__ = ("plan", "rows", "targets", "trace_id")

    def __init__(self, plan: "Plan", targets: list[_Target], trace_id: Any) -> None:
        self.plan = plan
        self.targets = targets
        self.rows: list[Any] = []
        self.trace_id = trace_id
        """Of the first event; None when it has been shown."""


class _Prepared(NamedTuple):
    """A rule, as it is applied to events of one shape."""

    metric: DerivedMetric
    conditions: list[tuple[str, Callable[[object], bool]]]
    labels: list[tuple[str, Callable[[object], str]]]
    others: tuple[str, ...]
    """The labels of what is folded."""
    field: str | None
    """Whose numbers it takes."""
    needs: tuple[str, ...]
    """Fields of numbers that must not be null."""


class Plan:
    """What to keep of events for which the same rules may count, and what to do with it."""

    def __init__(self, rules: Iterable[KnownRule], shape: frozenset[str]) -> None:
        there = {_CONTEXT + name for name in shape}
        possible = [each for each in rules if there.issuperset(each.needed)]
        numbers = {each.rule.value for each in possible if each.rule.value is not None}
        # Of a number it is enough that it is there; as a part of the key each number would be alone.
        keys = set().union(*[each.fields - numbers for each in possible], *[each.read for each in possible])
        at_root = {field for field in numbers if not field.startswith(_CONTEXT)}
        if any(each.rule.type == "gauge" for each in possible):
            at_root.add(_STAMP)
        self._keys = _Names(
            keys & there, {f for f in keys if not f.startswith(_CONTEXT)}.difference(FIXED), absent=MISSING
        )
        self._numbers = _Names(numbers & there, at_root, absent=None)
        self.wants_root = bool(self._keys.root) or self._numbers.root not in ([], [_STAMP])
        """Whether a cell does not do, since it has the context and the stamp alone."""
        self._numbers_there = dict.fromkeys(self._numbers.names, _COMPOUND)
        self._rules = [
            _Prepared(
                metric,
                [(name, condition.holds) for name, condition in rule.when.items() if name not in FIXED],
                [(label.field or "", label.text) for label in rule.labels.values()],
                # Constants stay: an unknown model's input tokens are input tokens.
                tuple([label.constant or OTHER for label in rule.labels.values()]),
                rule.value,
                tuple(sorted(numbers.intersection(rule.when) - keys - {rule.value})),
            )
            for rule, metric, *_ in possible
        ]
        self._of_service = [_by_fixed(rule) for rule in self._rules if _SERVICE in dict(rule.labels)]

    def key(self, context: Context, stamp: str, event: dict[str, Any]) -> Any:
        """Give what an event has in common with its like."""
        return _hashable(self._keys.take(context, stamp, event))

    def number(self, context: Context, stamp: str, event: dict[str, Any]) -> Any:
        """Give what is kept of an event."""
        return self._numbers.take(context, stamp, event)

    def cell(self, groups: dict[Any, list[Any]]) -> Cell:
        """Give what is needed to put events into these groups."""
        return Cell(self._keys.take_context, self._numbers.take_context, groups, bool(self._numbers.root))

    def leaves_no_series(self, fixed: dict[str, Any]) -> bool:
        """Tell whether the service of these fixed fields makes no difference, now or later.

        It makes none where no label names it, or where each metric with such a label has all the series that it may
        have and none is of this service: whatever else is in such an event, it counts under `other`.
        """
        return all(
            metric.has_none_for(places, tuple([text(fixed[field]) for field, text in labels]))
            for metric, places, labels in self._of_service
        )

    def targets(self, fixed: dict[str, Any], key: Any) -> list[_Target]:
        """Apply the rules to what a group of events has in common."""
        fields = {**self._numbers_there, **fixed, **self._keys.fields(key)}
        targets = []
        for rule in self._rules:
            for name, holds in rule.conditions:
                if not holds(fields.get(name, MISSING)):
                    break
            else:
                labels = tuple([text(fields.get(field, MISSING)) for field, text in rule.labels])
                targets.append(_Target(rule, *rule.metric.get(labels, rule.others)))
        return targets

    def count(self, group: Group, now_ms: float) -> None:
        """Add a group to its series."""
        every = self._numbers.columns(group.rows)
        amounts: dict[str | None, Amounts] = {}
        for rule, series, folded in group.targets:
            metric, field, rows, columns = rule.metric, rule.field, group.rows, every
            if any(None in every[name] for name in rule.needs):
                needed = zip(*[every[name] for name in rule.needs], strict=True)
                rows = [row for row, values in zip(rows, needed, strict=True) if None not in values]
                if not rows:
                    continue
                columns = self._numbers.columns(rows)
            if folded:
                metric.folded += len(rows)
            if isinstance(series, GaugeSeries):
                metric.refused += series.read(columns[field], columns[_STAMP], now_ms)
            elif isinstance(series, CounterSeries) and field is None:
                series.total += len(rows)
            elif series is not None:
                if columns is every:
                    amount = amounts[field] = amounts.get(field) or amounts_of(columns[field])
                else:
                    amount = amounts_of(columns[field])
                metric.refused += amount.refused
                # Of some of the events the first may be another.
                series.add(amount, group.trace_id if columns is every else None)


class _Names:
    """Fields to take out of events, and how they come: one as it is, several as a tuple.

    With fields of the context and of the root it is a pair of the two. The context has them all, of those of
    the root `absent` stands for what is not there.
    """

    def __init__(self, context: Iterable[str], root: Iterable[str], absent: object) -> None:
        self._absent = absent
        self.context = sorted(context)
        self.root = sorted(root)
        names = [field.removeprefix(_CONTEXT) for field in self.context]
        self.take_context: _Take = itemgetter(*names) if names else _take_nothing

    @property
    def names(self) -> list[str]:
        """Give all of them."""
        return [*self.context, *self.root]

    def take(self, context: Context, stamp: str, event: dict[str, Any]) -> Any:
        """Take them out of an event."""
        inner = self.take_context(context)
        if not self.root:
            return inner
        outer = [stamp if name == _STAMP else event.get(name, self._absent) for name in self.root]
        return inner, outer[0] if len(outer) == 1 else tuple(outer)

    def fields(self, taken: Any) -> dict[str, Any]:
        """Give what was taken by its names."""
        inner, outer = taken if self.root else (taken, _NOTHING)
        return {
            **dict(zip(self.context, (inner,) if len(self.context) == 1 else inner or (), strict=True)),
            **dict(zip(self.root, (outer,) if len(self.root) == 1 else outer or (), strict=True)),
        }

    def columns(self, rows: list[Any]) -> dict[str | None, Sequence[Any]]:
        """Give what was taken of several events by names."""
        inner: Sequence[Any]
        inner, outer = zip(*rows, strict=True) if self.root else (rows, ())
        columns: dict[str | None, Sequence[Any]] = {}
        for names, taken in ((self.context, inner), (self.root, outer)):
            if len(names) == 1:
                columns[names[0]] = taken
            elif names:
                columns.update(zip(names, zip(*taken, strict=True), strict=True))
        return columns


def known_rule(rule: Rule, metric: DerivedMetric) -> KnownRule:
    """Look at a rule once, whatever the number of shapes."""
    needed = {name for name, condition in rule.when.items() if not condition.holds(MISSING)}
    if rule.value is not None:
        needed.add(rule.value)
    return KnownRule(
        rule,
        metric,
        frozenset(field for field in needed if field.startswith(_CONTEXT)),
        frozenset(rule.fields),
        frozenset(field for field in rule.fields if rule.reads(field)),
    )


def in_context(rule: Rule) -> list[str]:
    """Give every name in the context that the rule looks at."""
    return [
        name.removeprefix(_CONTEXT) for name in (*rule.fields, rule.value or "") if name.startswith(_CONTEXT)
    ]


def _by_fixed(
    rule: _Prepared,
) -> tuple[DerivedMetric, tuple[int, ...], list[tuple[str, Callable[[object], str]]]]:
    """Give the labels of a rule that fixed fields decide, with their places among all of its labels."""
    places = tuple([place for place, (field, _) in enumerate(rule.labels) if field in FIXED])
    return rule.metric, places, [rule.labels[place] for place in places]


# What there is where nothing is wanted: a list's own method that gives 0 for whatever it is asked.
_NOTHING: Any = 0
_take_nothing: _Take = list[Any]().count


def _hashable(key: Any) -> Any:
    """Give a key, or a tuple of them, without the lists and objects in it."""
    return tuple(map(_hashable, key)) if isinstance(key, tuple) else scalar(key)


def scalar(value: Any) -> Any:
    """Give a value that can be the key of a dictionary."""
    return _COMPOUND if isinstance(value, dict | list) else value
