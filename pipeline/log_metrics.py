"""Metrics derived from events: events that are alike are gathered, and the rules applied once for all of them.

A rule looks at a few of an event's fields. Events that have the same values in all the fields that any rule
looks at are alike, so that `gather` only puts the number that each has into the list of its like; `flush`,
once a second and at each scrape, takes the lists, applies the rules, and adds to the series.

To find the list, `gather` looks up the cell of the event's level, component, service and names in the context.
The cell knows what to take out of such a context; what else there is goes to its plan, one by one.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from pipeline.metric_rules import MISSING, Rule
from pipeline.metric_series import Amounts, CounterSeries, DerivedMetric, GaugeSeries, Series, amounts_of

__all__ = ["EventColumns", "LogMetrics"]

_CONTEXT = "context."
_FIXED = ("service", "component", "level")
_STAMP = "@timestamp"

# Bounds of what is gathered, and of what is remembered to be fast; when one is reached it is begun anew.
_MOST_EVENTS = 100_000
_MOST_GROUPS = 2000
_FLUSHES_TO_RENEW = 16
_MOST_CELLS = 4096
_LONGEST_CONTEXT = 64
_MOST_RESOLVED = 1000

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
        self._plans: dict[tuple[Any, ...], _Plan] = {}
        # By level, component, service, and names in the context.
        self._cells: dict[Any, dict[Any, dict[Any, dict[tuple[str, ...], _Cell]]]] = {}
        self._number_of_cells = self._groups = self._events = self._flushes = 0
        if registry is not None:
            registry.register(self)

    def gather(self, columns: EventColumns) -> None:
        """Put each event to its like."""
        if self._number_of_cells >= _MOST_CELLS or len(self._plans) >= _MOST_CELLS:
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
        if self._events >= _MOST_EVENTS or self._groups >= _MOST_GROUPS:
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
        """Apply the rules to what has been gathered."""
        now_ms = self._clock() * 1000
        self._flushes += 1
        # In time it is forgotten which groups there were, and each series gets another trace as its example.
        renew = self._flushes % _FLUSHES_TO_RENEW == 0 or self._groups >= _MOST_GROUPS
        if renew:
            self._groups = 0
        self._events = 0
        for plan in self._plans.values():
            plan.flush(now_ms, renew=renew)

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
        which = level, component, service, shape
        plan = self._plans.get(which)
        if plan is None:
            fixed = {"service": service, "component": component, "level": level}
            plan = self._plans[which] = _Plan(self._possible(fixed, shape), fixed, shape)
        if plan.cell is not None and len(context) <= _LONGEST_CONTEXT:
            by_service = self._cells.setdefault(level, {}).setdefault(component, {})
            by_service.setdefault(service, {})[tuple(context)] = plan.cell
            self._number_of_cells += 1
        self._groups += plan.add(context, stamp, event)

    def _begin_anew(self) -> None:
        """Take what has been gathered, and forget which kinds of events there were."""
        self.flush()
        self._plans.clear()
        self._cells.clear()
        self._number_of_cells = 0

    def _possible(self, fixed: dict[str, Any], shape: frozenset[str]) -> list[tuple[Rule, DerivedMetric]]:
        """Give the rules that events with these fixed fields and a context of this shape may satisfy."""
        return [
            (rule, metric)
            for rule, metric in self._rules
            if shape.issuperset(_needed(rule))
            and all(condition.holds(fixed[name]) for name, condition in rule.when.items() if name in fixed)
        ]


class _Target(NamedTuple):
    """One series that a group of events counts for."""

    metric: DerivedMetric
    series: Series
    folded: bool
    field: str | None
    """Whose numbers it takes."""


class _Plan:
    """What to keep of events with the same fields, and what to do with it."""

    def __init__(
        self, rules: list[tuple[Rule, DerivedMetric]], fixed: dict[str, Any], shape: frozenset[str]
    ) -> None:
        self._rules = rules
        self._fixed = fixed
        there = {_CONTEXT + name for name in shape}
        numbers = {rule.value for rule, _ in rules if rule.value is not None}
        # Of a number it is enough that it is there; as a part of the key each number would be alone.
        keys = {
            field for rule, _ in rules for field in rule.fields if field not in numbers or rule.reads(field)
        }
        at_root = {field for field in numbers if not field.startswith(_CONTEXT)}
        if any(rule.type == "gauge" for rule, _ in rules):
            at_root.add(_STAMP)
        self._keys = _Names(keys & there, {f for f in keys if not f.startswith(_CONTEXT)}.difference(_FIXED))
        self._numbers = _Names(numbers & there, at_root)
        self._groups: dict[Any, list[Any]] = {}
        self._examples: dict[Any, Any] = {}
        """The trace of the first event of each group; None when it has been shown."""
        self._resolved: dict[Any, list[_Target]] = {}
        self.cell: _Cell | None = None
        """How to do without `add`; None where more than the context and the stamp is wanted."""
        if not self._keys.root and self._numbers.root in ([], [_STAMP]):
            self.cell = _Cell(
                self._keys.take_context, self._numbers.take_context, self._groups, bool(self._numbers.root)
            )

    def add(self, context: Context, stamp: str, event: dict[str, Any]) -> bool:
        """Put an event to its like; tells whether it is the first."""
        key = _hashable(self._keys.take(context, stamp, event))
        number = self._numbers.take(context, stamp, event)
        rows = self._groups.get(key)
        if rows is None:
            self._groups[key] = [number]
            self._examples[key] = event.get("trace_id")
            return True
        rows.append(number)
        return False

    def flush(self, now_ms: float, *, renew: bool) -> None:
        """Count every group for its series. `renew` forgets the groups."""
        for key, rows in self._groups.items():
            if not rows:
                continue
            columns = self._numbers.columns(rows)
            amounts: dict[str | None, Amounts] = {}
            for metric, series, folded, field in self._targets(key):
                if folded:
                    metric.folded += len(rows)
                if isinstance(series, GaugeSeries):
                    metric.refused += series.read(columns[field], columns[_STAMP], now_ms)
                elif isinstance(series, CounterSeries) and field is None:
                    series.total += len(rows)
                else:
                    if field not in amounts:
                        amounts[field] = amounts_of(columns[field])
                    metric.refused += amounts[field].refused
                    series.add(amounts[field], self._examples[key])
            self._examples[key] = None
            rows.clear()
        if renew:
            self._groups.clear()
            self._examples.clear()

    def _targets(self, key: Any) -> list[_Target]:
        targets = self._resolved.get(key)
        if targets is None:
            if len(self._resolved) >= _MOST_RESOLVED:
                self._resolved.clear()
            targets = self._resolved[key] = self._resolve(key)
        return targets

    def _resolve(self, key: Any) -> list[_Target]:
        """Apply the rules to the fields that a group of events shares."""
        fields = {**dict.fromkeys(self._numbers.names, _COMPOUND), **self._fixed, **self._keys.fields(key)}
        targets = []
        for rule, metric in self._rules:
            if all(condition.holds(fields.get(name, MISSING)) for name, condition in rule.when.items()):
                labels = tuple(
                    [label.text(fields.get(label.field or "", MISSING)) for label in rule.labels.values()]
                )
                series, folded = metric.get(labels)
                targets.append(_Target(metric, series, folded, rule.value))
        return targets


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
    """Give the names without which no context satisfies the rule."""
    fields = {name for name, condition in rule.when.items() if not condition.holds(MISSING)}
    if rule.value is not None:
        fields.add(rule.value)
    return {field.removeprefix(_CONTEXT) for field in fields if field.startswith(_CONTEXT)}


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
