"""The dashboard of the log pipeline itself: what comes in, what becomes of it, how late, and why."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from monitoring.grafana.source import limits
from monitoring.grafana.source.layout import Row, arrange, line
from monitoring.grafana.source.panels import Column, Series, bars, graph, number, rows_of, status
from monitoring.grafana.source.queries import FROM_LOGS, increase, quantile, rate, total
from monitoring.grafana.source.variables import PIPELINE_NAMESPACES, PIPELINES, TOPICS, WORKERS

__all__ = ["UNSETTLED", "pipeline"]

_OWN: Final = "The pipeline's own metric."
_JOB: Final = 'job="log-pipeline"'

# Indexed, already there, dead-lettered or dropped: whatever was consumed has to become one of these.
_SETTLED: Final = "sum(logpipe_documents_total)"
_CONSUMED: Final = "sum(logpipe_documents_consumed_total)"
UNSETTLED: Final = f"{_CONSUMED} - ({_SETTLED} or 0 * {_CONSUMED})"

# Event times may lie in the past for good reasons, so only the alert LogPipelineStale draws a line.
_FRESHNESS: Final = limits.Limits("green", (60, "yellow"), (300, "red"))


def pipeline() -> Dashboard:
    """Make the dashboard."""
    return arrange(
        "ccb-pipeline",
        "Claude Code Bot - Log pipeline",
        "From Kafka to Elasticsearch: throughput, conservation, lag, latency, dead letters",
        [
            _now(),
            _throughput(),
            _conservation(),
            _lateness(),
            _bulk(),
            _trouble(),
            _waiting(),
            _pressure(),
            _workers(),
            _log_metrics(),
        ],
        choices=[PIPELINE_NAMESPACES, PIPELINES, WORKERS, TOPICS],
    )


def _now() -> Row:
    return Row(
        "Now",
        [
            line(
                status(
                    "Ready",
                    f"What /health/ready answers. {_OWN}",
                    Series("min by (instance) (logpipe_ready)", "{{instance}}"),
                ),
                status(
                    "Dependencies",
                    f"Whether each answered when it was last asked; over several workers the worst. {_OWN}",
                    Series("min by (dependency) (logpipe_dependency_up)", "{{dependency}}"),
                ),
                number(
                    "Indexed now",
                    f"Documents indexed a second. {_OWN}",
                    Series(total(rate("logpipe_documents_total", 'outcome="indexed"'))),
                    unit="eps",
                ),
                number(
                    "Lag now",
                    f"Records in Kafka that are not indexed and committed, over all partitions. {_OWN}",
                    Series("sum(logpipe_consumer_lag_records)"),
                ),
                number(
                    "Freshness now, P95",
                    f"From the time of the event until it was indexed. {_OWN}",
                    Series(quantile(0.95, "logpipe_freshness_seconds", window="5m")),
                    unit="s",
                    limits=_FRESHNESS,
                    none="nothing indexed",
                ),
                number(
                    "Dead letters",
                    f"Written in the time shown. {_OWN}",
                    Series(f"{total(increase('logpipe_dead_letters_total'))} or vector(0)"),
                    limits=limits.ANY_IS_BAD,
                    decimals=0,
                ),
                widths=(4, 8, 3, 3, 3, 3),
                height=5,
            ),
        ],
    )


def _throughput() -> Row:
    return Row(
        "Throughput",
        [
            line(
                graph(
                    "In: records",
                    f"Records read from Kafka in a second, by topic. {_OWN}",
                    Series(total(rate("logpipe_records_total"), "topic"), "{{topic}}"),
                    unit="recps",
                ),
                graph(
                    "In: bytes",
                    f"Bytes of the records' values, by topic. {_OWN}",
                    Series(total(rate("logpipe_record_bytes_total"), "topic"), "{{topic}}"),
                    unit="binBps",
                ),
                graph(
                    "Out: documents by outcome",
                    f"Documents settled in a second, by what became of them. {_OWN}",
                    Series(total(rate("logpipe_documents_total"), "outcome"), "{{outcome}}"),
                    unit="eps",
                    stacked=True,
                ),
                graph(
                    "Out: bytes",
                    f"Bytes of bulk requests, with those sent once more. {_OWN}",
                    Series(total(rate("logpipe_bulk_request_bytes_total")), "bulk requests"),
                    unit="binBps",
                ),
            ),
        ],
    )


def _conservation() -> Row:
    law = "consumed = indexed + already there + dead-lettered + dropped + in flight"
    return Row(
        "Conservation",
        [
            line(
                bars(
                    "What became of the documents",
                    f"In the time shown: {law}. {_OWN}",
                    Series(total(increase("logpipe_documents_consumed_total")), "consumed"),
                    Series(total(increase("logpipe_documents_total"), "outcome"), "{{outcome}}"),
                    Series(UNSETTLED, "in flight now"),
                ),
                graph(
                    "Documents in flight",
                    f"Documents consumed and not settled, by the law {law}; beside it the records not settled, as "
                    "counted on their own. Both return to zero when nothing comes in. What a worker had in flight "
                    f"when it was killed counts as read_again: another has read it. {_OWN}",
                    Series(UNSETTLED, "documents: consumed - settled"),
                    Series("sum(logpipe_in_flight_records)", "records in flight"),
                ),
                graph(
                    "Consumed and settled",
                    f"Documents a second; the lines lie on each other while the pipeline keeps up. {_OWN}",
                    Series(total(rate("logpipe_documents_consumed_total")), "consumed"),
                    Series(total(rate("logpipe_documents_total")), "settled"),
                    unit="eps",
                ),
            ),
        ],
    )


def _lateness() -> Row:
    return Row(
        "Lag and latency",
        [
            line(
                graph(
                    "Lag by partition",
                    f"Records behind what is committed: in flight, or not read yet. {_OWN}",
                    Series(
                        "max by (topic, partition) (logpipe_consumer_lag_records)",
                        "{{topic}} {{partition}}",
                    ),
                    stacked=True,
                ),
                graph(
                    "Commit progress",
                    f"Records a second by which the committed offset moves on: below it everything is settled. {_OWN}",
                    Series(
                        "max by (topic, partition) (deriv(logpipe_committed_offset[5m]))",
                        "{{topic}} {{partition}}",
                    ),
                    unit="recps",
                ),
                graph(
                    "Freshness",
                    "From the time that an event bears until it was indexed: late senders and wrong clocks count "
                    f"too. {_OWN}",
                    *_quantiles("logpipe_freshness_seconds"),
                    unit="s",
                ),
                graph(
                    "End-to-end latency",
                    f"From the record's time in Kafka until it was indexed. {_OWN}",
                    *_quantiles("logpipe_end_to_end_latency_seconds"),
                    unit="s",
                ),
            ),
            line(
                graph(
                    "Not read yet",
                    f"Records behind what has been read; what is in flight is not among them. {_OWN}",
                    Series(
                        "sum by (topic) (logpipe_consumer_unread_records)",
                        "{{topic}}",
                    ),
                    stacked=True,
                ),
                graph(
                    "Age of the oldest record",
                    "That is not settled, in flight or not read, and that is not read: how late the logs are at "
                    f"worst. {_OWN}",
                    Series(
                        "max by (topic) (logpipe_consumer_lag_seconds)",
                        "{{topic}}: not settled",
                    ),
                    Series(
                        "max by (topic) (logpipe_consumer_unread_seconds)",
                        "{{topic}}: not read",
                    ),
                    unit="s",
                ),
                graph(
                    "Since the last answer",
                    "Seconds since Elasticsearch took a document, and since a Kafka broker answered, by worker: one "
                    f"that stands still does not hide behind others. {_OWN}",
                    Series(
                        "time() - max by (instance, worker) (logpipe_last_indexed_timestamp_seconds > 0)",
                        "document indexed: {{instance}} {{worker}}",
                    ),
                    Series(
                        "max by (instance, worker) (logpipe_kafka_silent_seconds)",
                        "Kafka's answer: {{instance}} {{worker}}",
                    ),
                    unit="s",
                ),
                graph(
                    "Event-loop delay, P99",
                    f"How late the event loop of each worker comes round. {_OWN}",
                    Series(
                        quantile(0.99, "logpipe_event_loop_delay_seconds", by=("instance", "worker")),
                        "{{instance}} {{worker}}",
                    ),
                    unit="s",
                ),
            ),
        ],
    )


def _bulk() -> Row:
    requests = total(rate("logpipe_bulk_requests_total"))
    sent = total(rate("logpipe_bulk_request_bytes_total"))
    return Row(
        "Bulk requests",
        [
            line(
                graph(
                    "Time of a bulk request",
                    f"As the pipeline measured it, with the network. {_OWN}",
                    *_quantiles("logpipe_bulk_request_seconds"),
                    unit="s",
                ),
                graph(
                    "Time a bulk request took the server",
                    f"`took` of Elasticsearch's answers: without network and waiting for a connection. {_OWN}",
                    *_quantiles("logpipe_bulk_took_seconds"),
                    unit="s",
                ),
                graph(
                    "Bulk requests by result",
                    f"Per second: answered, refused as a whole, failed without an answer. {_OWN}",
                    Series(total(rate("logpipe_bulk_requests_total"), "result"), "{{result}}"),
                    unit="reqps",
                    stacked=True,
                ),
                graph(
                    "Size of a bulk request",
                    f"The mean, and the size at which one is sent now. {_OWN}",
                    Series(f"{sent} / ({requests} > 0)", "mean"),
                    Series("max(logpipe_bulk_size_limit_bytes)", "limit"),
                    unit="bytes",
                ),
            ),
            line(
                graph(
                    "Documents sent once more",
                    f"Per second, by reason. {_OWN}",
                    Series(total(rate("logpipe_document_retries_total"), "reason"), "{{reason}}"),
                    unit="eps",
                    stacked=True,
                ),
                graph(
                    "Slowdowns",
                    f"Times in five minutes that size and number of requests were halved, by reason. {_OWN}",
                    Series(
                        total(increase("logpipe_bulk_slowdowns_total", window="5m"), "reason"), "{{reason}}"
                    ),
                    columns=True,
                ),
                graph(
                    "Bulk requests at once",
                    f"How many may be in flight now, over all workers. {_OWN}",
                    Series("sum(logpipe_bulk_concurrency_limit)", "limit"),
                ),
            ),
        ],
    )


def _trouble() -> Row:
    return Row(
        "Dead letters",
        [
            line(
                graph(
                    "Dead letters by type",
                    f"Written in five minutes, by type of error. {_OWN}",
                    Series(
                        total(increase("logpipe_dead_letters_total", window="5m"), "error_type"),
                        "{{error_type}}",
                    ),
                    columns=True,
                    stacked=True,
                ),
                bars(
                    "Dead letters by type, in all",
                    f"In the time shown. `logpipe dlq` shows and replays them. {_OWN}",
                    Series(total(increase("logpipe_dead_letters_total"), "error_type"), "{{error_type}}"),
                ),
                graph(
                    "Dead letters that could not be written",
                    f"Failed attempts a second: while there are any, nothing is committed. {_OWN}",
                    Series(total(rate("logpipe_dead_letter_failures_total")), "failures"),
                    unit="cps",
                ),
                graph(
                    "Documents salvaged",
                    f"Per second: indexed after the field that was rejected had been moved aside. {_OWN}",
                    Series(total(rate("logpipe_documents_salvaged_total")), "salvaged"),
                    unit="eps",
                ),
            ),
        ],
    )


def _waiting() -> Row:
    return Row(
        "What waits, and what was not as it should be",
        [
            line(
                graph(
                    "Documents that wait for their index",
                    "The index takes none, others go on; after `index_wait.max_seconds` they become dead letters. "
                    f"{_OWN}",
                    Series(total("logpipe_index_waiting_documents", "index"), "{{index}}"),
                    stacked=True,
                ),
                graph(
                    "Flood of refusals",
                    "1: too many of the last documents were refused, nothing more is read until somebody has looked. "
                    f"{_OWN}",
                    Series("max by (instance) (logpipe_dead_letter_flood)", "{{instance}}"),
                    maximum=1,
                ),
                graph(
                    "Records that expired unread",
                    f"In five minutes: retention removed them before they were read. They are lost. {_OWN}",
                    Series(
                        total(increase("logpipe_records_expired_total", window="5m"), "topic"),
                        "{{topic}}",
                    ),
                    columns=True,
                ),
            ),
            line(
                graph(
                    "Kafka timestamps that cannot be true",
                    f"Records in five minutes: -1, seconds, microseconds, years to come. {_OWN}",
                    Series(
                        total(
                            increase("logpipe_records_implausible_timestamp_total", window="5m"),
                            "topic",
                        ),
                        "{{topic}}",
                    ),
                    columns=True,
                ),
                graph(
                    "Documents without a day of their own",
                    f"In five minutes, in the index `undated` or `overflow`. {_OWN}",
                    Series(
                        total(increase("logpipe_documents_without_day_total", window="5m"), "index"),
                        "{{index}}",
                    ),
                    columns=True,
                ),
                graph(
                    "Clock against Elasticsearch's",
                    f"How far the clock of each host is ahead. Elasticsearch's is the one that decides. {_OWN}",
                    Series("max by (instance) (logpipe_clock_difference_seconds)", "{{instance}}"),
                    unit="s",
                ),
                graph(
                    "Elasticsearch's fullest disk",
                    "From 85 % on it takes no new shards (ElasticsearchDiskHigh), from 95 % on its indices are "
                    f"read-only. {_OWN}",
                    Series("max(logpipe_elasticsearch_disk_used_ratio)", "fullest node"),
                    unit="percentunit",
                    limits=limits.DISK,
                    maximum=1,
                ),
            ),
        ],
    )


def _pressure() -> Row:
    return Row(
        "Back-pressure",
        [
            line(
                graph(
                    "In flight: bytes",
                    f"Document bytes waiting for or in a bulk request, over all workers. {_OWN}",
                    Series("sum(logpipe_in_flight_bytes)", "bytes"),
                    unit="bytes",
                ),
                graph(
                    "Time without reading",
                    f"Part of the time in which each worker did not read because Elasticsearch was behind. {_OWN}",
                    Series(
                        total(rate("logpipe_back_pressure_seconds_total"), "instance", "worker"),
                        "{{instance}} {{worker}}",
                    ),
                    unit="percentunit",
                    maximum=1,
                ),
                graph(
                    "Commits refused",
                    f"Commits in five minutes that Kafka refused; after a rebalance some are normal. {_OWN}",
                    Series(total(increase("logpipe_commit_failures_total", window="5m")), "refused"),
                    columns=True,
                ),
            ),
        ],
    )


def _workers() -> Row:
    return Row(
        "Workers",
        [
            line(
                graph(
                    "Workers",
                    f"Of `logpipe run` with several workers: wanted, and answering. {_OWN}",
                    Series("sum(logpipe_workers)", "wanted"),
                    Series("sum(logpipe_workers_up)", "up"),
                ),
                graph(
                    "Workers restarted or silent",
                    f"In five minutes: started again after they had ended; did not answer when asked. {_OWN}",
                    Series(total(increase("logpipe_worker_restarts_total", window="5m")), "restarts"),
                    Series(total(increase("logpipe_worker_scrape_failures_total", window="5m")), "silent"),
                    columns=True,
                ),
                graph(
                    "Rebalances",
                    f"Changes of the assigned partitions in five minutes. {_OWN}",
                    Series(total(increase("logpipe_rebalances_total", window="5m")), "rebalances"),
                    columns=True,
                ),
                graph(
                    "Assigned partitions",
                    f"By worker: together they are all partitions. {_OWN}",
                    Series(
                        "sum by (instance, worker) (logpipe_assigned_partitions)", "{{instance}} {{worker}}"
                    ),
                    stacked=True,
                ),
            ),
            line(
                graph(
                    "CPU",
                    f"Cores in use, over the workers of a host. {_OWN}",
                    Series(total(rate("process_cpu_seconds_total", _JOB), "instance"), "{{instance}}"),
                ),
                graph(
                    "Memory",
                    f"Resident, over the workers of a host. {_OWN}",
                    Series(f"sum by (instance) (process_resident_memory_bytes{{{_JOB}}})", "{{instance}}"),
                    unit="bytes",
                ),
                graph(
                    "Open files",
                    f"Over the workers of a host. {_OWN}",
                    Series(f"sum by (instance) (process_open_fds{{{_JOB}}})", "{{instance}}"),
                ),
                rows_of(
                    "Build",
                    f"The version that each host runs. {_OWN}",
                    {"instance": "Host", "version": "Version"},
                    [Column("Running", "max by (instance, version) (logpipe_build_info)")],
                ),
            ),
        ],
    )


def _log_metrics() -> Row:
    return Row(
        "Metrics made from logs",
        [
            line(
                graph(
                    "Events counted",
                    f"Log events a second, by service. {FROM_LOGS}",
                    Series(total(rate("log_events_total"), "service"), "{{service}}"),
                    unit="eps",
                    stacked=True,
                ),
                bars(
                    "Label sets",
                    f"How many combinations of labels each metric has; at its cap, more become `other`. {_OWN}",
                    Series(
                        "sort_desc(topk(15, sum by (metric) (logpipe_log_metric_label_sets)))", "{{metric}}"
                    ),
                ),
                graph(
                    "Folded into other",
                    f"Observations a second whose labels came after the cap was reached. {_OWN}",
                    Series(total(rate("logpipe_log_metric_folded_total"), "metric"), "{{metric}}"),
                    unit="cps",
                ),
                graph(
                    "Values refused",
                    f"Values a second that were no number, or no plausible one. {_OWN}",
                    Series(total(rate("logpipe_log_metric_values_refused_total"), "metric"), "{{metric}}"),
                    unit="cps",
                ),
            ),
        ],
    )


def _quantiles(histogram: str) -> list[Series]:
    return [Series(quantile(which / 100, histogram), f"P{which}") for which in (50, 95, 99)]
