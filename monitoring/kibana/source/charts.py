"""Lens charts by value: from columns to what a dashboard keeps of a panel."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid5

from monitoring.kibana.source.columns import Column

__all__ = ["DATA_VIEW", "TRACES_VIEW", "Chart", "Kind", "Reference", "lens_attributes", "stable_id"]

DATA_VIEW = "claude-code-bot"
TRACES_VIEW = f"{DATA_VIEW}.traces"
"""The data view of the summaries of traces."""
DEPLOYMENTS = 'component: deployment and message: "Deployment completed"'

# Names within it give the same ids whenever and wherever the file is made.
_NAMESPACE = UUID("b7a3f2de-4f0c-4f57-9a39-1d6f2f1f7f55")
_RED = "#BD271E"

Reference = dict[str, str]


class Kind(StrEnum):
    """What a chart looks like."""

    NUMBER = "number"
    LINES = "line"
    BARS = "bar"
    STACKED_BARS = "bar_stacked"
    SHARES = "bar_percentage_stacked"
    HORIZONTAL_BARS = "bar_horizontal"
    DONUT = "donut"
    TABLE = "table"


@dataclass(frozen=True, slots=True)
class Chart:
    """One panel: its metrics for each of its buckets, of the events that its query finds."""

    title: str
    kind: Kind
    metrics: Sequence[Column]
    buckets: Sequence[Column] = field(default=())
    query: str = ""
    """KQL, besides the dashboard's."""
    description: str = ""
    """What a reader has to know; shown when the title is pointed at."""
    width: int = 24
    """Of 48."""
    with_deployments: bool = False
    """Mark when releases went out; for charts over time."""
    data_view: str = DATA_VIEW
    drilldown: str = ""
    """Name of the dashboard that a value of it leads to, filtered by the value."""
    to_events: bool = False
    """Whether a value of it leads to its events in Discover."""


def stable_id(*names: str) -> str:
    """Give the id of what has this name: always the same."""
    return str(uuid5(_NAMESPACE, "/".join(names)))


def lens_attributes(chart: Chart, panel: str) -> dict[str, Any]:
    """Write the chart as the attributes of a Lens object; `panel` is the id of its panel."""
    layer = stable_id(panel, "layer")
    buckets = [stable_id(panel, "bucket", str(number)) for number in range(len(chart.buckets))]
    metrics = [stable_id(panel, "metric", str(number)) for number in range(len(chart.metrics))]
    columns = {
        **{name: _ordered(bucket, metrics[0]) for name, bucket in zip(buckets, chart.buckets, strict=True)},
        **dict(zip(metrics, chart.metrics, strict=True)),
    }
    references = [_data_view(f"indexpattern-datasource-layer-{layer}", chart.data_view)]
    type_, visualization = _visualization(chart.kind, layer, buckets, metrics)
    if chart.with_deployments:
        deployments = stable_id(panel, "deployments")
        visualization["layers"].append(_deployments(deployments))
        references.append(_data_view(f"xy-visualization-layer-{deployments}"))
    return {
        "title": chart.title,
        "description": chart.description,
        "type": "lens",
        "visualizationType": type_,
        "references": references,
        "state": {
            "visualization": visualization,
            "query": {"query": chart.query, "language": "kuery"},
            "filters": [],
            "datasourceStates": {
                "formBased": {
                    "layers": {
                        layer: {
                            "columns": columns,
                            "columnOrder": [*buckets, *metrics],
                            "incompleteColumns": {},
                            "sampling": 1,
                            "ignoreGlobalFilters": False,
                        }
                    }
                }
            },
            "internalReferences": [],
            "adHocDataViews": {},
        },
    }


def _data_view(name: str, data_view: str = DATA_VIEW) -> Reference:
    return {"type": "index-pattern", "id": data_view, "name": name}


def _ordered(bucket: Column, metric: str) -> Column:
    """Order top values by a metric."""
    if bucket["operationType"] != "terms":
        return bucket
    return bucket | {"params": bucket["params"] | {"orderBy": {"type": "column", "columnId": metric}}}


def _visualization(
    kind: Kind, layer: str, buckets: list[str], metrics: list[str]
) -> tuple[str, dict[str, Any]]:
    """Return Lens' name of a visualization, and its state."""
    if kind is Kind.NUMBER:
        return "lnsMetric", {"layerId": layer, "layerType": "data", "metricAccessor": metrics[0]}
    if kind is Kind.TABLE:
        return "lnsDatatable", {
            "layerId": layer,
            "layerType": "data",
            "columns": [{"columnId": name} for name in (*buckets, *metrics)],
            "sorting": {"columnId": metrics[0], "direction": "desc"},
            "paging": {"size": 20, "enabled": True},
        }
    if kind is Kind.DONUT:
        donut = {
            "layerId": layer,
            "layerType": "data",
            "primaryGroups": buckets,
            "metrics": metrics,
            "numberDisplay": "percent",
            "categoryDisplay": "default",
            "legendDisplay": "default",
            "nestedLegend": False,
        }
        return "lnsPie", {"shape": "donut", "layers": [donut]}
    data = {
        "layerId": layer,
        "layerType": "data",
        "seriesType": str(kind),
        "xAccessor": buckets[0],
        "accessors": metrics,
    }
    if buckets[1:]:
        data["splitAccessor"] = buckets[1]
    return "lnsXY", {
        "preferredSeriesType": str(kind),
        "legend": {"isVisible": True, "position": "right"},
        "valueLabels": "hide",
        "fittingFunction": "Linear" if kind is Kind.LINES else "None",
        "layers": [data],
    }


def _deployments(layer: str) -> dict[str, Any]:
    """Make a vertical line of each release that went out, whatever else the dashboard is filtered by."""
    return {
        "layerId": layer,
        "layerType": "annotations",
        "persistanceType": "byValue",  # Kibana's spelling
        "ignoreGlobalFilters": True,
        "annotations": [
            {
                "type": "query",
                "id": stable_id(layer, "deployment"),
                "label": "Deployment",
                "filter": {"type": "kibana_query", "query": DEPLOYMENTS, "language": "kuery"},
                "timeField": "@timestamp",
                "key": {"type": "point_in_time"},
                "textVisibility": True,
                "textField": "context.version",
                "extraFields": ["context.version", "service"],
                "icon": "tag",
                "color": _RED,
                "lineWidth": 2,
            }
        ],
    }
