"""Everything that the pipeline exposes: a worker's metrics, those made from logs, and the supervisor's."""

from prometheus_client import CollectorRegistry

from pipeline.log_metrics.errors import LogErrors
from pipeline.log_metrics.gather import LogMetrics
from pipeline.log_metrics.rules import load_rules
from pipeline.telemetry.merged import SupervisorTelemetry
from pipeline.telemetry.metrics import Telemetry

__all__ = ["registries"]


def registries() -> list[CollectorRegistry]:
    telemetry = Telemetry()
    LogMetrics(load_rules(), telemetry.registry)
    LogErrors(10, telemetry.registry)
    return [telemetry.registry, SupervisorTelemetry().registry]
