"""Columns of a Lens panel: what a row is made of, and what is counted or measured for it."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

__all__ = [
    "Column",
    "by_filters",
    "by_range",
    "by_time",
    "by_top",
    "count",
    "last",
    "maximum",
    "minimum",
    "percentile",
    "unique",
    "when",
]

# As Lens keeps it, but for the order of `by_top`, which names another column and so is the panel's to fill in.
Column = dict[str, Any]

_RECORDS = "___records___"
_TIME = "@timestamp"


def count(label: str) -> Column:
    """Count the events."""
    return _metric(label, "count", _RECORDS, emptyAsNull=True)


def unique(field: str, label: str) -> Column:
    """Count the different values of a field, nearly exactly."""
    return _metric(label, "unique_count", field, emptyAsNull=True)


def percentile(field: str, rank: int, label: str) -> Column:
    """Give the value that this percentage of the events stays below."""
    return _metric(label, "percentile", field, percentile=rank)


def maximum(field: str, label: str) -> Column:
    """Give the greatest value, or the latest time."""
    return _metric(label, "max", field)


def minimum(field: str, label: str) -> Column:
    """Give the smallest value, or the earliest time."""
    return _metric(label, "min", field)


def last(field: str, label: str) -> Column:
    """Give the value of the newest event that has one."""
    column = _metric(label, "last_value", field, sortField=_TIME, showArrayValues=False)
    return when(f'"{field}": *', column) | {"dataType": "string", "scale": "ordinal"}


def when(query: str, column: Column) -> Column:
    """Let the column see only the events that KQL finds."""
    return column | {"filter": {"query": query, "language": "kuery"}}


def by_time() -> Column:
    """Make a row for each interval of the time shown."""
    return _bucket(
        _TIME, "date", "date_histogram", _TIME, interval="auto", includeEmptyRows=True, dropPartials=False
    )


def by_top(field: str, size: int, label: str, *, with_other: bool = False) -> Column:
    """Make a row for each of the values that lead in the panel's first metric.

    with_other -- a row for all the rest as well, so that shares add up
    """
    return _bucket(
        label,
        "string",
        "terms",
        field,
        size=size,
        orderDirection="desc",
        otherBucket=with_other,
        missingBucket=False,
        parentFormat={"id": "terms"},
        include=[],
        exclude=[],
        includeIsRegex=False,
        excludeIsRegex=False,
    )


def by_range(field: str, edges: Sequence[float], label: str) -> Column:
    """Make a row for what lies between each two edges, and for what lies above the last."""
    return _bucket(
        label,
        "string",
        "range",
        field,
        type="range",
        ranges=[{"from": low, "to": high, "label": ""} for low, high in pairwise((*edges, None))],
        maxBars="auto",
        parentFormat={"id": "range", "params": {"template": "arrow_right", "replaceInfinity": True}},
    )


def by_filters(label: str, **queries: str) -> Column:
    """Make a row for each KQL query, named by its keyword."""
    column = _bucket(
        label,
        "string",
        "filters",
        None,
        filters=[
            {"input": {"query": query, "language": "kuery"}, "label": name} for name, query in queries.items()
        ],
    )
    del column["sourceField"]
    return column


def _metric(label: str, operation: str, field: str, **params: Any) -> Column:
    return {
        "label": label,
        "customLabel": True,
        "dataType": "date" if field == _TIME else "number",
        "operationType": operation,
        "sourceField": field,
        "isBucketed": False,
        "scale": "ratio",
        "params": params,
    }


def _bucket(label: str, data_type: str, operation: str, field: str | None, **params: Any) -> Column:
    return {
        "label": label,
        "customLabel": True,
        "dataType": data_type,
        "operationType": operation,
        "sourceField": field,
        "isBucketed": True,
        "scale": "interval" if data_type == "date" else "ordinal",
        "params": params,
    }
