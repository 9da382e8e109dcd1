"""How `logpipe plan` shows a plan: tables, and what is assumed."""

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pipeline.cli.tables import Column, print_table
from pipeline.cli.terminal import out
from pipeline.telemetry.quantities import as_count, as_duration, as_rate

if TYPE_CHECKING:
    from pipeline.diagnostics.capacity import Assumptions, Plan, Traffic
    from pipeline.diagnostics.traffic_sample import Sampled

__all__ = ["bytes_in_words", "plan_as_json", "print_plan"]

_TABLE = (Column("needed"), Column("", number=True), Column("because"))
_MANY, _THOUSAND = 10, 1000
_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_PHASES = (
    Column("phase"),
    *(Column(name, number=True) for name in ("days", "copies", "shards", "disk")),
)


def print_plan(made: "Plan", sampled: "Sampled | None") -> None:
    """Print the plan as tables, what was found in the topics before it, and what is assumed behind it."""
    if sampled is not None:
        _print_sample(sampled, made.traffic)
    print_table(out, _TABLE, _rows(made))
    out.print()
    print_table(
        out,
        _PHASES,
        [
            [one.phase, str(one.days), str(one.copies), f"{one.shards:,}", bytes_in_words(one.disk_bytes)]
            for one in made.elasticsearch.phases
        ],
        total=(
            "all",
            str(made.days),
            "",
            f"{made.elasticsearch.all_shards:,}",
            bytes_in_words(made.elasticsearch.disk_bytes),
        ),
    )
    out.print()
    for line in _assumed(made.traffic, made.assumptions):
        out.print(f"assumes {line}", style="dim", soft_wrap=not out.is_terminal, highlight=False)
    for limit in made.limits:
        out.print(f"limit   {limit}", style="yellow", soft_wrap=not out.is_terminal, highlight=False)


def _rows(made: "Plan") -> list[list[str]]:
    workers, kafka, real, assumed = made.workers, made.kafka, made.elasticsearch, made.assumptions
    by = sorted(real.nodes_by.items(), key=lambda each: -each[1])
    nodes = ", ".join(f"{why} {number:,}" for why, number in by)
    given = "given; " if assumed.data_nodes else ""
    return [
        [
            "rate at the peak",
            as_rate(made.traffic.events_per_second * assumed.peak),
            _times(assumed.peak),
        ],
        [
            "workers",
            f"{workers.number:,}",
            f"{_cores(workers.cores_at_peak)} cores busy, {workers.us_per_event:.1f} µs an event",
        ],
        ["partitions", f"{workers.partitions:,}", "2 for each worker"],
        ["workers' memory", bytes_in_words(workers.memory_bytes), "225 MB each"],
        ["catch-up after 1 h", _time(made.catch_up_seconds), "at the average rate"],
        [
            "Kafka in",
            _rate(kafka.in_bytes_per_second),
            f"and {_rate(kafka.replication_bytes_per_second)} to replicas",
        ],
        ["Kafka out", _rate(kafka.out_bytes_per_second), "to the workers"],
        [
            "Kafka's disk",
            bytes_in_words(kafka.disk_bytes),
            f"{assumed.kafka_days:g} days, {assumed.kafka_replicas} replicas",
        ],
        ["Kafka's page cache", bytes_in_words(kafka.page_cache_bytes), "30 s of writes"],
        [
            "documents a day",
            as_count(real.documents_per_day),
            f"{bytes_in_words(real.bytes_per_day)}, {real.document_bytes:.0f} bytes each",
        ],
        ["bulk requests", _rate(real.bulk_bytes_per_second), "at the peak"],
        [
            "shards a day",
            f"{real.shards:,}",
            f"{bytes_in_words(real.bytes_per_day / real.shards)} each, primaries",
        ],
        [
            "data nodes' CPU",
            f"{_cores(real.cores_at_peak)} cores",
            f"{real.us_per_document:.0f} µs a document and copy",
        ],
        ["data nodes", f"{real.data_nodes:,}", f"{given}by {nodes}"],
        ["data nodes' disk", bytes_in_words(real.disk_bytes), f"{made.days} days"],
    ]


def _times(peak: float) -> str:
    return f"{peak:.3g} times the average"


def _rate(number: float) -> str:
    return f"{bytes_in_words(number)}/s"


def _cores(number: float) -> str:
    return f"{number:,.0f}" if number >= _MANY else f"{number:.2g}"


def _time(seconds: float) -> str:
    return "never" if seconds == math.inf else as_duration(seconds)


def bytes_in_words(number: float) -> str:
    """Write bytes in decimal units, as disks and networks are sold."""
    unit, *larger = _BYTE_UNITS
    for each in larger:
        if number < _THOUSAND:
            break
        number, unit = number / _THOUSAND, each
    return f"{number:,.0f} {unit}" if number >= _MANY else f"{number:.2g} {unit}"


def _number_of(number: int, one: str) -> str:
    return f"{number:,} {one}" if number == 1 else f"{number:,} {one}s"


def _assumed(traffic: "Traffic", assumed: "Assumptions") -> list[str]:
    from pipeline.diagnostics.measured_costs import MEASURED_ON

    formats = ", ".join(f"{share:.0%} {kind}" for kind, share in traffic.formats.items())
    services = _number_of(traffic.services, "service")
    spare = _number_of(assumed.spare_workers, "worker")
    node_disk = bytes_in_words(assumed.node_disk_bytes)
    return [
        f"events of {traffic.event_bytes:.0f} bytes, {formats}, {traffic.errors:.1%} errors, {services}",
        f"{assumed.headroom:.0%} of a worker's core free at the peak, and {spare} to spare",
        f"{assumed.compression:.2f} bytes in Kafka for each of an event",
        (
            f"data nodes of {assumed.node_cores} cores and {node_disk}: {assumed.node_cpu_share:.0%} of the CPU "
            f"for indexing at most, {assumed.node_disk_share:.0%} of the disk full"
        ),
        f"the costs measured on {MEASURED_ON} (docs/scaling.md)",
    ]


def _print_sample(sampled: "Sampled", traffic: "Traffic") -> None:
    out.print(
        f"{sampled.documents:,} documents of the last day: {traffic.event_bytes:.0f} bytes each, "
        f"{traffic.errors:.1%} errors, {len(sampled.services):,} services",
        soft_wrap=not out.is_terminal,
        highlight=False,
    )
    if sampled.events_per_second is not None:
        out.print(f"{as_rate(sampled.events_per_second)} by Kafka's offsets", highlight=False)
    out.print()


def plan_as_json(made: "Plan") -> dict[str, Any]:
    """Give the plan as JSON has it: bytes, seconds, events in a second; None for a lag that never ends."""
    result = asdict(made)
    result["elasticsearch"] |= {
        "disk_bytes": made.elasticsearch.disk_bytes,
        "all_shards": made.elasticsearch.all_shards,
    }
    if made.catch_up_seconds == math.inf:
        result["catch_up_seconds"] = None
    return result
