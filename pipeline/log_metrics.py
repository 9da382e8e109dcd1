"""Metrics derived from events: events that are alike are gathered, and the rules applied once for all of them.

A rule looks at a few of an event's fields. Events that have the same values in all the fields that any rule
looks at are alike and count for the same series, so that `gather` only puts the number that each has into the
list of its like; `flush`, once a second and at each scrape, adds the lists to their series.

To find the list, `gather` looks up the cell of the event's level, component, service and names in the context.
The cell knows what to take out of such a context; what else there is goes to its plan, one by one. Lists of
events that count for the same series are one list, so that a flood of different values, all of which count
under `other`, costs their looking up and no more.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from pipeline.metric_rules import MISSING, OTHER, Rule
from pipeline.metric_series import Amounts, CounterSeries, DerivedMetric, GaugeSeries, Series, amounts_of

__all__ = ["EventColumns", "LogMetrics"]

_CONTEXT = "context."
_FIXED = ("service", "component", "level")
_STAMP = "@timestamp"

# Bounds of what is gathered, and of what is remembered to be fast; when one is reached it is begun anew.
_MOST_EVENTS = 100_000
_FLUSHES_TO_FORGET = 16
_MOST_REMEMBERED = 4096
_MOST_PLANS = 1024
_LONGEST_CONTEXT = 64

Context = dict[str, Any]
_Take = Callable[[Context], Any]


class EventColumns(NamedTuple):
    """Some events, and what is looked at in each: a column for each field, all of one length."""

    levels: Sequence[Any]
    components: Sequence[Any]
    services: Sequence[Any]
    contexts: Sequence[Context]
    trace_ids: Sequence[Any]
    span_ids: Sequence[Any]
    stamps: Sequence[str]
    """Their times as text, all of one form."""
    events: Sequence[dict[str, Any]]

    def without(self, positions: Collection[int]) -> "EventColumns":
        """Leave out the events at these positions."""
        if not positions:
            return self
        kept = [position for position in range(len(self.events)) if position not in positions]
        return EventColumns._make([column[position] for position in kept] for column in self)


class _Cell(NamedTuple):
    """Where events of one kind go: `groups[key_of(context)].append(number_of(context))`.

    Methods of built-in types, which is what makes them fast. `stamped`: the number comes with the stamp.
    """

    key_of: _Take
    number_of: _Take
    groups: dict[Any, list[Any]]
    stamped: bool


class _Compound:
    """Stands for a value that is there and is no label: a list, an object, or a number of its own."""


_COMPOUND = _Compound()


class _Target(NamedTuple):
    """One series that events count for."""

    metric: DerivedMetric
    series: Series | None
    """None for a reading that belongs to nothing."""
    folded: bool
    field: str | None
    """Whose numbers it takes."""
    needs: tuple[str, ...]
    """Fields of numbers that must not be null."""


class _Group:
    """Events that count for the same series: what is taken of each, until the next flush."""

    __slots__ = ("plan", "rows", "targets", "trace_id")

    def __init__(self, plan: "_Plan", targets: list[_Target], trace_id: Any) -> None:
        self.plan = plan
        self.targets = targets
        self.rows: list[Any] = []
        self.trace_id = trace_id
        """Of the first event; None when it has been shown."""


class LogMetrics(Collector):
    """Count events by rules; `collect` gives what Prometheus shall see."""

    def __init__(
        self,
        rules: Iterable[Rule],
        registry: CollectorRegistry | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._metrics: dict[str, DerivedMetric] = {}
        self._rules = [(rule, self._metrics.setdefault(rule.name, DerivedMetric(rule))) for rule in rules]
        self._relevant = frozenset(name for rule, _ in self._rules for name in _in_context(rule))
        self._on_fixed = [
            (number, conditions)
            for number, (rule, _) in enumerate(self._rules)
            if (conditions := [(name, rule.when[name]) for name in _FIXED if name in rule.when])
        ]
        """The rules that say what a fixed field has to be, by their numbers."""
        self._plans: dict[tuple[Any, ...], _Plan] = {}
        # By level, component, service, and names in the context.
        self._cells: dict[Any, dict[Any, dict[Any, dict[tuple[str, ...], _Cell]]]] = {}
        # By level, component, service and shape: the plan, and lists of events by what else they have in common.
        self._kinds: dict[tuple[Any, ...], tuple[_Plan, dict[Any, list[Any]]]] = {}
        self._groups: dict[tuple[Any, ...], _Group] = {}
        self._remembered = self._events = self._flushes = 0
        if registry is not None:
            registry.register(self)

    def gather(self, columns: EventColumns) -> None:
        """Put each event to its like."""
        if self._remembered >= _MOST_REMEMBERED or len(self._plans) >= _MOST_PLANS:
            self._begin_anew()
        cells = self._cells
        for level, component, service, context, stamp, event in zip(
            columns.levels,
            columns.components,
            columns.services,
            columns.contexts,
            columns.stamps,
            columns.events,
            strict=True,
        ):
            try:
                key_of, number_of, groups, stamped = cells[level][component][service][tuple(context)]
                if stamped:
                    groups[key_of(context)].append((number_of(context), stamp))
                else:
                    groups[key_of(context)].append(number_of(context))
            except (KeyError, TypeError):
                self._gather_first(_scalar(component), _scalar(service), level, context, stamp, event)
        self._events += len(columns.events)
        if self._events >= _MOST_EVENTS:
            self.flush()

    def count(self, event: dict[str, Any]) -> None:
        """Count one event, of whatever shape."""
        level, context = event.get("level"), event.get("context")
        self.gather(
            EventColumns(
                levels=(level if isinstance(level, str) else "",),
                components=(event.get("component"),),
                services=(event.get("service"),),
                contexts=(context if isinstance(context, dict) else {},),
                trace_ids=(event.get("trace_id"),),
                span_ids=(event.get("span_id"),),
                stamps=(event.get(_STAMP, ""),),
                events=(event,),
            )
        )

    def flush(self) -> None:
        """Add what has been gathered to the series."""
        now_ms = self._clock() * 1000
        self._events = 0
        for group in self._groups.values():
            if group.rows:
                group.plan.count(group, now_ms)
                group.rows.clear()
                group.trace_id = None
        self._flushes += 1
        if self._flushes % _FLUSHES_TO_FORGET == 0:
            # There may be new ones by now, and each gets another trace as its example.
            self._forget()

    def collect(self) -> Iterator[Metric]:
        """Give every metric, and what had to be folded or refused."""
        self.flush()
        sets = GaugeMetricFamily(
            "logpipe_log_metric_label_sets",
            "Combinations of label values of a metric derived from the logs",
            labels=["metric"],
        )
        folded = CounterMetricFamily(
            "logpipe_log_metric_folded",
            "Observations counted under `other`, since the metric has as many label sets as it may",
            labels=["metric"],
        )
        refused = CounterMetricFamily(
            "logpipe_log_metric_values_refused",
            "Values that are no number, or not one that the metric can take",
            labels=["metric"],
        )
        now_ms = self._clock() * 1000
        for name, metric in self._metrics.items():
            yield from metric.families(now_ms)
            sets.add_metric([name], len(metric.series))
            folded.add_metric([name], metric.folded)
            refused.add_metric([name], metric.refused)
        yield from (sets, folded, refused)

    def describe(self) -> Iterator[Metric]:
        """Give the names, so that the registry need not collect to learn them."""
        for metric in self._metrics.values():
            yield from metric.names()

    def _gather_first(
        self, component: Any, service: Any, level: Any, context: Context, stamp: str, event: dict[str, Any]
    ) -> None:
        """Put away the first of its kind or of its like, and one whose cell does not know all that is wanted."""
        shape = self._relevant.intersection(context)
        fixed = {"service": service, "component": component, "level": level}
        which = level, component, service, shape
        plan, groups = self._kinds.get(which) or (self._plan(fixed, shape), {})
        key = _hashable(plan.keys.take(context, stamp, event))
        rows = groups.get(key)
        if rows is None:
            group, folded = self._group(plan, fixed, key, event)
            rows = group.rows
            # What is folded may never come again.
            if not folded:
                groups[key] = rows
                self._kinds[which] = plan, groups
                self._remembered += 1
        if groups and not plan.wants_root and len(context) <= _LONGEST_CONTEXT:
            names = self._cells.setdefault(level, {}).setdefault(component, {}).setdefault(service, {})
            if tuple(context) not in names:
                names[tuple(context)] = plan.cell(groups)
                self._remembered += 1
        rows.append(plan.numbers.take(context, stamp, event))

    def _group(
        self, plan: "_Plan", fixed: dict[str, Any], key: Any, event: dict[str, Any]
    ) -> tuple[_Group, bool]:
        """Give the group of an event, and whether any series of it is that of the others."""
        targets = plan.targets(fixed, key)
        which = (id(plan), *[(id(target.series), target.folded) for target in targets])
        group = self._groups.get(which)
        if group is None:
            group = self._groups[which] = _Group(plan, targets, event.get("trace_id"))
        return group, any(target.folded for target in targets)

    def _plan(self, fixed: dict[str, Any], shape: frozenset[str]) -> "_Plan":
        """Give the plan for events of these fixed fields and a context of this shape, made now if need be."""
        excluded = [
            number
            for number, conditions in self._on_fixed
            if not all(condition.holds(fixed[name]) for name, condition in conditions)
        ]
        plan = self._plans.get((shape, *excluded))
        if plan is None:
            rules = [each for number, each in enumerate(self._rules) if number not in excluded]
            plan = self._plans[shape, *excluded] = _Plan(rules, shape)
        return plan

    def _forget(self) -> None:
        """Forget which events there were."""
        self._cells.clear()
        self._kinds.clear()
        self._groups.clear()
        self._remembered = 0

    def _begin_anew(self) -> None:
        """Count what has been gathered, and forget everything about events."""
        self.flush()
        self._forget()
        self._plans.clear()


class _Prepared(NamedTuple):
    """A rule, as it is applied to events of one shape: see `_Target` for the last two."""

    metric: DerivedMetric
    conditions: list[tuple[str, Callable[[object], bool]]]
    labels: list[tuple[str, Callable[[object], str]]]
    others: tuple[str, ...]
    """The labels of what is folded."""
    field: str | None
    needs: tuple[str, ...]


class _Plan:
    """What to keep of events for which the same rules may count, and what to do with it."""

    def __init__(self, rules: Iterable[tuple[Rule, DerivedMetric]], shape: frozenset[str]) -> None:
        there = {_CONTEXT + name for name in shape}
        possible = [(rule, metric) for rule, metric in rules if there.issuperset(_needed(rule))]
        numbers = {rule.value for rule, _ in possible if rule.value is not None}
        # Of a number it is enough that it is there; as a part of the key each number would be alone.
        keys = {
            field
            for rule, _ in possible
            for field in rule.fields
            if field not in numbers or rule.reads(field)
        }
        at_root = {field for field in numbers if not field.startswith(_CONTEXT)}
        if any(rule.type == "gauge" for rule, _ in possible):
            at_root.add(_STAMP)
        self.keys = _Names(keys & there, {f for f in keys if not f.startswith(_CONTEXT)}.difference(_FIXED))
        self.numbers = _Names(numbers & there, at_root)
        self.wants_root = bool(self.keys.root) or self.numbers.root not in ([], [_STAMP])
        """Whether a cell does not do, since it has the context and the stamp alone."""
        self._numbers_there = dict.fromkeys(self.numbers.names, _COMPOUND)
        self._rules = [
            _Prepared(
                metric,
                [(name, condition.holds) for name, condition in rule.when.items() if name not in _FIXED],
                [(label.field or "", label.text) for label in rule.labels.values()],
                # Constants stay: an unknown model's input tokens are input tokens.
                tuple([label.constant or OTHER for label in rule.labels.values()]),
                rule.value,
                tuple(sorted(numbers.intersection(rule.when) - keys - {rule.value})),
            )
            for rule, metric in possible
        ]

    def cell(self, groups: dict[Any, list[Any]]) -> _Cell:
        """Give what is needed to put events into these groups."""
        return _Cell(self.keys.take_context, self.numbers.take_context, groups, bool(self.numbers.root))

    def targets(self, fixed: dict[str, Any], key: Any) -> list[_Target]:
        """Apply the rules to what a group of events has in common."""
        fields = {**self._numbers_there, **fixed, **self.keys.fields(key)}
        targets = []
        for rule in self._rules:
            for name, holds in rule.conditions:
                if not holds(fields.get(name, MISSING)):
                    break
            else:
                labels = tuple([text(fields.get(field, MISSING)) for field, text in rule.labels])
                targets.append(
                    _Target(rule.metric, *rule.metric.get(labels, rule.others), rule.field, rule.needs)
                )
        return targets

    def count(self, group: _Group, now_ms: float) -> None:
        """Add a group to its series."""
        every = self.numbers.columns(group.rows)
        amounts: dict[str | None, Amounts] = {}
        for metric, series, folded, field, needs in group.targets:
            columns, number = every, len(group.rows)
            if any(None in every[name] for name in needs):
                rows = [
                    row
                    for row, *values in zip(group.rows, *[every[name] for name in needs], strict=True)
                    if None not in values
                ]
                columns, number = self.numbers.columns(rows), len(rows)
            if not number:
                continue
            if folded:
                metric.folded += number
            if isinstance(series, GaugeSeries):
                metric.refused += series.read(columns[field], columns[_STAMP], now_ms)
            elif isinstance(series, CounterSeries) and field is None:
                series.total += number
            elif series is not None:
                if columns is not every:
                    amount = amounts_of(columns[field])
                else:
                    amount = amounts[field] = amounts.get(field) or amounts_of(columns[field])
                metric.refused += amount.refused
                series.add(amount, group.trace_id)


class _Names:
    """Fields to take out of events, and how they come: one as it is, several as a tuple.

    With fields of the context and of the root it is a pair of the two.
    """

    def __init__(self, context: Iterable[str], root: Iterable[str]) -> None:
        self.context = sorted(context)
        self.root = sorted(root)
        names = [field.removeprefix(_CONTEXT) for field in self.context]
        self.take_context: _Take = itemgetter(*names) if names else _take_nothing

    @property
    def names(self) -> list[str]:
        """Give all of them."""
        return [*self.context, *self.root]

    def take(self, context: Context, stamp: str, event: dict[str, Any]) -> Any:
        """Take them out of an event whose context has all of them; of the root, MISSING for what is not there."""
        inner = self.take_context(context)
        if not self.root:
            return inner
        outer = [stamp if name == _STAMP else event.get(name, MISSING) for name in self.root]
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


def _needed(rule: Rule) -> set[str]:
    """Give the fields of the context without which no event satisfies the rule."""
    fields = {name for name, condition in rule.when.items() if not condition.holds(MISSING)}
    if rule.value is not None:
        fields.add(rule.value)
    return {field for field in fields if field.startswith(_CONTEXT)}


def _in_context(rule: Rule) -> list[str]:
    """Give every name in the context that the rule looks at."""
    return [
        name.removeprefix(_CONTEXT) for name in (*rule.fields, rule.value or "") if name.startswith(_CONTEXT)
    ]


# What there is where nothing is wanted: a list's own method that gives 0 for whatever it is asked.
_NOTHING: Any = 0
_take_nothing: _Take = list[Any]().count


def _hashable(key: Any) -> Any:
    """Give a key, or a tuple of them, without the lists and objects in it."""
    return tuple(map(_hashable, key)) if isinstance(key, tuple) else _scalar(key)


def _scalar(value: Any) -> Any:
    """Give a value that can be the key of a dictionary."""
    return _COMPOUND if isinstance(value, dict | list) else value
