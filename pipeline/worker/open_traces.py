"""Whether batches are traced: the choice between OpenTelemetry, which is an extra, and nothing."""

from pipeline.bulk.batch_traces import NO_TRACES, BatchTraces
from pipeline.errors import SettingsError
from pipeline.settings import Settings

__all__ = ["open_traces"]


def open_traces(settings: Settings) -> BatchTraces:
    """Begin to trace as the settings say.

    Raises SettingsError when traces are wanted and OpenTelemetry is not installed.
    """
    if not settings.otlp.enabled:
        return NO_TRACES
    try:
        from pipeline.worker.otlp_traces import OtlpTraces, otlp_exporter  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise SettingsError(
            f"otlp.enabled = true needs OpenTelemetry: {error}; "
            "pip install 'kafka-log-pipeline[otlp]', or set otlp.enabled = false"
        ) from error
    return OtlpTraces(settings.otlp, settings.kafka, otlp_exporter(settings.otlp))
