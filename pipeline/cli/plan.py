"""The command `logpipe plan`: parse, call, print."""

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import ConfigOption, load_run_settings
from pipeline.cli.plan_report import plan_as_json, print_plan
from pipeline.cli.tables import print_json
from pipeline.cli.terminal import err
from pipeline.errors import SettingsError
from pipeline.settings.units import read_quantity
from pipeline.telemetry.quantities import as_bytes

if TYPE_CHECKING:
    from pipeline.diagnostics.capacity import Traffic
    from pipeline.diagnostics.traffic_sample import Sampled

__all__ = ["plan_command"]

_FORMATS = ("guide", "logger", "shipper")
_MOST_EVENTS_PER_SECOND = 1e9
_MOST_BYTES = 100 << 20


def plan_command(
    config: ConfigOption = None,
    events_per_second: Annotated[
        float | None,
        typer.Option(help="Events a second, on average over a day. With --sample: of the topics."),
    ] = None,
    event_bytes: Annotated[
        str | None,
        typer.Option("--bytes", metavar="SIZE", help="Size of an event's record: 364, 2KiB."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=36_500, help="How long indices are kept.")] = 90,
    sample: Annotated[
        bool,
        typer.Option(
            "--sample", help="Take what is not given from the topics: rate, size, formats, services, errors."
        ),
    ] = False,
    topic: Annotated[
        list[str] | None, typer.Option(help="With --sample: topic to read; the configured ones unless given.")
    ] = None,
    documents: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="With --sample: documents that are looked at.")
    ] = 10_000,
    kind: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="KIND", help="guide, logger (another one's JSON) or shipper (an envelope)."
        ),
    ] = None,
    errors: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of events of level ERROR; 0.01 unless given.")
    ] = None,
    services: Annotated[int | None, typer.Option(min=1, help="Services that log; 1 unless given.")] = None,
    peak: Annotated[
        float | None,
        typer.Option(
            min=1, max=1000, help="The busiest minutes, as a multiple of the average; 2 unless given."
        ),
    ] = None,
    headroom: Annotated[
        float, typer.Option(min=0, max=0.95, help="Share of a worker's core that stays free at the peak.")
    ] = 0.3,
    spare_workers: Annotated[int, typer.Option(min=0, max=1000, help="Workers that may be away.")] = 1,
    compression: Annotated[
        float | None,
        typer.Option(min=0.01, max=1.5, help="Bytes in Kafka for each that is produced; 0.3 unless given."),
    ] = None,
    kafka_replicas: Annotated[int, typer.Option(min=1, max=10, help="Replicas of the topic.")] = 3,
    kafka_days: Annotated[float, typer.Option(min=0.01, max=3650, help="How long Kafka keeps records.")] = 7,
    document_bytes: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Bytes of a document on disk, where you know them: an index's pri.store.size by its docs.count.",
        ),
    ] = None,
    node_cores: Annotated[int, typer.Option(min=1, max=1024, help="Cores of a data node.")] = 8,
    node_disk: Annotated[str, typer.Option(metavar="SIZE", help="Disk of a data node.")] = "2TB",
    shards_per_node: Annotated[
        int, typer.Option(min=1, max=100_000, help="Your cluster.max_shards_per_node.")
    ] = 1000,
    data_nodes: Annotated[
        int, typer.Option(min=0, max=10_000, help="Data nodes that there are; 0: as many as are needed.")
    ] = 0,
    shards: Annotated[
        int, typer.Option(min=0, max=1024, help="Primary shards of a day's index; 0: as many as fit.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Work out what a rate of events needs: workers, partitions, shards, data nodes, disk, Kafka, memory.

    Needs no server, unless --sample reads your topics, as a member of no group. docs/scaling.md explains the figures.
    Exit code 1 when the plan is beyond a limit: what then is to be done is said.
    """
    from pipeline.diagnostics.capacity import Assumptions, plan
    from pipeline.diagnostics.shipped_policy import shipped_phases

    sampled = _sample(config, topic or [], documents) if sample else None
    usual = Assumptions()
    traffic = _traffic(sampled, events_per_second, event_bytes, kind, errors, services)
    assumed = Assumptions(
        peak=_first(peak, sampled and sampled.peak, usual.peak),
        headroom=headroom,
        spare_workers=spare_workers,
        compression=_first(compression, sampled and sampled.compressed, usual.compression),
        kafka_replicas=kafka_replicas,
        kafka_days=kafka_days,
        document_bytes=_size("--document-bytes", document_bytes, _MOST_BYTES) if document_bytes else None,
        node_cores=node_cores,
        node_disk_bytes=_size("--node-disk", node_disk, 1 << 60),
        shards_per_node=shards_per_node,
        data_nodes=data_nodes,
        shards=shards,
    )
    made = plan(traffic, days, shipped_phases(), assumed)
    if as_json:
        print_json(plan_as_json(made))
    else:
        print_plan(made, sampled)
    if made.limits:
        raise typer.Exit(1)


def _sample(config: Any, topics: list[str], most: int) -> "Sampled":
    from pipeline.diagnostics.traffic_sample import sample_traffic

    settings = load_run_settings(config)
    now_ms = time.time_ns() // 1_000_000
    return asyncio.run(sample_traffic(settings, topics=topics, now_ms=now_ms, most=most))


def _traffic(
    sampled: "Sampled | None",
    events_per_second: float | None,
    event_bytes: str | None,
    kind: str | None,
    errors: float | None,
    services: int | None,
) -> "Traffic":
    """Take what is given, else what the sample says, else the defaults.

    Raises SettingsError for what is neither, and for what cannot be.
    """
    from pipeline.diagnostics.capacity import Traffic

    rate = _first(events_per_second, sampled and sampled.events_per_second)
    if rate is None:
        raise SettingsError(
            "--events-per-second is needed"
            + (": nothing came into the topics within the last day" if sampled else ", or --sample")
        )
    if not 0 < rate <= _MOST_EVENTS_PER_SECOND:  # nor what is no number
        raise SettingsError(f"--events-per-second = {rate:g}: a number above 0 and up to 1,000,000,000")
    if kind is not None and kind not in _FORMATS:
        raise SettingsError(f"--format = {kind!r}: there are {', '.join(_FORMATS)}")
    if sampled is not None and not sampled.documents:
        err.print(
            "No record of the last day was found: size, formats, services and errors are assumed.",
            style="yellow",
            soft_wrap=True,
        )
    known = sampled.traffic(rate) if sampled and sampled.documents else Traffic(rate)
    if event_bytes is not None:
        known = replace(known, event_bytes=_size("--bytes", event_bytes, _MOST_BYTES))
    if kind is not None:
        known = replace(known, formats={kind: 1.0})
    if errors is not None:
        known = replace(known, errors=errors)
    return known if services is None else replace(known, services=services)


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _size(option: str, text: str, most: int) -> float:
    """Read a number of bytes, with a unit or without; raises SettingsError."""
    try:
        number = float(read_quantity("_bytes", text))
    except ValueError:
        number = 0.0
    if not 1 <= number <= most:
        raise SettingsError(f"{option} = {text!r}: a size such as 364, 2KiB or 2TB, up to {as_bytes(most)}")
    return number
