"""The dashboard of the people on call: what works, what does not, and why."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from monitoring.grafana.source import limits
from monitoring.grafana.source.layout import Row, arrange, line
from monitoring.grafana.source.links import to_runbooks
from monitoring.grafana.source.log_panels import SERVICE_OF_LOGS, log_lines
from monitoring.grafana.source.panels import Column, Series, bars, graph, number, rows_of, states, status
from monitoring.grafana.source.queries import (
    DATABASE_TIME,
    FAILURES,
    FROM_LOGS,
    LATENCY,
    REQUESTS,
    increase,
    quantile,
    rate,
    share,
    total,
)
from monitoring.grafana.source.trace_panels import traces
from monitoring.grafana.source.variables import FLOWS, NAMESPACES, NODES, SERVICES

__all__ = ["MEAN_TIME_FIRING", "operations"]

# Without these two the sum of a pod and its sandbox would be counted again.
_CONTAINER: Final = ('container!=""', 'container!="POD"')
_REAL_DISK: Final = 'fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660"'

# Every minute in which an alert fires, and every minute in which one fires that did not a minute before.
# Watchdog, the one without a severity, always fires.
_FIRING: Final = 'ALERTS{alertstate="firing", severity!="none"}'
_BY_NAME: Final = f"count by (alertname, priority, severity, service) ({_FIRING})"
_FIRING_BY_NAME: Final = f'label_replace({_BY_NAME}, "runbook", "$1", "alertname", "(.+)")'
_MINUTES_FIRING: Final = f"sum by (severity) (count_over_time({_FIRING}[1d:1m]))"
_TIMES_FIRED: Final = f"sum by (severity) (sum_over_time(({_FIRING} unless {_FIRING} offset 1m)[1d:1m]))"
MEAN_TIME_FIRING: Final = f"60 * {_MINUTES_FIRING} / clamp_min(({_TIMES_FIRED} or 0 * {_MINUTES_FIRING}), 1)"

_OWN: Final = "The pipeline's own metric."


def operations() -> Dashboard:
    """Make the dashboard."""
    return arrange(
        "ccb-operations",
        "Claude Code Bot - Operations",
        "Technical health for the operations team",
        [_system(), _infrastructure(), _dependencies(), traces(), _alerts()],
        choices=[SERVICES, NAMESPACES, NODES, FLOWS],
    )


def _system() -> Row:
    return Row(
        "System overview",
        [
            line(
                status(
                    "Service status",
                    "Whether at least one instance of each service answers; one that has vanished is DOWN for a day. "
                    "Beside the services what else is scraped, by its job. From Prometheus' own `up`.",
                    Series('service:up:max{service!=""}', "{{service}}"),
                    Series('max by (job) (up{job!="claude-code-bot"})', "{{job}}"),
                ),
                bars(
                    "Log events of each service, last 5 minutes",
                    f"A service without a bar has written nothing for five minutes. {FROM_LOGS}",
                    Series(total(increase("log_events_total", window="5m"), "service"), "{{service}}"),
                ),
                number(
                    "Request rate now",
                    "Objectives: normal load 100, peak 500, burst 1000 requests a second. " + FROM_LOGS,
                    Series(total(REQUESTS)),
                    unit="reqps",
                    limits=limits.REQUEST_RATE,
                ),
                number(
                    "Error rate now",
                    "Share of responses with status 5xx; yellow from 1 %, red from 5 % (HighErrorRate). "
                    + FROM_LOGS,
                    Series(share(FAILURES, REQUESTS)),
                    unit="percentunit",
                    limits=limits.ERROR_RATIO,
                    decimals=2,
                ),
                widths=(8, 8, 4, 4),
                height=6,
            ),
            line(
                status(
                    "Log pipeline",
                    f"What /health/ready answers, over all instances the worst; a click leads to why. {_OWN}",
                    Series("min(logpipe_ready)"),
                ),
                number(
                    "Logs not indexed",
                    f"Records in Kafka that are not indexed and committed. {_OWN}",
                    Series("sum(logpipe_consumer_lag_records)"),
                ),
                number(
                    "Age of the oldest log",
                    f"How long the oldest record waits that is not settled: so much is missing here. {_OWN}",
                    Series("max(logpipe_consumer_lag_seconds)"),
                    unit="s",
                    limits=limits.Limits("green", (60, "yellow"), (300, "red")),
                ),
                number(
                    "Logs refused, last hour",
                    f"Events that became dead letters. {_OWN}",
                    Series(f"{total(increase('logpipe_dead_letters_total', window='1h'))} or vector(0)"),
                    limits=limits.ANY_IS_BAD,
                    decimals=0,
                ),
                height=4,
            ),
            line(
                graph(
                    "Request rate",
                    "Requests answered in a second, by service. Dashed: the throughput objectives. "
                    + FROM_LOGS,
                    Series(total(REQUESTS, "service"), "{{service}}"),
                    unit="reqps",
                    limits=limits.REQUEST_RATE,
                ),
                graph(
                    "Error rate",
                    "Share of responses with status 5xx, by service. Dashed: 1 % and 5 %. " + FROM_LOGS,
                    Series(share(FAILURES, REQUESTS, "service"), "{{service}}"),
                    unit="percentunit",
                    limits=limits.ERROR_RATIO,
                ),
                graph(
                    "Response time percentiles",
                    "Estimated from a histogram over all services chosen, so exact only to a bucket. "
                    "Dashed: the objectives of P50, P95 and P99 (100 ms, 500 ms, 1 s). " + FROM_LOGS,
                    Series(quantile(0.5, LATENCY), "P50"),
                    Series(quantile(0.95, LATENCY), "P95", exemplars=True),
                    Series(quantile(0.99, LATENCY), "P99"),
                    unit="s",
                    limits=limits.LATENCY_OBJECTIVES,
                ),
            ),
        ],
    )


def _infrastructure() -> Row:
    cpu = total(rate("container_cpu_usage_seconds_total", *_CONTAINER), "container")
    cpu_limit = 'kube_pod_container_resource_limits{resource="cpu"}'
    memory = f"container_memory_working_set_bytes{{{', '.join(_CONTAINER)}}}"
    memory_limit = f"container_spec_memory_limit_bytes{{{', '.join(_CONTAINER)}}}"
    return Row(
        "Infrastructure health",
        [
            line(
                graph(
                    "CPU usage by service",
                    "Part of the CPU limit that the containers of a name use together; a service without a limit "
                    "is not shown. From cAdvisor (container_*) and kube-state-metrics (kube_*).",
                    Series(f"{cpu} / (sum by (container) ({cpu_limit}) > 0)", "{{container}}"),
                    unit="percentunit",
                    limits=limits.UTILISATION,
                ),
                graph(
                    "Memory usage by service",
                    "Working set, which is what the kernel cannot take back, as a part of the memory limit; a "
                    "service without a limit is not shown. From cAdvisor (container_*).",
                    Series(
                        f"sum by (container) ({memory}) / (sum by (container) ({memory_limit}) > 0)",
                        "{{container}}",
                    ),
                    unit="percentunit",
                    limits=limits.UTILISATION,
                ),
                graph(
                    "Disk usage",
                    "Part of the file system that is not available to users, by node. From node_exporter.",
                    Series(
                        f"max by (instance, mountpoint) (1 - node_filesystem_avail_bytes{{{_REAL_DISK}}} "
                        f"/ node_filesystem_size_bytes{{{_REAL_DISK}}})",
                        "{{instance}} {{mountpoint}}",
                    ),
                    unit="percentunit",
                    limits=limits.DISK,
                    maximum=1,
                ),
                graph(
                    "Network I/O",
                    "Bytes a second of all pods of the namespace. From cAdvisor (container_*).",
                    Series(total(rate("container_network_receive_bytes_total")), "received"),
                    Series(total(rate("container_network_transmit_bytes_total")), "sent"),
                    unit="binBps",
                ),
            ),
            line(
                status(
                    "Database",
                    "Whether PostgreSQL answers its exporter. From postgres_exporter.",
                    Series("min by (instance) (pg_up)", "{{instance}}"),
                    none="no exporter",
                ),
                graph(
                    "Database connections",
                    "Connections by state. From postgres_exporter.",
                    Series("sum by (state) (pg_stat_activity_count)", "{{state}}"),
                    stacked=True,
                ),
                graph(
                    "Database query time",
                    "Quantiles of the queries' time as the services saw it. " + FROM_LOGS,
                    Series(quantile(0.5, DATABASE_TIME), "P50"),
                    Series(quantile(0.95, DATABASE_TIME), "P95"),
                    unit="s",
                ),
                graph(
                    "Webhook queue",
                    "Webhooks that wait, by the newest log line that tells; forgotten after five minutes. "
                    + FROM_LOGS,
                    Series("max by (source) (webhook_queue_depth)", "{{source}}"),
                ),
                widths=(4, 7, 7, 6),
            ),
            line(
                graph(
                    "Pod status",
                    "Pods of the namespace by phase. From kube-state-metrics.",
                    Series("sum by (phase) (kube_pod_status_phase) > 0", "{{phase}}"),
                    stacked=True,
                ),
                graph(
                    "Pod restarts in an hour",
                    "More than three are the alert PodCrashLooping. From kube-state-metrics.",
                    Series(
                        "sum by (pod) (increase(kube_pod_container_status_restarts_total[1h])) > 0",
                        "{{pod}}",
                    ),
                    limits=limits.Limits("green", (3, "red")),
                ),
                graph(
                    "Available replicas",
                    "Available of wanted replicas; below 1 some are missing. From kube-state-metrics.",
                    Series(
                        "sum by (deployment) (kube_deployment_status_replicas_available) / "
                        "(sum by (deployment) (kube_deployment_spec_replicas) > 0)",
                        "{{deployment}}",
                    ),
                    unit="percentunit",
                ),
                bars(
                    "Node resources requested",
                    "What pods have requested of what the nodes can allocate, and what they can allocate of what "
                    "they have. From kube-state-metrics.",
                    Series(
                        'sum by (resource) (kube_pod_container_resource_requests{resource=~"cpu|memory"}) / '
                        "(sum by (resource) (kube_node_status_allocatable) > 0)",
                        "{{resource}} requested",
                    ),
                    Series(
                        'sum by (resource) (kube_node_status_allocatable{resource=~"cpu|memory"}) / '
                        "(sum by (resource) (kube_node_status_capacity) > 0)",
                        "{{resource}} allocatable",
                    ),
                    unit="percentunit",
                ),
            ),
        ],
    )


def _dependencies() -> Row:
    gone = "A reading is forgotten after five minutes, because a limit that nobody asks for says nothing."
    return Row(
        "External dependencies",
        [
            line(
                _api_status("Claude API status", "claude_api_calls_total"),
                number(
                    "Claude API rate limit",
                    f"Requests left, by the newest answer. Below 100: ExternalAPIRateLimit. {gone} {FROM_LOGS}",
                    Series("min(claude_api_rate_limit_remaining)"),
                    limits=limits.CLAUDE_REQUESTS_LEFT,
                    none="no call in 5 min",
                ),
                _api_status("GitHub API status", "github_api_calls_total"),
                number(
                    "GitHub API rate limit",
                    f"Requests left, by the newest answer. {gone} {FROM_LOGS}",
                    Series("min(github_api_rate_limit_remaining)"),
                    limits=limits.GITHUB_REQUESTS_LEFT,
                    none="no call in 5 min",
                ),
                status(
                    "Third-party service health",
                    "Whether each target answers a probe from outside. From blackbox_exporter.",
                    Series("min by (instance) (probe_success)", "{{instance}}"),
                    none="no blackbox_exporter",
                ),
                widths=(4, 4, 4, 4, 8),
                height=6,
            ),
            line(
                graph(
                    "Calls to external services",
                    "Calls a second by service and outcome. " + FROM_LOGS,
                    Series(total(rate("claude_api_calls_total"), "outcome"), "Claude {{outcome}}"),
                    Series(total(rate("github_api_calls_total"), "outcome"), "GitHub {{outcome}}"),
                    unit="reqps",
                ),
                graph(
                    "Time of external calls, P95",
                    "Successful or not, by external service. " + FROM_LOGS,
                    Series(quantile(0.95, "external_call_duration_seconds", by=("service",)), "{{service}}"),
                    unit="s",
                ),
                graph(
                    "Rate limits over time",
                    f"Requests left. {gone} {FROM_LOGS}",
                    Series("min(claude_api_rate_limit_remaining)", "Claude"),
                    Series("min(github_api_rate_limit_remaining)", "GitHub"),
                ),
            ),
        ],
    )


def _api_status(title: str, metric: str) -> Panel:
    return number(
        title,
        f"Share of calls that succeeded in the last five minutes. {FROM_LOGS}",
        Series(share(rate(metric, 'outcome="success"', window="5m"), rate(metric, window="5m"))),
        unit="percentunit",
        limits=limits.SUCCESS_RATIO,
        none="no call in 5 min",
    )


def _alerts() -> Row:
    alert = "From Prometheus' own ALERTS."
    return Row(
        "Alert summary",
        [
            line(
                number(
                    "Alerts firing",
                    f"{alert} What is silenced in Alertmanager is counted too.",
                    Series(f"count({_FIRING}) or vector(0)"),
                    limits=limits.ANY_IS_BAD,
                ),
                rows_of(
                    "Current active alerts",
                    f"{alert} The last column leads to the runbook.",
                    {
                        "alertname": "Alert",
                        "priority": "Priority",
                        "severity": "Severity",
                        "service": "Service",
                        "runbook": "Runbook",
                    },
                    [Column("Firing", _FIRING_BY_NAME)],
                    settings_of={"Runbook": to_runbooks()},
                ),
                states(
                    "Alert history",
                    f"When each alert fired. {alert}",
                    Series(f"max by (alertname) ({_FIRING})", "{{alertname}}"),
                ),
                widths=(3, 9, 12),
            ),
            line(
                graph(
                    "MTTR trend",
                    "Mean time to repair, approximated: minutes with an alert firing in the last day, over the "
                    "number of times one began to fire, by severity. It ends when the alert does, not when the "
                    f"incident is closed. {alert}",
                    Series(MEAN_TIME_FIRING, "{{severity}}", step="5m"),
                    unit="s",
                    since="7d",
                ),
                log_lines(
                    "Latest errors",
                    "The newest log lines of level ERROR of the services chosen. From Elasticsearch.",
                    f"tags:error AND {SERVICE_OF_LOGS}",
                ),
            ),
        ],
    )
