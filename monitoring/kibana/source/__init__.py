"""Write Kibana's data view, saved search and dashboards: `make dashboards`."""

from monitoring.kibana.source.business_intelligence import BUSINESS_INTELLIGENCE
from monitoring.kibana.source.error_analysis import ERROR_ANALYSIS, ERRORS
from monitoring.kibana.source.performance import PERFORMANCE
from monitoring.kibana.source.saved_objects import data_view, ndjson

__all__ = ["DASHBOARDS", "contents"]

DASHBOARDS = (ERROR_ANALYSIS, PERFORMANCE, BUSINESS_INTELLIGENCE)


def contents() -> str:
    """Return the contents of `claude-code-bot.ndjson`; what is referred to comes first."""
    return ndjson([data_view(), ERRORS.saved_object(), *(one.saved_object() for one in DASHBOARDS)])
