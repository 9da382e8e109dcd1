"""Traces by OpenTelemetry: a sampled batch is a trace, linked to the traces of those who produced its records.

Names and attributes follow OpenTelemetry's semantic conventions: those for messaging, and those for Elasticsearch.
https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
https://opentelemetry.io/docs/specs/semconv/db/elasticsearch/
"""

import asyncio
import logging
import os
import random
import socket
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, NamedTuple, Self

from elastic_transport import ApiResponse
from elasticsearch import ApiError
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from pipeline.bulk.batch_traces import CLOSE_SECONDS, NO_TRACES, Part, Request
from pipeline.bulk.requests import bulk_summary
from pipeline.encode.fast_path import Payload
from pipeline.kafka.dead_letters import SourceRecord
from pipeline.kafka.ledger import Span
from pipeline.settings import Kafka, Otlp
from pipeline.version import version

__all__ = ["OtlpTraces", "otlp_exporter"]

log = logging.getLogger(__name__)

_EXPORT_SECONDS = 3.0
_QUEUED_SPANS = 2048
_SPANS_PER_REQUEST = 512
_SEND_EVERY_MS = 1000
_TRACEPARENT = "traceparent"


_Attributes = dict[str, str | int | bool]


class _Traced(NamedTuple):
    """A batch whose trace has begun."""

    root: trace.Span
    inside: Context


class OtlpTraces:
    """Trace some batches; see `BatchTraces` for what is called when."""

    def __init__(self, settings: Otlp, kafka: Kafka, exporter: SpanExporter) -> None:
        self._settings = settings
        self._attributes: _Attributes = {
            "messaging.system": "kafka",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.consumer.group.name": kafka.group_id,
            "messaging.client.id": kafka.client_id,
        }
        # Whether a batch is traced is decided here, before anything is made for it.
        self._provider = TracerProvider(sampler=ALWAYS_ON, resource=_resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(
            BatchSpanProcessor(
                _Quietly(exporter, settings.endpoint),
                max_queue_size=_QUEUED_SPANS,
                schedule_delay_millis=_SEND_EVERY_MS,
                max_export_batch_size=_SPANS_PER_REQUEST,
            )
        )
        self._tracer = self._provider.get_tracer("pipeline", version())
        self._traced: dict[Span, _Traced] = {}

    def delivered(
        self, span: Span, records: Sequence[SourceRecord], payloads: Sequence[Payload], started_ns: int
    ) -> None:
        """Choose by chance; a batch that is not chosen costs a random number."""
        if random.random() >= self._settings.sample_ratio:  # noqa: S311 - a choice, not a secret
            return
        transformed_ns = time.time_ns()
        topic, partition = span.partition
        root = self._tracer.start_span(
            f"process {topic}",
            Context(),
            trace.SpanKind.CONSUMER,
            {
                **self._attributes,
                "messaging.destination.name": topic,
                "messaging.destination.partition.id": str(partition),
                "messaging.batch.message_count": len(records),
                "messaging.kafka.offset": records[0].offset,
                "logpipe.last_offset": records[-1].offset,
            },
            list(_links(records, self._settings.max_links)),
            started_ns,
        )
        inside = trace.set_span_in_context(root, Context())
        transform = self._tracer.start_span(
            "transform",
            inside,
            attributes={
                "logpipe.documents": sum([payload.documents for payload in payloads]),
                "logpipe.bytes": sum([len(payload.body) for payload in payloads]),
            },
            start_time=started_ns,
        )
        transform.end(transformed_ns)
        self._traced[span] = _Traced(root, inside)

    def sending(self, parts: Sequence[Part], body_bytes: int) -> AbstractContextManager[Request]:
        """Give each batch that is in the request and traced a span for it."""
        documents: dict[Span, int] = {}
        for part in parts if self._traced else ():
            if part.span in self._traced:
                documents[part.span] = documents.get(part.span, 0) + part.documents
        if not documents:
            return NO_TRACES.sending()
        attributes: _Attributes = {
            "db.system.name": "elasticsearch",
            "db.operation.name": "bulk",
            "db.operation.batch.size": sum([part.documents for part in parts]),
            "http.request.method": "POST",
            "logpipe.bytes": body_bytes,
        }
        return _Request(
            [
                self._tracer.start_span(
                    "bulk",
                    self._traced[span].inside,
                    trace.SpanKind.CLIENT,
                    {**attributes, "logpipe.documents": number},
                )
                for span, number in documents.items()
            ]
        )

    def event(self, span: Span, name: str, documents: int) -> None:
        """Put it on the span of the batch, where it has one."""
        traced = self._traced.get(span)
        if traced is not None:
            traced.root.add_event(name, {"logpipe.documents": documents})

    def settled(self, span: Span) -> None:
        """End the span of the batch, where it has one."""
        traced = self._traced.pop(span, None)
        if traced is not None:
            traced.root.end()

    async def close(self) -> None:
        """Send what there is; a batch that is not settled now will be read again."""
        for traced in self._traced.values():
            traced.root.set_status(trace.StatusCode.ERROR, "not settled when the worker ended")
            traced.root.end()
        self._traced.clear()
        # The SDK waits half a minute for a collector that hangs; the thread ends with the process.
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        await asyncio.to_thread(sending.join, CLOSE_SECONDS)


class _Request:
    """One bulk request, as a span in the trace of each batch it carries parts of."""

    def __init__(self, spans: Iterable[trace.Span]) -> None:
        self._spans = list(spans)

    def answered(self, response: ApiResponse[Any]) -> None:
        """Note the answer's status, Elasticsearch's own time, and which node it was."""
        self._set_status(response.meta.status)
        node = response.meta.node
        attributes: _Attributes = {
            "server.address": node.host,
            "server.port": node.port,
            "url.full": f"{node.scheme}://{node.host}:{node.port}{node.path_prefix}/_bulk",
        }
        if summary := bulk_summary(response.body):
            attributes["logpipe.elasticsearch.took_ms"] = summary.took_ms
            attributes["logpipe.elasticsearch.errors"] = summary.errors
        for span in self._spans:
            span.set_attributes(attributes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, ApiError):
            self._set_status(error.meta.status)
            self._fail(str(error.meta.status))
        elif kind is not None:
            self._fail(kind.__name__)
        for span in self._spans:
            span.end()

    def _set_status(self, status: int) -> None:
        for span in self._spans:
            span.set_attributes({"http.response.status_code": status, "db.response.status_code": str(status)})

    def _fail(self, kind: str) -> None:
        for span in self._spans:
            span.set_attribute("error.type", kind)
            span.set_status(trace.StatusCode.ERROR)


class _Quietly(SpanExporter):
    """Say once that spans cannot be sent, and once that they can again."""

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; those that cannot be sent are lost."""
        result = self._exporter.export(spans)
        failing = result is not SpanExportResult.SUCCESS
        if failing and not self._failing:
            log.warning(
                "traces cannot be sent to %s (otlp.endpoint) and are lost until they can, indexing goes on; "
                "--log-level DEBUG shows why",
                self._endpoint,
            )
        elif self._failing and not failing:
            log.info("traces are sent to %s again", self._endpoint)
        self._failing = failing
        return result

    def shutdown(self) -> None:
        """End the connection."""
        self._exporter.shutdown()


def otlp_exporter(settings: Otlp) -> SpanExporter:
    """Give what sends spans to the collector of the settings."""
    # It tells of each failure several times; _Quietly says once what has to be known.
    verbose = log.isEnabledFor(logging.DEBUG)
    logging.getLogger("opentelemetry").setLevel(logging.NOTSET if verbose else logging.CRITICAL)
    return OTLPSpanExporter(
        endpoint=f"{settings.endpoint}/v1/traces",
        certificate_file=None if settings.ca_certs is None else str(settings.ca_certs),
        headers=settings.header_fields,
        timeout=_EXPORT_SECONDS,
    )


def _resource() -> Resource:
    return Resource.create(
        {
            "service.name": "log-pipeline",
            "service.version": version(),
            "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
        }
    )


def _links(records: Iterable[SourceRecord], most: int) -> Iterable[trace.Link]:
    """Link to the distinct contexts of the records' `traceparent` headers, the first so many of them."""
    if not most:
        return
    propagator = TraceContextTextMapPropagator()
    seen: set[bytes] = set()
    linked: set[tuple[int, int]] = set()
    for record in records:
        for name, value in record.headers:
            if name != _TRACEPARENT or value is None or value in seen:
                continue
            seen.add(value)
            extracted = propagator.extract({_TRACEPARENT: value.decode("latin-1")}, Context())
            context = trace.get_current_span(extracted).get_span_context()
            identity = context.trace_id, context.span_id
            if not context.is_valid or identity in linked:
                continue
            linked.add(identity)
            yield trace.Link(context, {"messaging.kafka.offset": record.offset})
            if len(linked) == most:
                return
