"""Write Kibana's data views, saved searches and dashboards: `make dashboards`."""

from monitoring.kibana.source.business_intelligence import BUSINESS_INTELLIGENCE
from monitoring.kibana.source.error_analysis import ERROR_ANALYSIS, ERRORS
from monitoring.kibana.source.performance import PERFORMANCE
from monitoring.kibana.source.saved_objects import data_view, ndjson, traces_view
from monitoring.kibana.source.traces import TRACE_EVENTS, TRACES

__all__ = ["DASHBOARDS", "contents"]

DASHBOARDS = (TRACES, ERROR_ANALYSIS, PERFORMANCE, BUSINESS_INTELLIGENCE)


def contents() -> str:
    """Return the contents of `claude-code-bot.ndjson`; what is referred to comes first."""
    searches = [ERRORS.saved_object(), TRACE_EVENTS.saved_object()]
    return ndjson(
        [data_view(), traces_view(), *searches, *(one.saved_object(DASHBOARDS) for one in DASHBOARDS)]
    )
