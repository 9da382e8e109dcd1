"""What Lens asks Elasticsearch for a layer, and what a panel would show of the answer."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.monitoring.kql import to_query

__all__ = ["aggregations", "cells"]

Json = dict[str, Any]


def aggregations(layer: Mapping[str, Any]) -> Json:
    """Translate a layer of a `formBased` data source: buckets from the outside in, the metrics in the last."""
    columns: Mapping[str, Json] = layer["columns"]
    found = {name: _metric(columns[name]) for name in layer["columnOrder"] if not columns[name]["isBucketed"]}
    for name in reversed([name for name in layer["columnOrder"] if columns[name]["isBucketed"]]):
        bucket = _bucket(columns[name], columns)
        # An order by a metric needs the metric beside the inner buckets.
        ordering = columns[name]["params"].get("orderBy", {}).get("columnId")
        if ordering is not None and ordering not in found:
            found = {**found, ordering: _metric(columns[ordering])}
        found = {name: {**bucket, "aggs": found}}
    return found


def cells(layer: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the values of each metric, by its label, one for each row; empty cells are left out."""
    columns: Mapping[str, Json] = layer["columns"]
    buckets = [name for name in layer["columnOrder"] if columns[name]["isBucketed"]]
    rows = list(_innermost(answer, buckets))
    return {
        column["label"]: [
            value for row in rows if row.get("doc_count") and (value := _value(column, row[name])) is not None
        ]
        for name, column in columns.items()
        if not column["isBucketed"]
    }


def _innermost(answer: Mapping[str, Any], buckets: list[str]) -> Iterator[Mapping[str, Any]]:
    if not buckets:
        yield {"doc_count": 1, **answer}
        return
    found = answer[buckets[0]]["buckets"]
    for bucket in found.values() if isinstance(found, dict) else found:
        yield from _innermost(bucket, buckets[1:])


def _bucket(column: Json, columns: Mapping[str, Json]) -> Json:
    params = column["params"]
    match column["operationType"]:
        case "date_histogram":
            return {"date_histogram": {"field": column["sourceField"], "fixed_interval": "1h"}}
        case "terms":
            order = {_order_path(params["orderBy"], columns): params["orderDirection"]}
            return {"terms": {"field": column["sourceField"], "size": params["size"], "order": order}}
        case "range":
            ranges = [
                {side: one[side] for side in ("from", "to") if one[side] is not None}
                for one in params["ranges"]
            ]
            return {"range": {"field": column["sourceField"], "ranges": ranges}}
        case "filters":
            named = {one["label"]: to_query(one["input"]["query"]) for one in params["filters"]}
            return {"filters": {"filters": named}}
        case other:
            raise AssertionError(f"no translation of the bucket {other}")


def _order_path(order: Mapping[str, str], columns: Mapping[str, Json]) -> str:
    assert order["type"] == "column"
    name = order["columnId"]
    column = columns[name]
    match column["operationType"]:
        case "count":
            return name  # of a filter, this is how many it let through
        case "percentile":
            return f"{name}>value.{column['params']['percentile']}"
        case _:
            return f"{name}>value"


def _metric(column: Json) -> Json:
    """Every metric in a filter, which lets all through where the column has none."""
    query = to_query(column.get("filter", {}).get("query", ""))
    operation = column["operationType"]
    if operation == "count":
        return {"filter": query}
    field = column["sourceField"]
    inner: Json
    match operation:
        case "unique_count":
            inner = {"cardinality": {"field": field}}
        case "percentile":
            inner = {"percentiles": {"field": field, "percents": [column["params"]["percentile"]]}}
        case "max" | "min":
            inner = {operation: {"field": field}}
        case "last_value":
            newest = [{column["params"]["sortField"]: "desc"}]
            inner = {"top_hits": {"size": 1, "sort": newest, "docvalue_fields": [field], "_source": False}}
        case other:
            raise AssertionError(f"no translation of the metric {other}")
    return {"filter": query, "aggs": {"value": inner}}


def _value(column: Json, cell: Mapping[str, Any]) -> Any:
    """Return what stands in a cell; None is an empty one."""
    if not cell["doc_count"]:
        return None
    match column["operationType"]:
        case "count":
            return cell["doc_count"]
        case "percentile":
            (value,) = cell["value"]["values"].values()
            return value
        case "last_value":
            (hit,) = cell["value"]["hits"]["hits"]
            return hit["fields"][column["sourceField"]][0]
        case "unique_count":
            return cell["value"]["value"] or None
        case _:
            return cell["value"]["value"]
