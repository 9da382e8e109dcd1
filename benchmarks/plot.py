"""The picture for the README: bars of CPU time, ours beside what it is compared with."""

from pathlib import Path
from statistics import median
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from benchmarks.figures import Figures

__all__ = ["write_plot"]

_OURS = "#2563eb"
_OTHERS = "#9ca3af"
_BAR_INCHES = 0.42
_PANEL_INCHES = 0.75
_GAP_INCHES = 0.12
_WIDTH_INCHES = 8.5
_DOTS_PER_INCH = 160
_ROOM_FOR_VALUES = 1.35


class _Bar(NamedTuple):
    name: str
    microseconds: float
    note: str = ""
    ours: bool = False


class _Panel(NamedTuple):
    title: str
    bars: list[_Bar]


def write_plot(figures: Figures, file: Path) -> None:
    """Draw one panel for each part that was measured."""
    panels = _panels(figures)
    heights = [len(panel.bars) * _BAR_INCHES + _PANEL_INCHES for panel in panels] or [_PANEL_INCHES]
    layout = ConstrainedLayoutEngine(h_pad=_GAP_INCHES)
    figure = Figure(figsize=(_WIDTH_INCHES, sum(heights)), layout=layout)
    if panels:
        grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
        for axes, panel in zip(grid[:, 0], panels, strict=True):
            _draw(axes, panel)
    figure.savefig(file, dpi=_DOTS_PER_INCH, facecolor="white", metadata={"Software": None})


def _panels(figures: Figures) -> list[_Panel]:
    panels = []
    if hot := figures.hot_path:
        bars = [_Bar(row.name, row.median, ours=row is hot.rows[0]) for row in hot.rows]
        panels.append(_Panel("In memory: CPU µs per event", bars))
    if end := figures.end_to_end:
        ours = end.ours_us_per_event
        panels.append(
            _Panel(
                "Kafka → answering sink: CPU µs per event of the worker",
                [
                    _Bar("floor: getmany + orjson.loads", end.floor_us_per_event),
                    _Bar("ours, everything on", ours, f"{median(end.ours_to_floor):.2f} x floor", ours=True),
                    _Bar(
                        "plain: json + async_bulk",
                        end.plain_us_per_event,
                        f"{median(end.plain_to_ours):.1f} x ours",
                    ),
                ],
            )
        )
    if real := figures.templates:
        ours = real.ours_us_per_document
        panels.append(
            _Panel(
                "Real Elasticsearch: CPU µs per document of the server",
                [
                    _Bar(
                        "our template",
                        ours,
                        f"{median(real.ours_to_guide):.2f} x the guide's",
                        ours=True,
                    ),
                    _Bar("the guide's template", real.guide_us_per_document),
                ],
            )
        )
    return panels


def _draw(axes: Axes, panel: _Panel) -> None:
    """Draw horizontal bars, the first on top, each with its value at its end."""
    values = [bar.microseconds for bar in panel.bars]
    drawn = axes.barh(
        [bar.name for bar in panel.bars],
        values,
        color=[_OURS if bar.ours else _OTHERS for bar in panel.bars],
        height=0.62,
    )
    axes.bar_label(
        drawn,
        [f"{bar.microseconds:.1f} µs{f'  ({bar.note})' if bar.note else ''}" for bar in panel.bars],
        padding=5,
    )
    axes.invert_yaxis()
    axes.set_title(panel.title, loc="left", fontsize=12, fontweight="bold")
    axes.set_xlim(0, max(values) * _ROOM_FOR_VALUES)
    axes.xaxis.set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
