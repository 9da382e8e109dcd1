"""How one moves about Kibana's dashboards: controls at the top, links to the others, and from a value to its events.

The shapes are those that Kibana 8.11 to 9.x keeps in a dashboard: `controlGroupInput`, a panel of the type `links`, and
`dynamicActions` of a panel. A control and a link name what they need by a reference of the dashboard.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from monitoring.kibana.source.charts import DATA_VIEW, Reference, stable_id

__all__ = ["Control", "control_group", "drilldowns", "links_panel"]

_TO_DASHBOARD = "DASHBOARD_TO_DASHBOARD_DRILLDOWN"
_TO_DISCOVER = "OPEN_IN_DISCOVER_DRILLDOWN"
_KEPT = {"useCurrentFilters": True, "useCurrentDateRange": True, "openInNewTab": False}


@dataclass(frozen=True, slots=True)
class Control:
    """A list of a field's values to choose from; what is chosen filters the dashboard."""

    title: str
    field: str
    data_view: str = DATA_VIEW


def control_group(dashboard: str, controls: Sequence[Control]) -> tuple[dict[str, Any], list[Reference]]:
    """Give what a dashboard keeps of its controls, and the references to their data views."""
    panels: dict[str, Any] = {}
    references: list[Reference] = []
    for order, control in enumerate(controls):
        name = stable_id(dashboard, "control", control.field)
        panels[name] = {
            "type": "optionsListControl",
            "order": order,
            "width": "medium",
            "grow": True,
            "explicitInput": {
                "id": name,
                "fieldName": control.field,
                "title": control.title,
                "selectedOptions": [],
                "searchTechnique": "prefix",
                "sort": {"by": "_count", "direction": "desc"},
                "enhancements": {},
            },
        }
        reference = f"controlGroup_{name}:optionsListDataView"
        references.append({"type": "index-pattern", "id": control.data_view, "name": reference})
    nothing = {
        "ignoreFilters": False,
        "ignoreQuery": False,
        "ignoreTimerange": False,
        "ignoreValidations": False,
    }
    group = {
        "controlStyle": "oneLine",
        # What is chosen in one narrows what the next ones offer.
        "chainingSystem": "HIERARCHICAL",
        "ignoreParentSettingsJSON": _json(nothing),
        "panelsJSON": _json(panels),
    }
    return group, references


def links_panel(panel: str, others: Sequence[tuple[str, str]]) -> tuple[dict[str, Any], list[Reference]]:
    """Give a panel of links to other dashboards (label, name), with time and filters, and their references."""
    links: list[dict[str, Any]] = []
    references: list[Reference] = []
    for order, (label, name) in enumerate(others):
        link = stable_id(panel, "link", name)
        destination = f"link_{link}_dashboard"
        links.append(
            {
                "type": "dashboardLink",
                "id": link,
                "label": label,
                "order": order,
                "destinationRefName": destination,
                "options": _KEPT,
            }
        )
        references.append(
            {"type": "dashboard", "id": f"{DATA_VIEW}-{name}", "name": f"{panel}:{destination}"}
        )
    attributes = {"layout": "horizontal", "links": links}
    config = {"attributes": attributes, "enhancements": {}, "hidePanelTitles": True}
    return {"type": "links", "embeddableConfig": config}, references


def drilldowns(panel: str, dashboard: str, *, to_events: bool) -> tuple[dict[str, Any], list[Reference]]:
    """Give a chart's `enhancements`: where a click on a value leads, filtered by it.

    dashboard -- name of another dashboard, or nothing
    to_events -- whether it leads to the events in Discover as well, with the chart's own query
    """
    events: list[dict[str, Any]] = []
    references: list[Reference] = []
    if dashboard:
        event = stable_id(panel, "drilldown")
        events.append(_event(event, _TO_DASHBOARD, f"Go to {dashboard.replace('-', ' ')}", _KEPT))
        name = f"{panel}:drilldown:{_TO_DASHBOARD}:{event}:dashboardId"
        references.append({"type": "dashboard", "id": f"{DATA_VIEW}-{dashboard}", "name": name})
    if to_events:
        event = stable_id(panel, "events")
        events.append(_event(event, _TO_DISCOVER, "Show its events in Discover", {"openInNewTab": False}))
    return ({"dynamicActions": {"events": events}} if events else {}), references


def _event(event: str, factory: str, name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "eventId": event,
        "triggers": ["FILTER_TRIGGER"],
        "action": {"factoryId": factory, "name": name, "config": config},
    }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
