"""Where panels stand: rows with a heading, lines of equal height, 24 columns."""

from typing import Final, NamedTuple

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import (
    AnnotationContainer,
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    GridPos,
    Panel,
    RowPanel,
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from monitoring.grafana.source.log_panels import Deployments
from monitoring.grafana.source.panels import PROMETHEUS

__all__ = ["SERVICES", "Row", "arrange", "every_value_of", "line", "text_box"]

COLUMNS: Final = 24
_ALL: Final = "$__all"


class Placed(NamedTuple):
    """A line of panels and their widths."""

    height: int
    widths: tuple[int, ...]
    panels: tuple[Panel, ...]


class Row(NamedTuple):
    """A heading and the lines under it."""

    title: str
    lines: list[Placed]


def line(*panels: Panel, height: int = 8, widths: tuple[int, ...] = ()) -> Placed:
    """Put panels side by side, equally wide unless the widths are given."""
    return Placed(height, widths or (COLUMNS // len(panels),) * len(panels), panels)


def arrange(
    uid: str,
    title: str,
    description: str,
    rows: list[Row],
    *,
    variables: list[Builder[VariableModel]],
    since: str = "now-6h",
    refresh: str = "30s",
) -> Dashboard:
    """Make a dashboard of rows; deployments are marked on all of its graphs."""
    board = dashboard.Dashboard(title).uid(uid).description(description).tags(["claude-code-bot"])
    board.time(since, "now").refresh(refresh).timezone("browser").readonly()
    board.tooltip(DashboardCursorSync.CROSSHAIR).variables(variables)
    board.link(
        dashboard.DashboardLink("Dashboards")
        .type(DashboardLinkType.DASHBOARDS)
        .tags(["claude-code-bot"])
        .as_dropdown(as_dropdown=True)
        .keep_time(keep_time=True)
        .include_vars(include_vars=True)
    )
    made = board.build()
    made.annotations = AnnotationContainer(list_val=[Deployments()])
    made.panels = _placed(rows)
    return made


def every_value_of(name: str, label: str, query: str) -> dashboard.QueryVariable:
    """Let the reader choose values of a label; all of them at first."""
    everything = VariableOption(selected=True, text=["All"], value=[_ALL])
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(PROMETHEUS)
        .query({"query": query, "refId": name})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(multi=True)
        .include_all(include_all=True)
        .current(everything)
    )


def text_box(name: str, label: str, value: str, description: str) -> dashboard.TextBoxVariable:
    """Let the reader write a value."""
    chosen = VariableOption(selected=True, text=value, value=value)
    box = dashboard.TextBoxVariable(name).label(label).description(description)
    return box.default_value(value).current(chosen)


SERVICES: Final = every_value_of("service", "Service", "label_values(log_events_total, service)")


def _placed(rows: list[Row]) -> list[Panel | RowPanel]:
    placed: list[Panel | RowPanel] = []
    y = 0
    for row in rows:
        heading = dashboard.Row(row.title).id(len(placed) + 1).grid_pos(GridPos(h=1, w=COLUMNS, x=0, y=y))
        placed.append(heading.build())
        y += 1
        for height, widths, panels in row.lines:
            x = 0
            for width, panel in zip(widths, panels, strict=True):
                panel.id_val = len(placed) + 1
                panel.grid_pos = GridPos(h=height, w=width, x=x, y=y)
                placed.append(panel)
                x += width
            y += height
    return placed
