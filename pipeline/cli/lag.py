"""The command `logpipe lag`: parse, call, print."""

import asyncio
import re
import time
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import ConfigOption, load_run_settings
from pipeline.cli.tables import Column, print_json, print_table
from pipeline.cli.terminal import err, out
from pipeline.errors import SettingsError
from pipeline.telemetry.quantities import as_duration, as_rate

if TYPE_CHECKING:
    from pipeline.diagnostics.lag import Lag, PartitionLag

__all__ = ["lag_command"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_COLUMNS = (
    Column("partition"),
    *(Column(name, number=True) for name in ("committed", "end", "lag", "behind", "out", "in", "ETA")),
)


def lag_command(
    config: ConfigOption = None,
    topic: Annotated[
        list[str] | None, typer.Option(help="Topic to look at; the configured ones unless given.")
    ] = None,
    most: Annotated[
        str | None,
        typer.Option(
            "--max",
            metavar="LAG",
            help="Exit 1 above it: a number of records of all partitions, or the age of the oldest one, such as 5m.",
        ),
    ] = None,
    rate_seconds: Annotated[
        float, typer.Option(min=0, max=3600, help="How long the rates are measured; 0 leaves them out.")
    ] = 3.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Show how far the group is behind, by partition: offsets, time, rates, and when it will have caught up.

    Needs no running worker, and joins no group. Exit code 1 above `--max`, and when the group has committed nothing.
    """
    from pipeline.diagnostics.lag import measure_lag

    settings = load_run_settings(config)
    limit = _limit(most)
    lag = asyncio.run(
        measure_lag(settings, time.time_ns() // 1_000_000, topics=topic or (), rate_seconds=rate_seconds)
    )
    if as_json:
        print_json(_as_json(lag))
    else:
        total = (
            "all",
            "",
            "",
            f"{lag.records:,}",
            _behind(lag.seconds),
            _rate(lag.committed_per_second),
            _rate(lag.produced_per_second),
            _eta(lag),
        )
        several = len(lag.partitions) > 1
        print_table(out, _COLUMNS, [_row(one) for one in lag.partitions], total=total if several else ())
    if lag.nothing_committed:
        err.print(
            f"The group {lag.group_id} (kafka.group_id) has committed nothing of this: no worker has read it yet, or "
            "the group has another name.",
            style="yellow",
            soft_wrap=True,
        )
        raise typer.Exit(1)
    if limit is not None and _above(lag, *limit):
        raise typer.Exit(1)


def _limit(text: str | None) -> tuple[int, bool] | None:
    """Read the limit, and tell whether it is one of time, in seconds."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,18})([smhd]?)", text.strip())
    if match is None:
        raise SettingsError(f"--max = {text!r}: a number of records, or a time such as 30s, 5m, 2h, 1d")
    return int(match[1]) * _UNITS.get(match[2], 1), bool(match[2])


def _above(lag: "Lag", limit: int, is_time: bool) -> bool:
    if not is_time:
        return lag.records > limit
    # An age that is not known is above any limit while there is something to read: what is shown must be true.
    return any(one.lag and (one.seconds is None or one.seconds > limit) for one in lag.partitions)


def _row(one: "PartitionLag") -> list[str]:
    return [
        f"{one.topic}/{one.partition}",
        "none" if one.committed is None else str(one.committed),
        str(one.end),
        f"{one.lag:,}",
        _behind(one.seconds),
        _rate(one.committed_per_second),
        _rate(one.produced_per_second),
        _eta(one),
    ]


def _behind(seconds: float | None) -> str:
    return "not known" if seconds is None else as_duration(seconds)


def _rate(per_second: float | None) -> str:
    return "" if per_second is None else as_rate(per_second)


def _eta(one: "PartitionLag | Lag") -> str:
    if one.eta_seconds is not None:
        return as_duration(one.eta_seconds) if one.eta_seconds else "done"
    if one.committed_per_second is None or one.produced_per_second is None:
        return ""
    return "growing" if one.produced_per_second > one.committed_per_second else "never"


def _as_json(lag: "Lag") -> dict[str, object]:
    return {
        "group_id": lag.group_id,
        "lag": lag.records,
        "seconds": lag.seconds,
        "committed_per_second": lag.committed_per_second,
        "produced_per_second": lag.produced_per_second,
        "eta_seconds": lag.eta_seconds,
        "partitions": [one._asdict() for one in lag.partitions],
    }
