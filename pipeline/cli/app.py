"""The command `logpipe`: parse, call, print."""

# Commands import what they run: `logpipe --help` is quick, and the sandbox is an optional extra.
# ruff: noqa: PLC0415

import asyncio
import logging
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline.cli.audit import audit_command
from pipeline.cli.dlq import dlq
from pipeline.cli.probe import probe_command
from pipeline.errors import LogpipeError, SandboxError, SettingsError
from pipeline.events.timestamps import parse_timestamp
from pipeline.settings import Settings, load_settings
from pipeline.version import version

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from pipeline.sandbox import Servers

__all__ = ["app", "main"]

_EXIT_CODES = (
    "Exit codes: 0 done, 1 failed, 2 wrong setting or option, 3 a server cannot be reached, "
    "4 a server refused, 5 the sandbox failed."
)
app = typer.Typer(
    name="logpipe",
    help="Logs from Kafka into date-rolled Elasticsearch indices: nothing lost, nothing twice.",
    epilog=_EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
out = Console()
err = Console(stderr=True)

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="Settings file, TOML or YAML; else $LOGPIPE_CONFIG, else ./logpipe.toml. "
        "Variables LOGPIPE_<GROUP>__<SETTING> win over it.",
    ),
]


def main() -> None:
    """Run the command; an error of ours is a message and an exit code, not a traceback."""
    try:
        app()
    except LogpipeError as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        raise SystemExit(error.exit_code) from None


def _show_version(wanted: bool) -> None:
    if wanted:
        out.print(version())
        raise typer.Exit


@app.callback()
def top(
    show_version: Annotated[  # noqa: ARG001 - acts by its callback
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    log_level: Annotated[
        str, typer.Option(help="DEBUG, INFO, WARNING or ERROR of this program's own log, on stderr.")
    ] = "INFO",
) -> None:
    """Move logs from Kafka into date-rolled Elasticsearch indices: nothing lost, nothing twice."""
    if log_level.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise SettingsError(f"--log-level = {log_level!r}: there are DEBUG, INFO, WARNING, ERROR")
    logging.basicConfig(
        level=log_level.upper(),
        format="%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    # bulk.py says once what these say for every attempt.
    logging.getLogger("elastic_transport").setLevel(logging.ERROR)
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    # A new cluster makes the topic of the groups' offsets on the first request; aiokafka asks again by itself.
    logging.getLogger("aiokafka.consumer.group_coordinator").addFilter(
        lambda record: "GroupCoordinatorNotAvailableError" not in record.getMessage()
    )


@app.command()
def run(
    config: ConfigOption = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Worker processes; else `run.workers`, by default one per core."),
    ] = None,
) -> None:
    """Check both servers, then index in several processes until SIGTERM: the command of a service."""
    settings = load_settings(config)
    if not _show_findings(settings):
        raise typer.Exit(3)
    level = logging.getLevelName(logging.getLogger().level)
    command = [sys.executable, "-m", "pipeline", "--log-level", level, "index"]
    if config is not None:
        command += ["--config", str(config)]
    raise typer.Exit(asyncio.run(_supervise(settings, command, workers)))


async def _supervise(settings: Settings, command: list[str], workers: int | None) -> int:
    from pipeline.telemetry.merged import SupervisorTelemetry
    from pipeline.worker.merged_endpoint import merged_endpoint
    from pipeline.worker.supervisor import Supervisor, available_cores

    telemetry = SupervisorTelemetry()
    number = workers or settings.run.workers or available_cores()
    supervisor = Supervisor(settings, command, number, telemetry)
    async with merged_endpoint(settings.http, supervisor.workers, telemetry) as url:
        logging.getLogger(__name__).info("metrics of %d workers at %s/metrics", number, url)
        return await supervisor.run()


@app.command()
def index(config: ConfigOption = None) -> None:
    """Run one worker without checks: read, transform, index, commit, until SIGTERM."""
    _index(load_settings(config))


def _index(settings: Settings) -> None:
    import uvloop

    from pipeline.telemetry.health import Health
    from pipeline.telemetry.metrics import Telemetry
    from pipeline.telemetry.server import serve
    from pipeline.worker.indexer import Indexer, run_until_signalled
    from pipeline.worker.memory import tune_memory

    async def work() -> None:
        telemetry, health = Telemetry(), Health()
        async with serve(settings.http, telemetry.registry, health) as url:
            logging.getLogger(__name__).info("metrics at %s/metrics", url)
            await run_until_signalled(Indexer(settings, telemetry, health), url)

    tune_memory()
    try:
        uvloop.run(work())
    except asyncio.CancelledError:
        # A second signal: what was in flight is read again by the next start.
        raise typer.Exit(1) from None


@app.command()
def setup(
    config: ConfigOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, change nothing.")
    ] = False,
    without_ilm: Annotated[
        bool, typer.Option("--without-ilm", help="The server has no ILM: leave the lifecycle out.")
    ] = False,
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of topics that are created.")] = 8,
    replication_factor: Annotated[
        int | None,
        typer.Option(min=1, help="Copies of topics that are created; the broker's default unless given."),
    ] = None,
    kibana: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Import the dashboards into this Kibana too, over those that are there; …/s/NAME for a space.",
        ),
    ] = None,
    jaeger: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Jaeger's pages, to which the dashboards' trace ids lead."),
    ] = None,
    print_roles: Annotated[
        bool,
        typer.Option("--print-roles", help="Print the roles and ACLs that are enough, contact no server."),
    ] = False,
) -> None:
    """Install topics, templates, the ILM policy and Kibana's dashboards; again is no harm."""
    from pipeline.install import run_setup

    if print_roles:
        from pipeline.install.roles import describe_roles

        _say(describe_roles(load_settings(config), with_ilm=not without_ilm))
        return
    result = asyncio.run(
        run_setup(
            load_settings(config),
            dry_run=dry_run,
            without_ilm=without_ilm,
            partitions=partitions,
            replication_factor=replication_factor,
            kibana=kibana,
            jaeger=jaeger,
            report=_say,
        )
    )
    if not result.changed:
        _say("nothing to change")


@app.command()
def check(config: ConfigOption = None) -> None:
    """Check the settings, Kafka and Elasticsearch; exit 3 when something is missing."""
    settings = load_settings(config)
    out.print("[green]ok[/]   settings")
    if not _show_findings(settings):
        raise typer.Exit(3)


def _show_findings(settings: Settings) -> bool:
    from pipeline.install.check import check_servers

    findings = asyncio.run(check_servers(settings))
    words = {True: "[green]ok[/]  ", False: "[red]bad[/] ", None: "[yellow]note[/]"}
    for finding in findings:
        out.print(
            f"{words[finding.good]} {escape(finding.subject)}: {escape(finding.detail)}", soft_wrap=True
        )
    return all(finding.good is not False for finding in findings)


@app.command()
def generate(
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
    )
    settings = load_settings(config)
    with _progress() as bar:
        task = bar.add_task("produced", total=traffic.count)
        asyncio.run(
            produce(
                settings.kafka,
                traffic.events(time.time_ns() // 1_000_000),
                rate=traffic.rate,
                live=live,
                report=lambda sent: bar.update(task, completed=sent),
            )
        )


@app.command()
def transform(
    config: ConfigOption = None,
    timestamp: Annotated[
        str | None, typer.Option(help="Kafka's timestamp of the records, ISO-8601; now unless given.")
    ] = None,
    base64: Annotated[
        bool, typer.Option("--base64", help="Each line is the base64 of a record's bytes.")
    ] = False,
) -> None:
    """Read records from stdin, one a line, and print the documents they become. Needs no server."""
    from pipeline.encode.transform import decode_base64, split_lines, transform as transform_records

    settings = load_settings(config)
    parsed = parse_timestamp(timestamp if timestamp is not None else datetime.now(UTC).isoformat())
    if parsed is None:
        raise SettingsError(f"--timestamp = {timestamp!r}: not an ISO-8601 time such as 2024-01-15T10:30:00Z")
    lines = sys.stdin.buffer
    values = decode_base64(lines) if base64 else split_lines(lines)
    for line in transform_records(values, settings, parsed.epoch_ms):
        sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


@app.command()
def sandbox(
    directory: Annotated[
        Path | None, typer.Option(help="Keep data here for the next start; else they go with the servers.")
    ] = None,
    kafka_port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of Kafka.")] = 9092,
    elasticsearch_port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of Elasticsearch.")] = 9200,
) -> None:
    """Run a real Kafka and a real Elasticsearch on this machine until Ctrl-C."""
    start_sandbox = _sandbox_starter()
    with start_sandbox(
        directory, kafka_port=kafka_port, elasticsearch_port=elasticsearch_port, report=_say
    ) as servers:
        out.print(f"Kafka          {servers.kafka_bootstrap}")
        out.print(f"Elasticsearch  {servers.elasticsearch_url}")
        out.print("The defaults of `logpipe` point there: next `logpipe setup --without-ilm`, `logpipe run`.")
        out.print("Ctrl-C stops both.")
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


@app.command()
def demo(
    count: Annotated[int, typer.Option(min=1000, help="How many events.")] = 100_000,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running until Ctrl-C.")] = False,
) -> None:
    """Show the whole way on real servers: sample traffic, the pipeline, and what arrived."""
    start_sandbox = _sandbox_starter()
    from pipeline.cli.demo import run_demo

    with start_sandbox(report=_say) as servers, _progress() as bar:
        run_demo(servers, count, out, bar, keep=keep)


app.command("audit")(audit_command)
app.command("probe")(probe_command)
app.add_typer(dlq, name="dlq")


def _sandbox_starter() -> "Callable[..., AbstractContextManager[Servers]]":
    try:
        from pipeline.sandbox import start_sandbox
    except ImportError as error:
        raise SandboxError(
            f"the sandbox needs an extra: pip install 'kafka-log-pipeline[sandbox]' (no {error.name})"
        ) from error
    return start_sandbox


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description:>10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=out,
    )


def _say(text: str) -> None:
    out.print(escape(text), soft_wrap=True, highlight=False)
