"""The command `logpipe generate`: sample traffic into Kafka."""

import asyncio
import time
from datetime import date, timedelta
from typing import Annotated

import typer

from pipeline.cli.options import ConfigOption
from pipeline.cli.tables import print_json
from pipeline.cli.terminal import progress
from pipeline.settings import load_settings

__all__ = ["generate_command"]

_EPOCH = date(1970, 1, 1)


def generate_command(
    config: ConfigOption = None,
    count: Annotated[int | None, typer.Option(min=1, help="How many events; 100,000 unless given.")] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.1, help="Events per second; unlimited unless given.")
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="Instead of --rate: normal, peak or burst, as of 100, 500 or 1,000 requests/s."),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="Instead of --count: for how long, at this rate.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Events happen while they are sent; needs --rate or --profile.")
    ] = False,
    days: Annotated[
        float | None,
        typer.Option(min=0.001, max=90, help="Days, up to now, over which to spread; 3 unless given."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="The same seed and time give the same events; 0, or live: any.")
    ] = None,
    incident: Annotated[
        str | None, typer.Option(help="error-spike, api-rate-limit, webhook-lag or slow-responses.")
    ] = None,
    incident_from: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="From which share of the time on; 0.9, or live: 0 unless given."),
    ] = None,
    format_name: Annotated[
        str,
        typer.Option(
            "--format",
            help="How the events are written: guide, or as a logger or shipper does, such as pino, zap, ecs, "
            "logstash-encoder, filebeat, fluent-bit, otlp.",
        ),
    ] = "guide",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print how many were sent, by day, as JSON.")
    ] = False,
) -> None:
    """Write sample traffic of the guide's product to Kafka.

    A request to the product, an API request or a webhook, leaves 6.6 log lines on average, all that happens
    besides included: the profile `normal` is 660 events per second, `peak` 3,300, `burst` 6,600.
    """
    from pipeline.sample.produce import plan_traffic, produce

    traffic = plan_traffic(
        count=count,
        rate=rate,
        profile=profile,
        seconds=seconds,
        live=live,
        days=days,
        seed=seed,
        incident=incident,
        incident_from=incident_from,
        format_name=format_name,
    )
    settings = load_settings(config)
    with progress(disable=as_json) as bar:
        task = bar.add_task("produced", total=traffic.count)
        sent_by_day = asyncio.run(
            produce(
                settings.kafka,
                traffic.events(time.time_ns() // 1_000_000),
                rate=traffic.rate,
                live=live,
                report=lambda sent: bar.update(task, completed=sent),
            )
        )
    if as_json:
        by_day = {str(_EPOCH + timedelta(days=day)): number for day, number in sorted(sent_by_day.items())}
        print_json({"topic": settings.kafka.topics[0], "events": sum(by_day.values()), "by_day": by_day})
