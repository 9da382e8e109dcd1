"""The dashboards of Kibana: complete, consistent, and every panel finds something in real documents."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from elasticsearch import Elasticsearch

from monitoring.kibana.source import contents
from pipeline.install.topics import TopicSpec, create_topics
from pipeline.kafka.trace_events import trace_events_topic
from pipeline.sample import SampleEvent, sample_events
from pipeline.sample.produce import produce
from pipeline.sandbox import Servers
from tests.logpipe import running
from tests.monitoring.kql import fields_of, to_query
from tests.monitoring.lens_queries import aggregations, cells
from tests.own_pipeline import Pipeline, own_pipeline, stop
from tests.traces.conftest import QUICK
from tests.traces.told import events_of, expected_summaries, until_told

ROOT = Path(__file__).parents[2]
FILE = ROOT / "monitoring/kibana/claude-code-bot.ndjson"
OBJECTS: list[dict[str, Any]] = [json.loads(line) for line in FILE.read_text("utf-8").splitlines()]
DASHBOARDS = {one["attributes"]["title"]: one for one in OBJECTS if one["type"] == "dashboard"}
SEARCHES = [one for one in OBJECTS if one["type"] == "search"]
# Failures and slow answers, which usual traffic has few of.
INCIDENTS = ("error-spike", "slow-responses")
SAMPLES = 20_000

# monitoring-guide.md, "Kibana Dashboards": the dashboards' items, and the panels that are about them.
GUIDE = {
    "Claude Code Bot: Error Analysis": {
        "Error count over time": ["Error count over time"],
        "Top error messages": ["Top error messages"],
        "Error distribution by service": ["Error distribution by service"],
        "Error correlation with deployments": [
            "Error correlation with deployments",
            "Errors of each release",
            "Deployments",
        ],
    },
    "Claude Code Bot: Performance": {
        "Request processing time distribution": [
            "Request processing time distribution",
            "Request processing time: P50, P95, P99",
        ],
        "Slow request analysis": ["Slow requests by route", "Slowest requests"],
        "Database query performance": ["Database query performance", "Database time by operation, P95"],
        "External API call timing": ["External API call timing", "External calls by service, P95"],
    },
    "Claude Code Bot: Business Intelligence": {
        "Integration creation patterns": [
            "Integration creation patterns",
            "Integrations created and failed",
        ],
        "User activity analysis": ["User activity", "Most active users", "What users do"],
        "Popular integration types": ["Popular integration types", "Integration types"],
        "Geographic usage patterns": ["Geographic usage patterns", "Requests by country"],
    },
    # "Trace Analysis": the three flows, with what they may take and their critical paths.
    "Claude Code Bot: Traces": {
        "Key traces to monitor": ["Flows"],
        "Slow traces": ["Slow traces", "Slowest traces", "Where the time goes"],
        "Error traces": ["Failed traces", "Where traces fail first"],
    },
}


class Panel(NamedTuple):
    """A Lens panel and where it stands."""

    dashboard: dict[str, Any]
    panel: dict[str, Any]

    @property
    def attributes(self) -> dict[str, Any]:
        found: dict[str, Any] = self.panel["embeddableConfig"]["attributes"]
        return found

    @property
    def title(self) -> str:
        return str(self.attributes["title"])

    @property
    def layer(self) -> dict[str, Any]:
        (layer,) = self.attributes["state"]["datasourceStates"]["formBased"]["layers"].values()
        return dict(layer)

    @property
    def queries(self) -> list[str]:
        """Everything in KQL that the panel's data depends on."""
        source = json.loads(self.dashboard["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
        return [source["query"]["query"], self.attributes["state"]["query"]["query"]]

    @property
    def filters(self) -> list[str]:
        """The queries of single columns and rows, in KQL."""
        columns = self.layer["columns"].values()
        return [
            *(column["filter"]["query"] for column in columns if "filter" in column),
            *(one["input"]["query"] for column in columns for one in column["params"].get("filters", ())),
        ]

    @property
    def annotations(self) -> list[dict[str, Any]]:
        layers = self.attributes["state"]["visualization"].get("layers", [])
        return [one for layer in layers for one in layer.get("annotations", [])]

    def indices(self, logs: str) -> str:
        """Give the pattern of the indices that it is about; `logs` is that of the logs."""
        views = {one["id"] for one in self.attributes["references"]}
        return logs if views == {"claude-code-bot"} else logs.replace("-*", ".traces-*")

    def query(self) -> dict[str, Any]:
        since = {"gte": self.dashboard["attributes"]["timeFrom"]}
        return {
            "bool": {"filter": [*map(to_query, self.queries), {"range": {"@timestamp": since}}]},
        }


def panels_of(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(dashboard["attributes"]["panelsJSON"])
    return found


def controls_of(dashboard: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(dashboard["attributes"]["controlGroupInput"]["panelsJSON"])
    return found


def reference(dashboard: dict[str, Any], name: str) -> str:
    (found,) = [one["id"] for one in dashboard["references"] if one["name"] == name]
    return str(found)


PANELS = [
    Panel(dashboard, panel)
    for dashboard in DASHBOARDS.values()
    for panel in panels_of(dashboard)
    if panel["type"] == "lens"
]
each_panel = pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
each_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)


@pytest.fixture(scope="module")
def logs(servers: Servers) -> Iterator[str]:
    """Index sample traffic through the pipeline; gives the pattern of its indices."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        one = runner.run(stack.enter_async_context(own_pipeline(servers)))
        try:
            runner.run(index_samples(one))
            yield f"{one.name}-*"
        finally:
            runner.run(stack.aclose())


async def index_samples(one: Pipeline) -> None:
    now = time.time_ns() // 1_000_000
    for incident in INCIDENTS:
        events = sample_events(SAMPLES, end_ms=now, span_seconds=2 * 86_400, incident=incident)
        await produce(one.settings.kafka, events)
    unfinished = unfinished_stories(now)
    await produce(one.settings.kafka, iter(unfinished))
    count = SAMPLES * len(INCIDENTS) + len(unfinished)
    await create_topics(one.settings.kafka, [TopicSpec(trace_events_topic(one.settings), 4, 1, {})])
    settings = one.environment(**QUICK)
    with (
        running("index", settings=settings) as process,
        running("traces", settings={**settings, "LOGPIPE_HTTP__PORT": "0"}) as correlator,
    ):
        assert sum((await one.indexed(count)).values()) == count
        traces = await expected_summaries(one.client, one.name)
        await until_told(one.client, one.name, events_of(traces))
        stop(correlator)
        stop(process)
    await one.client.indices.refresh(index=f"{one.name}.traces-*")


def unfinished_stories(end_ms: int) -> list[SampleEvent]:
    """Give the first half of each long story: in the samples, the hour decides whether one is left without its end."""
    stories: dict[str, list[SampleEvent]] = {}
    for event in sample_events(1000, seed=1, end_ms=end_ms, span_seconds=3600):
        stories.setdefault(event.trace_id, []).append(event)
    return [event for story in stories.values() if len(story) >= 10 for event in story[: len(story) // 2]]


@pytest.fixture(scope="module")
def client(servers: Servers) -> Iterator[Elasticsearch]:
    with Elasticsearch(servers.elasticsearch_url, request_timeout=60) as connected:
        yield connected


def test_the_file_is_up_to_date() -> None:
    assert FILE.read_text("utf-8") == contents(), "run `make dashboards`"


def test_the_file_is_the_same_whoever_writes_it() -> None:
    written = subprocess.run(
        [sys.executable, "-c", "from monitoring.kibana.source import contents; print(contents(), end='')"],
        cwd=ROOT,
        env={"PYTHONHASHSEED": "7", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        check=True,
    )
    assert written.stdout.decode() == contents()


def test_every_item_of_the_guide_has_panels() -> None:
    for title, items in GUIDE.items():
        shown = {panel.title for panel in PANELS if panel.dashboard is DASHBOARDS[title]}
        assert {one for panels in items.values() for one in panels} <= shown
    assert set(GUIDE) == set(DASHBOARDS)


def test_everything_referred_to_is_in_the_file_and_above_unless_dashboards_link_to_each_other() -> None:
    known: set[tuple[str, str]] = set()
    dashboards = {("dashboard", one["id"]) for one in DASHBOARDS.values()}
    for one in OBJECTS:
        assert {(each["type"], each["id"]) for each in one["references"]} <= known | dashboards
        assert (one["type"], one["id"]) not in known
        known.add((one["type"], one["id"]))
    assert dashboards <= known


def test_versions_are_those_that_every_kibana_9_migrates() -> None:
    assert {(one["type"], one["coreMigrationVersion"], one["typeMigrationVersion"]) for one in OBJECTS} == {
        ("index-pattern", "8.8.0", "7.11.0"),
        ("search", "8.8.0", "7.9.3"),
        ("dashboard", "8.8.0", "10.2.0"),
    }


@each_dashboard
def test_the_dashboard_repeats_the_references_of_its_panels(dashboard: dict[str, Any]) -> None:
    controls = controls_of(dashboard)
    wanted = {f"controlGroup_{name}:optionsListDataView" for name in controls}
    for panel in panels_of(dashboard):
        if panel["type"] == "search":
            names = [panel["panelRefName"]]
        elif panel["type"] == "links":
            names = [one["destinationRefName"] for one in panel["embeddableConfig"]["attributes"]["links"]]
        else:
            names = [one["name"] for one in panel["embeddableConfig"]["attributes"]["references"]]
            actions = panel["embeddableConfig"]["enhancements"].get("dynamicActions", {"events": []})
            names += [
                f"drilldown:{one['action']['factoryId']}:{one['eventId']}:dashboardId"
                for one in actions["events"]
                if one["action"]["factoryId"] == "DASHBOARD_TO_DASHBOARD_DRILLDOWN"
            ]
        wanted |= {f"{panel['panelIndex']}:{name}" for name in names}
    assert {one["name"] for one in dashboard["references"]} == wanted


@each_dashboard
def test_panels_fill_the_grid_without_overlap(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    bottom = 0
    for panel in panels_of(dashboard):
        grid = panel["gridData"]
        assert grid["i"] == panel["panelIndex"]
        cells_of_it = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells_of_it & taken
        taken |= cells_of_it
        bottom = max(bottom, grid["y"] + grid["h"])
    assert taken == {(x, y) for x in range(48) for y in range(bottom)}


@each_dashboard
def test_all_dashboards_begin_with_the_same_time(dashboard: dict[str, Any]) -> None:
    attributes = dashboard["attributes"]
    assert (attributes["timeRestore"], attributes["timeFrom"], attributes["timeTo"]) == (
        True,
        "now-24h",
        "now",
    )


@each_dashboard
def test_controls_are_those_of_the_data(dashboard: dict[str, Any]) -> None:
    group = dashboard["attributes"]["controlGroupInput"]
    assert set(group) == {"controlStyle", "chainingSystem", "ignoreParentSettingsJSON", "panelsJSON"}
    assert not any(json.loads(group["ignoreParentSettingsJSON"]).values())
    fields = []
    for order, (name, control) in enumerate(controls_of(dashboard).items()):
        assert control["type"] == "optionsListControl"
        assert control["order"] == order
        assert control["explicitInput"]["id"] == name
        fields.append((control["explicitInput"]["fieldName"], control_view(dashboard, name)))
    if dashboard["attributes"]["title"] == "Claude Code Bot: Traces":
        assert fields == [(name, "claude-code-bot.traces") for name in ("flow", "outcome", "services")]
    else:
        assert fields == [(name, "claude-code-bot") for name in ("service", "level", "context.environment")]


def control_view(dashboard: dict[str, Any], name: str) -> str:
    return reference(dashboard, f"controlGroup_{name}:optionsListDataView")


@each_dashboard
def test_every_control_can_list_and_filter(
    dashboard: dict[str, Any], logs: str, client: Elasticsearch
) -> None:
    for name, control in controls_of(dashboard).items():
        field = control["explicitInput"]["fieldName"]
        index = (
            logs if control_view(dashboard, name) == "claude-code-bot" else logs.replace("-*", ".traces-*")
        )
        known = client.field_caps(index=index, fields=[field])["fields"][field]
        ((kind, one),) = [(kind, one) for kind, one in known.items() if kind != "unmapped"]
        assert kind == "keyword"
        assert one["searchable"]
        assert one["aggregatable"]


@each_dashboard
def test_links_lead_to_every_other_dashboard_with_time_and_filters(dashboard: dict[str, Any]) -> None:
    first, *others = panels_of(dashboard)
    assert first["type"] == "links"
    assert "links" not in {panel["type"] for panel in others}
    links = first["embeddableConfig"]["attributes"]["links"]
    assert [link["order"] for link in links] == list(range(len(links)))
    led = set()
    for link in links:
        assert link["type"] == "dashboardLink"
        assert link["options"] == {
            "useCurrentFilters": True,
            "useCurrentDateRange": True,
            "openInNewTab": False,
        }
        led.add(reference(dashboard, f"{first['panelIndex']}:{link['destinationRefName']}"))
    assert led == {one["id"] for one in DASHBOARDS.values()} - {dashboard["id"]}


def leads_to_events(panel: Panel) -> bool:
    actions = panel.panel["embeddableConfig"]["enhancements"].get("dynamicActions", {"events": []})
    found = [one for one in actions["events"] if one["action"]["factoryId"] == "OPEN_IN_DISCOVER_DRILLDOWN"]
    for one in found:
        assert one["triggers"] == ["FILTER_TRIGGER"]
        assert one["action"]["config"] == {"openInNewTab": False}
    return bool(found)


def test_an_error_leads_to_its_events_with_the_panels_query() -> None:
    """A click filters by the value; Discover takes over the data view, the query of the panel and the time."""
    errors = [panel for panel in PANELS if "level: ERROR" in panel.queries]
    clickable = [panel for panel in errors if panel.attributes["visualizationType"] != "lnsMetric"]
    assert len(clickable) > 5
    assert [panel.title for panel in clickable if not leads_to_events(panel)] == []


@each_panel
def test_columns_and_what_is_drawn_of_them_agree(panel: Panel) -> None:
    (layer_id,) = panel.attributes["state"]["datasourceStates"]["formBased"]["layers"]
    layer, drawn = panel.layer, panel.attributes["state"]["visualization"]
    assert sorted(layer["columnOrder"]) == sorted(layer["columns"])
    bucketed = [layer["columns"][name]["isBucketed"] for name in layer["columnOrder"]]
    assert bucketed == sorted(bucketed, reverse=True), "buckets come first"

    data = drawn if "layerId" in drawn else drawn["layers"][0]
    assert data["layerId"] == layer_id
    match panel.attributes["visualizationType"]:
        case "lnsMetric":
            shown = [data["metricAccessor"]]
        case "lnsDatatable":
            shown = [one["columnId"] for one in data["columns"]]
            assert drawn["sorting"]["columnId"] in shown
        case "lnsPie":
            shown = [*data["primaryGroups"], *data["metrics"]]
        case "lnsXY":
            split = [data["splitAccessor"]] if "splitAccessor" in data else []
            shown = [data["xAccessor"], *split, *data["accessors"]]
        case other:
            pytest.fail(f"{other} is no visualization of Lens that is known here")
    assert shown == layer["columnOrder"]

    data_views = {one["name"] for one in panel.attributes["references"]}
    annotated = {one["layerId"] for one in drawn.get("layers", []) if one["layerType"] == "annotations"}
    assert data_views == {
        f"indexpattern-datasource-layer-{layer_id}",
        *(f"xy-visualization-layer-{one}" for one in annotated),
    }


@each_panel
def test_every_field_can_be_used_as_it_is(panel: Panel, logs: str, client: Elasticsearch) -> None:
    used = {
        column["sourceField"]: column["dataType"]
        for column in panel.layer["columns"].values()
        if column.get("sourceField", "___records___") != "___records___"
    }
    asked = set().union(*map(fields_of, [*panel.queries, *panel.filters]))
    if not used and not asked:
        return
    capabilities = client.field_caps(index=panel.indices(logs), fields=sorted({*used, *asked}))["fields"]
    kinds = {
        name: {kind: one for kind, one in by_type.items() if kind != "unmapped"}
        for name, by_type in capabilities.items()
    }
    for name in asked:
        assert kinds.get(name), f"no document has {name}"
        assert all(one["searchable"] for one in kinds[name].values()), name
    for name, data_type in used.items():
        ((kind, one),) = kinds[name].items()
        assert one["aggregatable"], name
        # Numbers are counted of keywords, too, and ranges of numbers are named.
        possible = {
            "keyword": {"string", "number"},
            "double": {"number", "string"},
            "long": {"number"},
            "date": {"date"},
        }
        assert data_type in possible[kind], name


@each_panel
def test_every_column_finds_something(panel: Panel, logs: str, client: Elasticsearch) -> None:
    answer = client.search(
        index=panel.indices(logs),
        size=0,
        query=panel.query(),
        aggs=aggregations(panel.layer),
        track_total_hits=True,
    )
    found = cells(panel.layer, answer["aggregations"])
    assert [label for label, values in found.items() if not values] == []
    assert answer["hits"]["total"]["value"] > 0


@each_panel
def test_every_filter_lets_something_through(panel: Panel, logs: str, client: Elasticsearch) -> None:
    for query in panel.filters:
        both = {"bool": {"filter": [panel.query(), to_query(query)]}}
        assert client.count(index=panel.indices(logs), query=both)["count"], query


@pytest.mark.parametrize(
    "panel", [one for one in PANELS if one.annotations], ids=lambda panel: f"{panel.title}"
)
def test_annotations_find_something(panel: Panel, logs: str, client: Elasticsearch) -> None:
    for annotation in panel.annotations:
        fields = [annotation["timeField"], annotation["textField"], *annotation["extraFields"]]
        hits = client.search(
            index=logs,
            query=to_query(annotation["filter"]["query"]),
            docvalue_fields=fields,
            source=False,
        )["hits"]["hits"]
        assert hits
        assert all(set(hit["fields"]) == set(fields) for hit in hits)


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: str(search["attributes"]["title"]))
def test_a_saved_search_finds_events_with_its_columns(
    search: dict[str, Any], logs: str, client: Elasticsearch
) -> None:
    source = json.loads(search["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
    hits = client.search(
        index=logs,
        query=to_query(source["query"]["query"]),
        size=1000,
        source=False,
        fields=search["attributes"]["columns"],
    )["hits"]["hits"]
    shown = {name for hit in hits for name in hit.get("fields", ())}
    assert shown == set(search["attributes"]["columns"])


def test_errors_are_counted_as_they_were_sent(logs: str, client: Elasticsearch) -> None:
    """One figure against another way to count: the tag that the pipeline gives to errors."""
    (panel,) = (one for one in PANELS if one.title == "Errors")
    answer = client.search(index=logs, size=0, query=panel.query(), aggs=aggregations(panel.layer))
    shown = {"range": {"@timestamp": {"gte": panel.dashboard["attributes"]["timeFrom"]}}}
    tagged = client.count(index=logs, query={"bool": {"filter": [shown, {"term": {"tags": "error"}}]}})[
        "count"
    ]
    assert cells(panel.layer, answer["aggregations"]) == {"Errors": [tagged]}


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", {"match_all": {}}),
        ("level: ERROR", {"match": {"level": "ERROR"}}),
        ('message: "a b"', {"match_phrase": {"message": "a b"}}),
        ('"message.keyword": *', {"exists": {"field": "message.keyword"}}),
        ("a >= 5", {"range": {"a": {"gte": 5.0}}}),
        ("not a: 1", {"bool": {"must_not": {"match": {"a": "1"}}}}),
        (
            "a: (1 or 2)",
            {"bool": {"should": [{"match": {"a": "1"}}, {"match": {"a": "2"}}], "minimum_should_match": 1}},
        ),
        (
            "a: 1 or b: 2 and c: 3",
            {
                "bool": {
                    "should": [
                        {"match": {"a": "1"}},
                        {"bool": {"filter": [{"match": {"b": "2"}}, {"match": {"c": "3"}}]}},
                    ],
                    "minimum_should_match": 1,
                }
            },
        ),
    ],
)
def test_kql_is_translated_as_kibana_does(text: str, query: dict[str, Any]) -> None:
    assert to_query(text) == query
