"""The dashboards as code; `make dashboards` writes them to monitoring/grafana/dashboards as JSON."""

import json
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from monitoring.grafana.source.database import database
from monitoring.grafana.source.development import development
from monitoring.grafana.source.executive import executive
from monitoring.grafana.source.operations import operations
from monitoring.grafana.source.pipeline import pipeline

__all__ = ["DASHBOARDS", "as_json"]

DASHBOARDS: Final = {
    "executive": executive,
    "operations": operations,
    "development": development,
    "database": database,
    "pipeline": pipeline,
}


def as_json(dashboard: Dashboard) -> str:
    """Write a dashboard as Grafana's provisioning reads it."""
    return json.dumps(dashboard, cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"
