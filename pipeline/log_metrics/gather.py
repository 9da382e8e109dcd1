"""Metrics derived from events: events that are alike are gathered, and the rules applied once for all of them.

A rule looks at a few of an event's fields. Events that have the same values in all the fields that any rule
looks at are alike and count for the same series, so that `gather` only puts the number that each has into the
list of its like; `flush`, once a second and at each scrape, adds the lists to their series.

To find the list, `gather` looks up the cell of the event's level, component, names in the context and service.
The cell knows what to take out of such a context; what else there is goes to its plan, one by one. Lists of
events that count for the same series are one list, so that a flood of different values, all of which count
under `other`, costs their looking up and no more. Services for which no series is left share their cells: a
thousand of them cost little more memory than one.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from sys import intern
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from pipeline.log_metrics.plans import FIXED, Cell, Context, Group, Kind, Plan, in_context, known_rule, scalar
from pipeline.log_metrics.rules import Rule
from pipeline.log_metrics.series import DerivedMetric

__all__ = ["EventColumns", "LogMetrics"]

_STAMP = "@timestamp"

# Bounds of what is gathered, and of what is remembered to be fast; when one is reached it is begun anew. Fifty services
# of the sample's traffic need 90,000 of what is remembered, a thousand of them 130,000: some 30 MB at the bound.
_MOST_EVENTS = 100_000
_MOST_REMEMBERED = 262_144
_MOST_PLANS = 1024
# What a kind of events weighs in that, with its lists, beside a service that shares its cell with others, which is 1:
# about 100 bytes. A name takes 60 bytes and its characters.
_KIND_WEIGHT = 8
_WEIGHT_BYTES = 100
_NAME_BYTES = 60
# It is learnt anew from time to time, so that there are new traces as examples; the more seldom the more there is, for
# it is to take less than 1 % of the time.
_LEAST_FLUSHES_TO_FORGET = 16
_REMEMBERED_PER_FLUSH = 1000
_LONGEST_CONTEXT = 64


class EventColumns(NamedTuple):
    """Some events, and what is looked at in each: a column for each field, all of one length."""

    levels: Sequence[Any]
    components: Sequence[Any]
    services: Sequence[Any]
    contexts: Sequence[Context]
    stamps: Sequence[str]
    """Their times as text in UTC, with 3, 6 or 9 digits of a second."""
    events: Sequence[dict[str, Any]]

    def without(self, positions: Collection[int]) -> "EventColumns":
        """Leave out the events at these positions."""
        if not positions:
            return self
        kept = [position for position in range(len(self.events)) if position not in positions]
        return EventColumns._make([column[position] for position in kept] for column in self)


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
        self._rules = [
            known_rule(rule, self._metrics.setdefault(rule.name, DerivedMetric(rule))) for rule in rules
        ]
        self._relevant = frozenset(name for each in self._rules for name in in_context(each.rule))
        self._on_fixed = [
            (number, conditions)
            for number, (rule, *_) in enumerate(self._rules)
            if (conditions := [(name, rule.when[name]) for name in FIXED if name in rule.when])
        ]
        """The rules that say what a fixed field has to be, by their numbers."""
        self._service_decides = any(
            name == "service" for _, conditions in self._on_fixed for name, _ in conditions
        )
        """Whether a rule says what the service has to be."""
        self._plans: dict[tuple[Any, ...], Plan] = {}
        # The same by level, component, shape, and where that decides the service.
        self._plan_of: dict[tuple[Any, ...], Plan] = {}
        # By level, component, names in the context, and service.
        self._cells: dict[Any, dict[Any, dict[tuple[str, ...], dict[Any, Cell]]]] = {}
        # By level, component, service and shape; with the plan in the place of the service that which several share.
        self._kinds: dict[tuple[Any, ...], Kind] = {}
        self._groups: dict[tuple[Any, ...], Group] = {}
        self.remembered = self._events = self._flushes = 0
        """How much is remembered to be fast, in all its dictionaries; see `_KIND_WEIGHT`."""
        if registry is not None:
            registry.register(self)

    def gather(self, columns: EventColumns) -> None:
        """Put each event to its like."""
        if self.remembered >= _MOST_REMEMBERED or len(self._plans) >= _MOST_PLANS:
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
                key_of, number_of, groups, stamped = cells[level][component][tuple(context)][service]
                if stamped:
                    groups[key_of(context)].append((number_of(context), stamp))
                else:
                    groups[key_of(context)].append(number_of(context))
            except (KeyError, TypeError):
                self._gather_first(scalar(component), scalar(service), level, context, stamp, event)
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
        if self._flushes >= _LEAST_FLUSHES_TO_FORGET + self.remembered // _REMEMBERED_PER_FLUSH:
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
        fixed = {"service": service, "component": component, "level": level or None}
        which: tuple[Any, ...] = level, component, service, shape
        kind = self._kinds.get(which)
        if kind is None:
            plan = self._plan(fixed, shape)
            if plan.leaves_no_series(fixed):
                which = level, component, plan, shape
                kind = self._kinds.get(which)
            if kind is None:
                kind = self._kinds[which] = Kind(plan)
                self.remembered += _KIND_WEIGHT + _weight((level, component, service))
        plan, groups = kind.plan, kind.groups
        key = plan.key(context, stamp, event)
        rows = groups.get(key)
        if rows is None:
            rows = groups[key] = self._group(plan, fixed, key, event).rows
            self.remembered += _KIND_WEIGHT + _weight(key)
        if not plan.wants_root and len(context) <= _LONGEST_CONTEXT:
            names = tuple(context)
            by_names = self._cells.setdefault(level, {}).setdefault(component, {})
            cells = by_names.get(names)
            if cells is None:
                cells = by_names[names] = {}
                self.remembered += _KIND_WEIGHT
                self.remembered += (_NAME_BYTES * len(names) + sum(map(len, names))) // _WEIGHT_BYTES
            if service not in cells:
                cells[intern(service) if type(service) is str else service] = kind.cell
                self.remembered += 1 + _weight(service)
        rows.append(plan.number(context, stamp, event))

    def _group(self, plan: Plan, fixed: dict[str, Any], key: Any, event: dict[str, Any]) -> Group:
        """Give the group of an event."""
        targets = plan.targets(fixed, key)
        which = (id(plan), *[(id(target.rule), id(target.series), target.folded) for target in targets])
        group = self._groups.get(which)
        if group is None:
            group = self._groups[which] = Group(plan, targets, event.get("trace_id"))
            self.remembered += 1
        return group

    def _plan(self, fixed: dict[str, Any], shape: frozenset[str]) -> Plan:
        """Give the plan for events of these fixed fields and a context of this shape, made now if need be."""
        which = (
            fixed["level"],
            fixed["component"],
            fixed["service"] if self._service_decides else None,
            shape,
        )
        plan = self._plan_of.get(which)
        if plan is None:
            excluded = [
                number
                for number, conditions in self._on_fixed
                if not all(condition.holds(fixed[name]) for name, condition in conditions)
            ]
            plan = self._plans.get((shape, *excluded))
            if plan is None:
                rules = [each for number, each in enumerate(self._rules) if number not in excluded]
                plan = self._plans[shape, *excluded] = Plan(rules, shape)
            self._plan_of[which] = plan
            self.remembered += 1 + _weight(which[:3])
        return plan

    def _forget(self) -> None:
        """Forget which events there were."""
        self._cells.clear()
        self._kinds.clear()
        self._groups.clear()
        self._plan_of.clear()
        self.remembered = self._flushes = 0

    def _begin_anew(self) -> None:
        """Count what has been gathered, and forget everything about events."""
        self.flush()
        self._forget()
        self._plans.clear()


def _weight(key: Any) -> int:
    """Give what the texts of a key weigh."""
    if isinstance(key, tuple):
        return sum(map(_weight, key))
    return len(key) // _WEIGHT_BYTES if isinstance(key, str) else 0
