"""Where a panel leads: from the overview to the pipeline, from trouble to its runbook.

Links to dashboards keep the time shown and the choices made. Links to runbooks begin with the variable
`runbook_base_url`, which each dashboard has.
"""

import re
from pathlib import Path
from typing import Any, Final

import yaml
from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import (
    DashboardLink,
    DashboardLinkType,
    DynamicConfigValue,
    Panel,
    ValueMap,
    ValueMappingResult,
)

__all__ = ["DRILLS", "RUNBOOKS", "TAG", "add_links", "alert_names", "of_dashboard", "page_of", "to_runbooks"]

TAG: Final = "claude-code-bot"
_OVERVIEW: Final = "ccb-operations"
_PIPELINE: Final = "ccb-pipeline"
_DEVELOPMENT: Final = "ccb-development"
_BASE: Final = "${runbook_base_url}"
_RULES: Final = Path(__file__).parents[2] / "prometheus/rules"

# Title of a panel -> the alerts that fire when it looks bad.
RUNBOOKS: Final[dict[str, tuple[str, ...]]] = {
    "Service status": ("ServiceDown", "TargetDown"),
    "Log events of each service, last 5 minutes": ("ServiceSilent",),
    "Error rate now": ("HighErrorRate", "ErrorBudgetBurnFast"),
    "Error rate": ("HighErrorRate", "ErrorBudgetBurnSlow"),
    "Error rate trend": ("HighErrorRate", "ErrorBudgetBurnGradual"),
    "Error rate by endpoint": ("HighErrorRate",),
    "Response time percentiles": ("HighResponseTime", "LatencyObjectiveMissed"),
    "Response time trend": ("HighResponseTime", "LatencyObjectiveMissed"),
    "CPU usage by service": ("HighCPUUsage",),
    "Memory usage by service": ("HighMemoryUsage",),
    "Disk usage": ("DiskSpaceRunningOut",),
    "Database": ("DatabaseDown",),
    "Webhook queue": ("WebhookProcessingLag",),
    "Pod restarts in an hour": ("PodCrashLooping",),
    "Claude API rate limit": ("ExternalAPIRateLimit",),
    "Third-party service health": ("SyntheticCheckFailed",),
    "Traces by flow": ("TraceErrors", "TracesIncomplete"),
    "Trace duration against what is expected": ("SlowTraces",),
    "Open traces": ("LogPipelineTracesBehind",),
    "New errors": ("NewErrorFingerprint",),
    "Integrations per day": ("LowIntegrationCreationRate", "IntegrationFailureSpike"),
    "Failed integration causes": ("IntegrationFailureSpike",),
    "Log pipeline": ("LogPipelineDown", "LogPipelineNotReady"),
    "Logs not indexed": ("LogPipelineLagGrowing", "LogPipelineNotReading"),
    "Age of the oldest log": ("LogPipelineStale", "LogPipelineNotIndexing"),
    "Logs refused, last hour": ("LogPipelineDeadLetters", "LogPipelineDeadLetterFlood"),
    "Ready": ("LogPipelineDown", "LogPipelineNotReady"),
    "Dependencies": ("KafkaUnreachable", "LogPipelineNotReady", "LogPipelineDeadLettersBlocked"),
    "Indexed now": ("LogPipelineNotIndexing",),
    "Lag now": ("LogPipelineLagGrowing", "LogPipelineNotReading"),
    "Lag by partition": ("LogPipelineLagGrowing",),
    "Freshness now, P95": ("LogPipelineStale",),
    "Dead letters": ("LogPipelineDeadLetters", "LogPipelineDeadLetterFlood"),
    "Not read yet": ("LogPipelineNotReading",),
    "Dead letters that could not be written": ("LogPipelineDeadLettersBlocked",),
    "Documents that wait for their index": ("LogPipelineIndexWaiting",),
    "Flood of refusals": ("LogPipelineDeadLetterFlood",),
    "Records that expired unread": ("LogPipelineRecordsExpired",),
    "Kafka timestamps that cannot be true": ("LogPipelineImplausibleTimestamps",),
    "Documents without a day of their own": ("LogPipelineDocumentsWithoutDay",),
    "Clock against Elasticsearch's": ("LogPipelineClockDiffers",),
    "Elasticsearch's fullest disk": ("ElasticsearchDiskHigh",),
    "Commits refused": ("LogPipelineCommitFailures",),
    "Workers": ("LogPipelineWorkersMissing",),
    "Folded into other": ("LogMetricsFolded",),
}

_KEPT: Final = "${__url_time_range}&${datasource:queryparam}&${logs:queryparam}"
_TO_SERVICE: Final = (
    "${__field.labels.service} on Development",
    f"/d/{_DEVELOPMENT}?var-service=${{__field.labels.service}}&{_KEPT}",
)
_TO_PIPELINE: Final = ("Log pipeline", f"/d/{_PIPELINE}?{_KEPT}")

# Title of a panel -> where a click on a value leads.
DRILLS: Final[dict[str, tuple[str, str]]] = {
    **dict.fromkeys(
        (
            "Service status",
            "Log events of each service, last 5 minutes",
            "Request rate",
            "Error rate",
            "Error rate trend",
            "Response time trend",
            "Uptime, 24h",
            "Uptime, 7d",
            "Uptime, 30d",
        ),
        _TO_SERVICE,
    ),
    **dict.fromkeys(
        (
            "Log pipeline",
            "Logs not indexed",
            "Age of the oldest log",
            "Logs refused, last hour",
            "Late events",
        ),
        _TO_PIPELINE,
    ),
}


def of_dashboard(uid: str) -> list[dashboard.DashboardLink]:
    """Give the links at the top: to the overview, to the pipeline, to all dashboards, and to the runbooks."""
    made = [
        _to(title, f"/d/{other}").keep_time(keep_time=True).include_vars(include_vars=True)
        for title, other in (("Overview", _OVERVIEW), ("Log pipeline", _PIPELINE))
        if other != uid
    ]
    every = (
        dashboard.DashboardLink("Dashboards")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(as_dropdown=True)
        .keep_time(keep_time=True)
        .include_vars(include_vars=True)
    )
    return [*made, every, _to("Runbooks", f"{_BASE}/").icon("doc").target_blank(target_blank=True)]


def add_links(panel: Panel) -> None:
    """Lead from a panel to its runbooks, and from its values to another dashboard."""
    title = panel.title or ""
    if alerts := RUNBOOKS.get(title):
        panel.links = [_runbook(alert) for alert in alerts]
    if (drill := DRILLS.get(title)) and panel.field_config:
        panel.field_config.defaults.links = [_to(*drill).build()]


def to_runbooks() -> list[DynamicConfigValue]:
    """Give the settings of a column of alerts' names that show, and lead to, the page of each."""
    pages: Any = {
        name: ValueMappingResult(text=page_of(name), index=index) for index, name in enumerate(alert_names())
    }
    link = _to("Runbook", f"{_BASE}/${{__value.text}}").target_blank(target_blank=True).build()
    return [DynamicConfigValue("mappings", [ValueMap(options=pages)]), DynamicConfigValue("links", [link])]


def alert_names() -> list[str]:
    """Name every alert of the rules."""
    return sorted(
        rule["alert"]
        for file in _RULES.glob("*.rules.yml")
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    )


def page_of(alert: str) -> str:
    """Give the name of an alert's runbook: that of the alert in kebab case."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", alert).lower()


def _runbook(alert: str) -> DashboardLink:
    return _to(f"Runbook: {alert}", f"{_BASE}/{page_of(alert)}").target_blank(target_blank=True).build()


def _to(title: str, url: str) -> dashboard.DashboardLink:
    return dashboard.DashboardLink(title).type(DashboardLinkType.LINK).url(url)
