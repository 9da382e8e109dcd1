"""The row of the traces, the same for those on call and for developers."""

from typing import Final

from monitoring.grafana.source import limits
from monitoring.grafana.source.layout import Row, line
from monitoring.grafana.source.panels import Column, Series, graph, number, rows_of
from monitoring.grafana.source.queries import increase, quantile, rate, total

__all__ = ["traces"]

_FROM_TRACES: Final = "From the summaries of the correlator (docs/traces.md)."
_EXPECTED: Final = "max by (flow) (trace_expected_seconds)"
_DURATION: Final = "trace_duration_seconds"


def traces() -> Row:
    """Make the row."""
    flows = f"{rate('traces_total', window='5m')}"
    return Row(
        "Traces",
        [
            line(
                rows_of(
                    "Traces by flow",
                    f"Those that were closed in the last five minutes, and what they may take. {_FROM_TRACES}",
                    {"flow": "Flow"},
                    [
                        Column("Traces/s", total(flows, "flow"), "reqps"),
                        Column("Failed", "trace_error_rate", "percentunit", limits.ERROR_RATIO),
                        Column("Incomplete", "flow:traces_incomplete:ratio_rate5m", "percentunit"),
                        Column("P95", "flow:trace_duration_seconds:p95_5m", "s"),
                        Column("Expected", _EXPECTED, "s"),
                    ],
                ),
                graph(
                    "Trace duration against what is expected",
                    f"P95 of a flow's traces over what one may take: 1 is the limit. {_FROM_TRACES}",
                    Series(f"flow:trace_duration_seconds:p95_5m / on (flow) {_EXPECTED}", "{{flow}}"),
                    limits=limits.Limits("green", (1, "red")),
                ),
                graph(
                    "Outcomes of traces",
                    f"Traces a second by how they went. {_FROM_TRACES}",
                    Series(total(rate("traces_total"), "outcome"), "{{outcome}}"),
                    unit="reqps",
                    stacked=True,
                ),
                widths=(10, 7, 7),
            ),
            line(
                graph(
                    "Trace duration, P95",
                    f"By flow; the dots are traces, whose stories `logpipe trace ID` tells. {_FROM_TRACES}",
                    Series(quantile(0.95, _DURATION, by=("flow",)), "{{flow}}", exemplars=True),
                    unit="s",
                ),
                graph(
                    "Time of the steps, P95",
                    f"Where the time of a flow goes. {_FROM_TRACES}",
                    Series(
                        quantile(0.95, "trace_step_duration_seconds", by=("flow", "step")),
                        "{{flow}}: {{step}}",
                    ),
                    unit="s",
                ),
                number(
                    "Open traces",
                    f"Traces that the correlators hold now. {_FROM_TRACES}",
                    Series("sum(logpipe_traces_open)"),
                ),
                number(
                    "Late events",
                    "Events that came after their trace was closed, in the time shown; their summaries were "
                    f"mended. {_FROM_TRACES}",
                    Series(total(increase("logpipe_traces_late_events_total"))),
                ),
                widths=(8, 8, 4, 4),
            ),
        ],
    )
