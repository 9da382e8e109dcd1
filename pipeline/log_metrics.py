"""Metrics derived from events: events that are alike are gathered, and the rules applied once for all of them.

A rule looks at a few of an event's fields. Events that have the same values in all the fields that any rule
looks at are alike, so that the hot path only puts the number that each has into the list of its like; `flush`,
once a second and at each scrape, takes the lists, applies the rules, and adds to the series.

To find the list, the hot path looks up the cell of the event's level, component and service. The cell knows
what its events usually look like and how to find their list; what looks otherwise goes to `gather`.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from pipeline.metric_rules import MISSING, Rule
from pipeline.metric_series import Amounts, CounterSeries, DerivedMetric, GaugeSeries, Series, amounts_of

__all__ = ["LEVELS", "Cell", "LogMetrics"]

LEVELS = ("ERROR", "WARN", "INFO", "DEBUG")

_CONTEXT = "context."
_FIXED = ("service", "component", "level")
_STAMP = "@timestamp"

# Bounds of what is gathered, and of what is remembered to be fast; when one is reached it is begun anew.
_MOST_EVENTS = 50_000
_MOST_GROUPS = 2000
_FLUSHES_TO_RENEW = 16
_MOST_CELLS = 4096
_MOST_LEVELS = 256
_MOST_PLANS = 256
_LONGEST_CONTEXT = 64
_MOST_RESOLVED = 1000

Context = dict[str, Any]


class Cell(NamedTuple):
    """Where the hot path puts events of one service, component and level: `groups[key_of(c)].append(number_of(c))`.

    `c` is the context, `is_usual(c)` must hold, and a KeyError sends the event to `gather` as well. All but
    the last are methods of built-in types, which is what makes them fast.
    """

    is_usual: Callable[[Context], bool]
    key_of: Callable[[Context], Any]
    number_of: Callable[[Context], Any]
    groups: dict[Any, list[Any]]
    gather: Callable[[dict[str, Any], Context], None]


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
        self.cells: dict[str, dict[Any, dict[Any, Cell]]] = {level: {} for level in LEVELS}
        """Cells by level, component and service; the hot path keeps the dictionaries of the known levels."""
        self._gathering: list[_Gathering] = []
        self._groups = self._events = self._flushes = 0
        if registry is not None:
            registry.register(self)

    def cell(self, level: str, event: dict[str, Any]) -> Cell:
        """Give the cell of an event of this level, made now if need be."""
        if len(self._gathering) >= _MOST_CELLS or len(self.cells) >= _MOST_LEVELS:
            self._begin_anew()
        component, service = _scalar(event.get("component")), _scalar(event.get("service"))
        by_service = self.cells.setdefault(level, {}).setdefault(component, {})
        if service not in by_service:
            fixed = {"service": service, "component": component, "level": level}
            # It puts its cell into by_service, and another when something else becomes usual.
            self._gathering.append(_Gathering(self, fixed, by_service))
        return by_service[service]

    def count(self, event: dict[str, Any]) -> None:
        """Count an event outside the hot path."""
        level = event.get("level")
        context = event.get("context")
        if not isinstance(context, dict):
            context = {}
        self.cell(level if isinstance(level, str) else "", event).gather(event, context)

    def new_group(self) -> None:
        """Hear that there is one more group of events; too many are taken at once."""
        self._groups += 1
        if self._groups >= _MOST_GROUPS:
            self.flush()

    def saw(self, events: int) -> None:
        """Hear how many events have been gathered; very many are taken at once."""
        self._events += events
        if self._events >= _MOST_EVENTS:
            self.flush()

    def flush(self) -> None:
        """Apply the rules to what has been gathered."""
        now_ms = self._clock() * 1000
        self._flushes += 1
        # In time it is forgotten which groups there were, and each series gets another trace as its example.
        renew = self._flushes % _FLUSHES_TO_RENEW == 0 or self._groups >= _MOST_GROUPS
        if renew:
            self._groups = 0
        self._events = 0
        for gathering in self._gathering:
            gathering.flush(now_ms, renew=renew)

    def possible(
        self, fixed: dict[str, Any], shape: frozenset[str] | None = None
    ) -> list[tuple[Rule, DerivedMetric]]:
        """Give the rules that events with these fixed fields may satisfy, if their contexts have this shape."""
        return [
            (rule, metric)
            for rule, metric in self._rules
            if all(condition.holds(fixed[name]) for name, condition in rule.when.items() if name in fixed)
            and (shape is None or shape.issuperset(_needed(rule)))
        ]

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

    def _begin_anew(self) -> None:
        """Take what has been gathered, and forget which services and components there were."""
        self.flush()
        self._gathering.clear()
        for level in list(self.cells):
            if level in LEVELS:
                self.cells[level].clear()
            else:
                del self.cells[level]


class _Gathering:
    """Events of one service, component and level that wait for the next flush."""

    __slots__ = ("_by_service", "_fixed", "_gather", "_plans", "_quick", "_relevant", "_usual", "_whole")

    def __init__(self, whole: LogMetrics, fixed: dict[str, Any], by_service: dict[Any, Cell]) -> None:
        self._whole = whole
        self._fixed = fixed
        self._by_service = by_service
        self._relevant = frozenset(name for rule, _ in whole.possible(fixed) for name in _in_context(rule))
        self._plans: dict[frozenset[str], _Plan] = {}
        self._quick: dict[tuple[str, ...], _Quick] = {}
        self._gather = self._gatherer()
        self._usual = self._plan(frozenset())
        self._show()

    def _gatherer(self) -> Callable[[dict[str, Any], Context], None]:
        """Give what puts any event to its like. A function of its own: a method would look up its self."""
        quick, gather_first = self._quick, self._gather_first

        def gather(event: dict[str, Any], context: Context) -> None:
            try:
                key_of, number_of, root_key_of, root_number_of, groups = quick[tuple(context)]
                key, numbers = key_of(context), number_of(context)
                if root_key_of is not None:
                    key = key, root_key_of(event)
                if root_number_of is not None:
                    numbers = numbers, root_number_of(event)
                groups[key].append(numbers)
            except (KeyError, TypeError):
                gather_first(event, context)

        return gather

    def _gather_first(self, event: dict[str, Any], context: Context) -> None:
        """Put away the first of its kind, and one with a list or an object where a label is wanted."""
        plan = self._plan(self._relevant.intersection(context))
        if len(context) <= _LONGEST_CONTEXT:
            if len(self._quick) >= _MOST_PLANS:
                self._quick.clear()
            self._quick[tuple(context)] = plan.quick
        if plan.add(event, context):
            self._whole.new_group()

    def flush(self, now_ms: float, *, renew: bool) -> None:
        """Count everything for its series."""
        most, usual = 0, self._usual
        for plan in self._plans.values():
            events = plan.flush(now_ms, renew=renew)
            if events > most and plan.may_be_usual:
                most, usual = events, plan
        if usual is not self._usual:
            self._usual = usual
            self._show()

    def _plan(self, shape: frozenset[str]) -> "_Plan":
        """Give the plan for events whose contexts have these of the relevant fields."""
        plan = self._plans.get(shape)
        if plan is None:
            if len(self._plans) >= _MOST_PLANS:
                self._whole.flush()
                self._plans = {self._usual.shape: self._usual}
                self._quick.clear()
            plan = self._plans[shape] = _Plan(self._whole.possible(self._fixed, shape), self._fixed, shape)
        return plan

    def _show(self) -> None:
        """Tell the hot path what is usual now."""
        usual = self._usual
        self._by_service[self._fixed["service"]] = Cell(
            (self._relevant - usual.shape).isdisjoint,
            usual.quick.key_of,
            usual.quick.number_of,
            usual.quick.groups,
            self._gather,
        )


class _Target(NamedTuple):
    """One series that a group of events counts for."""

    metric: DerivedMetric
    series: Series
    folded: bool
    field: str | None
    """Whose numbers it takes."""


_Take = Callable[[dict[str, Any]], Any]


class _Quick(NamedTuple):
    """How to take what a plan wants out of an event: one thing as it is, several as a tuple.

    All of it is C code, and raises KeyError for what is not there.
    """

    key_of: _Take
    number_of: _Take
    root_key_of: _Take | None
    root_number_of: _Take | None
    groups: dict[Any, list[Any]]


class _Plan:
    """What to keep of events with the same fields, and what to do with it."""

    __slots__ = ("_examples", "_fixed", "_keys", "_numbers", "_resolved", "_rules", "quick", "shape")

    def __init__(
        self, rules: list[tuple[Rule, DerivedMetric]], fixed: dict[str, Any], shape: frozenset[str]
    ) -> None:
        self.shape = shape
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
        self._examples: dict[Any, Any] = {}
        self._resolved: dict[Any, list[_Target]] = {}
        self.quick = _Quick(
            _taking(self._keys.context),
            _taking(self._numbers.context),
            _taking(self._keys.root) if self._keys.root else None,
            _taking(self._numbers.root) if self._numbers.root else None,
            {},
        )

    @property
    def may_be_usual(self) -> bool:
        """Tell whether the context is all that is needed."""
        return self.quick.root_key_of is None and self.quick.root_number_of is None

    def add(self, event: dict[str, Any], context: Context) -> bool:
        """Put an event to its like; tell whether it is the first."""
        key = self._keys.take(event, context)
        numbers = self._numbers.take(event, context)
        rows = self.quick.groups.get(key)
        if rows is None:
            self.quick.groups[key] = [numbers]
            self._examples[key] = event.get("trace_id")
            return True
        rows.append(numbers)
        return False

    def flush(self, now_ms: float, *, renew: bool) -> int:
        """Count every group for its series; give the number of events. `renew` forgets the groups."""
        events = 0
        for key, rows in self.quick.groups.items():
            if not rows:
                continue
            events += len(rows)
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
            rows.clear()
        if renew:
            self.quick.groups.clear()
            self._examples.clear()
        return events

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
    """Fields to take out of an event, and how they come: one as it is, several as a tuple.

    With fields of the context and of the root it is a pair of the two.
    """

    __slots__ = ("context", "root")

    def __init__(self, context: Iterable[str], root: Iterable[str]) -> None:
        self.context = sorted(context)
        self.root = sorted(root)

    @property
    def names(self) -> list[str]:
        """Give all of them."""
        return [*self.context, *self.root]

    def take(self, event: dict[str, Any], context: Context) -> Any:
        """Take them, MISSING for what is not there, in the form in which `_taking` does."""
        inner = _form([_scalar(context[name.removeprefix(_CONTEXT)]) for name in self.context])
        if not self.root:
            return inner
        return inner, _form([_scalar(event.get(name, MISSING)) for name in self.root])

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


def _taking(fields: Sequence[str]) -> _Take:
    """Give what takes these fields out of a context or of an event."""
    names = [field.removeprefix(_CONTEXT) for field in fields]
    return itemgetter(*names) if names else _take_nothing


def _form(parts: list[Any]) -> Any:
    """Give values in the form in which `_taking` takes them."""
    return _NOTHING if not parts else parts[0] if len(parts) == 1 else tuple(parts)


def _scalar(value: Any) -> Any:
    """Give a value that can be the key of a dictionary."""
    return _COMPOUND if isinstance(value, dict | list) else value
