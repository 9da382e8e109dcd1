"""The pipeline's own metrics, counted per batch and never per event."""

import collections
from collections.abc import Collection, Iterator, Mapping, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

from pipeline.version import version

__all__ = ["LagGauges", "Telemetry", "counted"]

# Each counter would have a `…_created` beside it, a gauge in Prometheus' own format: as many series again, for the
# time at which the process began, which `process_start_time_seconds` says.
disable_created_metrics()  # type: ignore[no-untyped-call]

# From what a busy pipeline takes to what is left when it has been away for a day.
_AGES = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600, 21_600, 86_400)
_DELAYS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
# Label values of what waits.
_MOST_INDICES = 20


# Shippers around shippers around loggers: more than this many are counted as one.
_MOST_FORMATS = 200
_OTHER_FORMATS = "other"


def counted(counter: Counter) -> Iterator[tuple[dict[str, str], int]]:
    """Give the labels and the value of each series of a counter."""
    for metric in counter.collect():
        for sample in metric.samples:
            if sample.name.endswith("_total"):
                yield sample.labels, int(sample.value)


class LagGauges:
    """What is left to do of each partition, in offsets and in seconds."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.records = Gauge(
            "logpipe_consumer_lag_records",
            "Offsets between what is committed and the partition's end (its high watermark)",
            ["topic", "partition"],
            registry=registry,
        )
        self.readable = Gauge(
            "logpipe_consumer_readable_lag_records",
            "Offsets between what is committed and what can be read now: up to the last stable offset, where an open "
            "transaction begins",
            ["topic", "partition"],
            registry=registry,
        )
        self.unread = Gauge(
            "logpipe_consumer_unread_records",
            "Offsets between what is read and what can be read now; what is read may still be in flight",
            ["topic", "partition"],
            registry=registry,
        )
        self.seconds = Gauge(
            "logpipe_consumer_lag_seconds",
            "Age of the oldest record that is not settled, in flight or not read yet, by its Kafka timestamp",
            ["topic", "partition"],
            registry=registry,
        )
        self.unread_seconds = Gauge(
            "logpipe_consumer_unread_seconds",
            "Age of the oldest record that is not read: that of the one before it, or since it was seen to be there",
            ["topic", "partition"],
            registry=registry,
        )


class Telemetry:
    """Every metric of one worker, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.records = Counter("logpipe_records", "Records read from Kafka", ["topic"], registry=registry)
        self.record_bytes = Counter(
            "logpipe_record_bytes", "Bytes of record values read from Kafka", ["topic"], registry=registry
        )
        self.implausible = Counter(
            "logpipe_records_implausible_timestamp",
            "Records whose Kafka timestamp cannot be true: before 2000, or more than a day ahead",
            ["topic"],
            registry=registry,
        )
        self.dayless = Counter(
            "logpipe_documents_without_day",
            "Documents made for an index without a day in its name: undated, overflow",
            ["index"],
            registry=registry,
        )
        self.clock_difference, self.disk_used = _told_by_elasticsearch(registry)
        self._formats: set[str] = set()
        self.input_events = Counter(
            "logpipe_input_events",
            "Events by the format that they were recognised as, the shipper's first: guide, pino, filebeat>zap …",
            ["topic", "format"],
            registry=registry,
        )
        self.documents = Counter(
            "logpipe_documents",
            "Documents by what became of them: indexed, already_there, dead_lettered, dropped; of several workers also "
            "read_again, which were in flight when their worker ended",
            ["topic", "partition", "outcome"],
            registry=registry,
        )
        self.consumed = Counter(
            "logpipe_documents_consumed",
            "Documents made of the records; each is indexed, already there, dead-lettered, dropped or in flight",
            ["topic", "partition"],
            registry=registry,
        )
        self.dropped = Counter(
            "logpipe_documents_dropped",
            "Events that a filter has dropped, by filter and line; codec: an empty record, output: no output takes it",
            ["filter"],
            registry=registry,
        )
        self.filter_failures = Counter(
            "logpipe_filter_exceptions",
            "Exceptions of filters, conditions and functions of one's own, by filter and its line; the event is tagged",
            ["filter"],
            registry=registry,
        )
        self.impure_functions = Counter(
            "logpipe_impure_functions",
            "Events of a sample for which a function of one's own has given two different results, by function",
            ["function"],
            registry=registry,
        )
        self.salvaged = Counter(
            "logpipe_documents_salvaged",
            "Documents indexed once the field that had been rejected was moved aside",
            registry=registry,
        )
        self.dead_letters = Counter(
            "logpipe_dead_letters",
            "Dead letters written, by type of error",
            ["error_type"],
            registry=registry,
        )
        self.dead_letter_failures = Counter(
            "logpipe_dead_letter_failures", "Failed attempts to write dead letters", registry=registry
        )
        self.trace_events = Counter(
            "logpipe_trace_events", "Trace events written to Kafka and acknowledged", registry=registry
        )
        self.retries = Counter(
            "logpipe_document_retries", "Documents sent once more, by reason", ["reason"], registry=registry
        )
        self.requests = Counter(
            "logpipe_bulk_requests",
            "Bulk requests by result: answered, refused, failed",
            ["result"],
            registry=registry,
        )
        self.request_bytes = Counter(
            "logpipe_bulk_request_bytes", "Bytes of bulk requests sent", registry=registry
        )
        self.request_seconds = Histogram(
            "logpipe_bulk_request_seconds", "Time of a bulk request", buckets=_SECONDS, registry=registry
        )
        self.took_seconds = Histogram(
            "logpipe_bulk_took_seconds",
            "Time that Elasticsearch itself says a bulk request took",
            buckets=_SECONDS,
            registry=registry,
        )
        self.freshness = Histogram(
            "logpipe_freshness_seconds",
            "Age of events when they were indexed; the first of those that were read and indexed together",
            buckets=_AGES,
            registry=registry,
        )
        self.latency = Histogram(
            "logpipe_end_to_end_latency_seconds",
            "Time from Kafka's timestamp of a record until it was indexed; the first of those indexed together",
            buckets=_AGES,
            registry=registry,
        )
        self.slowdowns = Counter(
            "logpipe_bulk_slowdowns",
            "Times that size and number of requests were halved, by reason",
            ["reason"],
            registry=registry,
        )
        self.concurrency_limit = Gauge(
            "logpipe_bulk_concurrency_limit", "Bulk requests that may be in flight now", registry=registry
        )
        self.request_bytes_limit = Gauge(
            "logpipe_bulk_size_limit_bytes", "Size at which a bulk request is sent now", registry=registry
        )
        self.waiting = Gauge(
            "logpipe_index_waiting_documents",
            "Documents that wait because their index takes none; the indices for which most wait, and all others",
            ["index"],
            registry=registry,
        )
        self.dead_letter_flood = Gauge(
            "logpipe_dead_letter_flood",
            "Whether so many documents were refused that nothing more is read or given up",
            registry=registry,
        )
        self.in_flight_bytes = Gauge(
            "logpipe_in_flight_bytes", "Document bytes waiting for or in a bulk request", registry=registry
        )
        self.in_flight_records = Gauge(
            "logpipe_in_flight_records", "Records delivered by Kafka and not settled", registry=registry
        )
        self.lag = LagGauges(registry)
        self.kafka_silent = Gauge(
            "logpipe_kafka_silent_seconds",
            "Time since a broker answered: a fetch, a heartbeat or any other request",
            registry=registry,
        )
        self.last_indexed = Gauge(
            "logpipe_last_indexed_timestamp_seconds",
            "When Elasticsearch last took a document, in seconds since 1970; 0 before the first",
            registry=registry,
        )
        self.event_loop_delay = Histogram(
            "logpipe_event_loop_delay_seconds",
            "How late the worker's event loop comes round, measured once a second",
            buckets=_DELAYS,
            registry=registry,
        )
        self.expired = Counter(
            "logpipe_records_expired",
            "Records that retention removed before they were read",
            ["topic", "partition"],
            registry=registry,
        )
        self.topics_recreated = Counter(
            "logpipe_topics_recreated",
            "Topics deleted and made anew, and read from their beginning",
            ["topic"],
            registry=registry,
        )
        self.topics_missing = Gauge(
            "logpipe_topics_missing", "Topics of kafka.topics that do not exist", registry=registry
        )
        self.corrupt_batches = Counter(
            "logpipe_corrupt_batches",
            "Damaged batches by what was done: stopped, skipped (kafka.corrupt_batches)",
            ["topic", "partition", "action"],
            registry=registry,
        )
        self.corrupt_records = Counter(
            "logpipe_corrupt_records",
            "Offsets of damaged batches that were skipped",
            ["topic", "partition"],
            registry=registry,
        )
        self.stopped = Gauge(
            "logpipe_partition_stopped",
            "1 while the partition stands still before a damaged batch",
            ["topic", "partition"],
            registry=registry,
        )
        self.committed = Gauge(
            "logpipe_committed_offset",
            "Position last committed: everything below it is settled",
            ["topic", "partition"],
            registry=registry,
        )
        self.commit_failures = Counter(
            "logpipe_commit_failures", "Commits that Kafka refused", registry=registry
        )
        self.rebalances = Counter(
            "logpipe_rebalances", "Changes of the assigned partitions", registry=registry
        )
        self.dependency_up = Gauge(
            "logpipe_dependency_up",
            "Whether a dependency answered last: kafka, elasticsearch, dead_letters",
            ["dependency"],
            registry=registry,
        )
        self.ready = Gauge("logpipe_ready", "Whether /health/ready says so", registry=registry)
        self.new_error_failures = Counter(
            "logpipe_new_error_failures",
            "Failed attempts to write the first event of a fingerprint",
            registry=registry,
        )
        self.assigned = Gauge("logpipe_assigned_partitions", "Partitions this worker owns", registry=registry)
        self.paused_seconds = Counter(
            "logpipe_back_pressure_seconds",
            "Time without reading because Elasticsearch was behind",
            registry=registry,
        )
        self._begin()

    def _begin(self) -> None:
        """Show what is known at the start, and counters whose labels are: one that begins later shows no increase."""
        ProcessCollector(registry=self.registry)
        Info("logpipe_build", "Version of the pipeline", registry=self.registry).info({"version": version()})
        for result in ("answered", "refused", "failed"):
            self.requests.labels(result)
        for index in ("undated", "overflow"):
            self.dayless.labels(index)
        for reason in ("slow", "failed", "items"):
            self.slowdowns.labels(reason)

    def begin_partitions(self, partitions: Collection[tuple[str, int]]) -> None:
        """Have the counters of partitions and of their topics begin at 0."""
        for topic, number in partitions:
            for outcome in ("indexed", "already_there", "dead_lettered", "dropped"):
                self.documents.labels(topic, number, outcome)
            for counter in (self.consumed, self.expired, self.corrupt_records):
                counter.labels(topic, number)
            for action in ("stopped", "skipped"):
                self.corrupt_batches.labels(topic, number, action)
        for topic in {topic for topic, _ in partitions}:
            for of_topic in (self.records, self.record_bytes, self.implausible, self.topics_recreated):
                of_topic.labels(topic)

    def outcomes(self) -> collections.Counter[str]:
        """Count the documents by what became of them, over all partitions."""
        counts: collections.Counter[str] = collections.Counter()
        for labels, value in counted(self.documents):
            counts[labels["outcome"]] += value
        return counts

    def show_waiting(self, documents: Sequence[tuple[str, int]]) -> None:
        """Show how many documents wait for which index, given from the most to the least."""
        self.waiting.clear()
        for index, number in documents[:_MOST_INDICES]:
            self.waiting.labels(index).set(number)
        if others := sum([number for _, number in documents[_MOST_INDICES:]]):
            self.waiting.labels("other").set(others)

    def count_formats(self, topic: str, events: int, formats: Sequence[Mapping[str, int]]) -> None:
        """Count events of a topic by format; those that are in none of `formats` are the guide's."""
        found: collections.Counter[str] = collections.Counter()
        for some in formats:
            found.update(some)
        for name, number in (("guide", events - found.total()), *found.items()):
            if number <= 0:
                continue
            if name not in self._formats:
                if len(self._formats) >= _MOST_FORMATS:
                    name = _OTHER_FORMATS  # noqa: PLW2901 - so that no input makes series without end
                self._formats.add(name)
            self.input_events.labels(topic, name).inc(number)


def _told_by_elasticsearch(registry: CollectorRegistry) -> tuple[Gauge, Gauge]:
    """Make the gauges of what Elasticsearch is asked once a minute."""
    clock_difference = Gauge(
        "logpipe_clock_difference_seconds",
        "How far this machine's clock is ahead of Elasticsearch's, whose time is used",
        registry=registry,
    )
    disk_used = Gauge(
        "logpipe_elasticsearch_disk_used_ratio",
        "Part of its disk that Elasticsearch's fullest node has used, 0 to 1",
        registry=registry,
    )
    return clock_difference, disk_used
