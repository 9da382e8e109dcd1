"""The tables of docs/scaling.md: what rates need, and from what it is worked out."""

from pipeline.cli.plan_report import bytes_in_words
from pipeline.diagnostics import measured_costs as costs
from pipeline.diagnostics.capacity import Assumptions, Plan, Traffic, plan
from pipeline.diagnostics.shipped_policy import shipped_phases

__all__ = ["RATES", "costs_table", "plan_for", "plan_table"]

RATES = (1000, 10_000, 100_000, 1_000_000, 10_000_000)
_DAYS = 90
_SERVICES = (20, 50, 200, 1000)


def plan_for(events_per_second: float) -> Plan:
    """Give the plan that the page shows for a rate."""
    return plan(Traffic(events_per_second), _DAYS, shipped_phases(), Assumptions())


def plan_table() -> str:
    """Write what each rate needs, a column for each."""
    plans = [plan_for(rate) for rate in RATES]
    phases = [one.phase for one in plans[0].elasticsearch.phases]
    rows = [
        ("events a second", [f"{rate:,}" for rate in RATES]),
        ("workers, a core each", [f"{one.workers.number:,}" for one in plans]),
        ("partitions", [f"{one.workers.partitions:,}" for one in plans]),
        ("memory of the workers", [bytes_in_words(one.workers.memory_bytes) for one in plans]),
        ("Kafka in, at the peak", [_rate(one.kafka.in_bytes_per_second) for one in plans]),
        ("Kafka's disk, 7 days, 3 replicas", [bytes_in_words(one.kafka.disk_bytes) for one in plans]),
        ("bulk requests, at the peak", [_rate(one.elasticsearch.bulk_bytes_per_second) for one in plans]),
        ("primary shards a day", [f"{one.elasticsearch.shards:,}" for one in plans]),
        ("shards of all days", [f"{one.elasticsearch.all_shards:,}" for one in plans]),
        *(
            (
                f"disk, {phase}",
                [bytes_in_words(one.elasticsearch.phases[number].disk_bytes) for one in plans],
            )
            for number, phase in enumerate(phases)
        ),
        ("data nodes", [f"{one.elasticsearch.data_nodes:,}" for one in plans]),
        ("of them by CPU", [f"{one.elasticsearch.nodes_by['CPU']:,}" for one in plans]),
        ("limits met", [str(len(one.limits)) for one in plans]),
    ]
    (head, rates), *body = rows
    lines = [f"| {head} | {' | '.join(rates)} |", f"|---|{'--:|' * len(rates)}"]
    return "\n".join([*lines, *(f"| {name} | {' | '.join(cells)} |" for name, cells in body)])


def _rate(number: float) -> str:
    return f"{bytes_in_words(number)}/s"


def costs_table() -> str:
    """Write the measured costs."""
    services = ", ".join(f"{number:,}: {costs.services_us(number):.1f}" for number in _SERVICES)
    rows = [
        (
            "worker, an event of the guide's format",
            f"{costs.WORKER_US:g} µs, and {costs.WORKER_US_PER_BYTE:g} µs a byte",
        ),
        ("… of another logger's format", f"{costs.FORMAT_US['logger']:g} µs more"),
        ("… in a shipper's envelope", f"{costs.FORMAT_US['shipper']:g} µs more"),
        ("… of level ERROR, with a stack trace of 2 kB", f"{costs.ERROR_US:g} µs more"),
        ("… of many services", f"{services} µs more"),
        ("memory of a worker, at most", bytes_in_words(costs.WORKER_MEMORY_BYTES)),
        ("Kafka, for each byte of the sample traffic", f"{costs.SAMPLE_COMPRESSION:g} bytes (0.3 assumed)"),
        ("a bulk request, beside the event", f"{costs.BULK_BYTES_ADDED} bytes a document"),
        (
            "Elasticsearch's CPU, a document and copy",
            f"{costs.ELASTICSEARCH_US:g} µs, and {costs.ELASTICSEARCH_US_PER_BYTE:g} µs a byte",
        ),
        (
            "Elasticsearch's disk, a document and copy",
            f"{costs.STORED_BYTES:g} bytes, and {costs.STORED_BYTES_PER_BYTE:g} for each byte",
        ),
    ]
    lines = [f"| measured on {costs.MEASURED_ON} | |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {value} |" for name, value in rows)])
