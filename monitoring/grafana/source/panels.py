"""Panels that show metrics, and what all panels have: a title, a description, a unit, limits."""

from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol, Self, TypeVar

from grafana_foundation_sdk.builders import bargauge, gauge, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders.common import (
    GraphThresholdsStyleConfig,
    ReduceDataOptions,
    StackingConfig,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.builders.dashboard import FieldColor
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery as AnyQuery
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BigValueColorMode,
    BigValueGraphMode,
    GraphDrawStyle,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColor as FieldColorConfig,
    FieldColorModeId,
    Panel,
    ThresholdsConfig,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat, QueryEditorMode

from monitoring.grafana.source.limits import IS_UP, Limits
from monitoring.grafana.source.variables import PROMETHEUS

__all__ = [
    "Column",
    "PanelBuilder",
    "Series",
    "bars",
    "described",
    "dial",
    "graph",
    "lines",
    "number",
    "rows_of",
    "states",
    "status",
]

_UP_OR_DOWN: Final = ValueMap(
    options={
        "0": ValueMappingResult(text="DOWN", color="red", index=0),
        "1": ValueMappingResult(text="UP", color="green", index=1),
    }
)


class Series(NamedTuple):
    """A PromQL expression, and the name that each of its results is shown under."""

    expression: str
    legend: str = ""
    step: str = ""
    exemplars: bool = False


class Column(NamedTuple):
    """A column of a table: an expression that gives one value for each row."""

    title: str
    expression: str
    unit: str = "short"
    limits: Limits | None = None


class PanelBuilder(Protocol):
    """What the builders of all kinds of panels have in common."""

    def title(self, title: str) -> Self:
        """Set what is written above the panel."""

    def description(self, description: str) -> Self:
        """Set what is shown on the (i)."""

    def datasource(self, datasource: DataSourceRef) -> Self:
        """Set where the data come from."""

    def unit(self, unit: str) -> Self:
        """Set how values are written."""

    def no_value(self, no_value: str) -> Self:
        """Set what is written where there is no value."""

    def thresholds(self, thresholds: Builder[ThresholdsConfig]) -> Self:
        """Set from which values on the colour is another one."""

    def color_scheme(self, color: Builder[FieldColorConfig]) -> Self:
        """Set where the colour comes from."""

    def with_target(self, target: Builder[AnyQuery]) -> Self:
        """Add a query."""

    def build(self) -> Panel:
        """Give the panel."""


SomePanel = TypeVar("SomePanel", bound=PanelBuilder)


def described(
    panel: SomePanel, title: str, description: str, source: DataSourceRef = PROMETHEUS
) -> SomePanel:
    """Give a panel what every panel has."""
    return panel.title(title).description(description).datasource(source)


def number(
    title: str,
    description: str,
    *series: Series,
    unit: str = "short",
    limits: Limits | None = None,
    none: str = "no data",
    decimals: int | None = None,
    since: str = "",
) -> Panel:
    """Show the newest value large; `since` is another start than the dashboard's, such as now/d: midnight."""
    panel = described(stat.Panel(), title, description).unit(unit).no_value(none)
    panel.color_mode(BigValueColorMode.VALUE).graph_mode(BigValueGraphMode.NONE)
    panel.reduce_options(_newest())
    _colour(panel, limits)
    if decimals is not None:
        panel.decimals(decimals)
    if since:
        panel.time_from(since)
    return _instantly(panel, series)


def status(title: str, description: str, *series: Series, none: str = "not scraped") -> Panel:
    """Show 1 as a green UP and 0 as a red DOWN."""
    panel = described(stat.Panel(), title, description).no_value(none).mappings([_UP_OR_DOWN])
    panel.color_mode(BigValueColorMode.BACKGROUND).graph_mode(BigValueGraphMode.NONE)
    panel.reduce_options(_newest())
    _colour(panel, IS_UP)
    return _instantly(panel, series)


def dial(
    title: str,
    description: str,
    *series: Series,
    limits: Limits,
    unit: str = "percentunit",
    maximum: float = 1,
) -> Panel:
    """Show the newest value as a hand between zero and the maximum."""
    panel = described(gauge.Panel(), title, description).unit(unit).min(0).max(maximum)
    panel.reduce_options(_newest()).no_value("no data")
    _colour(panel, limits)
    return _instantly(panel, series)


def bars(
    title: str, description: str, *series: Series, unit: str = "short", limits: Limits | None = None
) -> Panel:
    """Show the newest value of each series as a bar."""
    panel = described(bargauge.Panel(), title, description).unit(unit).min(0).no_value("none")
    panel.orientation(VizOrientation.HORIZONTAL).display_mode(BarGaugeDisplayMode.BASIC)
    panel.reduce_options(_newest())
    _colour(panel, limits)
    return _instantly(panel, series)


def graph(
    title: str,
    description: str,
    *series: Series,
    unit: str = "short",
    limits: Limits | None = None,
    maximum: float | None = None,
    stacked: bool = False,
    columns: bool = False,
    since: str = "",
) -> Panel:
    """Show series over time; limits are dashed lines across, and the colours stay the series' own."""
    panel = lines(title, description, stacked=stacked, columns=columns).unit(unit).min(0)
    if limits:
        panel.thresholds(limits.config())
        panel.thresholds_style(GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED))
    if maximum is not None:
        panel.max(maximum)
    if since:
        panel.time_from(since)
    for ref, one in _named(series):
        panel.with_target(_query(ref, one).range().exemplar(one.exemplars))
    return panel.build()


def lines(
    title: str,
    description: str,
    source: DataSourceRef = PROMETHEUS,
    *,
    stacked: bool = False,
    columns: bool = False,
) -> timeseries.Panel:
    """Begin a panel of values over time."""
    panel = described(timeseries.Panel(), title, description, source)
    panel.draw_style(GraphDrawStyle.BARS if columns else GraphDrawStyle.LINE)
    panel.fill_opacity(70 if columns else 25 if stacked else 8).show_points(VisibilityMode.NEVER)
    panel.legend(
        VizLegendOptions()
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(show_legend=True)
        .calcs([])
    )
    panel.tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    if stacked:
        panel.stacking(StackingConfig().mode(StackingMode.NORMAL).group("A"))
    return panel


def states(title: str, description: str, *series: Series) -> Panel:
    """Show for each series when it was there."""
    panel = described(statetimeline.Panel(), title, description).no_value("none")
    panel.show_value(VisibilityMode.NEVER).row_height(0.8).merge_values(merge_values=True)
    panel.line_width(0).fill_opacity(70)
    panel.color_scheme(FieldColor().mode(FieldColorModeId.FIXED).fixed_color("red"))
    panel.legend(VizLegendOptions().show_legend(show_legend=False).calcs([]))
    for ref, one in _named(series):
        panel.with_target(_query(ref, one).range())
    return panel.build()


def rows_of(
    title: str,
    description: str,
    labels: Mapping[str, str],
    columns: list[Column],
    *,
    hidden: tuple[str, ...] = (),
    settings_of: Mapping[str, list[DynamicConfigValue]] | None = None,
) -> Panel:
    """Show a table with a row for each set of labels (label → heading) and a column for each expression.

    settings_of -- heading of a label -> how Grafana shows that column
    """
    panel = described(table.Panel(), title, description).no_value("-").filterable(filterable=True)
    renamed = dict(labels)
    for ref, column in zip(_REFS, columns, strict=False):
        panel.with_target(_query(ref, Series(column.expression)).instant().format(PromQueryFormat.TABLE))
        # The name of a single query's column carries no letter.
        renamed["Value" if len(columns) == 1 else f"Value #{ref}"] = column.title
        settings = [DynamicConfigValue("unit", column.unit)]
        if column.limits:
            settings.append(DynamicConfigValue("thresholds", column.limits.config().build()))
            settings.append(DynamicConfigValue("custom.cellOptions", {"type": "color-text"}))
        panel.override_by_name(column.title, settings)
    for heading, settings in (settings_of or {}).items():
        panel.override_by_name(heading, settings)
    panel.with_transformation(DataTransformerConfig(id_val="merge", options={}))
    panel.with_transformation(
        DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": dict.fromkeys(("Time", *hidden), True),
                "indexByName": {name: index for index, name in enumerate(renamed)},
                "renameByName": renamed,
            },
        )
    )
    return panel.build()


_REFS: Final = "ABCDEFGHIJ"


def _named(series: tuple[Series, ...]) -> list[tuple[str, Series]]:
    return list(zip(_REFS, series, strict=False))


def _query(ref: str, one: Series) -> Dataquery:
    query = Dataquery().ref_id(ref).expr(one.expression).legend_format(one.legend or "__auto")
    query.editor_mode(QueryEditorMode.CODE).datasource(PROMETHEUS)
    if one.step:
        query.interval(one.step)
    return query


def _instantly(panel: PanelBuilder, series: tuple[Series, ...]) -> Panel:
    for ref, one in _named(series):
        panel.with_target(_query(ref, one).instant())
    return panel.build()


def _newest() -> ReduceDataOptions:
    return ReduceDataOptions().calcs(["lastNotNull"]).values(values=False)


def _colour(panel: PanelBuilder, limits: Limits | None) -> None:
    """Colour by limits; what has none stays blue, for it is neither good nor bad."""
    panel.thresholds((limits or Limits("blue")).config())
    panel.color_scheme(FieldColor().mode(FieldColorModeId.THRESHOLDS))
