"""Everything that the pipeline exposes: of a worker, made from logs, of the correlator, of the supervisor."""

from prometheus_client import CollectorRegistry

from pipeline.log_metrics.errors import LogErrors
from pipeline.log_metrics.gather import LogMetrics
from pipeline.log_metrics.rules import load_rules
from pipeline.telemetry.merged import SupervisorTelemetry
from pipeline.telemetry.metrics import Telemetry
from pipeline.traces.telemetry import TraceTelemetry

__all__ = ["registries"]


def registries() -> list[CollectorRegistry]:
    telemetry = Telemetry()
    LogMetrics(load_rules(), telemetry.registry)
    LogErrors(10, telemetry.registry)
    return [telemetry.registry, SupervisorTelemetry().registry, TraceTelemetry().registry]
