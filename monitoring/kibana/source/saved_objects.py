"""The objects of Kibana that are imported: data view, saved search, dashboards; and their file."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from monitoring.kibana.source.charts import (
    DATA_VIEW,
    TRACES_VIEW,
    Chart,
    Reference,
    lens_attributes,
    stable_id,
)
from monitoring.kibana.source.navigation import Control, control_group, drilldowns, links_panel
from pipeline.events.indices import log_index_patterns

__all__ = ["COLUMNS", "Dashboard", "Row", "SavedSearch", "data_view", "ndjson", "traces_view"]

COLUMNS = 48

SavedObject = dict[str, Any]

# Kibana migrates what is older than itself and refuses what is newer. These are versions of 8.11, which every
# 9.x takes; without any, all migrations since 7.0 would be tried on objects that never looked like that.
_CORE_VERSION = "8.8.0"
_TYPE_VERSIONS = {"index-pattern": "7.11.0", "search": "7.9.3", "dashboard": "10.2.0"}

# Where Jaeger's own pages are on a laptop; `logpipe setup --jaeger` puts another in its place.
_TRACE_URL = "http://localhost:16686/trace/{{value}}"
# From a summary to its events, in Discover; relative, so that it stays in the space.
_EVENTS_URL = (
    "discover#/?_g=(time:(from:now-30d,to:now))&_a=(columns:!(level,service,component,message),"
    f"index:'{DATA_VIEW}',query:(language:kuery,query:'trace_id:%22{{{{value}}}}%22'),sort:!(!('@timestamp',asc)))"
)

# The same for all: who goes from one to another meets no other time.
_SINCE = "now-24h"
_LINKS_HEIGHT = 3
_MILLISECONDS = {
    "id": "duration",
    "params": {
        "inputFormat": "milliseconds",
        "outputFormat": "humanizePrecise",
        "outputPrecision": 1,
        "useShortSuffix": True,
        "showSuffix": True,
    },
}


LOG_CONTROLS = (
    Control("Service", "service"),
    Control("Level", "level"),
    Control("Environment", "context.environment"),
)


@dataclass(frozen=True, slots=True)
class SavedSearch:
    """A list of events, for Discover and for a panel of a dashboard."""

    name: str
    title: str
    description: str
    query: str
    columns: Sequence[str]
    width: int = COLUMNS

    @property
    def id(self) -> str:
        """Its id, which begins with that of the data view."""
        return f"{DATA_VIEW}-{self.name}"

    def saved_object(self) -> SavedObject:
        """Write it as Kibana exports it."""
        source = "kibanaSavedObjectMeta.searchSourceJSON"
        return _saved_object(
            "search",
            self.id,
            {
                "title": self.title,
                "description": self.description,
                "columns": list(self.columns),
                "sort": [["@timestamp", "desc"]],
                "kibanaSavedObjectMeta": {
                    "searchSourceJSON": _json(
                        {
                            "query": {"query": self.query, "language": "kuery"},
                            "filter": [],
                            "indexRefName": f"{source}.index",
                        }
                    )
                },
            },
            [{"type": "index-pattern", "id": DATA_VIEW, "name": f"{source}.index"}],
        )


@dataclass(frozen=True, slots=True)
class Row:
    """Panels side by side, of the same height; their widths add up to 48."""

    height: int
    panels: Sequence[Chart | SavedSearch]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Rows of panels, one below the other."""

    name: str
    title: str
    description: str
    rows: Sequence[Row]
    controls: Sequence[Control] = LOG_CONTROLS
    query: str = ""

    @property
    def id(self) -> str:
        """Its id, which begins with that of the data view."""
        return f"{DATA_VIEW}-{self.name}"

    @property
    def label(self) -> str:
        """Its title without the product's."""
        return self.title.partition(": ")[2]

    def saved_object(self, all_dashboards: Sequence["Dashboard"]) -> SavedObject:
        """Write it as Kibana exports it, with links to the others.

        Raises ValueError when the widths of a row do not add up, or two panels have one title.
        """
        group, references = control_group(self.id, self.controls)
        way = stable_id(self.id, "links")
        others = [(one.label, one.name) for one in all_dashboards if one is not self]
        shown, needed = links_panel(way, others)
        references += needed
        grid = {"x": 0, "y": 0, "w": COLUMNS, "h": _LINKS_HEIGHT, "i": way}
        panels: list[dict[str, Any]] = [{"panelIndex": way, "gridData": grid, **shown}]
        y = _LINKS_HEIGHT
        for row in self.rows:
            if sum(one.width for one in row.panels) != COLUMNS:
                raise ValueError(f"{self.title}: {row.panels[0].title} and its row are not {COLUMNS} wide")
            x = 0
            for one in row.panels:
                panel = stable_id(self.id, one.title)
                grid = {"x": x, "y": y, "w": one.width, "h": row.height, "i": panel}
                if panel in {other["panelIndex"] for other in panels}:
                    raise ValueError(f"{self.title}: there are two panels {one.title}")
                shown, needed = _panel(one, panel)
                panels.append({"panelIndex": panel, "gridData": grid, **shown})
                references += needed
                x += one.width
            y += row.height
        return _saved_object(
            "dashboard",
            self.id,
            {
                "title": self.title,
                "description": self.description,
                "version": 1,
                "timeRestore": True,
                "timeFrom": _SINCE,
                "timeTo": "now",
                "optionsJSON": _json(
                    {
                        "useMargins": True,
                        "syncColors": True,
                        "syncCursor": True,
                        "syncTooltips": False,
                        "hidePanelTitles": False,
                    }
                ),
                "kibanaSavedObjectMeta": {
                    "searchSourceJSON": _json(
                        {"query": {"query": self.query, "language": "kuery"}, "filter": []}
                    )
                },
                "controlGroupInput": group,
                "panelsJSON": _json(panels),
            },
            references,
        )


def data_view() -> SavedObject:
    """Write the data view: which indices, their time, and how some fields are shown."""
    formats = {
        "trace_id": {"id": "url", "params": {"urlTemplate": _TRACE_URL, "labelTemplate": "{{value}}"}},
        "context.processing_time_ms": _MILLISECONDS,
    }
    attributes = {
        "title": ",".join(log_index_patterns(DATA_VIEW)),
        "name": "Claude Code Bot: logs",
        "timeFieldName": "@timestamp",
        "fieldFormatMap": _json(formats),
        "fields": "[]",
        "fieldAttrs": "{}",
        "runtimeFieldMap": "{}",
        "sourceFilters": "[]",
        "typeMeta": "{}",
    }
    return _saved_object("index-pattern", DATA_VIEW, attributes, [])


def traces_view() -> SavedObject:
    """Write the data view of the summaries of traces: an id leads to its events."""
    formats: dict[str, Any] = {
        "trace_id": {"id": "url", "params": {"urlTemplate": _EVENTS_URL, "labelTemplate": "{{value}}"}}
    }
    for name in ("duration_ms", "expected_ms", "critical_ms", "largest_gap.duration_ms", "steps.duration_ms"):
        formats[name] = _MILLISECONDS
    attributes = {
        "title": f"{TRACES_VIEW}-*",
        "name": "Claude Code Bot: traces",
        "timeFieldName": "@timestamp",
        "fieldFormatMap": _json(formats),
        "fields": "[]",
        "fieldAttrs": "{}",
        "runtimeFieldMap": "{}",
        "sourceFilters": "[]",
        "typeMeta": "{}",
    }
    return _saved_object("index-pattern", TRACES_VIEW, attributes, [])


def ndjson(objects: Iterable[SavedObject]) -> str:
    """Write one object a line, as `_import` takes them."""
    return "".join(f"{_json(one)}\n" for one in objects)


def _panel(one: Chart | SavedSearch, panel: str) -> tuple[dict[str, Any], list[Reference]]:
    """Return what the dashboard keeps of a panel, and its references as the dashboard has to repeat them."""
    if isinstance(one, SavedSearch):
        name = f"panel_{panel}"
        shown = {"type": "search", "embeddableConfig": {"enhancements": {}}, "panelRefName": name}
        return shown, [{"type": "search", "id": one.id, "name": f"{panel}:{name}"}]
    attributes = lens_attributes(one, panel)
    references = [{**each, "name": f"{panel}:{each['name']}"} for each in attributes["references"]]
    enhancements, leading = drilldowns(panel, one.drilldown, to_events=one.to_events)
    references += leading
    config = {"attributes": attributes, "enhancements": enhancements, "hidePanelTitles": False}
    return {"type": "lens", "embeddableConfig": config}, references


def _saved_object(
    kind: str, identifier: str, attributes: dict[str, Any], references: list[Reference]
) -> SavedObject:
    return {
        "type": kind,
        "id": identifier,
        "attributes": attributes,
        "references": references,
        "coreMigrationVersion": _CORE_VERSION,
        "typeMigrationVersion": _TYPE_VERSIONS[kind],
        "managed": False,
    }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
