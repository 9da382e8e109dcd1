"""Where panels stand: rows with a heading, lines of equal height, 24 columns."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import (
    AnnotationContainer,
    Dashboard,
    DashboardCursorSync,
    GridPos,
    Panel,
    RowPanel,
    VariableModel,
)
from grafana_foundation_sdk.models.prometheus import Dataquery as PrometheusQuery

from monitoring.grafana.source.links import TAG, add_links, of_dashboard
from monitoring.grafana.source.log_panels import Deployments
from monitoring.grafana.source.variables import RUNBOOK_BASE_URL, SOURCES, Choice, filtered

__all__ = ["Row", "arrange", "line"]

COLUMNS: Final = 24
# The same for all: who goes from one to another meets no other time. A panel of days says so itself.
_SINCE: Final = "now-6h"
_REFRESH: Final = "1m"


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
    choices: list[Choice],
    texts: Sequence[Builder[VariableModel]] = (),
) -> Dashboard:
    """Make a dashboard of rows: each panel shows what is chosen, deployments are marked on all graphs.

    choices -- what filters the metrics
    texts -- other variables, which the expressions name themselves
    """
    board = dashboard.Dashboard(title).uid(uid).description(description).tags([TAG])
    board.time(_SINCE, "now").refresh(_REFRESH).timezone("browser").editable()
    board.tooltip(DashboardCursorSync.CROSSHAIR)
    board.variables([*SOURCES, *(choice.variable for choice in choices), *texts, RUNBOOK_BASE_URL])
    board.links(list(of_dashboard(uid)))
    made = board.build()
    made.annotations = AnnotationContainer(list_val=[Deployments()])
    made.panels = _placed(rows)
    for panel in made.panels:
        if isinstance(panel, Panel):
            add_links(panel)
            _filter(panel, choices)
    return made


def _filter(panel: Panel, choices: list[Choice]) -> None:
    for query in panel.targets or ():
        if isinstance(query, PrometheusQuery):
            query.expr = filtered(query.expr, choices)


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
